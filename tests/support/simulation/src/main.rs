//! Prints the table of all scenarios: `cargo run --release -p simulation`.

use simulation::scenarios::{ALL, EXPECTED_TO_FAIL, Effort};
use simulation::table::markdown;

fn main() {
    let mut rows = Vec::new();
    for scenario in ALL {
        rows.extend((scenario.play)(Effort::FULL));
    }
    println!("{}", markdown(&rows, EXPECTED_TO_FAIL));
}
