//! Trackers on loopback in another process, and what they received.

use std::collections::{BTreeSet, VecDeque};
use std::io::{BufRead, BufReader, Write, stdin, stdout};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use fake_tracker::{Behaviour, FakeTracker, Heard};

use crate::process::resident;

/// The argument by which this program plays so many trackers, each at its own address. Those of even number live, a
/// few milliseconds away; of the others every second accepts connections and is mute, and the rest drop SYNs.
pub(crate) const TRACKERS: &str = "trackers";

/// So many announces a host gets in one go, in the order in which they come.
const BURST: usize = 20;

/// The process that plays the trackers.
pub(crate) struct Crowd {
    pub(crate) addresses: Vec<SocketAddr>,
    child: Child,
    asks: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// What all trackers heard until now.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) announces: usize,
    /// Announces without `stopped`, in any host's busiest second.
    pub(crate) busiest: usize,
    pub(crate) connections: usize,
    /// The first half of what each host heard, its burst left out, and how many of that were seeds.
    pub(crate) first_half: usize,
    pub(crate) seeds_first: usize,
    pub(crate) silent_connections: usize,
    pub(crate) stopped: usize,
    /// Pairs of a torrent and a tracker that accepted its announce.
    pub(crate) registered: usize,
    pub(crate) busiest_end: usize,
    /// Bytes of memory the process of the trackers takes.
    pub(crate) resident: usize,
}

impl Crowd {
    pub(crate) fn start(hosts: usize) -> Self {
        let program = std::env::current_exe().expect("this program has a path");
        let mut child = Command::new(program)
            .args([TRACKERS, &hosts.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program can be started again");
        let asks = child.stdin.take().expect("it is piped");
        let mut answers = BufReader::new(child.stdout.take().expect("it is piped"));
        let addresses =
            line(&mut answers).split(' ').map(|address| address.parse().expect("an address")).collect();
        Self { addresses, child, asks, answers }
    }

    pub(crate) fn report(&mut self) -> Report {
        writeln!(self.asks, "report").expect("the trackers listen");
        let line = line(&mut self.answers);
        let mut numbers = line.split(' ').map(|number| number.parse().expect("a number"));
        let mut next = || numbers.next().expect("a report has ten numbers");
        Report {
            announces: next(),
            busiest: next(),
            connections: next(),
            first_half: next(),
            seeds_first: next(),
            silent_connections: next(),
            stopped: next(),
            registered: next(),
            busiest_end: next(),
            resident: next(),
        }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        // It may have gone by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn line(answers: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    answers.read_line(&mut line).expect("the trackers answer");
    line.trim_end().to_owned()
}

/// Plays the trackers until no more reports are asked for.
pub(crate) async fn serve(hosts: usize) {
    let mut trackers = Vec::new();
    for number in 0..hosts {
        let [net, host] = [1 + number / 100, 1 + number % 100];
        let [net, host] = [net, host].map(|part| u8::try_from(part).expect("at most 25,000 hosts"));
        let address = SocketAddr::from((Ipv4Addr::new(127, 0, net, host), 0));
        let behaviour = match number % 4 {
            1 => Behaviour::Silent,
            3 => Behaviour::SynDropped,
            _ => Behaviour::ok_after(Duration::from_millis(2 + 2 * (number as u64 % 7))),
        };
        trackers.push(FakeTracker::start_at(address, behaviour).await);
    }
    let addresses: Vec<String> = trackers.iter().map(|tracker| tracker.address().to_string()).collect();
    say(&addresses.join(" "));
    let mut most = vec![0; hosts];
    loop {
        let asked = tokio::task::spawn_blocking(|| stdin().lines().next());
        tokio::pin!(asked);
        loop {
            tokio::select! {
                asked = &mut asked => match asked {
                    Ok(Some(Ok(_))) => break,
                    _ => return,
                },
                () = tokio::time::sleep(Duration::from_millis(5)) => {
                    for (most, tracker) in most.iter_mut().zip(&trackers) {
                        *most = tracker.open_connections().max(*most);
                    }
                }
            }
        }
        let report = report(&trackers, most.iter().copied().max().unwrap_or(0));
        say(&report.map(|number| number.to_string()).join(" "));
    }
}

fn say(line: &str) {
    let mut out = stdout();
    // Without a reader there is nothing left to do.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn report(trackers: &[FakeTracker], connections: usize) -> [usize; 10] {
    let mut report = Report { connections, ..Report::default() };
    for (number, tracker) in trackers.iter().enumerate() {
        if number % 2 == 1 {
            report.silent_connections += tracker.connections();
            continue;
        }
        let heard = tracker.announces();
        let (stopped, announces): (Vec<&Heard>, Vec<&Heard>) =
            heard.iter().partition(|announce| announce.event() == Some("stopped"));
        report.announces += announces.len();
        report.stopped += stopped.len();
        report.registered +=
            announces.iter().map(|announce| announce.info_hash()).collect::<BTreeSet<_>>().len();
        report.busiest = report.busiest.max(busiest_second(&announces));
        report.busiest_end = report.busiest_end.max(busiest_second(&stopped));
        let wants_peers = |announce: &&Heard| announce.parameter("left") != Some(b"0");
        let paced = announces.get(BURST..).unwrap_or_default();
        let half = &paced[..paced.len() / 2];
        report.first_half += half.len();
        report.seeds_first += half.iter().filter(|announce| !wants_peers(announce)).count();
    }
    [
        report.announces,
        report.busiest,
        report.connections,
        report.first_half,
        report.seeds_first,
        report.silent_connections,
        report.stopped,
        report.registered,
        report.busiest_end,
        usize::try_from(resident()).unwrap_or(usize::MAX),
    ]
}

/// The most within a second that begins with any of them.
fn busiest_second(heard: &[&Heard]) -> usize {
    let mut within: VecDeque<&Heard> = VecDeque::new();
    let mut most = 0;
    for announce in heard {
        within.push_back(announce);
        while within.front().is_some_and(|first| announce.at - first.at >= Duration::from_secs(1)) {
            within.pop_front();
        }
        most = most.max(within.len());
    }
    most
}
