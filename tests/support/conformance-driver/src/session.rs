//! Sessions: a torrent's handles, one for each swarm it has, and what is asked of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};
use tracker_failover::Config;
use tracker_failover::Scheme;
use tracker_failover::{
    Alert, Alerts, AnnounceHandle, AnnounceReason, Announced, Announcer, InfoHash, Order, PeerCounts, PeerId,
    RoundError, Torrent, TrackerSet, TrackerUrl, Transfer,
};

use crate::answer::{self, Failure};
use crate::options::Options;
use crate::parse;

#[derive(Default)]
pub(crate) struct Sessions {
    open: Vec<Session>,
    /// By what decides how they behave: options, and whether there are UDP trackers.
    announcers: BTreeMap<(String, bool), Announcer>,
}

#[derive(Debug)]
struct Session {
    announcer: Announcer,
    config: Config,
    private: bool,
    /// Whether it announces by itself.
    on_schedule: bool,
    swarms: Vec<Swarm>,
}

/// One of the swarms of a torrent: a hybrid has two (BEP 52), each with its own life.
#[derive(Debug)]
struct Swarm {
    torrent: Torrent,
    trackers: TrackerSet,
    /// `None` when it has been stopped.
    handle: Option<AnnounceHandle>,
    last: Option<Arc<Announced>>,
}

#[derive(Deserialize)]
pub(crate) struct Open {
    torrent_hex: Option<String>,
    #[serde(default)]
    tiers: Vec<Vec<String>>,
    info_hash: Option<String>,
    info_hash_v2: Option<String>,
    #[serde(default)]
    private: bool,
    peer_id_hex: Option<String>,
    port: Option<u16>,
    key: Option<Value>,
    #[serde(default)]
    options: Value,
}

#[derive(Deserialize)]
pub(crate) struct Announce {
    session: Option<usize>,
    event: Option<String>,
    #[serde(default)]
    uploaded: u64,
    #[serde(default)]
    downloaded: u64,
    left: Option<u64>,
    numwant: Option<u32>,
    #[serde(default)]
    partial: bool,
}

#[derive(Deserialize)]
pub(crate) struct Peers {
    session: Option<usize>,
    #[serde(default)]
    connected: u32,
    #[serde(default)]
    connecting: u32,
    #[serde(default)]
    seeds: u32,
}

#[derive(Deserialize)]
pub(crate) struct AddTracker {
    session: Option<usize>,
    tier: usize,
    tracker: String,
}

#[derive(Deserialize)]
pub(crate) struct OfSession {
    session: Option<usize>,
    #[serde(default)]
    info_hashes: Vec<String>,
}

impl Sessions {
    pub(crate) fn open(&mut self, open: Open) -> Result<Value, Failure> {
        let (tiers, skipped, hashes, private) = if let Some(digits) = &open.torrent_hex {
            let metainfo = parse::read_metainfo(digits)?;
            let (tiers, skipped) = parse::usable(metainfo.announce_tiers(), metainfo.skipped_trackers());
            (tiers, skipped, metainfo.announce_hashes(), metainfo.is_private())
        } else {
            let (tiers, skipped) = read_tiers(&open.tiers);
            let hashes = open.info_hash.iter().chain(&open.info_hash_v2);
            let hashes = hashes.map(|hash| parse::info_hash(hash)).collect::<Result<_, _>>()?;
            (tiers, skipped, hashes, open.private)
        };
        let text = open.options.to_string();
        let options: Options = match open.options {
            Value::Null => Options::default(),
            options => crate::read(options)?,
        };
        let udp = tiers.iter().flatten().any(|tracker| tracker.scheme() == Scheme::Udp);
        let (config, on_schedule) = (options.config(private, udp)?, options.is_on_schedule()?);
        let announcers = &mut self.announcers;
        let alike = (text, udp);
        let announcer = match announcers.get(&alike) {
            Some(announcer) if options.may_share() => announcer.clone(),
            _ => options.announcer(config.clone())?,
        };
        announcers.insert(alike, announcer.clone());
        let peer_id = match &open.peer_id_hex {
            Some(digits) => PeerId::new(
                parse::bytes(digits)?
                    .try_into()
                    .map_err(|_| Failure::new("malformed", "expected a peer id of 20 bytes"))?,
            ),
            None => PeerId::with_prefix(*b"-TF0001-", rand::random()),
        };
        let key = match open.key {
            // 0 asks the announcer for a random one.
            None | Some(Value::Null) => 0,
            Some(key) => {
                read_key(&key).ok_or_else(|| Failure::new("malformed", "expected a key of 32 bits"))?
            }
        };
        let swarms = hashes.into_iter().map(|info_hash| {
            let mut torrent = Torrent::new(info_hash, peer_id, open.port.unwrap_or(6881));
            torrent.key = key;
            let trackers = TrackerSet::new(tiers.clone());
            let trackers = if private { trackers.private() } else { trackers };
            Swarm { torrent, trackers, handle: None, last: None }
        });
        let mut session = Session { announcer, config, private, on_schedule, swarms: swarms.collect() };
        if !on_schedule {
            session.resume();
        }
        self.open.push(session);
        Ok(json!({ "session": self.open.len() - 1, "skipped": skipped }))
    }

