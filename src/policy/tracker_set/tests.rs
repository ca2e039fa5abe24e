//! The walk over the trackers of a torrent, and changes of them at run time.

use std::collections::BTreeMap;

use super::*;

fn url(name: &str) -> TrackerUrl {
    format!("http://{name}.test/announce").parse().unwrap()
}

fn set(tiers: &[&[&str]]) -> TrackerSet {
    TrackerSet::new(tiers.iter().map(|tier| tier.iter().map(|name| url(name))))
}

fn names<'a>(order: impl IntoIterator<Item = &'a TrackerUrl>) -> String {
    let names: Vec<_> = order.into_iter().map(|tracker| tracker.host().trim_end_matches(".test")).collect();
    names.join(" ")
}

fn layout(set: &TrackerSet) -> String {
    let tiers: Vec<String> = set.tiers().map(names).collect();
    tiers.join(" | ")
}

/// Walks a round as a client would and returns who was asked.
fn walk(set: &mut TrackerSet, answers: &[&str]) -> String {
    set.begin_round();
    let mut asked = Vec::new();
    let mut next = set.current().cloned();
    while let Some(tracker) = next {
        asked.push(tracker.host().trim_end_matches(".test").to_owned());
        if answers.iter().any(|name| url(name) == tracker) {
            set.record_success(&tracker);
            break;
        }
        next = set.advance().cloned();
    }
    asked.join(" ")
}

/// T-1 to T-9 of the conformance notes: traces that tell BEP 12 from something like it.
#[test]
fn bep12_walks_as_written() {
    struct Row {
        tiers: &'static [&'static [&'static str]],
        private: bool,
        rounds: &'static [(&'static [&'static str], &'static str)],
        after: &'static str,
    }
    let rows = [
        Row {
            tiers: &[&["t1"], &["b1"], &["b2"]],
            private: false,
            rounds: &[(&["b1", "b2"], "t1 b1"), (&["t1", "b1"], "t1")],
            after: "t1 | b1 | b2",
        },
        Row {
            tiers: &[&["t1", "t2", "t3"]],
            private: false,
            rounds: &[(&["t2"], "t1 t2")],
            after: "t2 t1 t3",
        },
        Row {
            tiers: &[&["t1", "t2", "t3"]],
            private: false,
            rounds: &[(&["t2"], "t1 t2"), (&["t3"], "t2 t1 t3")],
            after: "t3 t2 t1",
        },
        Row {
            tiers: &[&["t1", "t2"], &["b1"]],
            private: false,
            rounds: &[(&["b1"], "t1 t2 b1")],
            after: "t1 t2 | b1",
        },
        Row {
            tiers: &[&["t1", "t2"]],
            private: false,
            rounds: &[(&["t2"], "t1 t2"), (&["t2"], "t2"), (&["t2"], "t2")],
            after: "t2 t1",
        },
        Row { tiers: &[&["t1"], &["t1", "t2"]], private: false, rounds: &[(&[], "t1 t2")], after: "t1 | t2" },
        Row {
            tiers: &[&["t1"], &["b1"]],
            private: true,
            rounds: &[(&["b1"], "t1 b1"), (&["t1", "b1"], "b1"), (&["t1"], "b1 t1")],
            after: "t1 | b1",
        },
    ];
    for row in rows {
        let set = set(row.tiers).with_order(Order::Bep12);
        let mut set = if row.private { set.private() } else { set };
        for (answers, asked) in row.rounds {
            assert_eq!(walk(&mut set, answers), *asked, "{:?}", row.tiers);
        }
        assert_eq!(layout(&set), row.after, "{:?}", row.tiers);
    }
}

#[test]
fn nearest_orders_across_tiers_and_stays_on_what_works() {
    let mut set = set(&[&["a"], &["b", "c"], &["d"]]);
    assert_eq!(names(set.failover_order()), "a b c d");
    set.record_latency(&url("d"), Duration::from_millis(5));
    set.record_latency(&url("b"), Duration::from_millis(30));
    set.record_failure(&url("a"));
    assert_eq!(names(set.failover_order()), "d b c a");
    set.record_success(&url("b"));
    assert_eq!(names(set.failover_order()), "b d c a", "the nearer one doesn't pull back");
    set.record_latency(&url("a"), Duration::from_millis(1));
    assert_eq!(names(set.failover_order()), "b a d c");
}

/// R1 and R10: a lap visits everybody, and the next lap does so again.
#[test]
fn after_a_failing_lap_the_next_round_tries_all_again() {
    for order in [Order::Nearest, Order::Bep12] {
        let all: Vec<String> = (0..40).map(|n| format!("t{n}")).collect();
        let mut set = TrackerSet::new([all.iter().map(|name| url(name))]).with_order(order);
        for _ in 0..3 {
            assert_eq!(walk(&mut set, &[]), all.join(" "));
        }
        for _ in 0..3 {
            let laps = (0..40).map(|_| set.advance().is_some()).collect::<Vec<_>>();
            assert!(laps[..39].iter().all(|more| *more) && !laps[39], "without `begin_round`");
        }
    }
}

