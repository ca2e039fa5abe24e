//! Scrapes: how many requests they take, and how the answers are joined.

use super::*;

const AT: &str = "8.1.1.1:80";
const URL: &str = "http://t.test/announce";

fn torrents(count: u8) -> Vec<InfoHash> {
    (1..=count).map(|n| InfoHash::new([n; 20])).collect()
}

/// The answer for one torrent, with this many seeds and an interval.
fn files(torrent: u8, complete: u8, wait: u16) -> Step {
    let head = b"d5:filesd20:".to_vec();
    let tail = format!("d8:completei{complete}eee5:flagsd20:min_request_intervali{wait}eee");
    ok(&[head, vec![torrent; 20], tail.into_bytes()].concat())
}

/// How many torrents each request asked for.
fn asked_for(internet: &Internet) -> Vec<usize> {
    internet.asked().iter().map(|head| head.matches("info_hash=").count()).collect()
}

/// R48-03.
#[tokio::test]
async fn many_torrents_take_several_requests_over_one_connection() {
    let script = [files(1, 1, 30), files(30, 2, 900), files(60, 3, 60), Step::Keep];
    let internet = Internet::default().with("t.test", AT, &[&script]);
    let transport = internet.transport(HttpConfig::new());
    let mut channel = transport.open(&URL.parse().unwrap()).await.unwrap();
    let joined = channel.scrape(&torrents(60)).await.unwrap();
    let counts: Vec<_> = joined.files.values().map(|counts| counts.complete).collect();
    assert_eq!(
        (counts, joined.min_request_interval),
        (vec![Some(1), Some(2), Some(3)], Some(Duration::from_secs(900)))
    );
    assert_eq!((asked_for(&internet), internet.dialled()), (vec![28, 28, 4], 1));
}

///
#[tokio::test]
async fn a_request_that_is_too_long_is_halved() {
    let too_long = ok(b"d14:failure reason19:GET string too longe");
    let script = [
        answer("414 URI Too Long", "", b""),
        files(1, 1, 1),
        too_long,
        files(4, 2, 1),
        files(6, 3, 1),
        Step::Keep,
    ];
    let internet = Internet::default().with("t.test", AT, &[&script]);
    let transport = internet.transport(HttpConfig::new());
    let mut channel = transport.open(&URL.parse().unwrap()).await.unwrap();
    let joined = channel.scrape(&torrents(6)).await.unwrap();
    assert_eq!(joined.files.len(), 3);
    assert_eq!(asked_for(&internet), [6, 3, 3, 1, 2]);
}

#[tokio::test]
async fn a_scrape_that_can_be_neither_sent_nor_halved_is_an_error() {
    let internet = Internet::default().with("t.test", AT, &[&[answer("414 x", "", b""), Step::Keep]]);
    let transport = internet.transport(HttpConfig::new());
    let mut channel = transport.open(&URL.parse().unwrap()).await.unwrap();
    assert_eq!(channel.scrape(&torrents(1)).await.unwrap_err().to_string(), "HTTP status 414");
    assert_eq!(channel.scrape(&[]).await.unwrap_err().to_string(), "it can't be scraped");
    assert_eq!(internet.asked().len(), 1, "a scrape without torrents would ask for all there are");
}
