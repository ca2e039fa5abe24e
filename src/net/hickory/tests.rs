//! Look-ups at a scripted name server on this machine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, TXT};
use hickory_resolver::proto::rr::{Name, Record};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::*;
use crate::address::AddressPolicy;
use crate::alert::Alert;
use crate::announce::{InfoHash, PeerId, Torrent};
use crate::error::Cause;
use crate::net::announcer::Announcer;
use crate::net::resolver::allowed_addresses;
use crate::policy::TrackerSet;

/// What is answered for a name and a type, with the time to live in seconds.
type Zone = BTreeMap<(&'static str, RecordType), (u32, Vec<RData>)>;

/// A name server. Types that are withheld are answered when they are released.
struct NameServer {
    address: SocketAddr,
    queries: Arc<Mutex<Vec<(String, RecordType)>>>,
    released: Arc<Notify>,
    _tasks: JoinSet<()>,
}

impl NameServer {
    async fn start(zone: Zone, withheld: impl IntoIterator<Item = RecordType>) -> Self {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let address = socket.local_addr().unwrap();
        let queries = Arc::new(Mutex::new(Vec::new()));
        let released = Arc::new(Notify::new());
        let withheld: BTreeSet<RecordType> = withheld.into_iter().collect();
        let mut tasks = JoinSet::new();
        let (seen, gate) = (Arc::clone(&queries), Arc::clone(&released));
        tasks.spawn(async move {
            let mut late = JoinSet::new();
            let mut buffer = [0; 1500];
            loop {
                let (length, client) = socket.recv_from(&mut buffer).await.unwrap();
                let query = Message::from_vec(&buffer[..length]).unwrap();
                let kind = query.queries[0].query_type();
                seen.lock().unwrap().push((query.queries[0].name().to_utf8(), kind));
                let answer = answer(&zone, query).to_vec().unwrap();
                if withheld.contains(&kind) {
                    let (socket, gate) = (Arc::clone(&socket), Arc::clone(&gate));
                    late.spawn(async move {
                        gate.notified().await;
                        socket.send_to(&answer, client).await.unwrap();
                    });
                } else {
                    socket.send_to(&answer, client).await.unwrap();
                }
            }
        });
        Self { address, queries, released, _tasks: tasks }
    }

    fn resolver(&self) -> HickoryResolver {
        HickoryResolver::from_name_servers([self.address], Sockets::new()).unwrap()
    }

    /// How many queries of this type came.
    fn asked(&self, kind: RecordType) -> usize {
        self.queries.lock().unwrap().iter().filter(|(_, asked)| *asked == kind).count()
    }
}

fn answer(zone: &Zone, query: Message) -> Message {
    let asked = query.queries[0].clone();
    let name = asked.name().to_utf8();
    let name = name.trim_end_matches('.');
    let mut answer = query.into_response();
    match zone.get(&(name, asked.query_type())) {
        Some((ttl, data)) => {
            for data in data {
                let owner = Name::from_utf8(format!("{name}.")).unwrap();
                answer.add_answer(Record::from_rdata(owner, *ttl, data.clone()));
            }
        }
        None if zone.keys().all(|(known, _)| *known != name) => {
            answer.metadata.response_code = ResponseCode::NXDomain;
        }
        None => {}
    }
    answer
}

fn v4(last: u8) -> RData {
    RData::A(A::new(192, 0, 2, last))
}

fn v6(last: u16) -> RData {
    RData::AAAA(AAAA::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last))
}

fn text(strings: &[&str]) -> RData {
    RData::TXT(TXT::new(strings.iter().map(|text| (*text).to_owned()).collect()))
}

fn both_families(ttl: u32) -> Zone {
    let (a, aaaa) = (("t.test", RecordType::A), ("t.test", RecordType::AAAA));
    [(a, (ttl, vec![v4(1), v4(2)])), (aaaa, (ttl, vec![v6(1)]))].into()
}

fn shown(addresses: &[SocketAddr]) -> Vec<String> {
    let mut shown: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    shown.sort();
    shown
}

#[tokio::test]
async fn both_families_are_found() {
    let server = NameServer::start(both_families(300), []).await;
    let found = server.resolver().resolve("t.test", 80).await.unwrap();
    assert_eq!(shown(&found), ["192.0.2.1:80", "192.0.2.2:80", "[2001:db8::1]:80"]);
}

