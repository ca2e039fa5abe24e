//! The clients that download and seed: ours, and three others, each with everything but trackers switched off.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use crate::program::{Line, Program};
use crate::tools::in_path;
use crate::transmission;

/// Where the clients are.
#[derive(Debug, Clone)]
pub(crate) struct Clients {
    ours: PathBuf,
    aria2: PathBuf,
    transmission: PathBuf,
    qbittorrent: PathBuf,
    /// The folder that libtorrent is installed in.
    python: PathBuf,
}

/// A client that isn't ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Other {
    Transmission,
    Aria2,
    QBittorrent,
    /// At every tracker.
    Libtorrent,
    /// At one tracker, as it is by default.
    LibtorrentByDefault,
}

/// How a client that isn't ours treats encryption (MSE).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crypto {
    /// As it comes: it takes and makes both kinds of connections.
    Usual,
    /// It makes and takes none but encrypted connections, and encrypts everything.
    Required,
    /// It makes and takes none but plain connections. aria2 and Transmission can't be kept from taking others.
    Off,
}

impl Clients {
    /// Finds them.
    ///
    /// # Errors
    /// What is missing, and the command that installs it.
    pub(crate) fn find() -> Result<Self, String> {
        let missing =
            |what: &str| format!("{what} is missing; it is installed by: bash tests/interop/install");
        // Cargo builds examples into a folder beside this program.
        let ours = std::env::current_exe().map_err(|error| error.to_string())?;
        let ours = ours.with_file_name("examples").join("client");
        if !ours.is_file() {
            return Err("the client is missing; it is built by: cargo build --example client".into());
        }
        let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/interop/python");
        if !python.join("libtorrent").is_dir() {
            return Err(missing("libtorrent for python3"));
        }
        Ok(Self {
            ours,
            aria2: in_path("aria2c").ok_or_else(|| missing("aria2c"))?,
            transmission: in_path("transmission-daemon").ok_or_else(|| missing("transmission-daemon"))?,
            qbittorrent: in_path("qbittorrent-nox").ok_or_else(|| missing("qbittorrent-nox"))?,
            python,
        })
    }

    /// Starts ours on a torrent. It finds a port for itself.
    pub(crate) fn ours(&self, torrent: &Path, folder: &Path, options: &[&str]) -> io::Result<Program> {
        let mut command = Command::new(&self.ours);
        command.arg(torrent).arg("--archives").arg(folder).args([
            "--port",
            "0",
            "--allow-loopback",
            "--json",
        ]);
        Program::start("our client", command.args(options))
    }

    /// Starts ours on a magnet link.
    pub(crate) fn magnet(&self, link: &str, folder: &Path, options: &[&str]) -> io::Result<Program> {
        self.ours(Path::new(link), folder, options)
    }

    /// Makes a torrent file, as `client create` does.
    pub(crate) fn create(
        &self,
        path: &Path,
        piece_size: &str,
        trackers: &[String],
        output: &Path,
    ) -> io::Result<()> {
        create(Command::new(&self.ours).arg("create"), path, piece_size, trackers, output)
    }

    /// The same of a private torrent.
    pub(crate) fn create_private(
        &self,
        path: &Path,
        piece_size: &str,
        trackers: &[String],
        output: &Path,
    ) -> io::Result<()> {
        let mut command = Command::new(&self.ours);
        create(command.args(["create", "--private"]), path, piece_size, trackers, output)
    }

