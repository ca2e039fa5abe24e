//! The program against small trackers on this machine: failover, `stopped`, a proxy, UDP, and what its output shows.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

const REPLY: &str = "d8:completei1e10:incompletei1e8:intervali1800e5:peers6:\u{7f}\0\0\u{1}\u{1a}\u{4}e";

/// A tracker with one answer to every announce, and an empty body for `stopped`.
struct Tracker {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Tracker {
    fn start(head: &'static str, body: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, heard) = (listener.local_addr().unwrap(), Arc::default());
        let hears = Arc::clone(&heard);
        thread::spawn(move || {
            for connection in listener.incoming() {
                let hears = Arc::clone(&hears);
                thread::spawn(move || serve(&connection.unwrap(), &hears, head, body));
            }
        });
        Self { address, heard }
    }

    fn url(&self) -> String {
        format!("http://{}/5ec2e7/announce?passkey=5ec2e7", self.address)
    }

    /// The first lines of its requests.
    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    /// The events of its announces.
    fn events(&self) -> Vec<String> {
        let event = |line: &String| {
            let (_, after) = line.split_once("&event=").unwrap_or_else(|| panic!("{line}"));
            after.split(['&', ' ']).next().unwrap().to_owned()
        };
        self.heard().iter().map(event).collect()
    }
}

fn serve(connection: &TcpStream, heard: &Mutex<Vec<String>>, head: &str, body: &str) {
    let mut lines = BufReader::new(connection).lines();
    while let Some(Ok(line)) = lines.next() {
        let body = if line.contains("event=stopped") { "" } else { body };
        heard.lock().unwrap().push(line);
        while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
        let answer = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        if (&*connection).write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// A UDP tracker (BEP 15), and the actions that it was asked for.
fn udp_tracker() -> (String, Arc<Mutex<Vec<u8>>>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (url, heard) = (format!("udp://{}/5ec2e7", socket.local_addr().unwrap()), Arc::default());
    let hears: Arc<Mutex<Vec<u8>>> = Arc::clone(&heard);
    thread::spawn(move || {
        let mut packet = [0; 2048];
        while let Ok((_, from)) = socket.recv_from(&mut packet) {
            let (action, transaction) = (packet[11], &packet[12..16]);
            hears.lock().unwrap().push(action);
            let answer = match action {
                0 => [&[0, 0, 0, 0], transaction, &[9; 8]].concat(),
                _ => [
                    &[0, 0, 0, 1],
                    transaction,
                    &[0, 0, 7, 8, 0, 0, 0, 1, 0, 0, 0, 1],
                    &[127, 0, 0, 1, 26, 4],
                ]
                .concat(),
            };
            socket.send_to(&answer, from).unwrap();
        }
    });
    (url, heard)
}

/// Runs the program. Its output never shows a passkey.
fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let mut program = Command::new(env!("CARGO_BIN_EXE_own-http"));
    // What the environment says of proxies is for the program to ignore.
    program.env("http_proxy", "http://127.0.0.1:9").env("all_proxy", "http://127.0.0.1:9");
    let Output { status, stdout, stderr } = program.args(arguments).output().unwrap();
    let text = [stdout, stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    assert!(!text.contains("5ec2e7") && !text.contains("info_hash"), "{text}");
    (status.code(), text)
}

#[track_caller]
fn shows(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}

#[test]
fn it_fails_over_and_an_empty_answer_acknowledges_stopped() {
    let busy = Tracker::start("503 Service Unavailable\r\nRetry-After: 120", "");
    let well = Tracker::start("200 OK", REPLY);
    let (code, text) = run(&[&busy.url(), &well.url()]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(busy.events(), ["started"]);
    assert_eq!(well.events(), ["started", "stopped"]);
    let busy_is_left = format!("http://{} is Suspended", busy.address);
    shows(&text, &["HTTP status 503", "1 peer,", &busy_is_left, "result: Ok(())"]);
}

#[test]
fn a_refusal_and_a_connection_that_fails_are_shown_with_their_reasons() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let closed = format!("http://{closed}/5ec2e7/announce?passkey=5ec2e7");
    let refuses = Tracker::start("403 Forbidden", "d14:failure reason12:unregisterede");
    let (code, text) = run(&[&closed, &refuses.url()]);
    assert_eq!(code, Some(1), "{text}");
    shows(&text, &["could not connect: ", "Connection refused", "rejected: \"unregistered\""]);
}

#[test]
fn everything_goes_through_the_proxy() {
    let proxy = Tracker::start("200 OK", REPLY);
    let beside = UdpSocket::bind("127.0.0.1:0").unwrap();
    let udp = format!("udp://{}/5ec2e7", beside.local_addr().unwrap());
    let address = format!("http://{}", proxy.address);
    let (code, text) = run(&["--proxy", &address, &udp, "http://tracker.invalid/announce?passkey=5ec2e7"]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(proxy.events(), ["started", "stopped"]);
    for line in proxy.heard() {
        assert!(line.starts_with("GET http://tracker.invalid/announce?passkey=5ec2e7&info_hash="), "{line}");
    }
    beside.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    assert!(beside.recv(&mut [0; 2048]).is_err(), "nothing is sent beside it");
}

#[test]
fn udp_is_measured_and_http_beside_it_does_not_fail() {
    let (http, (udp, actions)) = (Tracker::start("200 OK", REPLY), udp_tracker());
    let (code, text) = run(&[&http.url(), &udp]);
    assert_eq!(code, Some(0), "{text}");
    assert!(!text.contains("did not answer the probe") && !text.contains("Failing"), "{text}");
    assert!(actions.lock().unwrap().contains(&1), "the one that was measured is announced to: {text}");
}
