//! A failover to watch: three trackers on this machine, of which the nearest dies and comes back.
//!
//! ```text
//! cargo run --example demo
//! ```
//!
//! It also judges what it shows, and exits with an error where the story went differently.

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use fake_tracker::{Behaviour, Cluster, SwarmPeer};
use tokio::time::timeout;
use tracker_failover::{
    Alert, AnnounceHandle, Announced, Announcer, Config, InfoHash, PeerId, Torrent, TrackerSet, TrackerUrl,
};

const TORRENT: [u8; 20] = *b"a torrent to be seen";

/// Longer than anything here takes: a demo that hangs is a failed one.
const PATIENCE: Duration = Duration::from_secs(10);

type Outcome<T> = Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> ExitCode {
    match demo().await {
        Ok(()) => {
            println!("--- everything went as told");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("--- NOT as told: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn demo() -> Outcome<()> {
    println!("--- three trackers that share one swarm, 30, 5 and 15 ms away, each in a tier of its own");
    let cluster = Cluster::start(3, Duration::from_millis(10), Behaviour::ok()).await;
    let [far, near, middle] = cluster.trackers() else { return Err("expected three trackers".into()) };
    for (tracker, millis) in [(far, 30), (near, 5), (middle, 15)] {
        tracker.set_latency(Duration::from_millis(millis));
    }
    let urls: Vec<TrackerUrl> =
        cluster.announce_urls().iter().map(|url| url.parse()).collect::<Result<_, _>>()?;
    let [far_url, near_url, middle_url] = &urls[..] else { return Err("expected three addresses".into()) };
    let seeder = SocketAddr::from(([127, 0, 0, 1], 51413));
    far.add_peer(TORRENT, SwarmPeer { peer_id: *b"-XX0001-a-seeder----", address: seeder, left: Some(0) });

    let mut config = Config::default();
    config.interval_override = Some(Duration::from_secs(1));
    let announcer = Announcer::builder().config(config).spawn();
    let peer_id = PeerId::with_prefix(*b"-TF0001-", rand::random());
    let mut torrent = Torrent::new(InfoHash::new(TORRENT), peer_id, 6881);
    torrent.transfer.left = Some(1_000_000);
    let mut story = Story(announcer.add(TrackerSet::new(urls.iter().map(|url| [url.clone()])), torrent));

    let first = story.announced().await?;
    expect(first.tracker == *near_url, "the nearest is chosen, whatever its tier")?;
    expect(first.attempts == 1, "at the first try")?;
    let order = story.until("the order", |alert| match alert {
        Alert::FailoverOrder { trackers } => Some(trackers.iter().map(|(url, _)| url.clone()).collect()),
        _ => None,
    });
    let order: Vec<TrackerUrl> = order.await?;
    expect(order == [near_url.clone(), middle_url.clone(), far_url.clone()], "the others follow by latency")?;
    let second = story.announced().await?;
    expect(second.tracker == *near_url && second.event.is_none(), "the regular announce goes there too")?;
    expect(second.response.peers.len() == 1, "and finds the seeder that only the far one was told of")?;

    println!("--- {near_url} is killed");
    near.kill().await;
    let moved = story.until("a switch", |alert| match alert {
        Alert::Switching { from, to } => Some((from.clone(), to.clone())),
        _ => None,
    });
    expect(moved.await? == (near_url.clone(), middle_url.clone()), "the next one by latency is tried")?;
    let third = story.announced().await?;
    expect(third.tracker == *middle_url && third.attempts == 2, "and takes the same announce")?;
    expect(third.moved_from.as_ref() == Some(near_url), "which tells that we have moved")?;

    println!("--- {near_url} is back");
    near.revive().await;
    for _ in 0..2 {
        let stayed = story.announced().await?;
        expect(stayed.tracker == *middle_url && stayed.attempts == 1, "and does not pull us back at once")?;
    }

    println!("--- the torrent is stopped");
    story.stop().await?;
    let told = |tracker: usize| {
        let heard = cluster[tracker].announces();
        heard.iter().filter(|announce| announce.event() == Some("stopped")).count()
    };
    expect((told(0), told(1), told(2)) == (0, 1, 1), "both trackers that knew us know that we left")
}

/// The torrent's announces, printed as they happen.
struct Story(AnnounceHandle);

impl Story {
    /// Prints alerts until one is what is waited for.
    async fn until<T>(&mut self, what: &str, wanted: impl Fn(&Alert) -> Option<T>) -> Outcome<T> {
        let next = async {
            while let Some(alert) = self.0.next_alert().await {
                println!("[{}] {alert}", alert.tag());
                if let Some(found) = wanted(&alert) {
                    return Ok(found);
                }
            }
            Err(format!("the session ended before {what}").into())
        };
        timeout(PATIENCE, next).await.unwrap_or_else(|_| Err(format!("{what} did not come").into()))
    }

    /// Waits for an answered announce, and for the line that a regular one is followed by.
    async fn announced(&mut self) -> Outcome<Arc<Announced>> {
        let announced = self.until("an answer", |alert| match alert {
            Alert::Announced(announced) => Some(Arc::clone(announced)),
            _ => None,
        });
        let announced = announced.await?;
        if announced.event.is_none() {
            let sent = |alert: &Alert| matches!(alert, Alert::PeriodicSent { .. }).then_some(());
            self.until("its line", sent).await?;
        }
        Ok(announced)
    }

    async fn stop(self) -> Outcome<()> {
        let mut alerts = self.0.alerts();
        let print = async {
            while let Some(alert) = alerts.next().await {
                println!("[{}] {alert}", alert.tag());
            }
        };
        timeout(PATIENCE, async { tokio::join!(self.0.stop(), print) }).await?;
        Ok(())
    }
}

fn expect(holds: bool, what: &str) -> Outcome<()> {
    if holds { Ok(()) } else { Err(format!("expected that {what}").into()) }
}