    /// Makes a torrent file with libtorrent, in pieces of 16 KiB.
    pub(crate) fn create_by_libtorrent(&self, path: &Path, output: &Path) -> io::Result<()> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("make.py");
        let mut command = Command::new("python3");
        command.env("PYTHONPATH", &self.python).arg(script).arg(path).arg(output);
        succeed("make.py", &mut command)
    }

    /// Starts another one on torrents whose files are in a folder, or will be. It takes connections on this port.
    pub(crate) fn other(
        &self,
        other: Other,
        torrents: &[&Path],
        folder: &Path,
        port: u16,
    ) -> io::Result<Program> {
        self.other_with(other, Crypto::Usual, torrents, folder, port)
    }

    /// The same, with encryption as it is wanted.
    pub(crate) fn other_with(
        &self,
        other: Other,
        crypto: Crypto,
        torrents: &[&Path],
        folder: &Path,
        port: u16,
    ) -> io::Result<Program> {
        let all: &[&str] = if other == Other::LibtorrentByDefault { &[] } else { &["--all"] };
        let encryption: &[&str] = match crypto {
            Crypto::Usual => &[],
            Crypto::Required => &["--encryption", "require"],
            Crypto::Off => &["--encryption", "off"],
        };
        match other {
            Other::Transmission => self.transmission(crypto, torrents, folder, port, free_port()?),
            Other::Aria2 => self.aria2(crypto, torrents, folder, port),
            Other::QBittorrent => self.qbittorrent(crypto, torrents, folder, port),
            Other::Libtorrent | Other::LibtorrentByDefault => {
                self.libtorrent(&[all, encryption].concat(), torrents, folder, port)
            }
        }
    }

    /// Starts another one on a magnet link.
    pub(crate) async fn other_on_link(
        &self,
        other: Other,
        link: &str,
        folder: &Path,
        port: u16,
    ) -> io::Result<Program> {
        if other != Other::Transmission {
            return self.other(other, &[Path::new(link)], folder, port);
        }
        let rpc_port = free_port()?;
        let program = self.transmission(Crypto::Usual, &[], folder, port, rpc_port)?;
        transmission::add_link(rpc_port, link).await?;
        Ok(program)
    }

    fn transmission(
        &self,
        crypto: Crypto,
        torrents: &[&Path],
        folder: &Path,
        port: u16,
        rpc_port: u16,
    ) -> io::Result<Program> {
        let home = folder.join("transmission");
        let watched = home.join("watched");
        fs::create_dir_all(&watched)?;
        let encryption = match crypto {
            Crypto::Off => 0,
            Crypto::Usual => 1,
            Crypto::Required => 2,
        };
        let settings = format!(
            r#"{{"encryption": {encryption}, "bind-address-ipv4": "127.0.0.1", "bind-address-ipv6": "::1", "peer-port": {port},
                "dht-enabled": false, "lpd-enabled": false, "pex-enabled": false, "utp-enabled": false,
                "port-forwarding-enabled": false, "rpc-enabled": true, "rpc-bind-address": "127.0.0.1",
                "rpc-port": {rpc_port}, "rpc-authentication-required": false, "download-dir": "{}",
                "watch-dir-enabled": true, "watch-dir": "{}"}}"#,
            folder.display(),
            watched.display()
        );
        fs::write(home.join("settings.json"), settings)?;
        for (number, torrent) in (0..).zip(torrents) {
            fs::copy(torrent, watched.join(format!("{number}.torrent")))?;
        }
        let mut command = Command::new(&self.transmission);
        command.args(["--foreground", "--config-dir"]).arg(&home);
        Program::start("Transmission", &mut command)
    }

    fn qbittorrent(
        &self,
        crypto: Crypto,
        torrents: &[&Path],
        folder: &Path,
        port: u16,
    ) -> io::Result<Program> {
        let encryption = match crypto {
            Crypto::Usual => 0,
            Crypto::Required => 1,
            Crypto::Off => 2,
        };
        let home = folder.join("qbittorrent");
        let settings = home.join("qBittorrent/config");
        fs::create_dir_all(&settings)?;
        let text = format!(
            "[LegalNotice]\nAccepted=true\n[BitTorrent]\nSession\\Port={port}\nSession\\Interface=lo\n\
             Session\\InterfaceName=lo\nSession\\DHTEnabled=false\nSession\\LSDEnabled=false\n\
             Session\\PeXEnabled=false\nSession\\MultiConnectionsPerIp=true\n\
             Session\\Encryption={encryption}\n\
             [Preferences]\nWebUI\\Enabled=false\nWebUI\\Port={}\n",
            free_port()?
        );
        fs::write(settings.join("qBittorrent.conf"), text)?;
        let mut command = Command::new(&self.qbittorrent);
        command.arg(format!("--profile={}", home.display())).arg(format!("--save-path={}", folder.display()));
        // With it, qBittorrent takes what comes by a link for complete.
        let is_link = |torrent: &&Path| torrent.as_os_str().as_encoded_bytes().starts_with(b"magnet:");
        if !torrents.iter().any(is_link) {
            command.arg("--skip-hash-check");
        }
        Program::start("qBittorrent", command.args(torrents))
    }

    fn aria2(&self, crypto: Crypto, torrents: &[&Path], folder: &Path, port: u16) -> io::Result<Program> {
        let mut command = Command::new(&self.aria2);
        if crypto == Crypto::Required {
            command.args(["--bt-require-crypto=true", "--bt-min-crypto-level=arc4"]);
        }
        command.args(["--no-conf", "--enable-dht=false", "--enable-dht6=false", "--bt-enable-lpd=false"]);
        command.args(["--enable-peer-exchange=false", "--interface=127.0.0.1", "--disable-ipv6=true"]);
        command.args(["--check-integrity=true", "--seed-ratio=0.0", "--file-allocation=none"]);
        command.arg(format!("--listen-port={port}")).arg("--dir").arg(folder).args(torrents);
        Program::start("aria2", &mut command)
    }

    /// Starts libtorrent with these options of `peer.py`, on torrent files and magnet links.
    pub(crate) fn libtorrent<T: AsRef<OsStr>>(
        &self,
        options: &[&str],
        torrents: &[T],
        folder: &Path,
        port: u16,
    ) -> io::Result<Program> {
        let mut command = Command::new("python3");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("peer.py");
        command.env("PYTHONPATH", &self.python).arg(script).args(options).arg(folder).arg(port.to_string());
        command.args(torrents);
        Program::start("libtorrent", &mut command)
    }

    /// What exactly is tested against.
    pub(crate) fn versions(&self) -> String {
        let first_line = |command: &mut Command| {
            let output = command.output().ok()?;
            let said = [output.stdout, output.stderr].concat();
            String::from_utf8_lossy(&said).lines().next().map(str::to_owned)
        };
        let aria2 = first_line(Command::new(&self.aria2).arg("--version"));
        let transmission = first_line(Command::new(&self.transmission).arg("--version"));
        let print_version = "import libtorrent; print('libtorrent', libtorrent.version)";
        let libtorrent =
            first_line(Command::new("python3").args(["-c", print_version]).env("PYTHONPATH", &self.python));
        [transmission, aria2, libtorrent].map(Option::unwrap_or_default).join(", ")
    }
}

