//! The whole program, run as a separate process against scripted peers, trackers and itself.

mod creating;
mod encryption;
mod exchange;
mod hostile;
mod limits;
mod magnets;
mod overlay;
mod peers;
mod port_mapping;
mod resume;
mod screen;
mod select;
mod several;
mod trackers;
mod urls;
mod ways_out;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use clap::Parser;
use tempfile::TempDir;
use tracker_failover::{InfoHash, PeerId};

use crate::create;
use crate::files::names::NameRules;
use crate::torrent::Torrent;
use crate::torrent::tests::content;
use crate::ui::cli::Cli;
use crate::wire::handshake;
use crate::wire::message::{Block, Limits, Message, next_frame};

/// Not a test: what a test starts as a process.
#[test]
#[ignore = "started by other tests"]
fn child() {
    let Ok(arguments) = std::env::var(ARGUMENTS) else { return };
    let cli = Cli::parse_from(arguments.split('\n'));
    std::process::exit(crate::torrents::main(&cli.download).into());
}

const ARGUMENTS: &str = "CLIENT_ARGUMENTS";

/// The program, running.
struct Client {
    process: Child,
    lines: BufReader<ChildStdout>,
}

impl Client {
    /// Starts it on any port.
    fn start(arguments: &[&str]) -> Self {
        Self::with(&[&["--port", "0"], arguments].concat())
    }

