//! A download to watch, all of it on this machine: half-way through, the tracker in use is killed.
//!
//! ```text
//! cargo run --release --example demo
//! ```
//!
//! Three scripted trackers share one swarm. The peers are the client of `examples/client`, which this program starts by calling
//! itself. Only a peer that starts after the nearest tracker has died has the second half of the torrent, so the download
//! succeeds only if the failover does. The program checks what it shows, and exits with an error if anything differs.

#[path = "client/src/lib.rs"]
pub mod client;

use std::error::Error;
use std::fs;
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use fake_tracker::{Behaviour, Cluster};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use sha1::{Digest, Sha1};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;
use tracker_failover::InfoHash;

#[expect(clippy::wildcard_imports, reason = "the paths in it begin with `crate`")]
use client::*;

const SIZE: usize = 64 << 20;

/// The limit for the whole demo, after which it has failed.
const PATIENCE: Duration = Duration::from_secs(60);

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).peekable();
    if arguments.next_if(|first| first == "--as-client").is_some() {
        return run(std::iter::once("client".into()).chain(arguments));
    }
    match demo() {
        Ok(()) => {
            println!("--- everything went as expected");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("--- NOT as expected: {error}");
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn demo() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    timeout(PATIENCE, story(folder.path())).await.unwrap_or_else(|_| Err("it did not end".into()))
}

async fn story(folder: &Path) -> Outcome<()> {
    println!("--- three trackers that share one swarm, 30, 5 and 15 ms away, each in a tier of its own");
    let cluster = Cluster::start(3, Duration::from_millis(10), Behaviour::ok()).await;
    let [far, near, middle] = cluster.trackers() else { return Err("expected three trackers".into()) };
    for (tracker, millis) in [(far, 30), (near, 5), (middle, 15)] {
        tracker.set_latency(Duration::from_millis(millis));
    }
    let [_, near_name, middle_name] =
        [far, near, middle].map(|tracker| format!("http://{}", tracker.address()));

    println!("--- a made-up torrent of 64 MiB, and a peer that has the first half of it");
    let content = make_content(&folder.join("whole"))?;
    make_torrent(folder, &cluster.announce_urls()).await?;
    fs::create_dir(folder.join("half"))?;
    fs::write(folder.join("half/film"), &content[..SIZE / 2])?;
    let _half = Peer::start(folder, "half", &["--quiet"])?;
    near.wait_for_announces(1).await;

    println!("--- the download");
    let mut download = Peer::start(folder, "download", &["--exit-when-done", "--announce-interval", "1"])?;
    download.until(&format!("[TRACKER] selected {near_name} ")).await?;
    download.until(&format!("succeeded after 1 attempt: {near_name},")).await?;
    download.until(" 50% ").await?;

    println!("--- half-way: {near_name} is killed");
    near.kill().await;
    download.until(&format!("[TRACKER] switching {near_name} -> {middle_name}")).await?;
    download.until(&format!("succeeded after 2 attempts: {middle_name},")).await?;

    println!("--- a seeder turns up, of which only the living trackers know");
    let _whole = Peer::start(folder, "whole", &["--quiet"])?;
    middle.wait_for(|counts| counts.announces >= 2).await;
    println!("--- {near_name} is back, and does not pull anybody back at once");
    near.revive().await;
    download.until("[INFO] complete").await?;
    expect(download.child.wait().await?.success(), "the client exits with 0")?;

    let hash = Sha1::digest(fs::read(folder.join("download/film"))?);
    println!("--- SHA-1 of what was downloaded: {}", InfoHash::new(hash.into()));
    expect(hash == Sha1::digest(&content), "it is what was seeded")?;
    let received = |event| {
        middle.announces().iter().any(|heard| heard.event() == Some(event) && heard.left() == Some(0))
    };
    expect(
        received("completed") && received("stopped"),
        "the tracker in use receives both `completed` and `stopped`",
    )?;
    expect(far.announces().is_empty(), "the far one was never needed")
}

/// Random content, the same in each run.
fn make_content(folder: &Path) -> Outcome<Vec<u8>> {
    let mut content = vec![0; SIZE];
    StdRng::seed_from_u64(1).fill_bytes(&mut content);
    fs::create_dir(folder)?;
    fs::write(folder.join("film"), &content)?;
    Ok(content)
}

/// `client create`.
async fn make_torrent(folder: &Path, trackers: &[String]) -> Outcome<()> {
    let mut client = client_command()?;
    client.arg("create").arg(folder.join("whole/film")).arg("--output").arg(folder.join("film.torrent"));
    for tracker in trackers {
        client.args(["--tracker", tracker]);
    }
    expect(client.status().await?.success(), "the torrent can be made")
}

/// This program as the client.
fn client_command() -> Outcome<Command> {
    let mut client = Command::new(std::env::current_exe()?);
    client.arg("--as-client").stdin(Stdio::null()).kill_on_drop(true);
    Ok(client)
}

/// The client, running; it ends when this is dropped.
struct Peer {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Peer {
    /// Starts the client with its own folder.
    fn start(folder: &Path, own: &str, more: &[&str]) -> Outcome<Self> {
        let mut client = client_command()?;
        client.arg("--torrent").arg(folder.join("film.torrent")).arg("--out").arg(folder.join(own));
        // One tracker at a time: what is shown is the failover, and these trackers share a swarm.
        client
            .args(["--port", "0", "--allow-loopback", "--announce-to", "one"])
            .args(more)
            .stdout(Stdio::piped());
        let mut child = client.spawn()?;
        let lines = child.stdout.take().ok_or("expected the client's output")?;
        Ok(Self { child, lines: BufReader::new(lines).lines() })
    }

    /// Prints its output until a line contains this text.
    async fn until(&mut self, wanted: &str) -> Outcome<()> {
        while let Some(line) = self.lines.next_line().await? {
            println!("{line}");
            if line.contains(wanted) {
                return Ok(());
            }
        }
        Err(format!("expected {wanted:?}, and the client has ended").into())
    }
}

fn expect(holds: bool, what: &str) -> Outcome<()> {
    if holds { Ok(()) } else { Err(format!("expected that {what}").into()) }
}
