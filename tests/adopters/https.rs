//! A small HTTPS tracker for the tests of these programs, on threads: it answers every announce with the same peer.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

const REPLY: &str = "d8:intervali1800e5:peers6:\u{7f}\0\0\u{1}\u{1a}\u{4}e";

/// A tracker on loopback, its certificate, and the events that it received.
pub struct HttpsTracker {
    port: u16,
    pem: String,
    events: Arc<Mutex<Vec<String>>>,
}

impl HttpsTracker {
    /// Starts one with a certificate of its own, and this provider.
    pub fn start(provider: CryptoProvider) -> Self {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("an address is a name");
        let key = PrivatePkcs8KeyDer::from(signing_key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .expect("it has cipher suites")
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key.into())
            .expect("the key is that of the certificate");
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
        let port = listener.local_addr().expect("it is bound").port();
        let events = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&events);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, log) = (Arc::clone(&config), Arc::clone(&log));
                thread::spawn(move || serve(stream, config, &log));
            }
        });
        Self { port, pem: cert.pem(), events }
    }

    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}/5ec2e7/announce?passkey=5ec2e7", self.port)
    }

    /// Its certificate, in PEM form.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    pub fn events(&self) -> Vec<String> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Serves one connection, until the client closes it.
fn serve(stream: TcpStream, config: Arc<ServerConfig>, log: &Mutex<Vec<String>>) {
    let Ok(connection) = ServerConnection::new(config) else { return };
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    let mut request = String::new();
    while stream.read_line(&mut request).is_ok_and(|len| len > 0) {
        let mut header = String::new();
        while stream.read_line(&mut header).is_ok_and(|len| len > 2) {
            header.clear();
        }
        let event = request.split(['&', ' ']).find_map(|part| part.strip_prefix("event="));
        if let Some(event) = event {
            log.lock().unwrap_or_else(PoisonError::into_inner).push(event.to_owned());
        }
        let body = if request.starts_with("GET") { REPLY } else { "" };
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        if stream.get_mut().write_all(answer.as_bytes()).is_err() {
            return;
        }
        request.clear();
    }
}
