//! The engine alone in random lives, watched by the auditor of the simulation.

use simulation::lives;

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