    pub(crate) async fn announce(&mut self, announce: &Announce) -> Result<Value, Failure> {
        let session = self.session(announce.session)?;
        if announce.partial {
            return Err(Failure::Unsupported);
        }
        let transfer = Transfer {
            uploaded: announce.uploaded,
            downloaded: announce.downloaded,
            left: announce.left,
            ..Transfer::default()
        };
        if announce.event.as_deref() == Some("stopped") {
            return session.stop(transfer).await;
        }
        if session.on_schedule {
            for swarm in session.swarms.iter_mut().filter(|swarm| swarm.handle.is_none()) {
                // It announces at once, so the counters come first.
                (swarm.torrent.transfer, swarm.torrent.num_want) = (transfer, announce.numwant);
            }
        }
        session.resume();
        let mut answers = Vec::new();
        for swarm in &mut session.swarms {
            swarm.torrent.transfer = transfer;
            let Some(handle) = &swarm.handle else { continue };
            handle.update(transfer);
            handle.set_num_want(announce.numwant);
            let alerts = handle.subscribe();
            if announce.event.as_deref() == Some("completed") {
                handle.complete();
            }
            let answer = match announce.event.as_deref() {
                Some("started" | "completed") if session.on_schedule => next_result(alerts).await,
                _ => handle.announce_now().await,
            };
            swarm.last = answer.as_ref().ok().cloned().or(swarm.last.take());
            answers.push(answer);
        }
        let good: Vec<&Arc<Announced>> = answers.iter().filter_map(|answer| answer.as_ref().ok()).collect();
        if let Some((first, others)) = good.split_first() {
            let mut reply = answer::announced(first, session.private, &session.config);
            for other in others {
                let other = answer::announced(other, session.private, &session.config);
                join(&mut reply, &other);
            }
            return Ok(reply);
        }
        match answers.first() {
            Some(Err(error)) => Err(Failure::of_round(error, &session.config)),
            _ => Err(Failure::new("no_trackers", "the session has no info-hash")),
        }
    }

    /// Reports how many peers the client has.
    pub(crate) fn peers(&mut self, peers: &Peers) -> Result<Value, Failure> {
        let Peers { connected, connecting, seeds, .. } = *peers;
        let session = self.session(peers.session)?;
        for handle in session.swarms.iter().filter_map(|swarm| swarm.handle.as_ref()) {
            handle.set_peers(PeerCounts { connected, connecting, seeds });
        }
        Ok(json!({}))
    }

    pub(crate) fn add_tracker(&mut self, add: &AddTracker) -> Result<Value, Failure> {
        let tracker: TrackerUrl =
            add.tracker.parse().map_err(|error| Failure::new("malformed", &format!("{error}")))?;
        let session = self.session(add.session)?;
        for handle in session.swarms.iter().filter_map(|swarm| swarm.handle.as_ref()) {
            handle.add_tracker(add.tier, tracker.clone());
        }
        Ok(json!({}))
    }

    pub(crate) async fn scrape(&mut self, scrape: &OfSession) -> Result<Value, Failure> {
        let session = self.session(scrape.session)?;
        let asked: Vec<InfoHash> =
            scrape.info_hashes.iter().map(|hash| parse::info_hash(hash)).collect::<Result<_, _>>()?;
        session.resume();
        let handle = session.handle()?;
        let answer = handle.scrape_all(&asked).await;
        answer
            .map(|response| answer::scraped(&response, &asked))
            .map_err(|error| Failure::of(&error, &session.config))
    }

    pub(crate) fn order(&mut self, of: &OfSession) -> Result<Value, Failure> {
        let session = self.session(of.session)?;
        session.resume();
        let trackers = session.handle()?.trackers().unwrap_or_default();
        let order = trackers.failover_order();
        let mut tiers: Vec<Vec<&str>> = Vec::new();
        if trackers.order() == Order::Nearest {
            tiers.push(order.iter().map(|tracker| tracker.as_str()).collect());
        } else {
            for tier in 0..trackers.tiers().count() {
                let members = order.iter().filter(|tracker| trackers.tier_of(tracker) == Some(tier));
                tiers.push(members.map(|tracker| tracker.as_str()).collect());
            }
        }
        Ok(json!({ "tiers": tiers }))
    }

