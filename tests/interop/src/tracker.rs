//! A real tracker as a child process, which can die, freeze and come back on the same port.

use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{sleep, timeout};

use crate::authority::Certificate;
use crate::observer::{self, Counts};
use crate::program::{Line, Program};
use crate::tools::Tools;

/// Which program it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Debian's opentracker, in C, over HTTP.
    Opentracker,
    /// The same over UDP. The observer asks it over HTTP.
    OpentrackerUdp,
    /// npm's bittorrent-tracker, in JavaScript, over HTTP.
    Npm,
    /// The same over UDP.
    NpmUdp,
    /// `aquatic_udp` of crates.io, in Rust, over UDP, which it alone speaks. Only run where it is asked for.
    Aquatic,
}

/// Where a tracker listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// At its own address in 127.0.0.0/8.
    V4,
    /// At `::1`, which is the only one there is.
    V6,
}

/// A real tracker. Dropping it kills it.
///
/// Each has its own loopback address where there are several, because the library takes two ports of one host for
/// one tracker.
#[derive(Debug)]
pub(crate) struct Tracker {
    tools: Arc<Tools>,
    kind: Kind,
    address: SocketAddr,
    torrent: [u8; 20],
    folder: PathBuf,
    child: Option<Child>,
    /// What speaks TLS in front of it, and at which port.
    front: Option<(Program, u16)>,
    /// What was counted before the test began to.
    counted_before: u64,
    said: Arc<Mutex<Vec<String>>>,
}

impl Tracker {
    /// Starts one that serves this torrent, and waits until it does.
    pub(crate) async fn start(
        tools: &Arc<Tools>,
        kind: Kind,
        family: Family,
        torrent: [u8; 20],
    ) -> io::Result<Self> {
        let address = free_address(family)?;
        let folder = address.to_string().replace([':', '[', ']'], "-");
        let folder = tools.npm_folder.join("run").join(folder);
        fs::create_dir_all(&folder)?;
        let hex = torrent.map(|byte| format!("{byte:02x}")).concat();
        fs::write(folder.join("whitelist"), hex + "\n")?;
        let tools = Arc::clone(tools);
        let mut tracker = Self {
            tools,
            kind,
            address,
            torrent,
            folder,
            child: None,
            front: None,
            counted_before: 0,
            said: Arc::default(),
        };
        tracker.revive().await?;
        Ok(tracker)
    }

    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn announce_url(&self) -> String {
        let (scheme, port) = match (&self.front, self.kind) {
            (Some((_, port)), _) => ("https", *port),
            (None, Kind::Opentracker | Kind::Npm) => ("http", self.address.port()),
            (None, Kind::OpentrackerUdp | Kind::NpmUdp | Kind::Aquatic) => ("udp", self.address.port()),
        };
        format!("{scheme}://{}/announce", SocketAddr::new(self.address.ip(), port))
    }

    /// Puts TLS in front of it: it is announced to there from now on. The observer goes on asking it in the open.
    pub(crate) async fn secure(&mut self, certificate: &Certificate) -> Result<(), String> {
        let text = |error: io::Error| error.to_string();
        fs::write(self.folder.join("cert.pem"), &certificate.chain).map_err(text)?;
        fs::write(self.folder.join("key.pem"), &certificate.key).map_err(text)?;
        let port = free_port(self.address.ip()).map_err(text)?;
        let mut command = Command::new(&self.tools.node);
        command.arg(&self.tools.tls).arg(&self.folder).arg(self.address.ip().to_string());
        command.args([port.to_string(), self.address.port().to_string()]);
        let mut front = Program::start("TLS", &mut command).map_err(text)?;
        let ready = |line: &Line| (line.text == "ready").then_some(());
        front.wait_for("it was ready", Duration::from_secs(10), ready).await?;
        self.front = Some((front, port));
        Ok(())
    }

