//! A torrent from a URL: redirects, limits, and that no more than the host is shown of it.

use super::*;

/// A server that answers each request by its path.
fn server(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let mut first = String::new();
            let _ = reader.read_line(&mut first);
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|read| read > 2) {
                line.clear();
            }
            let path = first.split(' ').nth(1).unwrap_or_default();
            // The client may have enough before the end.
            let _ = reader.get_mut().write_all(&answer(path));
        }
    });
    address
}

fn with_head(status: &str, head: &str, body: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 {status}\r\n{head}connection: close\r\n\r\n").as_bytes(), body].concat()
}

#[test]
fn a_torrent_is_fetched_and_redirects_are_followed() {
    let shared = Shared::new(100_000, &[]);
    let bytes = fs::read(shared.path("x.torrent")).unwrap();
    let address = server(move |path| match path {
        "/secret/x.torrent?key=1" => with_head("302 Found", "location: ../other/x\r\n", b""),
        "/other/x" => with_head("200 OK", &format!("content-length: {}\r\n", bytes.len()), &bytes),
        path => panic!("{path} is asked for"),
    });
    let url = format!("http://{address}/secret/x.torrent?key=1");
    let out = shared.path("seed");
    let (code, said) =
        Client::start(&[&url, "--out", out.to_str().unwrap(), "--no-trackers", "--exit-when-done"]).end();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(&shared.torrent.info_hash.to_string()) && !said.contains("secret"), "{said}");
}

#[test]
fn what_gives_no_torrent_is_named_without_its_secrets() {
    let address = server(|path| match path {
        "/secret/absent" => with_head("404 Not Found", "content-length: 0\r\n", b""),
        "/secret/page" => with_head("200 OK", "", b"<html>log in</html>"),
        "/secret/announced" => with_head("200 OK", "content-length: 99999999\r\n", b"d"),
        "/secret/endless" => with_head("200 OK", "", &vec![b'd'; (10 << 20) + 1]),
        "/secret/nowhere" => with_head("302 Found", "", b""),
        "/secret/file" => with_head("302 Found", "location: file:///etc/passwd\r\n", b""),
        "/secret/garbage" => b"\0\0\0\0garbage\r\n\r\n".to_vec(),
        _ => with_head("302 Found", "location: /secret/loop\r\ncontent-length: 0\r\n", b""),
    });
    for (path, code, expected) in [
        ("absent", 1, "the server answered 404"),
        ("page", 4, "web page"),
        ("announced", 1, "more than 10 MiB"),
        ("endless", 1, "more than 10 MiB"),
        ("nowhere", 1, "the server answered 302"),
        ("file", 1, "expected an http or https URL"),
        ("garbage", 1, "isn't HTTP"),
        ("loop", 1, "more than 5 redirects"),
    ] {
        let url = format!("http://user:secret@{address}/secret/{path}");
        let (found, said) = Client::start(&[&url]).end();
        assert_eq!(found, Some(code), "{path}: {said}");
        assert!(said.contains(expected) && !said.contains("secret"), "{path}: {said}");
    }
}

/// The certificate isn't checked here, but that nothing is asked for in the clear.
#[test]
fn https_is_spoken_or_nothing() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("https://{}/secret", listener.local_addr().unwrap());
    let first = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut first = [0; 3];
        stream.read_exact(&mut first).unwrap();
        first
    });
    let (code, said) = Client::start(&[&url]).end();
    assert_eq!(code, Some(1), "{said}");
    assert!(!said.contains("secret"), "{said}");
    assert_eq!(first.join().unwrap(), [0x16, 3, 1], "a TLS handshake");
}