    pub(crate) fn dump(&mut self, of: &OfSession) -> Result<Value, Failure> {
        let session = self.session(of.session)?;
        let mut text = format!("{session:?}");
        for swarm in &session.swarms {
            if let Some(handle) = &swarm.handle {
                let (status, trackers) = (handle.status(), handle.trackers());
                // Writing to a string doesn't fail.
                let _ = write!(text, " {status:?} {trackers:?}");
            }
            if let Some(last) = &swarm.last {
                let _ = write!(text, " {last} {last:#?}");
            }
        }
        Ok(json!({ "text": text }))
    }

    fn session(&mut self, index: Option<usize>) -> Result<&mut Session, Failure> {
        let index = index.unwrap_or(self.open.len().saturating_sub(1));
        self.open
            .get_mut(index)
            .ok_or_else(|| Failure::new("malformed", "expected the number of an open session"))
    }
}

impl Session {
    /// Gives every swarm that has none a handle: at the start, and after `stopped`.
    fn resume(&mut self) {
        for swarm in self.swarms.iter_mut().filter(|swarm| swarm.handle.is_none()) {
            let (handle, alerts) = self.announcer.add(swarm.trackers.clone(), swarm.torrent.clone());
            tokio::spawn(log(alerts));
            swarm.handle = Some(handle);
        }
    }

    fn handle(&self) -> Result<&AnnounceHandle, Failure> {
        let handle = self.swarms.first().and_then(|swarm| swarm.handle.as_ref());
        handle.ok_or_else(|| Failure::new("no_trackers", "the session has no info-hash"))
    }

    async fn stop(&mut self, transfer: Transfer) -> Result<Value, Failure> {
        let (mut attempts, mut tracker) = (Vec::new(), Value::Null);
        for swarm in &mut self.swarms {
            swarm.torrent.transfer = transfer;
            let Some(handle) = swarm.handle.take() else { continue };
            handle.update(transfer);
            if let Some(trackers) = handle.trackers() {
                swarm.trackers = trackers;
            }
            for stopped in handle.stop().await.map(|stopped| stopped.results).unwrap_or_default() {
                attempts.push(match &stopped.result {
                    Ok(()) => answer::ok_attempt(&stopped.tracker),
                    Err(error) => answer::failed_attempt(&stopped.tracker, error),
                });
                if stopped.result.is_ok() && tracker.is_null() {
                    tracker = stopped.tracker.as_str().into();
                }
            }
        }
        Ok(json!({
            "tracker": tracker, "attempts": attempts, "peers": [], "next_announce_s": null,
            "drop_existing_peers": false, "dropped_peers": 0,
        }))
    }
}

/// What comes of the next announce to the tracker in use.
async fn next_result(mut alerts: Alerts) -> Result<Arc<Announced>, Arc<RoundError>> {
    while let Some(alert) = alerts.next().await {
        match alert {
            Alert::Announced(announced) if announced.reason == AnnounceReason::InUse => return Ok(announced),
            Alert::RoundFailed { error, .. } => return Err(error),
            _ => {}
        }
    }
    Err(Arc::new(RoundError::NoTrackers))
}

/// The log: what the user of a session hears.
async fn log(mut alerts: Alerts) {
    while let Some(alert) = alerts.next().await {
        eprintln!("{} {alert} {alert:?}", alert.tag());
    }
}

/// Adds another swarm's peers and attempts.
fn join(reply: &mut Value, other: &Value) {
    for list in ["peers", "attempts"] {
        let more = other[list].as_array().cloned().unwrap_or_default();
        if let Some(known) = reply[list].as_array_mut() {
            for one in more {
                if list == "attempts" || !known.contains(&one) {
                    known.push(one);
                }
            }
        }
    }
}

fn read_tiers(tiers: &[Vec<String>]) -> (Vec<Vec<TrackerUrl>>, Vec<Value>) {
    let (mut read, mut skipped) = (Vec::new(), Vec::new());
    for tier in tiers {
        let mut trackers = Vec::new();
        for text in tier {
            match TrackerUrl::parse(text) {
                Ok(url) if url.scheme() == Scheme::Other => skipped.push(parse::foreign_scheme(&url)),
                Ok(url) => trackers.push(url),
                Err(error) => skipped.push(json!({ "url": text.trim(), "reason": error.to_string() })),
            }
        }
        read.push(trackers);
    }
    (read, skipped)
}

fn read_key(key: &Value) -> Option<u32> {
    match key {
        Value::String(digits) => u32::from_str_radix(digits, 16).ok(),
        _ => key.as_u64().and_then(|number| u32::try_from(number).ok()),
    }
}
