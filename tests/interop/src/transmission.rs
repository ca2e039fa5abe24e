//! Transmission's RPC, by which it is given magnet links: version 3 takes none from its watch folder.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// Adds a link to the Transmission whose RPC is at this port of 127.0.0.1, as soon as that listens.
pub(crate) async fn add_link(port: u16, link: &str) -> io::Result<()> {
    let body = format!(r#"{{"method":"torrent-add","arguments":{{"filename":"{link}"}}}}"#);
    let added = async {
        let mut session_id = String::new();
        loop {
            let Ok(answer) = post(port, &session_id, &body).await else {
                sleep(Duration::from_millis(50)).await;
                continue;
            };
            if answer.contains(r#""result":"success""#) {
                return Ok(());
            }
            // The first answer is 409 with an id that is to be repeated, against requests forged by web pages.
            match answer.lines().find_map(|line| line.strip_prefix("X-Transmission-Session-Id: ")) {
                Some(id) if session_id.is_empty() => id.trim().clone_into(&mut session_id),
                _ => return Err(io::Error::other(format!("Transmission didn't take the link: {answer}"))),
            }
        }
    };
    let late = |_| io::Error::new(io::ErrorKind::TimedOut, "Transmission's RPC didn't answer");
    timeout(PATIENCE, added).await.map_err(late)?
}

/// The whole answer, with its head.
async fn post(port: u16, session_id: &str, body: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
    let length = body.len();
    let request = format!(
        "POST /transmission/rpc HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nX-Transmission-Session-Id: {session_id}\r\n\
         Content-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(20);
