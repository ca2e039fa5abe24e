//! The program beside a tracker that is dead and one that works.

#[path = "../../tracker.rs"]
mod tracker;

use std::process::Command;

use tracker::Tracker;

#[test]
fn a_torrent_fails_over_completes_and_leaves() {
    let tracker = Tracker::start("d8:intervali1800e5:peers0:e");
    // Nothing listens on a port that was just given back.
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let program = Command::new(env!("CARGO_BIN_EXE_engine"));
    let output = { program }.args([format!("http://{dead}/announce"), tracker.url()]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    assert!(text.contains("[TRACKER] switching") && text.ends_with("1 acknowledged stopped\n"), "{text}");
    assert_eq!(
        tracker.wait_for(3),
        ["started left=1000 port=6881", "completed left=0 port=6881", "stopped left=0 port=6881"]
    );
}
