//! A program as a child process, with the lines it has said and when it said them.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{sleep, timeout};

use crate::clock;

/// One line and when it came.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) at: Instant,
    pub(crate) text: String,
}

/// A running program. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Program {
    name: &'static str,
    pub(crate) started: Instant,
    child: Child,
    said: Arc<Mutex<Vec<Line>>>,
}

impl Program {
    /// Starts it. What it says on either output is kept.
    pub(crate) fn start(name: &'static str, command: &mut Command) -> io::Result<Self> {
        let started = clock();
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| io::Error::other(format!("{name}: {error}")))?;
        let said: Arc<Mutex<Vec<Line>>> = Arc::default();
        if let Some(stdout) = child.stdout.take() {
            keep(stdout, &said);
        }
        if let Some(stderr) = child.stderr.take() {
            keep(stderr, &said);
        }
        Ok(Self { name, started, child, said })
    }

    /// Writes a line to its standard input.
    pub(crate) fn tell(&mut self, line: &str) -> io::Result<()> {
        let stdin = self.child.stdin.as_mut().ok_or_else(|| io::Error::other("no standard input"))?;
        writeln!(stdin, "{line}")?;
        stdin.flush()
    }

    /// What it has said so far.
    pub(crate) fn said(&self) -> Vec<Line> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until one of its lines is as wanted, and gives what was found in it.
    pub(crate) async fn wait_for<T>(
        &mut self,
        what: &str,
        limit: Duration,
        pick: impl Fn(&Line) -> Option<T>,
    ) -> Result<T, String> {
        let mut seen = 0;
        let found = async {
            loop {
                let gone = self.child.try_wait().is_ok_and(|status| status.is_some());
                let said = self.said();
                if let Some(found) = said[seen..].iter().find_map(&pick) {
                    return Some(found);
                }
                seen = said.len();
                if gone {
                    return None;
                }
                sleep(Duration::from_millis(5)).await;
            }
        };
        match timeout(limit, found).await {
            Ok(Some(found)) => Ok(found),
            Ok(None) => Err(format!("{} ended before {what}; {}", self.name, self.last_words())),
            Err(_) => {
                let limit = limit.as_secs();
                Err(format!("{}: waited {limit} s for {what}; {}", self.name, self.last_words()))
            }
        }
    }

    /// Waits for its end.
    pub(crate) async fn end(&mut self, limit: Duration) -> Result<ExitStatus, String> {
        let ended = async {
            loop {
                match self.child.try_wait() {
                    Ok(None) => sleep(Duration::from_millis(5)).await,
                    Ok(Some(status)) => return Ok(status),
                    Err(error) => return Err(error.to_string()),
                }
            }
        };
        match timeout(limit, ended).await {
            Ok(ended) => ended,
            Err(_) => Err(format!("{} still runs after {limit:?}; {}", self.name, self.last_words())),
        }
    }

    /// Asks it to end (SIGTERM), and waits for that.
    pub(crate) async fn terminate(&mut self, limit: Duration) -> Result<ExitStatus, String> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| format!("{} has no process id", self.name))?;
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            kill_process(pid, Signal::TERM).map_err(|error| error.to_string())?;
        }
        self.end(limit).await
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    pub(crate) fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// The end of what it said, for a message.
    pub(crate) fn last_words(&self) -> String {
        let said = self.said();
        let last: Vec<&str> = said.iter().rev().take(12).rev().map(|line| line.text.as_str()).collect();
        format!("it last said:\n{}", last.join("\n"))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.kill();
    }
}

fn keep(output: impl io::Read + Send + 'static, said: &Arc<Mutex<Vec<Line>>>) {
    let said = Arc::clone(said);
    thread::spawn(move || {
        for text in BufReader::new(output).lines().map_while(Result::ok) {
            let line = Line { at: clock(), text };
            let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
            if said.len() < MAX_LINES {
                said.push(line);
            }
        }
    });
}

/// A program that never stops talking fills no memory.
const MAX_LINES: usize = 100_000;
