//! Connections that one part of the program hands to another.

use std::net::SocketAddr;

use tokio::net::TcpStream;

use crate::wire::handshake::Handshake;
use crate::wire::mse::Ciphers;

/// A connection that the download takes over.
#[derive(Debug)]
pub(crate) struct Adopted {
    pub(crate) stream: TcpStream,
    pub(crate) address: SocketAddr,
    /// Whether we made it.
    pub(crate) dialled: bool,
    pub(crate) handshake: Handshake,
    /// Where it is encrypted; what follows continues with them.
    pub(crate) ciphers: Ciphers,
    /// What has come on it and is still to be taken, as if it had just been read.
    pub(crate) unread: Vec<u8>,
}