#[tokio::test]
async fn a_family_that_is_slow_to_be_answered_comes_later() {
    for (slow, known, later) in [
        (RecordType::AAAA, vec!["192.0.2.1:80", "192.0.2.2:80"], vec!["[2001:db8::1]:80"]),
        (RecordType::A, vec!["[2001:db8::1]:80"], vec!["192.0.2.1:80", "192.0.2.2:80"]),
    ] {
        let server = NameServer::start(both_families(300), [slow]).await;
        let found = server.resolver().find("t.test", 80).await.unwrap();
        assert_eq!(shown(found.addresses()), known, "{slow}");
        server.released.notify_waiters();
        let (_, rest) = found.into_parts();
        assert_eq!(shown(&rest.await), later, "{slow}");
    }
}

#[tokio::test]
async fn a_family_without_addresses_is_not_the_end_of_a_look_up() {
    for missing in [RecordType::A, RecordType::AAAA] {
        let mut zone = both_families(300);
        zone.remove(&("t.test", missing));
        let server = NameServer::start(zone, []).await;
        let found = server.resolver().resolve("t.test", 80).await.unwrap();
        assert!(
            !found.is_empty() && found.iter().all(|a| a.is_ipv6() == (missing == RecordType::A)),
            "{found:?}"
        );
    }
}

#[tokio::test]
async fn an_answer_is_kept_for_its_time_to_live_and_shared_by_clones() {
    for (ttl, lookups) in [(300, 1), (0, 3)] {
        let server = NameServer::start(both_families(ttl), []).await;
        let resolver = server.resolver();
        for _ in 0..3 {
            resolver.clone().resolve("t.test", 80).await.unwrap();
        }
        assert_eq!(server.asked(RecordType::A), lookups, "{ttl}");
        assert_eq!(server.asked(RecordType::AAAA), lookups, "{ttl}");
    }
}

