//! What this process takes, and the file of results that it writes.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use std::{env, fs, thread};

/// Bytes of memory this process has, by the page.
pub(crate) fn resident() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or_default() * 4096
}

#[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The folder behind `--results`, and the other arguments.
///
/// # Panics
/// Without a folder behind it.
pub(crate) fn results_folder(mut arguments: Vec<String>) -> (Option<PathBuf>, Vec<String>) {
    let Some(at) = arguments.iter().position(|argument| argument == "--results") else {
        return (None, arguments);
    };
    let behind: Vec<String> = arguments.drain(at..).collect();
    let folder = behind.get(1).expect("--results is followed by a folder");
    let folder = PathBuf::from(folder);
    arguments.extend(behind.into_iter().skip(2));
    (Some(folder), arguments)
}

/// Writes `NAME.tsv` into the folder: how it came to be, the names of the columns, the rows.
///
/// # Panics
/// Where it can't be written.
pub(crate) fn write_results(
    folder: &Path,
    name: &str,
    command: &str,
    columns: &[&str],
    rows: &[Vec<String>],
) {
    let mut text = String::new();
    let date = time::OffsetDateTime::from(wall_clock()).date();
    for (key, value) in
        [("command", command), ("commit", &commit()), ("date", &date.to_string()), ("machine", &machine())]
    {
        writeln!(text, "# {key}: {value}").expect("a text takes all");
    }
    text += &columns.join("\t");
    text.push('\n');
    for row in rows {
        text += &row.join("\t");
        text.push('\n');
    }
    fs::create_dir_all(folder).expect("the folder of the results can be made");
    let path = folder.join(name).with_extension("tsv");
    fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    println!("written: {}", path.display());
}

/// The commit that is measured, and whether anything was changed since.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).output();
        let output = output.expect("git can be run: apt-get install git");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    // What the measurement writes is no change of what is measured.
    let changed = git(&["status", "--porcelain", "--untracked-files=no", "--", ":!benches/results"]);
    git(&["rev-parse", "--short", "HEAD"]) + if changed.is_empty() { "" } else { "-dirty" }
}

/// Such as "2 cores, `x86_64`, Linux 6.18".
fn machine() -> String {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let release: Vec<&str> = release.trim().splitn(3, '.').take(2).collect();
    let system = if env::consts::OS == "linux" { "Linux" } else { env::consts::OS };
    format!("{cores} cores, {}, {system} {}", env::consts::ARCH, release.join(".")).trim_end().to_owned()
}

#[expect(clippy::disallowed_methods, reason = "results bear a date")]
fn wall_clock() -> std::time::SystemTime {
    std::time::SystemTime::now()
}
