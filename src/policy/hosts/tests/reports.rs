//! What other processes report: the newest word wins, our own evidence counts for more, and a lie costs little.

use proptest::prelude::*;

use super::*;
use crate::host_snapshot::{HostSnapshot, RttSnapshot};

/// The calendar at [`START`].
const CALENDAR: u64 = 1_800_000_000;

/// The engine's time in which these tests begin: late enough to express a week before it, in seconds.
const START: u64 = HealthBook::MEMORY.as_secs();

fn dead(name: &str, second: u64) -> HostSnapshot {
    let failed_at = Some(CALENDAR + second);
    HostSnapshot {
        failed_at,
        consecutive_failures: 1,
        trips: 1,
        is_backed_off: true,
        ..HostSnapshot::new(host(name))
    }
}

fn alive(name: &str, second: u64) -> HostSnapshot {
    let at = CALENDAR + second;
    let time = Some(RttSnapshot { srtt: millis(20), rttvar: millis(1), at, samples: 3 });
    HostSnapshot { connect: time, reply: time, answered_at: Some(at), ..HostSnapshot::new(host(name)) }
}

/// Takes in reports at this second.
fn merge(hosts: &mut Hosts, reports: impl IntoIterator<Item = HostSnapshot>, second: u64) {
    hosts.merge(reports, CALENDAR + second, 0.5, at(START + second));
}

fn is_skipped(hosts: &Hosts, name: &str, demand: Demand, second: u64) -> bool {
    !may(hosts, 1, name, demand, START + second)
}

/// What this process would publish at this second.
fn published(hosts: &Hosts, since: Option<u64>, second: u64) -> Vec<HostSnapshot> {
    hosts.health().changed_since(since, CALENDAR + second, at(START + second))
}

#[test]
fn a_host_that_another_process_found_dead_is_skipped_and_gets_its_trial_within_a_minute() {
    for known in [false, true] {
        let mut hosts = hosts();
        if known {
            answers(&mut hosts, 1, "a", (5, 5), START);
        }
        merge(&mut hosts, [dead("a", 9)], 10);
        for demand in [NEW, SEED] {
            assert!(is_skipped(&hosts, "a", demand, 10), "{known}");
            assert!(!is_skipped(&hosts, "a", demand, 70), "{known}");
        }
        let trial = tries(&mut hosts, 1, "a", START + 70);
        hosts.finished(trial, Outcome::Answered(sample(5, 5)), at(START + 70));
        assert!(!hosts.is_backed_off(&host("a")), "{known}: our own answer counts");
    }
}

#[test]
fn what_we_heard_later_ourselves_stands() {
    for second in [11, 12, 13] {
        let mut hosts = hosts();
        answers(&mut hosts, 1, "a", (5, 5), START + 12);
        merge(&mut hosts, [dead("a", second)], 14);
        assert_eq!(hosts.is_backed_off(&host("a")), second >= 12, "{second}");
        assert_eq!(hosts.health().host(&host("a")).unwrap().answered_at(), Some(at(START + 12)));
        assert_eq!(hosts.health().host(&host("a")).unwrap().failed_at(), None);
        assert_eq!(cost(&hosts, "a"), millis(10));
    }
}

#[test]
fn a_host_that_answers_again_elsewhere_is_let_in_or_tried_at_once() {
    // Only a report had said that it is dead.
    let mut hosts_ = hosts();
    answers(&mut hosts_, 1, "a", (5, 5), START);
    merge(&mut hosts_, [dead("a", 9)], 10);
    merge(&mut hosts_, [alive("a", 12)], 13);
    assert!(!hosts_.is_backed_off(&host("a")));
    // We found it dead ourselves: one torrent tries it.
    let mut hosts = hosts();
    fails(&mut hosts, 1, "a", &refused(), (START, START));
    assert!(is_skipped(&hosts, "a", NEW, 4));
    merge(&mut hosts, [alive("a", 4)], 4);
    assert!(hosts.is_backed_off(&host("a")) && !is_skipped(&hosts, "a", NEW, 4));
    let _trial = tries(&mut hosts, 1, "a", START + 4);
    assert!(is_skipped(&hosts, "a", NEW, 4), "one at a time");
}

#[test]
fn a_host_that_only_others_know_is_known_with_its_latency() {
    let mut hosts = hosts();
    merge(&mut hosts, [alive("a", 9)], 10);
    assert_eq!(cost(&hosts, "a"), millis(40));
    merge(&mut hosts, [HostSnapshot { connect: None, reply: None, ..alive("a", 11) }], 12);
    assert_eq!(cost(&hosts, "a"), millis(40), "a report without figures changes none");
    let fresh = |hosts: &Hosts, second| {
        hosts.health().fresh_latency(&host("a"), Duration::from_secs(60), at(START + second))
    };
    assert_eq!((fresh(&hosts, 71), fresh(&hosts, 72)), (Some(millis(40)), None));
    answers(&mut hosts, 1, "a", (5, 5), START + 80);
    let own = cost(&hosts, "a");
    let lie = |second| HostSnapshot {
        connect: Some(RttSnapshot { srtt: Duration::MAX, rttvar: Duration::MAX, at: CALENDAR, samples: 0 }),
        ..alive("a", second)
    };
    merge(&mut hosts, [lie(90)], 91);
    assert_eq!(cost(&hosts, "a"), own, "ours stands");
}