#[tokio::test]
async fn look_ups_of_one_name_at_once_are_one_query() {
    let server = NameServer::start(both_families(0), [RecordType::A, RecordType::AAAA]).await;
    let resolver = server.resolver();
    let mut lookups = JoinSet::new();
    for _ in 0..50 {
        let resolver = resolver.clone();
        lookups.spawn(async move { resolver.resolve("t.test", 80).await.unwrap().len() });
    }
    while server.asked(RecordType::A) == 0 || server.asked(RecordType::AAAA) == 0 {
        tokio::task::yield_now().await;
    }
    // All of them have joined by then: each task runs up to its wait without a pause.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    let asked = (server.asked(RecordType::A), server.asked(RecordType::AAAA));
    assert_eq!(asked, (1, 1));
    server.released.notify_waiters();
    while let Some(found) = lookups.join_next().await {
        assert_eq!(found.unwrap(), 3);
    }
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_an_error_of_the_name() {
    let server = NameServer::start(both_families(300), []).await;
    let error = server.resolver().resolve("other.test", 80).await.unwrap_err();
    assert_eq!(error.to_string(), "its name could not be resolved: no address is known");
}

/// R102: our own network is at fault.
#[tokio::test]
async fn a_look_up_that_cannot_leave_is_an_error_of_this_machine() {
    let server = NameServer::start(both_families(300), []).await;
    let sockets = Sockets::new().prepare(|_, _| Err(io::Error::from(io::ErrorKind::PermissionDenied)));
    let resolver = HickoryResolver::from_name_servers([server.address], sockets).unwrap();
    let error = resolver.resolve("t.test", 80).await.unwrap_err();
    assert!(matches!(error, AnnounceError::Local(_)), "{error}");
    assert_eq!(server.asked(RecordType::A) + server.asked(RecordType::AAAA), 0);
}

#[tokio::test]
async fn look_ups_leave_by_the_sockets_that_were_given() {
    let server = NameServer::start(both_families(300), []).await;
    let opened = Arc::new(Mutex::new(BTreeSet::new()));
    let sockets = Sockets::new().prepare({
        let opened = Arc::clone(&opened);
        move |_, remote| {
            opened.lock().unwrap().insert(remote);
            Ok(())
        }
    });
    let resolver = HickoryResolver::from_name_servers([server.address], sockets).unwrap();
    resolver.resolve("t.test", 80).await.unwrap();
    assert_eq!(*opened.lock().unwrap(), [server.address].into());
}

/// A large answer is cut over UDP and asked for again over TCP.
#[tokio::test]
async fn an_answer_that_does_not_fit_into_a_datagram_is_fetched_over_tcp() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let socket = UdpSocket::bind(address).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut buffer = [0; 1500];
        loop {
            let (length, client) = socket.recv_from(&mut buffer).await.unwrap();
            let mut cut = Message::from_vec(&buffer[..length]).unwrap().into_response();
            cut.metadata.truncation = true;
            socket.send_to(&cut.to_vec().unwrap(), client).await.unwrap();
        }
    });
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            connections.spawn(async move {
                while let Ok(length) = stream.read_u16().await {
                    let mut query = vec![0; length.into()];
                    stream.read_exact(&mut query).await.unwrap();
                    let answer =
                        answer(&both_families(300), Message::from_vec(&query).unwrap()).to_vec().unwrap();
                    stream.write_u16(answer.len().try_into().unwrap()).await.unwrap();
                    stream.write_all(&answer).await.unwrap();
                }
            });
        }
    });
    let resolver = HickoryResolver::from_name_servers([address], Sockets::new()).unwrap();
    assert_eq!(resolver.resolve("t.test", 80).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_record_of_trackers_is_found_among_others_and_its_strings_are_joined() {
    let zone = [
        (
            ("t.test", RecordType::TXT),
            (300, vec![text(&["v=spf1 -all"]), text(&["BITTORRENT UDP:1", "337 TCP:80"])]),
        ),
        (("deny.test", RecordType::TXT), (300, vec![text(&["BITTORRENT DENY ALL"])])),
        (("other.test", RecordType::TXT), (300, vec![text(&["v=spf1 -all"])])),
    ];
    let server = NameServer::start(zone.into(), []).await;
    let resolver = server.resolver();
    let expected = TrackerRecord::parse(b"BITTORRENT UDP:1337 TCP:80");
    assert_eq!(resolver.tracker_record("t.test").await, expected);
    assert_eq!(resolver.tracker_record("deny.test").await, Some(TrackerRecord::default()));
    for none in ["other.test", "missing.test"] {
        assert_eq!(resolver.tracker_record(none).await, None, "{none}");
    }
    let before = server.asked(RecordType::TXT);
    assert_eq!(resolver.tracker_record("t.test").await, expected);
    assert_eq!(server.asked(RecordType::TXT), before, "it is kept");
    assert_eq!(resolver.without_tracker_records().tracker_record("deny.test").await, None);
    assert_eq!(server.asked(RecordType::TXT), before);
}

///
#[tokio::test]
async fn names_of_other_networks_are_not_looked_up() {
    let server = NameServer::start(both_families(300), []).await;
    let resolver = server.resolver();
    for host in ["t.i2p", "T.ONION"] {
        let found = allowed_addresses(&resolver, &AddressPolicy::ALLOW_ALL, host, 80).await;
        assert!(matches!(found, Err(AnnounceError::Resolve(Cause { .. }))), "{found:?}");
        assert_eq!(resolver.tracker_record(host).await, None);
    }
    assert!(server.queries.lock().unwrap().is_empty());
}

#[test]
fn without_name_servers_there_is_no_resolver() {
    let error = HickoryResolver::from_name_servers([], Sockets::new()).unwrap_err();
    assert_eq!(error.to_string(), "expected at least one name server");
}

/// The whole way: a record leads an announcer to another port, and away from a host that denies.
#[cfg(feature = "http")]
#[tokio::test]
async fn an_announcer_goes_where_records_lead() {
    let tracker = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = tracker.local_addr().unwrap().port();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        loop {
            let (mut stream, _) = tracker.accept().await.unwrap();
            let mut request = [0; 4096];
            while stream.read(&mut request).await.is_ok_and(|length| length > 0) {
                let body = b"d8:intervali1800e5:peers6:\x7f\0\0\x01\x1a\xe1e";
                let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
                stream.write_all(head.as_bytes()).await.unwrap();
                stream.write_all(body).await.unwrap();
            }
        }
    });
    let localhost = RData::A(A::new(127, 0, 0, 1));
    let zone = [
        (("moved.test", RecordType::A), (300, vec![localhost.clone()])),
        (("moved.test", RecordType::TXT), (300, vec![text(&[&format!("BITTORRENT TCP:{port}")])])),
        (("denies.test", RecordType::A), (300, vec![localhost])),
        (("denies.test", RecordType::TXT), (300, vec![text(&["BITTORRENT DENY ALL"])])),
    ];
    let server = NameServer::start(zone.into(), []).await;
    let announcer = Announcer::builder().resolver(server.resolver()).without_prober().spawn();
    for (url, expected) in [
        ("http://moved.test:1/announce", "Ok"),
        (&*format!("http://denies.test:{port}/announce"), "its host says that no tracker runs there"),
    ] {
        let torrent = Torrent::new(InfoHash::new([1; 20]), PeerId::new([1; 20]), 1);
        let (_handle, mut alerts) = announcer.add(TrackerSet::new([[url.parse().unwrap()]]), torrent);
        let result = loop {
            match alerts.next().await.unwrap() {
                Alert::Announced(answer) => {
                    assert_eq!(answer.response.peers.len(), 1);
                    break "Ok".to_owned();
                }
                Alert::Failed { error, .. } => break error.to_string(),
                _ => {}
            }
        };
        assert_eq!(result, expected, "{url}");
    }
}
