//! A real tracker as a child process, which can die, freeze and come back on the same port.

use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{sleep, timeout};

use crate::observer::{self, Counts};
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
}

/// A real tracker. Dropping it kills it.
///
/// Each has a loopback address of its own, because the library takes two ports of one host for one tracker.
#[derive(Debug)]
pub(crate) struct Tracker {
    tools: Arc<Tools>,
    kind: Kind,
    address: SocketAddr,
    torrent: [u8; 20],
    folder: PathBuf,
    child: Option<Child>,
    /// What was counted before the test began to.
    counted_before: u64,
    said: Arc<Mutex<Vec<String>>>,
}

impl Tracker {
    /// Starts one that serves this torrent, and waits until it does.
    pub(crate) async fn start(tools: &Arc<Tools>, kind: Kind, torrent: [u8; 20]) -> io::Result<Self> {
        let address = free_address()?;
        let folder = tools.npm_folder.join("run").join(address.to_string().replace(':', "-"));
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
            counted_before: 0,
            said: Arc::default(),
        };
        tracker.revive().await?;
        Ok(tracker)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn announce_url(&self) -> String {
        let scheme = match self.kind {
            Kind::Opentracker | Kind::Npm => "http",
            Kind::OpentrackerUdp | Kind::NpmUdp => "udp",
        };
        format!("{scheme}://{}/announce", self.address)
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

    /// Stops it in its tracks (SIGSTOP): the kernel goes on accepting connections, nobody answers on them.
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
        observer::add_peer(self.address, self.torrent, port, 0).await?;
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
        observer::counts(self.address, self.torrent).await
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

    /// The ports of the peers it hands out, in order. All peers of these tests are at 127.0.0.1.
    pub(crate) async fn ports(&self) -> io::Result<Vec<u16>> {
        let peers = observer::peers(self.address, self.torrent).await?;
        Ok(peers.iter().map(SocketAddr::port).collect())
    }

    fn signal(&self, signal: Signal) -> io::Result<()> {
        let pid =
            self.child.as_ref().and_then(|child| i32::try_from(child.id()).ok()).and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other(format!("{} does not run", self.address)))?;
        Ok(kill_process(pid, signal)?)
    }

    async fn wait_until_up(&mut self) -> io::Result<()> {
        let (address, torrent) = (self.address, self.torrent);
        let up = async {
            // opentracker listens before it has read its whitelist.
            while !observer::is_up(address, torrent).await {
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

/// A loopback address that no tracker of this run has, with a port that is free for TCP and UDP. It lies below
/// the ports that are given to outgoing connections, so that nobody takes it while its tracker is dead.
fn free_address() -> io::Result<SocketAddr> {
    static NEXT_HOST: AtomicU8 = AtomicU8::new(2);
    static NEXT_PORT: AtomicU16 = AtomicU16::new(21_000);
    let host = Ipv4Addr::new(127, 0, 0, NEXT_HOST.fetch_add(1, Ordering::Relaxed));
    for _ in 0..5000 {
        let address = SocketAddr::from((host, NEXT_PORT.fetch_add(1, Ordering::Relaxed)));
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return Ok(address);
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "no free port from 21000 to 26000 on loopback"))
}
