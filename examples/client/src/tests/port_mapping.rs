//! `--port-mapping` against a scripted gateway: the search (SSDP), its descriptions, and what it is asked for (SOAP).

use std::net::UdpSocket;
use std::sync::{Arc, Mutex};

#[cfg(unix)]
use fake_tracker::{Behaviour, FakeTracker};

#[cfg(unix)]
use super::trackers::runtime;
use super::*;

const DEVICE: &str = "<?xml version=\"1.0\"?><root xmlns=\"urn:schemas-upnp-org:device-1-0\"><device>\
    <deviceType>urn:schemas-upnp-org:device:InternetGatewayDevice:1</deviceType><deviceList><device>\
    <deviceType>urn:schemas-upnp-org:device:WANDevice:1</deviceType><deviceList><device>\
    <deviceType>urn:schemas-upnp-org:device:WANConnectionDevice:1</deviceType><serviceList><service>\
    <serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType>\
    <serviceId>urn:upnp-org:serviceId:WANIPConn1</serviceId><controlURL>/control</controlURL>\
    <eventSubURL>/events</eventSubURL><SCPDURL>/schema</SCPDURL></service></serviceList></device></deviceList>\
    </device></deviceList></device></root>";

/// A gateway of which the answer to each request is scripted; it keeps what it was asked for.
struct MockGateway {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl MockGateway {
    /// `conflicts` says whether a port is taken.
    fn start(conflicts: impl Fn(u16) -> bool + Send + 'static) -> Self {
        let http = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let location = format!("http://{}/device", http.local_addr().unwrap());
        let search = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = search.local_addr().unwrap();
        thread::spawn(move || {
            let mut packet = [0; 2048];
            while let Ok((read, from)) = search.recv_from(&mut packet) {
                assert!(packet[..read].starts_with(b"M-SEARCH"));
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n\
                     LOCATION: {location}\r\nUSN: uuid:1\r\n\r\n"
                );
                search.send_to(answer.as_bytes(), from).unwrap();
            }
        });
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in http.incoming() {
                let mut stream = stream.unwrap();
                let (status, body) = answer(&request(&mut stream), &heard, &conflicts);
                let length = body.len();
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status}\r\ncontent-type: text/xml\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                );
            }
        });
        Self { address, asked }
    }

    /// What was asked for: an action and an external port each.
    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

