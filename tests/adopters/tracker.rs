//! A small HTTP tracker for the tests of these programs, on threads: it answers every announce with the same peers.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// A tracker on loopback, and what it received.
pub struct Tracker {
    port: u16,
    announces: Arc<Mutex<Vec<String>>>,
}

impl Tracker {
    /// Starts one that answers with this bencoded text.
    pub fn start(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let port = listener.local_addr().expect("it is bound").port();
        let announces = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&announces);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let log = Arc::clone(&log);
                thread::spawn(move || serve(stream, answer, &log));
            }
        });
        Self { port, announces }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/announce", self.port)
    }

    /// The announces so far: `started left=1000 port=6881`.
    pub fn announces(&self) -> Vec<String> {
        self.announces.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until there are so many; gives those that there are after ten seconds.
    pub fn wait_for(&self, count: usize) -> Vec<String> {
        let start = Instant::now();
        while self.announces().len() < count && start.elapsed() < Duration::from_secs(10) {
            thread::sleep(Duration::from_millis(10));
        }
        self.announces()
    }
}

/// Serves one connection, until the client closes it.
fn serve(mut stream: TcpStream, answer: &str, log: &Mutex<Vec<String>>) {
    let Ok(reading) = stream.try_clone() else { return };
    let mut lines = BufReader::new(reading).lines();
    while let Some(Ok(request)) = lines.next() {
        let mut closes = false;
        while let Some(Ok(header)) = lines.next()
            && !header.is_empty()
        {
            closes |= header.eq_ignore_ascii_case("connection: close");
        }
        let query = request.split_once('?').map_or("", |(_, query)| query);
        let value = |name: &str| {
            let mut parameters = query.split([' ', '&']).filter_map(|parameter| parameter.split_once('='));
            parameters.find(|(key, _)| *key == name).map_or("none", |(_, value)| value)
        };
        let is_announce = request.starts_with("GET") && value("info_hash") != "none";
        if is_announce {
            let announce = format!("{} left={} port={}", value("event"), value("left"), value("port"));
            log.lock().unwrap_or_else(PoisonError::into_inner).push(announce);
        }
        let body = if is_announce { answer } else { "" };
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        if stream.write_all((head + body).as_bytes()).is_err() || closes {
            return;
        }
    }
}
