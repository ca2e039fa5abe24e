//! A client that takes random steps, and may have a leak planted.

use std::net::{ToSocketAddrs as _, UdpSocket};
use std::process::Command;
use std::str::FromStr;
use std::thread;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::{sleep, timeout};
use tracker_failover::net::resolver::HickoryResolver;
use tracker_failover::net::scheme_router::SchemeRouter;
use tracker_failover::net::sockets::Sockets;
use tracker_failover::{
    AnnounceHandle, AnnounceRequest, Announcer, AnnouncerBuilder, InfoHash, PeerId, Prober as _, Torrent,
    TrackerSet, TrackerUrl, Transport as _,
};

use crate::world::{HTTP, NAME_SERVER, NAMES, PROXY, UDP, v4};

/// The chosen interface.
const INTERFACE: &str = "vpn0";

/// How many torrents there are at once.
const TORRENTS: usize = 30;

/// What is played.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) way: Way,
    pub(crate) steps: u64,
    pub(crate) seed: u64,
    pub(crate) planted: Planted,
}

/// The way out that is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Interface,
    Socks,
    Http,
}

/// A leak for the test to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Planted {
    Nothing,
    /// One datagram over a socket without an interface.
    Socket,
    /// One look-up by the system's resolver.
    Resolver,
}

/// What the steps work on.
struct Player {
    plan: Plan,
    random: StdRng,
    announcer: Announcer,
    transports: SchemeRouter,
    handles: Vec<AnnounceHandle>,
    next_torrent: u64,
    link_is_up: bool,
}

/// Takes the steps, and stops all torrents.
pub(crate) async fn run(plan: Plan) {
    let mut player = Player {
        plan,
        random: StdRng::seed_from_u64(plan.seed),
        announcer: builder(plan.way).seed(plan.seed).try_spawn().expect("the way out holds"),
        transports: builder(plan.way).transports().expect("the way out holds"),
        handles: Vec::new(),
        next_torrent: 0,
        link_is_up: true,
    };
    for step in 0..plan.steps {
        if step == plan.steps / 2 {
            plant(plan.planted).await;
        }
        player.step().await;
        // Without a pause, what was begun goes on while the next steps are taken.
        match player.random.random_range(0..4) {
            0 => sleep(Duration::from_millis(1)).await,
            _ => tokio::task::yield_now().await,
        }
    }
    player.link(true);
    let report = player.announcer.shutdown(Duration::from_secs(1)).await;
    let (acknowledged, failed) = (report.acknowledged.len(), report.failed.len());
    println!(
        "{plan:?}: {} torrents; stopped at the end: {acknowledged}, failed {failed}",
        player.next_torrent
    );
}

fn builder(way: Way) -> AnnouncerBuilder {
    match way {
        Way::Interface => {
            let sockets = Sockets::new().interface(INTERFACE).expect("Linux binds sockets");
            let server = NAME_SERVER.parse().expect("an address");
            let resolver = HickoryResolver::from_name_servers([server], sockets).expect("a resolver");
            Announcer::builder().interface(INTERFACE).expect("Linux binds sockets").resolver(resolver)
        }
        Way::Socks => Announcer::builder().proxy(&format!("socks5h://{PROXY}")).expect("a proxy"),
        Way::Http => Announcer::builder().proxy(&format!("http://{PROXY}")).expect("a proxy"),
    }
}

async fn plant(planted: Planted) {
    match planted {
        Planted::Nothing => {}
        Planted::Socket => {
            let socket = UdpSocket::bind("0.0.0.0:0").expect("a socket");
            socket.send_to(b"planted", (v4(1), UDP)).expect("a way out");
        }
        Planted::Resolver => {
            let asked = tokio::task::spawn_blocking(|| ("planted.test", 0).to_socket_addrs().is_ok());
            let _ = timeout(Duration::from_secs(3), asked).await;
        }
    }
}

impl Player {
    async fn step(&mut self) {
        match self.random.random_range(0..100) {
            0..20 => self.add(),
            20..35 => self.reannounce(),
            35..45 => self.stop(),
            45..60 => self.announce().await,
            60..72 => self.probe().await,
            72..80 => self.scrape().await,
            80..88 => self.change_trackers(),
            88..92 => self.announcer.network_changed(),
            92..96 => self.link(!self.link_is_up),
            96 => thread::sleep(Duration::from_millis(self.random.random_range(5..40))),
            _ => sleep(Duration::from_millis(self.random.random_range(0..10))).await,
        }
    }

