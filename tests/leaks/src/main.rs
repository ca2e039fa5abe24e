//! Two programs for `tests/leaks/run`, which starts each in a network namespace of its own: the `world` with its trackers and a
//! proxy, and a `client` that takes random steps. What leaves the client's namespace is counted there by the kernel.

mod client;
mod world;

use std::process::ExitCode;

use client::Plan;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let played = match arguments[..] {
        ["world"] => run(world::run()),
        ["client", way, steps, seed] => {
            plan(way, steps, seed, "nothing").and_then(|plan| run(client::run(plan)))
        }
        ["client", way, steps, seed, planted] => {
            plan(way, steps, seed, planted).and_then(|plan| run(client::run(plan)))
        }
        _ => Err("expected `world` or `client WAY STEPS SEED [PLANTED]`".to_owned()),
    };
    if let Err(error) = &played {
        eprintln!("leaks: {error}");
    }
    if played.is_ok() { ExitCode::SUCCESS } else { ExitCode::from(2) }
}

fn run(program: impl Future<Output = ()>) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(program);
    // A planted look-up may hang.
    runtime.shutdown_background();
    Ok(())
}

fn plan(way: &str, steps: &str, seed: &str, planted: &str) -> Result<Plan, String> {
    let number = |text: &str| text.parse::<u64>().map_err(|_| format!("expected a number, found {text}"));
    Ok(Plan { way: way.parse()?, steps: number(steps)?, seed: number(seed)?, planted: planted.parse()? })
}
