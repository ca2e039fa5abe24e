//! A proxy for SOCKS 5 and HTTP `CONNECT` on one port of loopback, which knows names of its own and logs what it is asked for.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

/// The largest datagram of UDP.
const MAX_DATAGRAM: usize = 64 << 10;

/// The longest head of a `CONNECT`.
const MAX_HEAD: usize = 16 << 10;

/// A proxy that works. Dropping it ends it, with all its connections and associations.
pub struct FakeProxy {
    address: SocketAddr,
    shared: Arc<SharedProxy>,
    accepting: tokio::task::JoinHandle<()>,
}

/// What a proxy does.
#[derive(Debug, Clone, Default)]
pub struct ProxyRules {
    /// The names that it knows.
    pub names: BTreeMap<String, IpAddr>,
    /// The user name and the password that it asks for.
    pub credentials: Option<(String, String)>,
    /// Whether it refuses `UDP ASSOCIATE`.
    pub without_udp: bool,
}

struct SharedProxy {
    rules: ProxyRules,
    /// Each host and port that it was asked for, behind `tcp` or `udp`.
    requests: Mutex<Vec<String>>,
    connections: Mutex<JoinSet<io::Result<()>>>,
}

impl FakeProxy {
    /// Starts a proxy on this address, such as `127.0.0.1:0`.
    ///
    /// # Panics
    /// Where the address can't be had.
    pub async fn start_at(address: SocketAddr, rules: ProxyRules) -> Self {
        let listener =
            TcpListener::bind(address).await.unwrap_or_else(|error| panic!("no proxy at {address}: {error}"));
        let address = listener.local_addr().unwrap_or(address);
        let shared =
            Arc::new(SharedProxy { rules, requests: Mutex::default(), connections: Mutex::default() });
        let serving = Arc::clone(&shared);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut connections = serving.connections.lock().unwrap_or_else(PoisonError::into_inner);
                while connections.try_join_next().is_some() {}
                connections.spawn(Arc::clone(&serving).serve(stream));
            }
        });
        Self { address, shared, accepting }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it was asked for, such as `tcp t.test:80` and `udp t.test:6969`. An association is `udp`, each datagram to
    /// another host than the last one too.
    pub fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends all connections and associations; new ones are accepted.
    pub fn hang_up(&self) {
        self.shared.connections.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}

impl fmt::Debug for FakeProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FakeProxy").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Drop for FakeProxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.hang_up();
    }
}

impl SharedProxy {
    async fn serve(self: Arc<Self>, stream: TcpStream) -> io::Result<()> {
        let mut first = [0];
        stream.peek(&mut first).await?;
        if first == [5] { self.socks(stream).await } else { self.http(stream).await }
    }

    async fn socks(&self, mut stream: TcpStream) -> io::Result<()> {
        let [_, count] = read(&mut stream).await?;
        let mut methods = vec![0; usize::from(count)];
        stream.read_exact(&mut methods).await?;
        let method = if self.rules.credentials.is_some() { 2 } else { 0 };
        if !methods.contains(&method) {
            return stream.write_all(&[5, 255]).await;
        }
        stream.write_all(&[5, method]).await?;
        if let Some((user, password)) = &self.rules.credentials {
            let [_] = read(&mut stream).await?;
            let given = (text(&mut stream).await?, text(&mut stream).await?);
            if (&given.0, &given.1) != (user, password) {
                return stream.write_all(&[1, 1]).await;
            }
            stream.write_all(&[1, 0]).await?;
        }
        let [_, command, _, kind] = read(&mut stream).await?;
        let (host, port) = (host(&mut stream, kind).await?, u16::from_be_bytes(read(&mut stream).await?));
        match command {
            1 => {
                self.note(format!("tcp {host}:{port}"));
                let connected = match self.find(&host) {
                    Some(ip) => TcpStream::connect((ip, port)).await.map_err(|_| 5),
                    None => Err(4),
                };
                match connected {
                    Ok(mut other) => {
                        stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
                        copy_bidirectional(&mut stream, &mut other).await.map(drop)
                    }
                    Err(code) => stream.write_all(&[5, code, 0, 1, 0, 0, 0, 0, 0, 0]).await,
                }
            }
            3 if !self.rules.without_udp => self.associate(stream).await,
            _ => stream.write_all(&[5, 7, 0, 1, 0, 0, 0, 0, 0, 0]).await,
        }
    }