/// One whole request.
fn request(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        let is_end = line.trim().is_empty();
        text += &line;
        if is_end {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    text + &String::from_utf8(body).unwrap()
}

fn answer(
    request: &str,
    heard: &Mutex<Vec<String>>,
    conflicts: impl Fn(u16) -> bool,
) -> (&'static str, String) {
    let soap = |body: &str| {
        format!(
            "<?xml version=\"1.0\"?><s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>{body}\
             </s:Body></s:Envelope>"
        )
    };
    if request.starts_with("GET /device ") {
        return ("200 OK", DEVICE.into());
    }
    if request.starts_with("GET /schema ") {
        let action = |name: &str, arguments: &[&str]| {
            let argument =
                |name: &&str| format!("<argument><name>{name}</name><direction>in</direction></argument>");
            let arguments: String = arguments.iter().map(argument).collect();
            format!("<action><name>{name}</name><argumentList>{arguments}</argumentList></action>")
        };
        let key = ["NewRemoteHost", "NewExternalPort", "NewProtocol"];
        let rest = [
            "NewInternalPort",
            "NewInternalClient",
            "NewEnabled",
            "NewPortMappingDescription",
            "NewLeaseDuration",
        ];
        let actions =
            [action("AddPortMapping", &[&key[..], &rest[..]].concat()), action("DeletePortMapping", &key)];
        return ("200 OK", format!("<scpd><actionList>{}</actionList></scpd>", actions.concat()));
    }
    let within =
        |tag: &str| request.split(&format!("<{tag}>")).nth(1).and_then(|rest| rest.split('<').next());
    let port: u16 = within("NewExternalPort").unwrap().parse().unwrap();
    let action = if request.contains("u:AddPortMapping") { "AddPortMapping" } else { "DeletePortMapping" };
    heard.lock().unwrap().push(format!("{action} {port}"));
    if action == "AddPortMapping" {
        assert_eq!((within("NewProtocol"), within("NewInternalClient")), (Some("TCP"), Some("127.0.0.1")));
        if conflicts(port) {
            let fault = "<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail><UPnPError>\
                         <errorCode>718</errorCode><errorDescription>ConflictInMappingEntry</errorDescription></UPnPError>\
                         </detail></s:Fault>";
            return ("500 Internal Server Error", soap(fault));
        }
    }
    let service = "urn:schemas-upnp-org:service:WANIPConnection:1";
    ("200 OK", soap(&format!("<u:{action}Response xmlns:u=\"{service}\"></u:{action}Response>")))
}

/// Runs a seed with a tracker until the gateway's port is announced; gives our port, and the ones that were announced.
#[cfg(unix)]
fn announced_with(gateway: &MockGateway, announces: usize) -> (u16, Vec<u16>) {
    let runtime = runtime();
    let tracker = runtime.block_on(FakeTracker::start(Behaviour::ok()));
    let shared = Shared::new(100_000, &[tracker.announce_url()]);
    let address = gateway.address.to_string();
    let mut seed = shared.start("seed", &["--port-mapping", "--gateway", &address, "--allow-loopback"]);
    let port = seed.port();
    loop {
        let line = seed.wait_for("alert");
        assert!(!line.contains("no port"), "{line}");
        if line.contains("\"text\":\"port ") {
            break;
        }
    }
    runtime.block_on(tracker.wait_for_announces(announces));
    seed.terminate();
    let (code, said) = seed.end();
    assert_eq!(code, Some(0), "{said}");
    let started = tracker.announces().into_iter().filter(|heard| heard.event() != Some("stopped"));
    (port, started.filter_map(|heard| heard.port()).collect())
}

#[cfg(unix)]
#[test]
fn our_port_is_asked_for_and_given_back() {
    let gateway = MockGateway::start(|_| false);
    let (port, announced) = announced_with(&gateway, 1);
    assert_eq!(gateway.asked(), [format!("AddPortMapping {port}"), format!("DeletePortMapping {port}")]);
    assert_eq!(announced, [port]);
}

#[cfg(unix)]
#[test]
fn another_port_is_announced_where_ours_is_taken() {
    let first = Mutex::new(None);
    let gateway = MockGateway::start(move |port| *first.lock().unwrap().get_or_insert(port) == port);
    let (port, announced) = announced_with(&gateway, 2);
    let asked = gateway.asked();
    assert_eq!(asked[0], format!("AddPortMapping {port}"));
    let external: u16 = asked[1].strip_prefix("AddPortMapping ").unwrap().parse().unwrap();
    assert_ne!(external, port);
    assert_eq!(asked[2..], [format!("DeletePortMapping {external}")]);
    assert_eq!(announced.last(), Some(&external), "{announced:?}");
}

/// Nothing answers the search, or what answers takes no port: one line, and the download goes on.
#[test]
fn without_a_gateway_everything_else_works() {
    let silent = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let refusing = MockGateway::start(|_| true);
    for (address, retries) in [(silent.local_addr().unwrap(), false), (refusing.address, true)] {
        let shared = Shared::new(100_000, &[]);
        let address = address.to_string();
        let options = ["--no-trackers", "--port-mapping", "--gateway", &address, "--deadline-s", "8"];
        let (code, said) = shared.start("seed", &options).end();
        assert_eq!(code, Some(0), "{said}");
        assert_eq!(said.matches("no port of the gateway leads to us").count(), 1, "{said}");
        assert_eq!(!refusing.asked().is_empty(), retries);
    }
}