    /// What is said of the first handshake that fails, as soon as that is said.
    pub(crate) async fn refused(&self) -> Option<String> {
        for _ in 0..100 {
            let lines = self.front.iter().flat_map(|(front, _)| front.said());
            if let Some(line) = lines.into_iter().find(|line| line.text.starts_with("refused")) {
                return Some(line.text);
            }
            sleep(Duration::from_millis(20)).await;
        }
        None
    }

    /// Starts it again on its port. It remembers nothing.
    pub(crate) async fn revive(&mut self) -> io::Result<()> {
        let (host, port) = (self.address.ip().to_string(), self.address.port().to_string());
        let mut command = match self.kind {
            Kind::Opentracker | Kind::OpentrackerUdp => {
                let mut command = Command::new(&self.tools.opentracker);
                // Run by root it moves into the folder for good (chroot) and becomes nobody; the whitelist is
                // read after that. -A lets us read its counters.
                command.args(["-i", &host, "-p", &port, "-P", &port, "-u", "nobody", "-d", "."]);
                command.args(["-w", "whitelist", "-A", "127.0.0.1"]);
                command
            }
            Kind::Npm | Kind::NpmUdp => {
                let mut command = Command::new(&self.tools.node);
                command.arg(&self.tools.npm_tracker).arg(&self.tools.npm_folder).args([port, host]);
                command
            }
            Kind::Aquatic => {
                fs::write(self.folder.join("aquatic.toml"), aquatic_config(self.address))?;
                let mut command = Command::new(self.tools.aquatic_udp().map_err(io::Error::other)?);
                command.args(["-c", "aquatic.toml"]);
                command
            }
        };
        command.current_dir(&self.folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn()?;
        if let Some(stdout) = child.stdout.take() {
            let said = Arc::clone(&self.said);
            thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    said.lock().unwrap_or_else(PoisonError::into_inner).push(line);
                }
            });
        }
        self.child = Some(child);
        self.wait_until_up().await
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    pub(crate) fn kill(&mut self) -> io::Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        child.kill()?;
        child.wait().map(drop)
    }

    /// Stops it in its tracks (SIGSTOP): the kernel goes on accepting connections, and no answer comes on them.
    pub(crate) fn freeze(&self) -> io::Result<()> {
        self.signal(Signal::STOP)
    }

    /// Lets it go on (SIGCONT), with everything it remembers and everything that has come meanwhile.
    pub(crate) fn thaw(&self) -> io::Result<()> {
        self.signal(Signal::CONT)
    }

    /// The lines it has said, all its lives together. Only bittorrent-tracker says anything.
    pub(crate) fn said(&self) -> Vec<String> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it has said a line with this in it. It answers before it says so.
    pub(crate) async fn wait_to_say(&self, words: &str) -> io::Result<()> {
        let said = async {
            while !self.said().iter().any(|line| line.contains(words)) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        let silent = |_| io::Error::other(format!("{} never said {words:?}", self.address));
        timeout(Duration::from_secs(5), said).await.map_err(silent)
    }

    /// How many announces it has heard since [`revive`](Self::revive) or [`add_seed`](Self::add_seed), the
    /// observer's included. Only opentracker counts them.
    pub(crate) async fn announces(&self) -> io::Result<u64> {
        Ok(self.counted().await? - self.counted_before)
    }

    /// Makes a peer known that has everything, and forgets that it was announced.
    pub(crate) async fn add_seed(&mut self, port: u16) -> io::Result<()> {
        match self.kind {
            Kind::Aquatic => observer::udp::add_peer(self.address, self.torrent, port, 0).await?,
            _ => observer::add_peer(self.address, self.torrent, port, 0).await?,
        }
        self.forget_announces().await
    }

    async fn forget_announces(&mut self) -> io::Result<()> {
        if matches!(self.kind, Kind::Opentracker | Kind::OpentrackerUdp) {
            self.counted_before = self.counted().await?;
        }
        Ok(())
    }

    /// The announces of its whole life: it counts those over TCP and over UDP.
    async fn counted(&self) -> io::Result<u64> {
        let stats = observer::get(self.address, "/stats?mode=everything").await?;
        let text = String::from_utf8_lossy(&stats);
        let counters = text.split("<announce>").skip(1).filter_map(|rest| rest.split('<').next());
        let counters: Vec<u64> = counters.filter_map(|counter| counter.parse().ok()).collect();
        match counters[..] {
            [tcp, udp] => Ok(tcp + udp),
            _ => Err(io::Error::other(format!("no counters of {}: {text}", self.address))),
        }
    }

    /// What it counts of its torrent.
    pub(crate) async fn counts(&self) -> io::Result<Counts> {
        match self.kind {
            Kind::Aquatic => observer::udp::counts(self.address, self.torrent).await,
            _ => observer::counts(self.address, self.torrent).await,
        }
    }

    /// What it counts as soon as that is as expected, or else after a while: what waits in the queues of a
    /// tracker that was frozen is read in no particular order.
    pub(crate) async fn counts_in_time(&self, expected: Counts) -> io::Result<Counts> {
        for _ in 0..100 {
            if self.counts().await? == expected {
                break;
            }
            sleep(Duration::from_millis(20)).await;
        }
        self.counts().await
    }

    /// The ports of the peers it hands out, in order. All peers of these tests are on this machine.
    pub(crate) async fn ports(&self) -> io::Result<Vec<u16>> {
        let peers = match self.kind {
            Kind::Aquatic => observer::udp::peers(self.address, self.torrent).await?,
            _ => observer::peers(self.address, self.torrent).await?,
        };
        Ok(peers.iter().map(SocketAddr::port).collect())
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        let pid =
            self.child.as_ref().and_then(|child| i32::try_from(child.id()).ok()).and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other(format!("{} does not run", self.address)))?;
        Ok(kill_process(pid, signal)?)
    }

    async fn wait_until_up(&mut self) -> io::Result<()> {
        let up = async {
            // opentracker listens before it has read its whitelist.
            while self.ports().await.is_err() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        let up = timeout(Duration::from_secs(10), up).await;
        let gone = self.child.as_mut().and_then(|child| child.try_wait().transpose());
        match (up, gone) {
            (Ok(()), None) => self.forget_announces().await,
            (_, gone) => Err(io::Error::other(format!(
                "{:?} did not come up at {}, it ended with {gone:?}",
                self.kind, self.address
            ))),
        }
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.kill();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// On loopback alone, with no rights that a user wouldn't have and nothing but the tracker.
fn aquatic_config(address: SocketAddr) -> String {
    format!(
        "socket_workers = 1\nlog_level = \"warn\"\n\
         [network]\naddress = \"{address}\"\nonly_ipv6 = {}\nsocket_recv_buffer_size = 0\n\
         [statistics]\ninterval = 0\n\
         [privileges]\ndrop_privileges = false\n",
        address.is_ipv6()
    )
}

/// A loopback address that no tracker of this run has (`::1` is all of theirs), with a port that is free for TCP and UDP.
fn free_address(family: Family) -> io::Result<SocketAddr> {
    static NEXT_HOST: AtomicU8 = AtomicU8::new(2);
    let host: IpAddr = match family {
        Family::V4 => Ipv4Addr::new(127, 0, 0, NEXT_HOST.fetch_add(1, Ordering::Relaxed)).into(),
        Family::V6 => Ipv6Addr::LOCALHOST.into(),
    };
    Ok(SocketAddr::new(host, free_port(host)?))
}

/// A port that is free for TCP and UDP. It lies below the ports that are given to outgoing connections, so that no other
/// program takes it while its tracker is dead.
fn free_port(host: IpAddr) -> io::Result<u16> {
    static NEXT_PORT: AtomicU16 = AtomicU16::new(21_000);
    if let Err(error) = TcpListener::bind((host, 0)) {
        return Err(io::Error::new(error.kind(), format!("this machine has no {host}: {error}")));
    }
    for _ in 0..5000 {
        let port = NEXT_PORT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind((host, port)).is_ok() && UdpSocket::bind((host, port)).is_ok() {
            return Ok(port);
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, format!("no free port from 21000 to 26000 at {host}")))
}