fn create(
    command: &mut Command,
    path: &Path,
    piece_size: &str,
    trackers: &[String],
    output: &Path,
) -> io::Result<()> {
    command.arg(path).args(["--piece-size", piece_size]).arg("--output").arg(output);
    // A scenario may make the same torrent for each client in turn.
    command.arg("--overwrite");
    for tracker in trackers {
        command.arg("--tracker").arg(tracker);
    }
    succeed("client create", command)
}

/// Runs a program to its end, which is to be a good one.
fn succeed(name: &str, command: &mut Command) -> io::Result<()> {
    let Output { status, stderr, .. } = command.output()?;
    if status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("{name}: {}", String::from_utf8_lossy(&stderr))))
}

/// A port of 127.0.0.1 that nothing else here was given. It lies below the ports of outgoing connections.
pub(crate) fn free_port() -> io::Result<u16> {
    use std::sync::atomic::{AtomicU16, Ordering};
    static NEXT: AtomicU16 = AtomicU16::new(27_000);
    for _ in 0..4000 {
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        if TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], port))).is_ok() {
            return Ok(port);
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "no free port from 27000 to 31000 on loopback"))
}

/// How long a client may take for a few MiB. Transmission decides every ten seconds which peers to serve.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The lines that our client says with `--json`.
impl Line {
    /// Whether it is this event.
    pub(crate) fn is(&self, event: &str) -> bool {
        self.text.starts_with(&format!("{{\"event\":\"{event}\""))
    }

    /// A number of it.
    pub(crate) fn number(&self, key: &str) -> Option<u64> {
        let digits = self.behind(&format!("\"{key}\":"))?;
        digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    }

    /// The text of an alert, and of nothing else.
    pub(crate) fn alert(&self) -> Option<&str> {
        if !self.is("alert") {
            return None;
        }
        self.behind("\"text\":\"")?.strip_suffix("\"}")
    }

    /// The tracker that has answered an announce well.
    pub(crate) fn answered(&self) -> Option<&str> {
        let (_, behind) = self.alert()?.strip_prefix("✓ succeeded after ")?.split_once(": ")?;
        behind.split(", ").next()
    }

    fn behind(&self, words: &str) -> Option<&str> {
        self.text.split_once(words).map(|(_, behind)| behind)
    }
}
