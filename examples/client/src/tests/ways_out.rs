//! The program through a proxy: trackers and peers, and nothing beside it.

use fake_tracker::{Behaviour, FakeProxy, FakeTracker, ProxyRules};

use super::trackers::runtime;
use super::*;

/// By SOCKS and by HTTP, with a password that is shown nowhere.
#[test]
fn trackers_and_peers_are_reached_through_the_proxy() {
    let runtime = runtime();
    let credentials = Some(("user".to_owned(), "s3cret".to_owned()));
    let (tracker, proxy) = runtime.block_on(async {
        let rules = ProxyRules { credentials, ..ProxyRules::default() };
        let proxy = FakeProxy::start_at("127.0.0.1:0".parse().unwrap(), rules).await;
        (FakeTracker::start(Behaviour::ok()).await, proxy)
    });
    let shared = Shared::new(200_000, &[tracker.announce_url()]);
    let mut seed = shared.start("seed", &["--no-trackers"]);
    let peer = format!("127.0.0.1:{}", seed.port());
    for (folder, scheme) in [("socks", "socks5"), ("http", "http")] {
        let url = format!("{scheme}://user:s3cret@{}", proxy.address());
        let (code, said) =
            shared.start(folder, &["--proxy", &url, "--peer", &peer, "--exit-when-done", "--verbose"]).end();
        assert_eq!(code, Some(0), "{said}");
        assert!(shared.is_whole(folder) && !said.contains("s3cret"), "{said}");
        assert!(!said.contains("\"event\":\"listening\""), "{said}");
    }
    let requests = proxy.requests();
    for wanted in [format!("tcp {peer}"), format!("tcp {}", tracker.address())] {
        assert!(requests.iter().filter(|request| **request == wanted).count() >= 2, "{wanted}: {requests:?}");
    }
}

/// Nothing is sent past a proxy that is gone.
#[test]
fn without_the_proxy_no_host_is_reached() {
    let tracker = runtime().block_on(FakeTracker::start(Behaviour::ok()));
    let shared = Shared::new(100_000, &[tracker.announce_url()]);
    let mut seed = shared.start("seed", &["--no-trackers"]);
    let peer = format!("127.0.0.1:{}", seed.port());
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("socks5://{closed}");
    let (code, said) = shared.start("leech", &["--proxy", &url, "--peer", &peer, "--deadline-s", "2"]).end();
    assert_eq!(code, Some(3), "{said}");
    assert_eq!(tracker.connections(), 0);
}

#[test]
fn what_would_pass_the_way_out_by_is_wrong_usage() {
    let shared = Shared::new(1000, &[]);
    for options in [
        ["--proxy", "socks5://127.0.0.1:9", "--discovery-mode", "overlay"],
        ["--interface", "lo", "--discovery-mode", "both"],
        ["--proxy", "ftp://user:s3cret@127.0.0.1:9", "--deadline-s", "5"],
        ["--proxy", "socks5://proxy.test:9", "--deadline-s", "5"],
        ["--interface", "no/such", "--deadline-s", "5"],
    ] {
        let (code, said) = shared.start("leech", &options).end();
        assert_eq!(code, Some(2), "{options:?}: {said}");
        assert!(!said.contains("s3cret"), "{said}");
    }
}
