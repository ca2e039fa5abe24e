//! From the command line to its torrents: one, or several in one process, each of which ends by itself.

use std::cell::RefCell;
use std::rc::Rc;

use tokio::task::JoinSet;

use crate::discovery::trackers::HAS_CACHE;
use crate::download::{NotOpened, NotPrepared, Opened, give_up, start};
use crate::exit;
use crate::process::Process;
use crate::source::Source;
use crate::ui::cli::{DiscoveryMode, Download};
use crate::ui::report::Report;
use crate::ui::screen::Screen;
use crate::way_out;

/// Downloads with the options of the command line, and returns the exit code.
pub(crate) fn main(options: &Download) -> u8 {
    let screen = Screen::new(options.json, options.quiet, 1);
    let report = Rc::new(RefCell::new(Report::of_all(&screen, options.verbose)));
    let sources = match options.sources() {
        Ok(sources) => sources,
        Err(error) => {
            report.borrow_mut().error(&error.to_string());
            return exit::USAGE;
        }
    };
    if options.latency_cache.is_some() && !HAS_CACHE {
        report.borrow_mut().error("--latency-cache: this program was built without the feature cache");
        return exit::USAGE;
    }
    if (options.proxy.is_some() || options.interface.is_some())
        && options.discovery_mode != DiscoveryMode::Tracker
    {
        let reason =
            "--discovery-mode: the DHT would pass --proxy and --interface by, only tracker goes with them";
        report.borrow_mut().error(reason);
        return exit::USAGE;
    }
    if let Err(reason) = way_out::set(options.proxy.as_deref(), options.interface.as_deref()) {
        report.borrow_mut().error(&reason);
        return exit::USAGE;
    }
    let [source] = sources.as_slice() else { return several(options, &sources) };
    let report = Rc::new(RefCell::new(Report::new(&screen, options.verbose)));
    let opened = match Opened::of(source, options) {
        Ok(opened) => opened,
        Err(failed) => return failed.end(&mut report.borrow_mut()),
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            report.borrow_mut().error(&error.to_string());
            return exit::OTHER;
        }
    };
    let only = async {
        match Process::new(options, 1, &report) {
            Ok(process) => {
                let code = start(&process, options, opened, &report).await;
                process.end().await;
                code
            }
            Err(error) => give_up(&mut report.borrow_mut(), &NotPrepared::Other(error)),
        }
    };
    tokio::task::LocalSet::new().block_on(&runtime, only)
}

/// A torrent on the command line, and the output about it.
type Item = (Result<Opened, NotOpened>, Rc<RefCell<Report>>);

/// Downloads all of these, and returns the exit code.
fn several(options: &Download, sources: &[Source]) -> u8 {
    let screen = Screen::new(options.json, options.quiet, sources.len());
    let report = Rc::new(RefCell::new(Report::of_all(&screen, options.verbose)));
    if options.select.is_some() {
        report.borrow_mut().error("--select: expected one torrent, since the numbers are those of its files");
        return exit::USAGE;
    }
    if sources.iter().filter(|source| **source == Source::Stdin).count() > 1 {
        report.borrow_mut().error("standard input holds one torrent, and can't be given twice");
        return exit::USAGE;
    }
    // Before anything runs: a FIFO waits for its writer.
    let open = |(number, source): (u32, &Source)| {
        let one = Report::of_one(&screen, options.verbose, number, source.shown());
        (Opened::of(source, options), Rc::new(RefCell::new(one)))
    };
    let items: Vec<Item> = (1..).zip(sources).map(open).collect();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            report.borrow_mut().error(&error.to_string());
            return exit::OTHER;
        }
    };
    tokio::task::LocalSet::new().block_on(&runtime, run(options, items, &report))
}

async fn run(options: &Download, items: Vec<Item>, report: &Rc<RefCell<Report>>) -> u8 {
    let count = items.len();
    let process = match Process::new(options, count, report) {
        Ok(process) => Rc::new(process),
        Err(error) => {
            report.borrow_mut().error(&error.to_string());
            return exit::OTHER;
        }
    };
    report.borrow_mut().limits(options.down_limit(), options.up_limit());
    let mut torrents = JoinSet::new();
    for (opened, report) in items {
        let (process, options) = (Rc::clone(&process), options.clone());
        torrents.spawn_local(async move {
            match opened {
                Ok(opened) => start(&process, &options, opened, &report).await,
                Err(failed) => failed.end(&mut report.borrow_mut()),
            }
        });
    }
    let mut codes = Vec::with_capacity(count);
    let mut signals = process.signals();
    let mut is_ending = false;
    loop {
        tokio::select! {
            ended = torrents.join_next() => match ended {
                // A panic was reported where it happened.
                Some(code) => codes.push(code.unwrap_or(exit::OTHER)),
                None => break,
            },
            () = signals.recv(), if !is_ending => {
                is_ending = true;
                report.borrow_mut().info("stopping: telling the trackers (Ctrl+C again to quit now)");
            }
        }
    }
    process.end().await;
    let complete = codes.iter().map(|&code| usize::from(code == exit::COMPLETE)).sum();
    let code = exit::worst(&codes);
    report.borrow_mut().all_ended(count, complete, code);
    code
}
