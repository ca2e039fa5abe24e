//! Dante as the proxy: real trackers over HTTP, HTTPS and UDP through it, measured, announced to and scraped.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tracker_failover::net::http::{HttpConfig, TlsConfig};
use tracker_failover::net::resolver::StaticResolver;
use tracker_failover::{
    AnnounceRequest, Announcer, InfoHash, PeerId, Prober as _, TrackerUrl, Transport as _,
};

use super::{Lab, OUR_PORT, Outcome, TORRENT};
use crate::authority::Authority;
use crate::program::Program;
use crate::tools::in_path;
use crate::tracker::Kind;

/// A probe, an announce and a scrape together.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn by_dante(lab: &mut Lab<'_>) -> Outcome {
    let mut dante = Dante::start().await?;
    let authority = Authority::new()?;
    for (kind, secured) in
        [(Kind::Opentracker, false), (Kind::Opentracker, true), (Kind::OpentrackerUdp, false)]
    {
        let mut tracker = lab.tracker(kind).await?;
        if secured {
            tracker.secure(&authority.certificate(tracker.address().ip())?).await?;
        }
        let url: TrackerUrl = tracker.announce_url().parse()?;
        let http = HttpConfig::new().tls(TlsConfig::with_roots(authority.pem().as_bytes())?);
        let builder = Announcer::builder().http(http).resolver(StaticResolver::new());
        let transports = builder.proxy(&format!("socks5://{}", dante.address))?.transports()?;
        let torrent = InfoHash::new(TORRENT);
        let request = AnnounceRequest::new(torrent, PeerId::with_prefix(*b"-XX0001-", [7; 12]), OUR_PORT);
        let visited = timeout(PATIENCE, async {
            let measured = transports.probe(&url).await?;
            let mut channel = transports.open(&url).await?;
            let announced = channel.announce(&request).await?;
            let scraped = channel.scrape(&[torrent]).await?;
            Ok::<_, tracker_failover::AnnounceError>((measured, announced, scraped))
        });
        let (measured, announced, scraped) = visited.await??;
        let report = &mut *lab.report;
        report.note(format_args!("{url}: {} ms by the proxy", measured.connect.as_millis()));
        report.check(!announced.peers.is_empty(), format_args!("{url} names the seed"), &announced.peers);
        let counts = scraped.files.get(&torrent).map(|counts| counts.complete);
        report.check(counts.is_some(), format_args!("{url} is scraped"), counts);
        let said = fs::read_to_string(&dante.log)?;
        let by_udp = kind == Kind::OpentrackerUdp;
        let command = if by_udp { "udpassociate" } else { "tcp/connect" };
        report.check(said.contains(command), format_args!("the proxy logs {command}"), &said);
        fs::write(&dante.log, "")?;
    }
    // Its own processes end with it only where it is asked to end.
    dante.program.terminate(PATIENCE).await?;
    Ok(())
}

/// A proxy on a port of loopback.
struct Dante {
    address: SocketAddr,
    log: PathBuf,
    program: Program,
    _folder: Folder,
}

/// A folder that goes with its owner.
struct Folder(PathBuf);

impl Dante {
    async fn start() -> Result<Self, Box<dyn std::error::Error>> {
        let danted =
            in_path("danted").ok_or("danted is missing; it is installed by: bash tests/interop/install")?;
        let folder = Folder(std::env::temp_dir().join(format!("interop-dante-{}", std::process::id())));
        fs::create_dir_all(&folder.0)?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let (log, config) = (folder.0.join("log"), folder.0.join("danted.conf"));
        let text = format!(
            "logoutput: {}\ninternal: {} port = {}\nexternal: 127.0.0.1\nclientmethod: none\nsocksmethod: none\n\
             client pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}\n\
             socks pass {{\n from: 127.0.0.0/8 to: 0.0.0.0/0\n command: connect udpassociate\n log: connect\n}}\n\
             socks pass {{ from: 0.0.0.0/0 to: 127.0.0.0/8 command: udpreply }}\n",
            log.display(),
            address.ip(),
            address.port()
        );
        fs::write(&config, text)?;
        let mut command = Command::new(danted);
        command.arg("-f").arg(&config).arg("-p").arg(folder.0.join("pid"));
        let program = Program::start("danted", &mut command)?;
        let up = async {
            while tokio::net::TcpStream::connect(address).await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, up)
            .await
            .map_err(|_| format!("danted doesn't listen: {}", program.last_words()))?;
        Ok(Self { address, log, program, _folder: folder })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