    /// How long a step of the transports alone may take. Most are given up somewhere on the way.
    fn patience(&mut self) -> Duration {
        Duration::from_millis(self.random.random_range(0..4))
    }

    fn tracker(&mut self) -> TrackerUrl {
        let number = self.random.random_range(1..=NAMES);
        let host = match self.random.random_range(0..4) {
            0 => v4(number).to_string(),
            1 => "unknown.test".to_owned(),
            _ => format!("t{number}.test"),
        };
        let port = if self.random.random_bool(0.1) { 9 } else { HTTP };
        let url = match self.random.random_range(0..5) {
            0 => format!("https://{host}:{port}/announce"),
            1 | 2 => format!("udp://{host}:{}/announce", if port == HTTP { UDP } else { port }),
            _ => format!("http://{host}:{port}/announce"),
        };
        url.parse().expect("a tracker's address")
    }

    fn trackers(&mut self) -> Vec<TrackerUrl> {
        (0..self.random.random_range(1..6)).map(|_| self.tracker()).collect()
    }

    fn torrent(&mut self) -> (InfoHash, PeerId) {
        let mut hash = [0; 20];
        hash[..8].copy_from_slice(&self.next_torrent.to_be_bytes());
        self.next_torrent += 1;
        (InfoHash::new(hash), PeerId::with_prefix(*b"-XX0001-", self.random.random()))
    }

    fn add(&mut self) {
        if self.handles.len() >= TORRENTS {
            return self.stop();
        }
        let trackers = self.trackers();
        let (hash, peer) = self.torrent();
        let (handle, _) = self.announcer.add(TrackerSet::new([trackers]), Torrent::new(hash, peer, 6881));
        self.handles.push(handle);
    }

    fn handle(&mut self) -> Option<&AnnounceHandle> {
        let place = self.random.random_range(0..self.handles.len().max(1));
        self.handles.get(place)
    }

    fn reannounce(&mut self) {
        if let Some(handle) = self.handle() {
            handle.reannounce();
        }
    }

    /// Some are stopped in the background, some forgotten: the last handle that is dropped ends a session.
    fn stop(&mut self) {
        if self.handles.is_empty() {
            return;
        }
        let handle = self.handles.swap_remove(self.random.random_range(0..self.handles.len()));
        if self.random.random_bool(0.7) {
            tokio::spawn(async move { handle.stop().await });
        }
    }

    fn change_trackers(&mut self) {
        let trackers = self.trackers();
        if let Some(handle) = self.handle() {
            handle.replace_trackers(vec![trackers]);
        }
    }

    async fn announce(&mut self) {
        let (tracker, (hash, peer)) = (self.tracker(), self.torrent());
        let request = AnnounceRequest::new(hash, peer, 6881);
        let patience = self.patience();
        let announced = async { self.transports.open(&tracker).await?.announce(&request).await };
        let _ = timeout(patience, announced).await;
    }

    async fn probe(&mut self) {
        let (tracker, patience) = (self.tracker(), self.patience());
        let _ = timeout(patience, self.transports.probe(&tracker)).await;
    }

    async fn scrape(&mut self) {
        let (tracker, (hash, _)) = (self.tracker(), self.torrent());
        let patience = self.patience();
        let scraped = async { self.transports.open(&tracker).await?.scrape(&[hash]).await };
        let _ = timeout(patience, scraped).await;
    }

    /// Takes the chosen link down or up. The system forgets its routes and IPv6 addresses with it.
    fn link(&mut self, up: bool) {
        if self.plan.way != Way::Interface || up == self.link_is_up {
            return;
        }
        let script = if up { "link-up" } else { "link-down" };
        let status = Command::new("ip").arg("-batch").arg(script).status().expect("ip");
        assert!(status.success(), "{script}: {status}");
        self.link_is_up = up;
    }
}

impl FromStr for Way {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "interface" => Ok(Self::Interface),
            "socks" => Ok(Self::Socks),
            "http" => Ok(Self::Http),
            _ => Err(format!("expected interface, socks or http, found {text}")),
        }
    }
}

impl FromStr for Planted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "nothing" => Ok(Self::Nothing),
            "socket" => Ok(Self::Socket),
            "resolver" => Ok(Self::Resolver),
            _ => Err(format!("expected nothing, socket or resolver, found {text}")),
        }
    }
}