    /// Starts it with `--json`.
    fn with(arguments: &[&str]) -> Self {
        let all = [&["client", "--json"], arguments].concat().join("\n");
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "tests::child", "--nocapture", "--quiet"])
            .env(ARGUMENTS, all)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap());
        Self { process, lines }
    }

    /// Reads on until an event of a kind; gives its line.
    fn wait_for(&mut self, event: &str) -> String {
        let wanted = format!("{{\"event\":\"{event}\"");
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            let read = self.lines.read_line(&mut line).unwrap();
            assert!(read > 0, "no {event} in\n{seen}");
            if line.starts_with(&wanted) {
                return line;
            }
            seen += &line;
        }
    }

    /// The port it listens on.
    fn port(&mut self) -> u16 {
        let line = self.wait_for("listening");
        let digits: String = line.chars().filter(char::is_ascii_digit).collect();
        digits.parse().unwrap()
    }

    /// Waits for its end, and returns the exit code and all of its output.
    fn end(mut self) -> (Option<i32>, String) {
        let mut said = String::new();
        self.lines.read_to_string(&mut said).unwrap();
        (self.process.wait().unwrap().code(), said)
    }

    /// SIGTERM.
    #[cfg(unix)]
    fn terminate(&self) {
        let status = Command::new("kill").arg(self.process.id().to_string()).status().unwrap();
        assert!(status.success());
    }

    /// SIGKILL.
    fn kill(mut self) -> ExitStatus {
        self.process.kill().unwrap();
        self.process.wait().unwrap()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It has ended already where a test got to its end.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A folder with a file of known content and its .torrent.
struct Shared {
    folder: TempDir,
    data: Vec<u8>,
    torrent: Torrent,
}

impl Shared {
    fn new(length: usize, trackers: &[String]) -> Self {
        Self::with(length, trackers, false)
    }

    /// The same of a private torrent without trackers.
    fn private(length: usize) -> Self {
        Self::with(length, &[], true)
    }

    fn with(length: usize, trackers: &[String], private: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = content(length);
        fs::create_dir(folder.path().join("seed")).unwrap();
        fs::write(folder.path().join("seed/x.bin"), &data).unwrap();
        let mut made = create::Source::at(&folder.path().join("seed/x.bin"))
            .unwrap()
            .hash(Some(16_384), |_, _| {})
            .unwrap();
        made.tiers = create::tiers(trackers);
        made.private = private;
        let bytes = create::encode(&made).unwrap();
        fs::write(folder.path().join("x.torrent"), &bytes).unwrap();
        let torrent = Torrent::parse(&bytes, NameRules::HERE).unwrap().0;
        Self { folder, data, torrent }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the program for this torrent, with its own folder.
    fn start(&self, folder: &str, more: &[&str]) -> Client {
        let (torrent, folder) = (self.path("x.torrent"), self.path(folder));
        let own = ["--torrent", torrent.to_str().unwrap(), "--out", folder.to_str().unwrap()];
        Client::start(&[&own, more].concat())
    }

    fn is_whole(&self, folder: &str) -> bool {
        is_content(&self.path(folder).join("x.bin"), &self.data)
    }
}

fn is_content(path: &Path, data: &[u8]) -> bool {
    fs::read(path).is_ok_and(|found| found == data)
}

/// A peer that a test plays, on its own thread.
struct Scripted {
    address: SocketAddr,
    thread: thread::JoinHandle<()>,
}

/// The connection of a scripted peer.
struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    pieces: u32,
}

impl Scripted {
    /// A peer that does this with every connection. It can't encrypt, and hangs up on what is no plain handshake.
    fn new(pieces: u32, connections: usize, play: impl Fn(usize, &mut Wire) + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let thread = thread::spawn(move || {
            for number in 0..connections {
                let stream = loop {
                    let (stream, _) = listener.accept().unwrap();
                    let mut first = [0; 20];
                    let length = stream.peek(&mut first).unwrap_or_default();
                    if first[..length] == handshake::PROTOCOL[..length] {
                        break stream;
                    }
                };
                play(number, &mut Wire { stream, buffer: Vec::new(), pieces });
            }
        });
        Self { address, thread }
    }

    /// Waits until all its connections have ended.
    fn join(self) {
        self.thread.join().unwrap();
    }
}

/// The handshake of a peer that doesn't speak the fast extension.
fn plain_handshake(info_hash: InfoHash, id: &[u8; 20]) -> [u8; handshake::LENGTH] {
    let mut bytes = handshake::write(info_hash, PeerId::new(*id), false);
    bytes[27] = 0;
    bytes
}

impl Wire {
    /// Reads a handshake, and answers it.
    fn greet(&mut self, info_hash: InfoHash, id: &[u8; 20]) {
        let mut theirs = [0; handshake::LENGTH];
        self.stream.read_exact(&mut theirs).unwrap();
        self.send(&plain_handshake(info_hash, id));
    }

    fn send(&mut self, bytes: &[u8]) {
        // Where the other side has enough, that shows in what is read.
        let _ = self.stream.write_all(bytes);
    }

    fn say(&mut self, message: &Message<'_>) {
        let mut bytes = Vec::new();
        message.write(&mut bytes);
        self.send(&bytes);
    }

    /// Hands every message that comes to the script, until the other side closes.
    fn each(&mut self, mut script: impl FnMut(&mut Self, Message<'_>)) {
        let limits = Limits::new(self.pieces);
        let mut chunk = [0; 4096];
        while let Ok(read @ 1..) = self.stream.read(&mut chunk) {
            self.buffer.extend_from_slice(&chunk[..read]);
            let bytes = std::mem::take(&mut self.buffer);
            let mut at = 0;
            while let Some((message, length)) = next_frame(&bytes[at..], limits).unwrap() {
                script(self, message);
                at += length;
            }
            self.buffer = bytes[at..].to_vec();
        }
    }

    /// Answers requests for blocks. `change` may change them, and returns whether they are sent.
    fn seed(&mut self, data: &[u8], piece_length: usize, change: impl Fn(u32, &mut Vec<u8>) -> bool) {
        let mut all = vec![0xff; self.pieces.div_ceil(8) as usize];
        if let (Some(last), spare @ 1..) = (all.last_mut(), (8 - self.pieces % 8) % 8) {
            *last <<= spare;
        }
        self.say(&Message::Bitfield(&all));
        self.each(|wire, message| match message {
            Message::Interested => wire.say(&Message::Unchoke),
            Message::Request(block) => {
                let start = block.piece as usize * piece_length + block.begin as usize;
                let mut data = data[start..start + block.length as usize].to_vec();
                if change(block.piece, &mut data) {
                    wire.say(&Message::Piece { piece: block.piece, begin: block.begin, data: &data });
                }
            }
            _ => {}
        });
    }

    /// Reads until the other side closes.
    fn drain(&mut self) {
        let mut rest = Vec::new();
        let _ = self.stream.read_to_end(&mut rest);
    }
}
