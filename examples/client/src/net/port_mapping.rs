//! A port of the gateway that leads to ours (`UPnP` IGD), for those who are behind one: asked for, renewed, and given back at the
//! end. Without it everything works but that strangers can't connect to us.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use igd_next::aio::Gateway;
use igd_next::aio::tokio::{Tokio, search_gateway};
use igd_next::{AddPortError, PortMappingProtocol, SearchOptions};
use tokio::net::UdpSocket;
use tokio::sync::oneshot::{self, Receiver, Sender};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracker_failover::wire::clean_text;

use crate::ui::report::Report;

/// The mapping of our port, as long as it is held.
#[derive(Debug)]
pub(crate) struct PortMapping {
    stop: Sender<()>,
    task: JoinHandle<()>,
}

impl PortMapping {
    /// Asks the gateway for a port that leads to this one, and has it announced. The gateway is searched for by multicast,
    /// or at the given address. A failure is one line of `report`, and nothing else.
    pub(crate) fn start(
        port: u16,
        gateway: Option<SocketAddr>,
        announced: Rc<Cell<u16>>,
        report: Rc<RefCell<Report>>,
    ) -> Self {
        let (stop, stopped) = oneshot::channel();
        let task = tokio::task::spawn_local(async move {
            if let Err(reason) = hold(port, gateway, &announced, &report, stopped).await {
                let reason = clean_text(reason.as_bytes());
                report.borrow_mut().tracker("PORT", &format!("no port of the gateway leads to us: {reason}"));
            }
        });
        Self { stop, task }
    }

    /// Gives the port back, within [`LAST_LIMIT`].
    pub(crate) async fn end(mut self) {
        // It has ended already where it failed.
        let _ = self.stop.send(());
        if timeout(LAST_LIMIT, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

/// Holds a mapping until it is to stop.
async fn hold(
    port: u16,
    gateway: Option<SocketAddr>,
    announced: &Cell<u16>,
    report: &RefCell<Report>,
    mut stopped: Receiver<()>,
) -> Result<(), String> {
    let mapping = tokio::select! {
        mapping = Mapping::new(port, gateway) => mapping?,
        _ = &mut stopped => return Ok(()),
    };
    announced.set(mapping.external);
    let text = format!("port {} of the gateway leads to us", mapping.external);
    report.borrow_mut().tracker("PORT", &text);
    let mut failure = None;
    while timeout(RENEW_EVERY, &mut stopped).await.is_err() {
        // The lease is that long that the next time may do.
        let renewed = mapping.renew().await.err();
        if let Some(reason) = renewed.as_ref().filter(|_| failure.is_none()) {
            let reason = clean_text(reason.as_bytes());
            report.borrow_mut().tracker("PORT", &format!("the gateway's port couldn't be renewed: {reason}"));
        }
        failure = renewed;
    }
    // At the end it is of no interest; the lease ends by itself.
    let _ = mapping.gateway.remove_port(PortMappingProtocol::TCP, mapping.external).await;
    Ok(())
}

/// A port of the gateway.
struct Mapping {
    gateway: Gateway<Tokio>,
    external: u16,
    local: SocketAddr,
    lease: Duration,
}

impl Mapping {
    /// The port of the same number, or another where that is taken.
    async fn new(port: u16, address: Option<SocketAddr>) -> Result<Self, String> {
        let mut options = SearchOptions::default();
        options.timeout = Some(SEARCH_LIMIT);
        if let Some(address) = address {
            options.broadcast_address = address;
            // One on this machine is trusted only by name.
            options.allowed_gateway_ips.push(address.ip());
        }
        let gateway = search_gateway(options).await.map_err(|error| error.to_string())?;
        let local = local_address(gateway.addr, port).await.map_err(|error| error.to_string())?;
        let mut mapping = Self { gateway, external: port, local, lease: LEASE };
        match mapping.add().await {
            Err(AddPortError::OnlyPermanentLeasesSupported) => {
                mapping.lease = Duration::ZERO;
                mapping.renew().await?;
            }
            Err(AddPortError::PortInUse) => {
                let any = mapping.gateway.add_any_port(PortMappingProtocol::TCP, local, lease(LEASE), NAME);
                mapping.external = any.await.map_err(|error| error.to_string())?;
            }
            added => added.map_err(|error| error.to_string())?,
        }
        Ok(mapping)
    }

    async fn add(&self) -> Result<(), AddPortError> {
        self.gateway
            .add_port(PortMappingProtocol::TCP, self.external, self.local, lease(self.lease), NAME)
            .await
    }

    async fn renew(&self) -> Result<(), String> {
        self.add().await.map_err(|error| error.to_string())
    }
}

fn lease(time: Duration) -> u32 {
    u32::try_from(time.as_secs()).unwrap_or(u32::MAX)
}

/// Our address on the way to the gateway. Nothing is sent.
async fn local_address(gateway: SocketAddr, port: u16) -> std::io::Result<SocketAddr> {
    let any = if gateway.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(gateway).await?;
    Ok(SocketAddr::new(socket.local_addr()?.ip(), port))
}

/// What the gateway's list has it under.
const NAME: &str = "tracker-failover";
/// Where we crash it is gone after so long.
const LEASE: Duration = Duration::from_secs(3600);
/// Twice in a lease, so that one may fail.
const RENEW_EVERY: Duration = Duration::from_secs(29 * 60);
const SEARCH_LIMIT: Duration = Duration::from_secs(5);
/// So long the end may take.
const LAST_LIMIT: Duration = Duration::from_secs(2);