/// A store that says of every host that it is dead, at every second, and that it is not, in between.
#[test]
fn reports_without_end_keep_no_torrent_from_a_host_that_works() {
    for toggles in [false, true] {
        let mut hosts = hosts();
        let (mut open, mut longest, mut closed_since) = (0, 0, 0);
        let mut trial = 0;
        for second in 0..6 * 3600 {
            if toggles {
                merge(&mut hosts, [alive("a", second)], second);
            }
            merge(&mut hosts, [dead("a", second + 1)], second + 1);
            if !is_skipped(&hosts, "a", SEED, second + 1) {
                open += 1;
                closed_since = second;
                if trial + 30 < second {
                    trial = second;
                    let slot = tries(&mut hosts, 1, "a", START + second + 1);
                    hosts.finished(slot, Outcome::Answered(sample(5, 5)), at(START + second + 1));
                }
            }
            longest = longest.max(second - closed_since);
        }
        assert!(longest <= 180, "{toggles}: {longest} s");
        assert!(open > 6 * 3600 * 2 / 3, "{toggles}: {open} s");
    }
}

/// A dead host isn't tried at every report that it answers.
#[test]
fn reports_without_end_that_a_dead_host_answers_cost_few_connections() {
    let trials = |is_reported: bool| {
        let mut hosts = hosts();
        let mut trials = 0;
        for second in 0..3600 {
            if is_reported {
                merge(&mut hosts, [alive("a", second)], second);
            }
            if !is_skipped(&hosts, "a", SEED, second) {
                let slot = tries(&mut hosts, 1, "a", START + second);
                fails_with(&mut hosts, slot, "a", &refused(), false, START + second);
                trials += 1;
            }
        }
        trials
    };
    let (without, with) = (trials(false), trials(true));
    assert!(with <= without + 3 * 6, "{with} in place of {without}");
}

/// An attempt that is under way when a report comes ends as it would have.
#[test]
fn a_report_ends_no_attempt_and_hides_no_failure() {
    let mut hosts = hosts();
    answers(&mut hosts, 1, "a", (5, 5), START);
    let slot = slot(&mut hosts, 1, "a", START + 5);
    hosts.tried(&slot, false, at(START + 5));
    for second in 6..20 {
        merge(&mut hosts, [alive("a", second)], second);
    }
    fails_with(&mut hosts, slot, "a", &refused(), false, START + 20);
    assert!(hosts.is_backed_off(&host("a")), "it counts, though others were answered since it began");
}

#[test]
fn what_is_published_is_our_own_evidence() {
    let mut hosts = hosts();
    answers(&mut hosts, 1, "ours", (5, 5), START);
    merge(&mut hosts, [dead("theirs", 4), dead("ours", 4)], 5);
    let mut all = published(&hosts, None, 5);
    all.sort_by_key(|known| known.host.to_string());
    assert_eq!(all.iter().map(|known| known.host.host()).collect::<Vec<_>>(), ["ours.test", "theirs.test"]);
    assert!(all.iter().all(|known| !known.is_backed_off), "{all:?}");
    let own = published(&hosts, Some(0), 5);
    assert_eq!(own.iter().map(|known| known.host.host()).collect::<Vec<_>>(), ["ours.test"]);
    let since = hosts.health().changes();
    assert_eq!(published(&hosts, Some(since), 6), []);
    let trial = tries(&mut hosts, 1, "theirs", START + 66);
    fails_with(&mut hosts, trial, "theirs", &refused(), false, START + 66);
    let own = published(&hosts, Some(since), 67);
    assert!(own.len() == 1 && own[0].is_backed_off && own[0].failed_at == Some(CALENDAR + 66), "{own:?}");
    // Neither what a host does to two of our torrents nor an outage of our own network is evidence for others.
    for torrent in [8, 9] {
        fails(&mut hosts, torrent, "page", &broken(), (START + 70, START + 70));
    }
    assert!(hosts.is_backed_off(&host("page")));
    let page = published(&hosts, Some(since), 71).into_iter().find(|known| known.host == host("page"));
    assert!(!page.unwrap().is_backed_off);
}

