//! What happens between a client and the trackers of a world, and the log of what they heard.

use std::collections::HashMap;
use std::sync::Arc;

use tracker_failover::{Event, Scheme};

use crate::script::{Answer, Connection, Name, Retry};
use crate::time::{Millis, SECOND};
use crate::world::{Packet, World, round_trips};

/// The wire of one client's life: decides what becomes of each packet, and notes what trackers receive.
#[derive(Debug)]
pub struct Network {
    /// The world at its other end.
    pub world: Arc<World>,
    /// What trackers heard, in the order in which it was asked for.
    pub heard: Vec<Heard>,
    /// How many announces came before the tracker's last hint or min interval allowed one. Means something
    /// where there is one torrent.
    pub impolite: usize,
    /// How many attempts to announce came to nothing: no connection, no answer or a refusal.
    pub wasted: usize,
    /// Until when trackers want no announce: at all, and no regular one.
    not_before: HashMap<usize, (Millis, Millis)>,
    /// How many exchanges a tracker has had at one moment.
    nth: HashMap<(usize, Millis), u32>,
}

/// Something a tracker heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// When it arrived.
    pub at: Millis,
    /// The number of the tracker that received it.
    pub tracker: usize,
    /// What arrived.
    pub what: Contact,
    /// Whether the tracker was well then, so that an announce is accepted.
    pub lives: bool,
}

/// How a tracker is contacted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Contact {
    /// A connection, which carries nothing about a torrent.
    Connection,
    /// A probe over HTTP, which carries nothing about a torrent either.
    Probe,
    /// An announce.
    Announce(Option<Event>),
}

/// Why there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenError {
    /// There is no such name.
    Unresolved,
    /// No process listens.
    Refused,
    /// TLS failed.
    Certificate,
}

/// What an announce or a probe came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply {
    /// A good answer.
    Good {
        /// Its interval.
        interval: Millis,
        /// Its min interval.
        min_interval: Option<Millis>,
    },
    /// A status of HTTP.
    Status(u16, Retry),
    /// A page.
    Html,
    /// A failure reason.
    Failure(Retry),
    /// The connection was reset.
    Broken,
}

/// When unanswered packets are sent again, from the first one on.
pub type Resends = &'static [Millis];

/// What kernels do with SYN: it goes out again after 1, 3, 7, 15 and 31 s.
const SYN: Resends = &[0, SECOND, 3 * SECOND, 7 * SECOND, 15 * SECOND, 31 * SECOND];

/// When this crate sends UDP packets again.
pub const UDP_RESENDS: Resends = &[0, SECOND, 3 * SECOND];

/// How often a request is sent again that isn't acknowledged: over a minute at least, and no client waits longer.
const MAX_RESENDS: usize = 9;

impl Network {
    /// A wire on which nothing has been sent.
    pub fn new(world: Arc<World>) -> Self {
        Self {
            world,
            heard: Vec::new(),
            impolite: 0,
            wasted: 0,
            not_before: HashMap::new(),
            nth: HashMap::new(),
        }
    }

    /// Looks a tracker's name up: when that ends, and whether it was found. `None` if no answer comes.
    pub fn resolve(&self, tracker: usize, at: Millis) -> Option<(Millis, Result<(), OpenError>)> {
        match self.world.trackers[tracker].script.at(at).name {
            Name::Found(after) => Some((at + after, Ok(()))),
            Name::Unknown(after) => Some((at + after, Err(OpenError::Unresolved))),
            Name::Silent => None,
        }
    }