#[test]
fn changes_at_run_time_keep_the_cursor_and_what_is_known() {
    let mut set = set(&[&["a", "b"], &["c"]]);
    set.record_latency(&url("c"), Duration::from_millis(9));
    set.record_success(&url("b"));
    assert!(set.add(1, url("d")) && set.add(7, url("e")) && !set.add(0, url("a")));
    assert_eq!((layout(&set).as_str(), set.current()), ("a b | c d | e", Some(&url("b"))));
    set.replace([vec![url("x"), url("c")], vec![url("b")]]);
    assert_eq!((layout(&set).as_str(), set.in_use()), ("x c | b", Some(&url("b"))));
    assert_eq!(set.latency(&url("c")), Some(Duration::from_millis(9)));
    assert!(set.remove(&url("b")) && !set.remove(&url("b")));
    assert_eq!((set.in_use(), set.current()), (None, Some(&url("c"))));
}

/// R27-02, S-30.
#[test]
fn a_private_torrent_takes_no_further_trackers() {
    let mut set = set(&[&["a"]]).private();
    assert!(!set.add(0, url("b")) && !set.add(1, url("c")));
    assert_eq!(layout(&set), "a");
    set.replace([[url("moved")]]);
    assert_eq!((layout(&set).as_str(), set.is_private()), ("moved", true));
}

/// R27-02: a list for all public torrents is none of a private one's business.
#[test]
fn trackers_of_a_list_go_behind_and_leave_a_private_torrent() {
    let list = |names: &[&[&str]]| {
        let tier = |tier: &&[&str]| tier.iter().map(|name| url(name).as_str().to_owned()).collect::<Vec<_>>();
        let tiers: Vec<String> = names.iter().map(tier).map(|tier| tier.join("\n")).collect();
        TrackerList::parse(tiers.join("\n\n"))
    };
    let listed = list(&[&["b", "x"], &["y", "x"], &["a"], &["c"]]);
    let mut set = set(&[&["a"], &["b"]]);
    assert_eq!(set.add_list(&listed), 3);
    assert_eq!((layout(&set).as_str(), set.add_list(&listed)), ("a | b | x | y | c", 0));
    set.record_success(&url("x"));
    assert!(!set.add(0, url("c")), "it is the torrent's own now");
    let private = set.clone().private();
    assert_eq!((layout(&private).as_str(), private.in_use()), ("a | b | c", None));
    let mut private = private;
    assert_eq!(private.add_list(&listed), 0);
    // A new set in the place of that of a private torrent.
    let before = private.settings();
    let mut replaced = set.clone();
    replaced.keep_settings(before, &Config::default());
    assert_eq!(layout(&replaced), "a | b | c");
    let mut denied = set.clone();
    assert_eq!(denied.remove_denied(&DenyList::from(&list(&[&["a", "y"]]))), 2);
    assert_eq!((layout(&denied).as_str(), denied.in_use()), ("b | x | c", Some(&url("x"))));
    set.replace([[url("x")]]);
    assert_eq!(layout(&set.private()), "x", "a replaced list is the torrent's own");
}

#[test]
fn unsupported_trackers_stay_in_the_list_and_are_never_tried() {
    let foreign: TrackerUrl = "wss://w.test/announce".parse().unwrap();
    for order in [Order::Nearest, Order::Bep12] {
        let set = TrackerSet::new([vec![foreign.clone(), url("a")]]).with_order(order);
        assert_eq!((set.len(), names(set.failover_order()).as_str()), (2, "a"));
    }
}

#[test]
fn shuffling_stays_inside_tiers_and_follows_its_seed() {
    let tiers: [&[&str]; 2] = [&["a", "b", "c", "d", "e", "f"], &["x", "y", "z"]];
    let shuffled = |seed| set(&tiers).with_order(Order::Bep12).shuffled(seed);
    assert_eq!(layout(&shuffled(7)), layout(&shuffled(7)));
    let mut firsts = BTreeMap::new();
    for seed in 0..600 {
        let set = shuffled(seed);
        assert!(set.tier_of(&url("a")) == Some(0) && set.tier_of(&url("z")) == Some(1));
        *firsts.entry(names(set.failover_order())[..1].to_owned()).or_insert(0) += 1;
    }
    assert!(firsts.len() == 6 && firsts.values().all(|count| (60..140).contains(count)), "{firsts:?}");
}