/// A moment gets the same second whenever it is published.
#[test]
fn a_moment_keeps_its_second() {
    let mut hosts = hosts();
    let slot = slot(&mut hosts, 1, "a", START);
    hosts.finished(slot, Outcome::Alive, at(START) + millis(400));
    for second in 1..100 {
        assert_eq!(published(&hosts, None, second)[0].answered_at, Some(CALENDAR), "{second}");
    }
}

#[test]
fn reports_are_bounded_and_numbers_of_any_size_are_harmless() {
    let mut known = hosts();
    let names: Vec<_> = (0..5000).map(|number| format!("own{number}")).collect();
    for name in &names {
        answers(&mut known, 1, name, (5, 5), START);
    }
    let own = known.health().len();
    merge(&mut known, (0..100_000).map(|number| alive(&format!("h{number}"), 5)), 6);
    assert_eq!(known.health().len(), own, "our own hosts stay");
    let mut foreign = hosts();
    merge(&mut foreign, (0..100_000).map(|number| alive(&format!("h{number}"), 5)), 6);
    assert_eq!(foreign.health().len(), 4096);
    for name in &names[..4096] {
        answers(&mut foreign, 1, name, (5, 5), START + 1);
    }
    assert!(names[..4096].iter().all(|name| foreign.health().host(&host(name)).is_some()), "they give way");

    let moments = [None, Some(0), Some(1), Some(CALENDAR), Some(u64::MAX)];
    let durations = [Duration::ZERO, millis(1), Duration::MAX];
    for answered_at in moments {
        for failed_at in moments {
            for (number, duration) in [0, 1, u32::MAX].into_iter().zip(durations) {
                for calendar in [0, 1, CALENDAR, u64::MAX] {
                    let at_ = answered_at.unwrap_or(7);
                    let time =
                        Some(RttSnapshot { srtt: duration, rttvar: duration, at: at_, samples: number });
                    let report = |is_backed_off| HostSnapshot {
                        connect: time,
                        reply: time,
                        answered_at,
                        failed_at,
                        consecutive_failures: number,
                        trips: number,
                        is_backed_off,
                        ..HostSnapshot::new(host("a"))
                    };
                    let mut hosts = hosts();
                    answers(&mut hosts, 1, "a", (5, 5), START);
                    for is_backed_off in [true, false, true] {
                        for now in [Timestamp::ZERO, at(START), Timestamp::NEVER] {
                            hosts.merge([report(is_backed_off)], calendar, 0.99, now);
                        }
                    }
                    hosts.health().changed_since(None, calendar, at(START));
                    assert_eq!(cost(&hosts, "a"), millis(10));
                }
            }
        }
    }
}

#[test]
fn a_clock_that_is_ahead_is_not_believed() {
    let mut hosts = hosts();
    merge(&mut hosts, [dead("a", 10 + 301)], 10);
    assert!(hosts.health().host(&host("a")).is_none());
    merge(&mut hosts, [dead("a", 10 + 300)], 10);
    assert!(is_skipped(&hosts, "a", NEW, 10), "a clock may be ahead by a little");
    assert!(!is_skipped(&hosts, "a", NEW, 71));
}

/// What is left of reports: whether the host is backed off, and its latency.
fn left(hosts: &Hosts) -> (bool, Duration) {
    (hosts.is_backed_off(&host("a")), cost(hosts, "a"))
}

fn any_report() -> impl Strategy<Value = HostSnapshot> {
    (0_u64..6, 0_u64..6, any::<bool>(), any::<bool>()).prop_map(|(answered, failed, both, is_backed_off)| {
        let mut report = if is_backed_off { dead("a", failed) } else { alive("a", answered) };
        if both {
            report.answered_at = Some(CALENDAR + answered.min(failed));
            report.failed_at = Some(CALENDAR + failed.min(answered) + u64::from(is_backed_off));
        }
        report
    })
}

proptest! {
    /// In whichever order and batches reports arrive, the newest is what counts.
    #[test]
    fn the_newest_report_wins_in_every_order(
        reports in proptest::collection::vec(any_report(), 1..6).prop_shuffle(),
        cut in any::<proptest::sample::Index>(),
    ) {
        // At most three that it is dead are believed.
        prop_assume!(reports.iter().filter(|report| report.is_backed_off).count() <= 3);
        let newest = reports.iter().fold(&reports[0], |newest, report| {
            if report.is_newer_than(newest) { report } else { newest }
        });
        let mut alone = hosts();
        merge(&mut alone, [newest.clone()], 10);
        let mut one_by_one = hosts();
        for report in &reports {
            merge(&mut one_by_one, [report.clone()], 10);
        }
        let mut in_two = hosts();
        let (first, second) = reports.split_at(cut.index(reports.len()));
        merge(&mut in_two, first.to_vec(), 10);
        merge(&mut in_two, second.to_vec(), 10);
        prop_assert_eq!(left(&one_by_one).0, left(&alone).0);
        prop_assert_eq!(left(&in_two).0, left(&alone).0);
    }
}