    /// Connects to a tracker whose name is known. `None` if no answer ever comes. `resends` is for UDP: TCP
    /// is the kernel's business.
    pub fn connect(
        &mut self,
        tracker: usize,
        at: Millis,
        resends: Resends,
    ) -> Option<(Millis, Result<(), OpenError>)> {
        let (nth, world) = (self.next(tracker, at), Arc::clone(&self.world));
        let (scheme, script) = (world.trackers[tracker].scheme, &world.trackers[tracker].script);
        let udp = scheme == Scheme::Udp;
        for after in if udp { resends } else { SYN } {
            let sent = at + after;
            let (rtt, lost) = world.round_trip(tracker, sent, Packet::Syn, nth);
            let (arrived, answered) = (sent + rtt / 2, sent + rtt);
            match script.at(arrived).connection {
                _ if lost => {}
                Connection::Silent => {}
                Connection::Refused if udp => {}
                Connection::Refused => return Some((answered, Err(OpenError::Refused))),
                connection => {
                    self.hear(tracker, arrived, Contact::Connection);
                    let ready = sent + rtt * u64::from(round_trips(scheme));
                    let secure = connection == Connection::Accepted || scheme != Scheme::Https;
                    return Some((ready, if secure { Ok(()) } else { Err(OpenError::Certificate) }));
                }
            }
        }
        None
    }

    /// Looks up and connects.
    pub fn open(
        &mut self,
        tracker: usize,
        at: Millis,
        resends: Resends,
    ) -> Option<(Millis, Result<(), OpenError>)> {
        let opened = match self.resolve(tracker, at) {
            Some((found, Ok(()))) => self.connect(tracker, found, resends),
            unknown => unknown,
        };
        self.wasted += usize::from(!matches!(opened, Some((_, Ok(())))));
        opened
    }

    /// Sends a request on a connection that stands since `opened`, and gives the answer. `None` where none ever
    /// comes.
    pub fn ask(
        &mut self,
        tracker: usize,
        opened: Millis,
        at: Millis,
        what: Contact,
        resends: Resends,
    ) -> Option<(Millis, Reply)> {
        let reply = self.answer(tracker, opened, at, what, resends);
        let is_wasted =
            matches!(what, Contact::Announce(_)) && !matches!(reply, Some((_, Reply::Good { .. })));
        self.wasted += usize::from(is_wasted);
        reply
    }

    fn answer(
        &mut self,
        tracker: usize,
        opened: Millis,
        at: Millis,
        what: Contact,
        resends: Resends,
    ) -> Option<(Millis, Reply)> {
        let (nth, world) = (self.next(tracker, at), Arc::clone(&self.world));
        let tracker_of = &world.trackers[tracker];
        let udp = tracker_of.scheme == Scheme::Udp;
        let reset = (!udp).then(|| tracker_of.script.next_refusal(opened)).flatten();
        if reset.is_some_and(|reset| reset <= at) {
            return Some((at, Reply::Broken));
        }
        let mut sent = at;
        for attempt in 0..MAX_RESENDS {
            let (rtt, lost) = world.round_trip(tracker, sent, Packet::Request, nth);
            let arrived = sent + rtt / 2;
            if reset.is_some_and(|reset| reset <= arrived) {
                return Some((sent + rtt, Reply::Broken));
            }
            // A closed port is silent over UDP; over TCP that was a reset.
            let vanishes = match tracker_of.script.at(arrived).connection {
                Connection::Silent => true,
                Connection::Refused => udp,
                Connection::Accepted | Connection::BadCertificate => false,
            };
            if !vanishes && !lost {
                self.hear(tracker, arrived, what);
                self.judge(tracker, at, what);
                let reply = self.reply(tracker, arrived, what)?;
                let work = if matches!(what, Contact::Probe) { 0 } else { world.work(tracker, at, nth) };
                let answered = arrived + work + rtt.div_ceil(2);
                self.note_wishes(tracker, answered, what, reply);
                return Some((answered, reply));
            }
            // TCP waits three round trips for the first acknowledgement, then twice as long each time.
            let again = (200.max(2 * rtt) + rtt) * ((2 << attempt) - 1);
            let again = if udp { *resends.get(attempt + 1)? } else { again };
            sent = at + again;
        }
        None
    }

    fn reply(&self, tracker: usize, at: Millis, what: Contact) -> Option<Reply> {
        let tracker = &self.world.trackers[tracker];
        let reply = match tracker.script.at(at).answer {
            Answer::Good => Reply::Good { interval: tracker.interval, min_interval: tracker.min_interval },
            Answer::Stalled if matches!(what, Contact::Probe) => Reply::Failure(Retry::Unsaid),
            Answer::Mute | Answer::Stalled => return None,
            Answer::Status(_, retry) | Answer::Failure(retry)
                if tracker.scheme == Scheme::Udp || matches!(what, Contact::Probe) =>
            {
                Reply::Failure(retry)
            }
            Answer::Status(status, retry) => Reply::Status(status, retry),
            Answer::Html => Reply::Html,
            Answer::Failure(retry) => Reply::Failure(retry),
        };
        Some(reply)
    }

