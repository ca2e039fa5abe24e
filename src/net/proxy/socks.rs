//! The messages of SOCKS 5 (RFC 1928) with user name and password (RFC 1929), written and read as bytes.
//!
//! Of the kept libraries, `fast-socks5` adds eight crates, `socks5-impl` is under the GPL, and those of `hyper-util` and
//! `tokio-socks` know no `UDP ASSOCIATE`.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::error::ProxyFault;
use super::error::Reported;
use crate::error::AnnounceError;

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;
/// The version of RFC 1929.
const PASSWORD_VERSION: u8 = 1;

const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// What a proxy is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Connect,
    Associate,
}

/// A host behind the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    Address(SocketAddr),
    /// A name, which the proxy looks up, and the port.
    Name(String, u16),
}

/// Why a proxy doesn't do what it was asked for.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It says so, with this code.
    Code(u8),
    Fault(ProxyFault),
}

impl Target {
    /// The target of a name.
    ///
    /// # Errors
    /// When it has more than 255 bytes, or none.
    pub(super) fn name(host: &str, port: u16) -> Result<Self, AnnounceError> {
        if host.is_empty() || host.len() > usize::from(u8::MAX) {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "no host has such a name");
            return Err(AnnounceError::resolving(error));
        }
        Ok(Self::Name(host.to_owned(), port))
    }

    /// Adds it as type, address and port.
    fn write(&self, bytes: &mut Vec<u8>) {
        let port = match self {
            Self::Address(address) => {
                match address.ip().to_canonical() {
                    IpAddr::V4(ip) => {
                        bytes.push(IPV4);
                        bytes.extend(ip.octets());
                    }
                    IpAddr::V6(ip) => {
                        bytes.push(IPV6);
                        bytes.extend(ip.octets());
                    }
                }
                address.port()
            }
            Self::Name(name, port) => {
                let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
                bytes.extend([NAME, length]);
                bytes.extend(name.bytes().take(usize::from(length)));
                *port
            }
        };
        bytes.extend(port.to_be_bytes());
    }
}

/// The first message: the ways to authenticate.
pub(super) fn greeting(has_credentials: bool) -> &'static [u8] {
    if has_credentials {
        &[VERSION, 2, NO_AUTHENTICATION, USER_AND_PASSWORD]
    } else {
        &[VERSION, 1, NO_AUTHENTICATION]
    }
}

/// The message with user name and password, each of at most 255 bytes.
pub(super) fn password(user: &[u8], password: &[u8]) -> Vec<u8> {
    let mut message = vec![PASSWORD_VERSION];
    for text in [user, password] {
        let length = u8::try_from(text.len()).unwrap_or(u8::MAX);
        message.push(length);
        message.extend(text.iter().take(usize::from(length)));
    }
    message
}

/// The message that asks for a connection or an association.
pub(super) fn request(command: Command, target: &Target) -> Vec<u8> {
    let code = match command {
        Command::Connect => 1,
        Command::Associate => 3,
    };
    let mut message = vec![VERSION, code, 0];
    target.write(&mut message);
    message
}

/// Reads the answer to the greeting. Gives whether the password is to be sent.
pub(super) async fn read_method(
    stream: &mut (impl AsyncRead + Unpin),
    has_credentials: bool,
) -> Result<bool, ProxyFault> {
    match read(stream).await? {
        [VERSION, NO_AUTHENTICATION] => Ok(false),
        [VERSION, USER_AND_PASSWORD] if has_credentials => Ok(true),
        [VERSION, 0xff] if has_credentials => Err(ProxyFault::WrongCredentials),
        [VERSION, 0xff] => Err(ProxyFault::NoCredentials),
        _ => Err(ProxyFault::OtherProtocol),
    }
}

/// Reads the answer to the password.
pub(super) async fn read_welcome(stream: &mut (impl AsyncRead + Unpin)) -> Result<(), ProxyFault> {
    match read(stream).await? {
        // Some proxies answer with the version of SOCKS.
        [PASSWORD_VERSION | VERSION, 0] => Ok(()),
        [PASSWORD_VERSION | VERSION, _] => Err(ProxyFault::WrongCredentials),
        _ => Err(ProxyFault::OtherProtocol),
    }
}

/// Reads the answer to a request, and not one byte further. Gives the port of the proxy's end. The address beside it isn't
/// used: behind a router it is one that leads elsewhere.
pub(super) async fn read_reply(stream: &mut (impl AsyncRead + Unpin)) -> Result<u16, Refusal> {
    // Of a refusal nothing more is needed, and some proxies end there.
    match read(stream).await? {
        [VERSION, 0] => {}
        [VERSION, code] => return Err(Refusal::Code(code)),
        _ => return Err(Refusal::Fault(ProxyFault::OtherProtocol)),
    }
    let [_reserved, kind] = read(stream).await?;
    match kind {
        IPV4 => drop(read::<4>(stream).await?),
        IPV6 => drop(read::<16>(stream).await?),
        NAME => {
            let [length] = read(stream).await?;
            for _ in 0..length {
                let [_] = read(stream).await?;
            }
        }
        _ => return Err(Refusal::Fault(ProxyFault::OtherProtocol)),
    }
    Ok(u16::from_be_bytes(read(stream).await?))
}

/// What a refusal means: that the host behind the proxy can't be reached, or that the proxy doesn't try.
impl From<Refusal> for AnnounceError {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal {
            Refusal::Code(code) => code,
            Refusal::Fault(fault) => return fault.into(),
        };
        match code {
            // Most proxies have no better code for a name without an address.
            1 => Reported::Text("general failure").into(),
            2 => ProxyFault::Refuses("not allowed by its rules").into(),
            3 => ProxyFault::Refuses("it has no way to that network").into(),
            4 => Reported::Text("host unreachable").into(),
            5 => Reported::Text("connection refused").into(),
            6 => Reported::Text("TTL expired").into(),
            7 => ProxyFault::Refuses("command not supported").into(),
            8 => ProxyFault::Refuses("address type not supported").into(),
            _ => ProxyFault::OtherProtocol.into(),
        }
    }
}

impl From<ProxyFault> for Refusal {
    fn from(fault: ProxyFault) -> Self {
        Self::Fault(fault)
    }
}

async fn read<const N: usize>(stream: &mut (impl AsyncRead + Unpin)) -> Result<[u8; N], ProxyFault> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await.map_err(ProxyFault::Closed)?;
    Ok(bytes)
}

/// A datagram to `target`, as the relay of the proxy takes it.
pub(super) fn wrap(target: &Target, payload: &[u8]) -> Vec<u8> {
    let mut datagram = vec![0; 3];
    target.write(&mut datagram);
    datagram.extend(payload);
    datagram
}

/// The source and the payload of a datagram from the relay. `None` where it isn't one, is a fragment, or names no IP address.
pub(super) fn unwrap(datagram: &[u8]) -> Option<(SocketAddr, &[u8])> {
    let (&[0, 0, 0, kind], rest) = datagram.split_first_chunk()? else { return None };
    let (ip, rest): (IpAddr, _) = match kind {
        IPV4 => {
            let (octets, rest) = rest.split_first_chunk::<4>()?;
            (Ipv4Addr::from(*octets).into(), rest)
        }
        IPV6 => {
            let (octets, rest) = rest.split_first_chunk::<16>()?;
            (Ipv6Addr::from(*octets).to_canonical(), rest)
        }
        _ => return None,
    };
    let (port, payload) = rest.split_first_chunk()?;
    Some((SocketAddr::new(ip, u16::from_be_bytes(*port)), payload))
}

#[cfg(test)]
mod tests;
