//! The engine alone in random lives, watched by the auditor of the simulation.

use simulation::crowd::liveness::Class;
use simulation::crowd::{self, Size, Tally};
use simulation::lives;

/// So many crowds find each of R80 to R84 in the engine that had them: seeds 3, 16, 26, 7 and 1 are the first.
const CROWDS: u64 = 60;

/// Every rule that a tracker operator would complain about, over thousands of random lives.
#[test]
fn no_rule_is_broken_in_random_lives() {
    let (mut announces, mut ended) = (0, 0);
    for seed in 0..600 {
        let lived = lives::live(seed, 3000).unwrap_or_else(|violation| panic!("{violation:?}"));
        ended += usize::from(lived.ended);
        announces += lived.announces;
    }
    assert!(
        announces > 12_000 && ended > 200,
        "the world is too quiet: {announces} announces, {ended} ended"
    );
}

/// No torrent starves: liveness and the rules of what may be sent, over random lives of up to 200 torrents (4,000 in
/// a few) on up to 40 hosts. The auditor has to have seen enough of each kind of deadline, or it checks nothing.
#[test]
fn no_torrent_starves_in_random_lives_of_crowds() {
    let mut tally = Tally::default();
    for seed in 0..CROWDS {
        let lived =
            crowd::live(seed, Size::Drawn, 15_000).unwrap_or_else(|violation| panic!("{violation:?}"));
        tally.add(&lived.tally);
    }
    for (class, least) in
        [(Class::Clean, 2000), (Class::NoLife, 20), (Class::Failed, 100), (Class::InLine, 20)]
    {
        assert!(tally.kept(class) >= least, "too few deadlines of {class:?} for a check: {tally}");
    }
}
