//! Everything that the client may want to reach: trackers that answer, redirect and refuse, and a proxy that leads to them.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{RData, Record, RecordType};
use tokio::net::UdpSocket;

use fake_tracker::{Behaviour, FakeProxy, FakeTracker, FakeUdpTracker, ProxyRules, UdpBehaviour};

/// Where the proxy is: at the far end of the link that isn't chosen by its name.
pub(crate) const PROXY: &str = "10.1.0.2:1080";

/// The ports of HTTP and UDP trackers.
pub(crate) const HTTP: u16 = 8000;
pub(crate) const UDP: u16 = 6969;

/// The name server, which is reached by either link.
pub(crate) const NAME_SERVER: &str = "10.9.0.1:53";

/// How many names there are. Each has three IPv4 and two IPv6 addresses, of which at most one of each family answers.
pub(crate) const NAMES: u8 = 6;

/// A name and its addresses.
pub(crate) fn name(number: u8) -> (String, Vec<IpAddr>) {
    let dead: [IpAddr; 2] = ["10.9.0.250".parse().unwrap(), "10.9.9.9".parse().unwrap()];
    let mut addresses: Vec<IpAddr> = vec![v6(250), v6(number)];
    addresses.extend(dead);
    addresses.push(v4(number));
    // In another order for each name.
    addresses.rotate_left(usize::from(number) % 5);
    (format!("t{number}.test"), addresses)
}

pub(crate) fn v4(number: u8) -> IpAddr {
    [10, 9, 0, number].into()
}

fn v6(number: u8) -> IpAddr {
    [0xfd09, 0, 0, 0, 0, 0, 0, u16::from(number)].into()
}

/// Starts everything, says `ready`, and stays until it is ended.
pub(crate) async fn run() {
    let mut trackers = Vec::new();
    let mut udp_trackers = Vec::new();
    for number in 1..=NAMES {
        // The last two over one family alone.
        let ips = if number > NAMES - 2 { vec![v4(number)] } else { vec![v4(number), v6(number)] };
        for ip in ips {
            let behaviour = match number {
                2 => Behaviour::redirect(302, format!("http://t1.test:{HTTP}/announce")),
                3 => Behaviour::redirect(307, format!("http://10.9.0.4:{HTTP}/announce")),
                5 => Behaviour::status(503),
                _ => Behaviour::ok_every(Duration::from_secs(60), None),
            };
            trackers.push(FakeTracker::start_at(SocketAddr::new(ip, HTTP), behaviour).await);
            let behaviour = if number == 5 { UdpBehaviour::Silent } else { UdpBehaviour::Ok };
            udp_trackers.push(FakeUdpTracker::start_at(SocketAddr::new(ip, UDP), behaviour));
        }
    }
    let names = (1..=NAMES).map(|number| (format!("t{number}.test"), v4(number))).collect();
    let rules = ProxyRules { names, ..ProxyRules::default() };
    let _proxy = FakeProxy::start_at(PROXY.parse().unwrap(), rules).await;
    let name_server = UdpSocket::bind(NAME_SERVER).await.unwrap();
    println!("ready");
    let mut buffer = [0; 1500];
    loop {
        let (length, client) = name_server.recv_from(&mut buffer).await.unwrap();
        if let Some(answer) = Message::from_vec(&buffer[..length]).ok().and_then(answer) {
            // The client's link may be down.
            let _ = name_server.send_to(&answer, client).await;
        }
    }
}

/// The answer of the name server, of one family at a time. Names have no other records.
fn answer(query: Message) -> Option<Vec<u8>> {
    let asked = query.queries.first()?.clone();
    let known: Vec<_> = (1..=NAMES).map(name).collect();
    let name = asked.name().to_utf8();
    let found = known.iter().find(|(known, _)| name.trim_end_matches('.') == known);
    let mut answer = query.into_response();
    let Some((_, addresses)) = found else {
        answer.metadata.response_code = ResponseCode::NXDomain;
        return answer.to_vec().ok();
    };
    for address in addresses {
        let data = match (address, asked.query_type()) {
            (IpAddr::V4(v4), RecordType::A) => RData::A((*v4).into()),
            (IpAddr::V6(v6), RecordType::AAAA) => RData::AAAA((*v6).into()),
            _ => continue,
        };
        // Asked for again at once: each look-up is a chance to leak.
        answer.add_answer(Record::from_rdata(asked.name().clone(), 0, data));
    }
    answer.to_vec().ok()
}
