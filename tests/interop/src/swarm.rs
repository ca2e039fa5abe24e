//! What is downloaded: files of made-up bytes, a torrent of them, and its trackers, dead and alive.

use std::error::Error;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tracker_failover::Metainfo;

use crate::clients::Clients;
use crate::tools::Tools;
use crate::tracker::{Family, Kind, Tracker};

/// The files of a torrent, by name and length.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Content {
    pub(crate) name: &'static str,
    /// A single file has an empty path.
    pub(crate) files: &'static [(&'static str, usize)],
    /// In KiB.
    pub(crate) piece_size: &'static str,
}

/// A single file whose last piece is one byte.
pub(crate) const SHORT_LAST_PIECE: Content =
    Content { name: "short last piece.bin", files: &[("", 40 * 65_536 + 1)], piece_size: "64" };

/// Files of odd sizes: pieces that reach over several of them, one of a whole piece, one that is empty.
pub(crate) const ODD_FILES: Content = Content {
    name: "odd files",
    files: &[
        ("a/one", 1),
        ("a/two hundred.bin", 200_003),
        ("b/empty", 0),
        ("b/large.bin", 1_234_567),
        ("b/piece.bin", 32_768),
        ("c.bin", 77_777),
        ("ü.bin", 16_383),
    ],
    piece_size: "32",
};

