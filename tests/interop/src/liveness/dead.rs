//! The ways in which a tracker fails a torrent, over sockets of loopback.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use fake_tracker::{Behaviour, FakeTracker, FakeUdpTracker, UdpAsked, UdpBehaviour};
use tokio::time::Instant;

use crate::swarm::dead_host;

/// What every answer names: the shortest interval that a tracker may ask for.
pub(super) const INTERVAL: Duration = Duration::from_secs(60);

/// How a tracker fails a torrent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    NoSuchName,
    NoSuchNameUdp,
    Refused,
    RefusedUdp,
    SynDropped,
    NeverAccepted,
    SilentUdp,
    Mute,
    MuteUdp,
    Page,
    Status500,
    HangsUp,
    Reason,
    ReasonUdp,
}

/// The ways in which a host can be dead for all torrents.
pub(super) const WAYS: [Way; 14] = [
    Way::NoSuchName,
    Way::NoSuchNameUdp,
    Way::Refused,
    Way::RefusedUdp,
    Way::SynDropped,
    Way::NeverAccepted,
    Way::SilentUdp,
    Way::Mute,
    Way::MuteUdp,
    Way::Page,
    Way::Status500,
    Way::HangsUp,
    Way::Reason,
    Way::ReasonUdp,
];

/// The ways in which a tracker that serves one torrent can fail others.
pub(super) const WAYS_OF_ONE: [Way; 7] =
    [Way::Mute, Way::MuteUdp, Way::Page, Way::Status500, Way::HangsUp, Way::Reason, Way::ReasonUdp];

/// A tracker on loopback, which lives as long as this. What only has to be there stays unread.
#[derive(Debug)]
pub(super) enum Tracker {
    Http(FakeTracker),
    Udp(FakeUdpTracker),
    /// Its connections open in the kernel, and no program takes them.
    NeverAccepts(TcpListener),
    /// An address that leads nowhere.
    Nowhere(String),
}

impl Way {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::NoSuchName => "no such name",
            Self::NoSuchNameUdp => "no such name, UDP",
            Self::Refused => "refused",
            Self::RefusedUdp => "refused, UDP",
            Self::SynDropped => "SYN dropped",
            Self::NeverAccepted => "never accepted",
            Self::SilentUdp => "silent, UDP",
            Self::Mute => "mute",
            Self::MuteUdp => "mute after the connect, UDP",
            Self::Page => "page",
            Self::Status500 => "status 500",
            Self::HangsUp => "hang-up",
            Self::Reason => "failure reason",
            Self::ReasonUdp => "failure reason, UDP",
        }
    }

    fn is_udp(self) -> bool {
        matches!(
            self,
            Self::NoSuchNameUdp | Self::RefusedUdp | Self::SilentUdp | Self::MuteUdp | Self::ReasonUdp
        )
    }

    /// What a tracker does over HTTP. Those that are no answer only make sense if no other torrent uses the host.
    fn over_http(self) -> Behaviour {
        match self {
            Self::Refused => Behaviour::Refused,
            Self::SynDropped => Behaviour::SynDropped,
            Self::Page => Behaviour::html(),
            Self::Status500 => Behaviour::status(500),
            Self::HangsUp => Behaviour::hang_up(),
            Self::Reason => Behaviour::failure("not registered here"),
            _ => Behaviour::Silent,
        }
    }

    fn over_udp(self) -> UdpBehaviour {
        match self {
            Self::MuteUdp => UdpBehaviour::ConnectsOnly,
            Self::ReasonUdp => UdpBehaviour::Error("not registered here".to_owned()),
            _ => UdpBehaviour::Silent,
        }
    }
}

impl Tracker {
    /// A tracker at its own address that fails everybody in this way.
    pub(super) async fn dead(way: Way) -> std::io::Result<Self> {
        let address = own_address();
        Ok(match way {
            Way::NoSuchName => Self::Nowhere(format!("http://{}.test/announce", name_of(address))),
            Way::NoSuchNameUdp => Self::Nowhere(format!("udp://{}.test:6969/announce", name_of(address))),
            Way::NeverAccepted => Self::NeverAccepts(TcpListener::bind(address)?),
            Way::RefusedUdp => {
                let tracker = FakeUdpTracker::start_at(address, UdpBehaviour::Ok);
                tracker.kill().await;
                Self::Udp(tracker)
            }
            way if way.is_udp() => Self::Udp(FakeUdpTracker::start_at(address, way.over_udp())),
            way => Self::Http(FakeTracker::start_at(address, way.over_http()).await),
        })
    }

    /// A tracker at its own address that is well, and speaks what those that fail in this way speak.
    pub(super) async fn healthy(way: Way) -> Self {
        if way.is_udp() {
            let tracker = FakeUdpTracker::start_at(own_address(), UdpBehaviour::Ok);
            tracker.set_interval(INTERVAL.as_secs().try_into().unwrap_or(u32::MAX));
            Self::Udp(tracker)
        } else {
            let behaviour = Behaviour::ok_every(INTERVAL, None);
            Self::Http(FakeTracker::start_at(own_address(), behaviour).await)
        }
    }

    /// Fails this torrent in this way from now on.
    pub(super) fn fail(&self, torrent: [u8; 20], way: Way) {
        match self {
            Self::Http(tracker) => tracker.set_behaviour_for(torrent, way.over_http()),
            Self::Udp(tracker) => tracker.set_behaviour_for(torrent, way.over_udp()),
            Self::NeverAccepts(_) | Self::Nowhere(_) => {}
        }
    }

    pub(super) fn announce_url(&self) -> std::io::Result<String> {
        Ok(match self {
            Self::Http(tracker) => tracker.announce_url(),
            Self::Udp(tracker) => tracker.announce_url(),
            Self::NeverAccepts(listener) => format!("http://{}/announce", listener.local_addr()?),
            Self::Nowhere(url) => url.clone(),
        })
    }

    /// When it heard announces of this torrent, oldest first.
    pub(super) fn heard(&self, torrent: [u8; 20]) -> Vec<Instant> {
        match self {
            Self::Http(tracker) => {
                let announces = tracker.announces().into_iter();
                announces.filter(|heard| heard.info_hash() == Some(torrent)).map(|heard| heard.at).collect()
            }
            Self::Udp(tracker) => {
                let announces = tracker.heard_of(UdpAsked::Announce).into_iter();
                announces.filter(|heard| heard.info_hash() == Some(torrent)).map(|heard| heard.at).collect()
            }
            Self::NeverAccepts(_) | Self::Nowhere(_) => Vec::new(),
        }
    }
}

/// A free port at an address that no other tracker has.
fn own_address() -> SocketAddr {
    SocketAddr::from((dead_host(), 0))
}

fn name_of(address: SocketAddr) -> String {
    address.ip().to_string().replace('.', "-")
}
