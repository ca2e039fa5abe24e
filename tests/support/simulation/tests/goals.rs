//! Every scenario reaches the goals it stands for; those that aren't reached yet are listed, and truly aren't.

use simulation::scenarios::{ALL, EXPECTED_TO_FAIL, Effort};
use simulation::table::markdown;

fn check(number: u64) {
    let scenario = ALL.iter().find(|scenario| scenario.number == number);
    let rows = (scenario.expect("a scenario of this number").play)(Effort::TEST);
    let prefix = format!("{number} ");
    let listed: Vec<&str> =
        EXPECTED_TO_FAIL.iter().map(|(id, _)| *id).filter(|id| id.starts_with(&prefix)).collect();
    let missed = rows.iter().filter(|row| row.is_reached() == Some(false));
    let missed: Vec<&str> = missed.map(|row| row.id.as_str()).collect();
    assert_eq!(
        missed,
        listed,
        "goals that are missed, and those that are listed as not reached yet:\n{}",
        markdown(&rows, EXPECTED_TO_FAIL)
    );
    assert!(rows.iter().all(|row| row.id.starts_with(&prefix)));
}

macro_rules! scenarios {
    ($($test:ident: $number:literal,)*) => {
        $(
            #[test]
            fn $test() {
                check($number);
            }
        )*

        #[test]
        fn every_scenario_has_its_test() {
            assert_eq!(ALL.iter().map(|scenario| scenario.number).collect::<Vec<_>>(), [$($number),*]);
        }
    };
}

scenarios! {
    steady_state: 0,
    all_healthy: 1,
    refused: 2,
    silent: 3,
    in_use_dies: 4,
    slow_loris: 5,
    server_errors: 6,
    flapping: 7,
    drift: 8,
    correlated: 9,
    names: 10,
    captive_portal: 11,
    definitive: 12,
    suspend: 13,
    all_dead: 14,
    retry_hints: 15,
    tiers: 17,
    udp_loss: 19,
    storm: 20,
    network_change: 21,
    shutdown: 23,
    hostile_intervals: 24,
    lying_life: 29,
    reach: 30,
    cost_of_reach: 31,
    ten_years: 32,
}