/// A folder that goes when the scenario does.
#[derive(Debug)]
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// An empty one.
    pub(crate) fn new(tools: &Tools) -> io::Result<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = tools.npm_folder.join("run").join(format!("swarm-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }

    /// What is called so in it.
    pub(crate) fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.join(name)
    }

    /// A new folder in it.
    pub(crate) fn folder(&self, name: &str) -> io::Result<PathBuf> {
        let folder = self.join(name);
        fs::create_dir_all(&folder)?;
        Ok(folder)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The files as a seeder has them, and what is made of them.
#[derive(Debug)]
pub(crate) struct Swarm {
    scratch: Scratch,
    content: Content,
    piece_size: u64,
    pub(crate) info_hash: [u8; 20],
}

impl Swarm {
    /// Makes up the files and hashes them.
    pub(crate) fn new(tools: &Tools, clients: &Clients, content: Content) -> Result<Self, Box<dyn Error>> {
        let mut swarm = Self {
            scratch: Scratch::new(tools)?,
            content,
            piece_size: content.piece_size.parse::<u64>()? * 1024,
            info_hash: [0; 20],
        };
        for (place, (path, length)) in (1..).zip(content.files) {
            let path = swarm.path_of(&swarm.seed(), path);
            fs::create_dir_all(path.parent().unwrap_or(&swarm.scratch.0))?;
            fs::write(path, bytes(place, *length))?;
        }
        let file = swarm.torrent(clients, "without trackers", &[])?;
        swarm.info_hash = *Metainfo::parse(&fs::read(file)?)?.info_hash().as_bytes();
        Ok(swarm)
    }

    /// Writes a torrent file with these trackers, each a tier.
    pub(crate) fn torrent(&self, clients: &Clients, name: &str, trackers: &[String]) -> io::Result<PathBuf> {
        let file = self.scratch.join(format!("{name}.torrent"));
        clients.create(&self.seed().join(self.content.name), self.content.piece_size, trackers, &file)?;
        Ok(file)
    }

    /// The same, private (BEP 27).
    pub(crate) fn private_torrent(
        &self,
        clients: &Clients,
        name: &str,
        trackers: &[String],
    ) -> io::Result<PathBuf> {
        let file = self.scratch.join(format!("{name}.torrent"));
        let path = self.seed().join(self.content.name);
        clients.create_private(&path, self.content.piece_size, trackers, &file)?;
        Ok(file)
    }

    /// Starts a tracker for it.
    pub(crate) async fn tracker(&self, tools: &Arc<Tools>, kind: Kind) -> io::Result<Tracker> {
        Tracker::start(tools, kind, Family::V4, self.info_hash).await
    }

    /// Where the files are.
    pub(crate) fn seed(&self) -> PathBuf {
        self.scratch.join("seed")
    }

    /// A folder with a copy of the files, for one more seed.
    pub(crate) fn copy(&self, name: &str) -> io::Result<PathBuf> {
        let folder = self.scratch.folder(name)?;
        for (path, _) in self.content.files {
            let to = self.path_of(&folder, path);
            fs::create_dir_all(to.parent().unwrap_or(&folder))?;
            fs::copy(self.path_of(&self.seed(), path), to)?;
        }
        Ok(folder)
    }

    /// A new folder for a client that has nothing yet.
    pub(crate) fn leech(&self, name: &str) -> io::Result<PathBuf> {
        self.scratch.folder(name)
    }

    pub(crate) fn name(&self) -> &'static str {
        self.content.name
    }

    /// How many bytes there are.
    pub(crate) fn total(&self) -> u64 {
        self.content.files.iter().map(|(_, length)| *length as u64).sum()
    }

    /// How many bytes a piece has.
    pub(crate) fn piece_length(&self, piece: u64) -> u64 {
        self.piece_size.min(self.total().saturating_sub(piece * self.piece_size))
    }

    /// Compares a folder with the files, byte for byte.
    ///
    /// # Errors
    /// The first difference.
    pub(crate) fn compare(&self, folder: &Path) -> Result<(), String> {
        self.compare_of(folder, 0)
    }

    /// The same, without the empty files.
    pub(crate) fn compare_bytes(&self, folder: &Path) -> Result<(), String> {
        self.compare_of(folder, 1)
    }

    fn compare_of(&self, folder: &Path, shortest: usize) -> Result<(), String> {
        for (path, length) in self.content.files.iter().filter(|(_, length)| *length >= shortest) {
            let (theirs, ours) = (self.path_of(folder, path), self.path_of(&self.seed(), path));
            let found = fs::read(&theirs).map_err(|error| format!("{}: {error}", theirs.display()))?;
            if found.len() != *length {
                let found = found.len();
                return Err(format!("{} has {found} bytes instead of {length}", theirs.display()));
            }
            let expected = fs::read(&ours).map_err(|error| format!("{}: {error}", ours.display()))?;
            if let Some(place) = found.iter().zip(&expected).position(|(found, expected)| found != expected) {
                return Err(format!("{} differs at byte {place}", theirs.display()));
            }
        }
        Ok(())
    }

    fn path_of(&self, folder: &Path, path: &str) -> PathBuf {
        let root = folder.join(self.content.name);
        if path.is_empty() { root } else { root.join(path) }
    }
}

/// A tracker that no client can reach.
#[derive(Debug)]
pub(crate) enum Dead {
    /// No process listens.
    Refused(SocketAddr),
    /// The kernel accepts, and no answer ever comes.
    Mute(TcpListener),
}

impl Dead {
    /// One at an address that nothing else in the run has.
    pub(crate) fn refused() -> io::Result<Self> {
        listener()?.local_addr().map(Self::Refused)
    }

    /// One that accepts.
    pub(crate) fn mute() -> io::Result<Self> {
        listener().map(Self::Mute)
    }

    pub(crate) fn announce_url(&self) -> io::Result<String> {
        let address = match self {
            Self::Refused(address) => *address,
            Self::Mute(listener) => listener.local_addr()?,
        };
        Ok(format!("http://{address}/announce"))
    }
}

/// Hosts of trackers that are made for the run; real ones have 127.0.0.2 and up.
pub(crate) fn dead_host() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(0x7f01_0002);
    Ipv4Addr::from(NEXT.fetch_add(1, Ordering::Relaxed))
}

fn listener() -> io::Result<TcpListener> {
    // Below the ports of outgoing connections, so that no other process takes it.
    let host = dead_host();
    for port in 26_500..26_900 {
        if let Ok(listener) = TcpListener::bind((host, port)) {
            return Ok(listener);
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, format!("no free port at {host}")))
}

/// Made-up bytes, the same for the same number.
pub(crate) fn bytes(number: u64, length: usize) -> Vec<u8> {
    let mut random = Random(number);
    let mut bytes: Vec<u8> = (0..length.div_ceil(8)).flat_map(|_| random.next().to_le_bytes()).collect();
    bytes.truncate(length);
    bytes
}

/// Numbers that follow from a seed (splitmix64).
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