    /// Whether an announce that is sent now comes sooner than the tracker asked for.
    fn judge(&mut self, tracker: usize, at: Millis, what: Contact) {
        let Contact::Announce(event) = what else { return };
        let (at_all, regular) = self.not_before.get(&tracker).copied().unwrap_or_default();
        let early = at < at_all || (event.is_none() && at < regular);
        self.impolite += usize::from(early);
    }

    fn note_wishes(&mut self, tracker: usize, at: Millis, what: Contact, reply: Reply) {
        if !matches!(what, Contact::Announce(_)) {
            return;
        }
        let wishes = match reply {
            Reply::Good { min_interval, .. } => (0, at + min_interval.unwrap_or(0)),
            Reply::Status(_, Retry::After(wait)) | Reply::Failure(Retry::After(wait)) => (at + wait, 0),
            Reply::Status(_, Retry::Never) | Reply::Failure(Retry::Never) => (Millis::MAX, 0),
            _ => return,
        };
        self.not_before.insert(tracker, wishes);
    }

    fn hear(&mut self, tracker: usize, at: Millis, what: Contact) {
        let lives = self.world.lives(tracker, at);
        self.heard.push(Heard { at, tracker, what, lives });
    }

    fn next(&mut self, tracker: usize, at: Millis) -> u32 {
        let nth = self.nth.entry((tracker, at)).or_default();
        *nth += 1;
        *nth - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::{Script, State};
    use crate::world::Tracker;

    fn network(scheme: Scheme, script: Script) -> Network {
        let tracker = Tracker { scheme, script, work: 0.0, ..Tracker::new(100.0) };
        Network::new(Arc::new(World::new(1, vec![tracker])))
    }

    #[test]
    fn a_connection_takes_its_round_trips_and_carries_no_announce() {
        for (scheme, trips) in [(Scheme::Http, 1), (Scheme::Udp, 1), (Scheme::Https, 2)] {
            let mut network = network(scheme, Script::always(State::UP));
            let (at, opened) = network.open(0, 1000, UDP_RESENDS).unwrap();
            assert!(opened.is_ok() && (60 * trips..160 * trips).contains(&(at - 1000)), "{scheme:?} {at}");
            assert_eq!(network.heard[0].what, Contact::Connection);
        }
    }

    #[test]
    fn refused_is_an_answer_over_tcp_and_none_over_udp() {
        let refused = Script::always(State::REFUSED);
        let (at, opened) = network(Scheme::Http, refused.clone()).open(0, 0, UDP_RESENDS).unwrap();
        assert!(opened == Err(OpenError::Refused) && at < 160);
        assert_eq!(network(Scheme::Udp, refused).open(0, 0, UDP_RESENDS), None);
    }

    #[test]
    fn a_syn_that_is_sent_again_finds_who_came_back() {
        let script = Script::always(State::SILENT).then(2000, State::UP);
        let (at, opened) = network(Scheme::Http, script).open(0, 0, UDP_RESENDS).unwrap();
        assert!(opened.is_ok() && (3000..3200).contains(&at), "{at}");
    }

    #[test]
    fn a_reset_ends_connections_that_were_there_before() {
        let script = Script::always(State::UP).outage(500, 600, State::REFUSED);
        let mut network = network(Scheme::Http, script);
        let announce = Contact::Announce(None);
        assert_eq!(network.ask(0, 0, 700, announce, UDP_RESENDS), Some((700, Reply::Broken)));
        assert!(matches!(network.ask(0, 650, 700, announce, UDP_RESENDS), Some((_, Reply::Good { .. }))));
        assert!(matches!(network.ask(0, 400, 499, announce, UDP_RESENDS), Some((_, Reply::Broken))));
        assert_eq!(network.heard.len(), 1);
    }
}
