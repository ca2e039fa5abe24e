//! Our client beside others: it downloads from each, and each downloads from it, with two of three trackers dead.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::{Lab, Outcome};
use crate::clients::{Clients, Other, PATIENCE, free_port};
use crate::clock;
use crate::observer::Counts;
use crate::program::Program;
use crate::swarm::{Content, Dead, ODD_FILES, SHORT_LAST_PIECE, Swarm};
use crate::tracker::{Kind, Tracker};

pub(super) async fn from_transmission(lab: &mut Lab<'_>) -> Outcome {
    from(lab, Other::Transmission).await
}

pub(super) async fn from_aria2(lab: &mut Lab<'_>) -> Outcome {
    from(lab, Other::Aria2).await
}

pub(super) async fn from_libtorrent(lab: &mut Lab<'_>) -> Outcome {
    from(lab, Other::Libtorrent).await
}

pub(super) async fn to_transmission(lab: &mut Lab<'_>) -> Outcome {
    to(lab, Other::Transmission).await
}

pub(super) async fn to_aria2(lab: &mut Lab<'_>) -> Outcome {
    to(lab, Other::Aria2).await
}

pub(super) async fn to_libtorrent(lab: &mut Lab<'_>) -> Outcome {
    to(lab, Other::Libtorrent).await
}

/// A torrent, its living tracker behind two dead ones, and the torrent files with all three.
struct Setting {
    swarm: Swarm,
    tracker: Tracker,
    /// For our client: one of the dead is silent, which costs others a minute or more.
    ours: PathBuf,
    /// For others: both of the dead refuse.
    theirs: PathBuf,
    _mute: Dead,
}

impl Setting {
    async fn new(lab: &Lab<'_>, clients: &Clients, content: Content) -> Result<Self, Box<dyn Error>> {
        let swarm = Swarm::new(lab.tools, clients, content)?;
        let tracker = swarm.tracker(lab.tools, Kind::Opentracker).await?;
        let (refused, other, mute) = (Dead::refused()?, Dead::refused()?, Dead::mute()?);
        let with = |name, first: &Dead, second: &Dead| {
            let trackers = [first.announce_url()?, second.announce_url()?, tracker.announce_url()];
            swarm.torrent(clients, name, &trackers)
        };
        let (ours, theirs) = (with("ours", &mute, &refused)?, with("theirs", &other, &refused)?);
        Ok(Self { swarm, tracker, ours, theirs, _mute: mute })
    }

    async fn both(lab: &Lab<'_>, clients: &Clients) -> Result<[Self; 2], Box<dyn Error>> {
        Ok([Self::new(lab, clients, ODD_FILES).await?, Self::new(lab, clients, SHORT_LAST_PIECE).await?])
    }
}

/// Another one seeds, ours downloads.
async fn from(lab: &mut Lab<'_>, other: Other) -> Outcome {
    let clients = Clients::find()?;
    println!("and {}", clients.versions());
    let settings = Setting::both(lab, &clients).await?;
    let mut seeders = Vec::new();
    for setting in &settings {
        seeders.push(clients.other(other, &[&setting.theirs], &setting.swarm.seed(), free_port()?)?);
    }
    let report = &mut *lab.report;
    for (setting, seeder) in settings.iter().zip(&seeders) {
        let Setting { swarm, tracker, ours, .. } = setting;
        let name = swarm.name();
        until_counted(tracker, Counts::new(1, 0, 0), seeder).await?;
        let folder = swarm.leech("ours")?;
        let mut client = clients.ours(ours, &folder, &["--exit-when-done", "--announce-interval", "2"])?;
        let ended = client.end(PATIENCE).await?;
        let took = clock() - client.started;
        report.check(ended.code() == Some(0), format_args!("{name:?}: it ends well"), client.last_words());
        report.same(swarm.compare(&folder), Ok(()), format_args!("{name:?}: every byte is the same"));
        report.same(
            tracker.counts_in_time(Counts::new(1, 0, 1)).await?,
            Counts::new(1, 0, 1),
            "one download is counted, and we have said that we left",
        );
        report.note(format_args!("took {:.1} s", took.as_secs_f64()));
    }
    Ok(())
}

/// Ours seeds, another one downloads.
async fn to(lab: &mut Lab<'_>, other: Other) -> Outcome {
    let clients = Clients::find()?;
    let settings = Setting::both(lab, &clients).await?;
    let mut seeders = Vec::new();
    for Setting { swarm, ours, tracker, .. } in &settings {
        // Others may not connect to loopback addresses, as Transmission doesn't: then it is we who do, as soon
        // as an announce has named them.
        let seeder = clients.ours(ours, &swarm.seed(), &["--announce-interval", "2"])?;
        until_counted(tracker, Counts::new(1, 0, 0), &seeder).await?;
        seeders.push(seeder);
    }
    let mut leeches = Vec::new();
    for Setting { swarm, theirs, .. } in &settings {
        let folder = swarm.leech("theirs")?;
        let leech = clients.other(other, &[theirs], &folder, free_port()?)?;
        leeches.push((folder, leech));
    }
    let report = &mut *lab.report;
    for ((setting, (folder, leech)), seeder) in settings.iter().zip(&leeches).zip(&mut seeders) {
        let Setting { swarm, tracker, .. } = setting;
        let name = swarm.name();
        // Transmission 3 makes no empty files.
        let compare = if other == Other::Transmission { Swarm::compare_bytes } else { Swarm::compare };
        let compared = until_the_same(|| compare(swarm, folder)).await;
        let took = clock() - leech.started;
        if !report.same(compared, Ok(()), format_args!("{name:?}: every byte is the same")) {
            report.note(leech.last_words());
            report.note(seeder.last_words());
        }
        report.note(format_args!("took {:.1} s", took.as_secs_f64()));
        let both = Counts::new(2, 0, 1);
        report.same(tracker.counts_in_time(both).await?, both, "the tracker counts the download");
        let ended = seeder.terminate(Duration::from_secs(10)).await?;
        report.check(ended.code() == Some(0), "our client ends well", seeder.last_words());
        let left = Counts::new(1, 0, 1);
        report.same(tracker.counts_in_time(left).await?, left, "and has said that it left");
    }
    Ok(())
}

/// Waits until the tracker counts this.
async fn until_counted(tracker: &Tracker, expected: Counts, program: &Program) -> Outcome {
    let counted = async {
        while tracker.counts().await? != expected {
            sleep(Duration::from_millis(50)).await;
        }
        Ok::<_, std::io::Error>(())
    };
    match timeout(PATIENCE, counted).await {
        Ok(counted) => Ok(counted?),
        Err(_) => Err(format!(
            "never counted {expected:?}, but {:?}; {}",
            tracker.counts().await?,
            program.last_words()
        )
        .into()),
    }
}

/// Waits until the files are there, whole.
pub(super) async fn until_the_same(compare: impl Fn() -> Result<(), String>) -> Result<(), String> {
    let same = async {
        while compare().is_err() {
            sleep(Duration::from_millis(100)).await;
        }
    };
    if timeout(PATIENCE, same).await.is_ok() { Ok(()) } else { compare() }
}
