//! The bound for everybody: a client that knows which trackers live, and cannot beat the network.

use tracker_failover::Event;

use crate::life::{Accepted, Life, Plan};
use crate::network::{Contact, Network, Reply, UDP_RESENDS};
use crate::time::{Millis, SECOND};

/// Each announce goes once, on a new connection, to the nearest tracker that lives. While none does it waits
/// for the first to return, which it knows of at that very moment.
pub(super) fn play(plan: &Plan, network: &mut Network) -> Life {
    let mut life = Life::default();
    let deeds: Vec<Millis> = plan.deeds.iter().filter(|deed| deed.torrent == 0).map(|deed| deed.at).collect();
    let mut due = deeds.first().copied();
    while let Some(need) = due.filter(|due| *due <= plan.until) {
        life.needs.push(need);
        let answered = announce(plan, network, need, life.answers.is_empty());
        let regular = answered.map(|(accepted, interval)| {
            life.answers.push(accepted);
            accepted.at + interval
        });
        let asked = deeds.iter().copied().find(|deed| *deed > need);
        due = [regular, asked].into_iter().flatten().min();
    }
    life
}

fn announce(plan: &Plan, network: &mut Network, need: Millis, first: bool) -> Option<(Accepted, Millis)> {
    let event = first.then_some(Event::Started);
    let mut at = need;
    while at <= plan.until {
        let world = &plan.world;
        let trackers = plan.tiers.iter().flatten().copied();
        let nearest = trackers
            .clone()
            .filter(|tracker| world.lives(*tracker, at))
            .min_by(|a, b| world.trackers[*a].latency(at).total_cmp(&world.trackers[*b].latency(at)));
        let Some(tracker) = nearest else {
            at = trackers.filter_map(|tracker| world.trackers[tracker].script.next_life(at)).min()?;
            continue;
        };
        let opened = network.open(tracker, at, UDP_RESENDS);
        let answer = match opened {
            Some((opened, Ok(()))) => {
                network.ask(tracker, opened, opened, Contact::Announce(event), UDP_RESENDS)
            }
            _ => None,
        };
        match answer {
            Some((at, Reply::Good { interval, .. })) => return Some((Accepted { at, tracker }, interval)),
            // It died under way.
            _ => at += SECOND,
        }
    }
    None
}
