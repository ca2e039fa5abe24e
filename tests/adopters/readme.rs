//! The README's first example beside a tracker: it announces, and sends `stopped` on Ctrl+C.

#[path = "tracker.rs"]
mod tracker;

use std::process::{Command, Stdio};

use tracker::Tracker;

#[test]
fn the_readmes_example_announces_and_leaves() {
    let tracker = Tracker::start("d8:intervali1800e5:peers6:\x08\x08\x08\x08\x1a\x01e");
    let url = tracker.url();
    let info = "d6:lengthi1000e4:name4:file12:piece lengthi16384e6:pieces20:aaaaaaaaaaaaaaaaaaaae";
    let torrent = format!("d8:announce{}:{url}4:info{info}e", url.len());
    let file = std::env::temp_dir().join(format!("readme-{}.torrent", std::process::id()));
    std::fs::write(&file, torrent).unwrap();
    let program =
        Command::new(env!("CARGO_BIN_EXE_client")).arg(&file).stdout(Stdio::piped()).spawn().unwrap();
    assert_eq!(tracker.wait_for(1), ["started left=1000 port=6881"]);
    let kill = Command::new("kill").args(["-INT", &program.id().to_string()]).status();
    assert!(kill.unwrap().success());
    let output = program.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("1 peer") && text.ends_with(": Ok(())\n"), "{text}");
    assert_eq!(tracker.announces(), ["started left=1000 port=6881", "stopped left=1000 port=6881"]);
    let _ = std::fs::remove_file(file);
}
