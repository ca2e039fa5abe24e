//! Answers one request of the page on the command line, so that what a browser shows can be compared with it.

use std::process::ExitCode;

fn main() -> ExitCode {
    let Some(request) = std::env::args().nth(1) else {
        eprintln!("expected a request, such as '{{\"scenario\":\"cold\",\"seed\":1}}'");
        return ExitCode::from(2);
    };
    println!("{}", playground::answer(&request));
    ExitCode::SUCCESS
}
