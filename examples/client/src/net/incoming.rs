//! Connections that come in: taken, asked for the torrent that they are for, and given to it.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};

use super::greetings::Place;
use super::handshake;
use super::registry::Registry;
use crate::wire::Why;

/// Takes connections from a listening socket for ever.
pub(super) async fn listen(registry: Rc<Registry>, socket: TcpListener) {
    loop {
        registry.any().await;
        match socket.accept().await {
            Ok((stream, address)) => {
                if registry.admits(address) {
                    let place = registry.greet(address.ip());
                    tokio::task::spawn_local(incoming(Rc::clone(&registry), stream, address, place));
                }
            }
            // Out of descriptors, or a connection that broke while it waited.
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Finds out which torrent a connection is for.
async fn incoming(registry: Rc<Registry>, mut stream: TcpStream, address: SocketAddr, place: Place) {
    let greeted = tokio::select! {
        greeted = handshake::accept(registry.handshakes(), registry.encryption, &mut stream) => greeted,
        () = place.revoked.notified() => Err(Why::Full),
    };
    registry.greeted(&place);
    match greeted {
        // The torrent may have ended meanwhile.
        Ok(greeted) => {
            if let Some(host) = registry.get(greeted.torrent) {
                host.welcome(stream, address, greeted);
            }
        }
        // What names no torrent can only be reported where there is no choice.
        Err(why) => {
            if let Some(host) = registry.only() {
                host.not_connected(address, why);
            }
        }
    }
}

/// How long no connection is taken after one that could not be.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
