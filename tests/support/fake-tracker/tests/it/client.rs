//! A client that writes and reads bare bytes.

use fake_tracker::percent_encode;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

pub(crate) const HASH: [u8; 20] = *b"\x01\x23\x45aaaaaaaaaaaaaaaa~";

pub(crate) fn announce(id: u8, more: &str) -> String {
    let (hash, id) = (percent_encode(&HASH), percent_encode(&[id; 20]));
    let counters = "uploaded=0&downloaded=0&compact=1";
    format!("GET /announce?info_hash={hash}&peer_id={id}&{counters}{more} HTTP/1.1\r\nHost: here\r\n\r\n")
}

pub(crate) fn started(id: u8) -> String {
    announce(id, &format!("&port={}&left=9&event=started", 7000 + u16::from(id)))
}

pub(crate) const BARE: &str = "GET /announce HTTP/1.1\r\nHost: here\r\n\r\n";
pub(crate) const HEAD: &str = "HEAD /announce HTTP/1.1\r\nHost: here\r\n\r\n";

/// Everything that comes until the tracker ends the connection.
pub(crate) async fn to_the_end(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.expect("the connection ends in order");
    bytes
}

/// One answer with a length: its head and body.
pub(crate) async fn one(stream: &mut (impl AsyncRead + Unpin), to_head: bool) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.expect("a whole head"));
    }
    let head = String::from_utf8(head).expect("a head of text");
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).expect("a length");
    let mut body = vec![0; if to_head { 0 } else { length.parse().expect("a number") }];
    stream.read_exact(&mut body).await.expect("a whole body");
    (head, body)
}

pub(crate) async fn ask(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    request: &str,
) -> (String, Vec<u8>) {
    stream.write_all(request.as_bytes()).await.expect("the tracker listens");
    one(stream, request.starts_with("HEAD")).await
}
