//! Announces: what is sent, what is taken for an answer, and what becomes of connections.

use super::*;
use crate::announce::Event;
use crate::error::Retry;
use crate::transport::Channel;

const AT: &str = "8.1.1.1:80";
const URL: &str = "http://t.test/announce";

#[tokio::test]
async fn one_request_with_the_few_headers_that_trackers_expect_pol25() {
    let internet = Internet::default().with("t.test", "8.1.1.1:8080", &[&[ok(REPLY)]]);
    let response =
        announce(&internet.transport(HttpConfig::new()), "http://T.test:8080/a?key=b|c").await.unwrap();
    assert_eq!(response.peers.len(), 1);
    assert_eq!(response.tracker_address, Some("8.1.1.1:8080".parse().unwrap()));
    let asked = internet.asked();
    assert_eq!(asked.len(), 1);
    let (line, headers) = asked[0].split_once("\r\n").unwrap();
    assert!(line.starts_with("GET /a?key=b|c&info_hash=%01%01") && line.ends_with(" HTTP/1.1"), "{line}");
    let encoding = if cfg!(feature = "gzip") { "gzip" } else { "identity" };
    let agent = env!("CARGO_PKG_VERSION");
    assert_eq!(
        headers,
        format!(
            "Host: t.test:8080\r\nUser-Agent: tracker-failover/{agent}\r\nAccept-Encoding: {encoding}\r\n\
             Connection: keep-alive\r\n\r\n"
        )
    );
}