    async fn associate(&self, mut control: TcpStream) -> io::Result<()> {
        self.note("udp".to_owned());
        let relay = UdpSocket::bind((control.local_addr()?.ip(), 0)).await?;
        let mut reply = vec![5, 0, 0, 1, 0, 0, 0, 0];
        reply.extend(relay.local_addr()?.port().to_be_bytes());
        control.write_all(&reply).await?;
        let way_out = UdpSocket::bind("0.0.0.0:0").await?;
        let way_out_v6 = UdpSocket::bind("[::]:0").await.ok();
        let (mut inward, mut outward, mut outward_v6) =
            (vec![0; MAX_DATAGRAM], vec![0; MAX_DATAGRAM], vec![0; MAX_DATAGRAM]);
        let (mut client, mut last) = (None, None);
        loop {
            let v6 = async {
                match &way_out_v6 {
                    Some(socket) => socket.recv_from(&mut outward_v6).await,
                    None => std::future::pending().await,
                }
            };
            let (from, answer) = tokio::select! {
                received = relay.recv_from(&mut inward) => {
                    let (length, from) = received?;
                    client = Some(from);
                    let mut datagram = &inward[..length];
                    let Ok([_, _, _, kind]) = read(&mut datagram).await else { continue };
                    let Ok(host) = host(&mut datagram, kind).await else { continue };
                    let Ok(port) = read(&mut datagram).await else { continue };
                    let to = format!("udp {host}:{}", u16::from_be_bytes(port));
                    let ip = self.find(&host);
                    if last.as_ref() != Some(&to) {
                        self.note(to.clone());
                        last = Some(to);
                    }
                    let Some(ip) = ip else { continue };
                    let socket = if ip.is_ipv4() { Some(&way_out) } else { way_out_v6.as_ref() };
                    if let Some(socket) = socket {
                        let _ = socket.send_to(datagram, (ip, u16::from_be_bytes(port))).await;
                    }
                    continue;
                }
                received = way_out.recv_from(&mut outward) => {
                    let Ok((length, from)) = received else { continue };
                    (from, outward[..length].to_vec())
                }
                received = v6 => {
                    let Ok((length, from)) = received else { continue };
                    (from, outward_v6[..length].to_vec())
                }
                _ = control.read_u8() => return Ok(()),
            };
            let mut datagram = vec![0; 3];
            match from.ip() {
                IpAddr::V4(ip) => datagram.extend([&[1][..], &ip.octets()].concat()),
                IpAddr::V6(ip) => datagram.extend([&[4][..], &ip.octets()].concat()),
            }
            datagram.extend(from.port().to_be_bytes());
            datagram.extend(answer);
            if let Some(client) = client {
                let _ = relay.send_to(&datagram, client).await;
            }
        }
    }

    async fn http(&self, mut stream: TcpStream) -> io::Result<()> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") && head.len() < MAX_HEAD {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let authorization = head.lines().find_map(|line| line.strip_prefix("Proxy-Authorization: Basic "));
        if let Some((user, password)) = &self.rules.credentials
            && authorization != Some(&base64(format!("{user}:{password}").as_bytes()))
        {
            return stream.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n").await;
        }
        if !head.starts_with("CONNECT ") {
            return stream.write_all(b"HTTP/1.1 405 Method Not Allowed\r\n\r\n").await;
        }
        self.note(format!("tcp {target}"));
        let (host, port) = target.rsplit_once(':').unwrap_or_default();
        let found = self.find(host.trim_matches(['[', ']'])).zip(port.parse::<u16>().ok());
        let connected = match found {
            Some(address) => TcpStream::connect(address).await.ok(),
            None => None,
        };
        let Some(mut other) = connected else {
            return stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n").await;
        };
        stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
        copy_bidirectional(&mut stream, &mut other).await.map(drop)
    }

    fn find(&self, host: &str) -> Option<IpAddr> {
        host.parse().ok().or_else(|| self.rules.names.get(host).copied())
    }

    fn note(&self, request: String) {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).push(request);
    }
}

async fn read<const N: usize>(from: &mut (impl AsyncReadExt + Unpin)) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    from.read_exact(&mut bytes).await?;
    Ok(bytes)
}

/// A text behind its length.
async fn text(from: &mut (impl AsyncReadExt + Unpin)) -> io::Result<String> {
    let [length] = read(from).await?;
    let mut bytes = vec![0; usize::from(length)];
    from.read_exact(&mut bytes).await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A host of this type of address.
async fn host(from: &mut (impl AsyncReadExt + Unpin), kind: u8) -> io::Result<String> {
    match kind {
        1 => Ok(IpAddr::from(read::<4>(from).await?).to_string()),
        4 => Ok(IpAddr::from(read::<16>(from).await?).to_string()),
        3 => text(from).await,
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let number = chunk.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let digit = number >> (18 - 6 * place) & 63;
            text.push(if place <= chunk.len() { char::from(ALPHABET[digit as usize]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn credentials_are_encoded() {
        for (plain, encoded) in
            [("a", "YQ=="), ("ab", "YWI="), ("abc", "YWJj"), ("Aladdin:open", "QWxhZGRpbjpvcGVu")]
        {
            assert_eq!(super::base64(plain.as_bytes()), encoded);
        }
    }
}
