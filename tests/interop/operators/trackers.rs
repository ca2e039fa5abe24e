//! Three opentracker processes for one run.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::wire::Wire;

/// Below the ports that are given to outgoing connections.
const PORT: u16 = 7969;

/// How many trackers each torrent lists.
pub(crate) const TRACKERS: u8 = 3;

/// How long one answers a question at most.
const PATIENCE: Duration = Duration::from_secs(5);

/// The trackers of a run. Dropping them kills them.
#[derive(Debug)]
pub(crate) struct Trackers {
    run: u8,
    children: Vec<Child>,
}

impl Trackers {
    /// The announce addresses of a run.
    pub(crate) fn urls(run: u8, scheme: &str) -> Vec<String> {
        addresses(run).map(|address| format!("{scheme}://{address}/announce")).collect()
    }

    /// Starts them for these torrents, and waits until they serve all of them.
    pub(crate) fn start(
        program: &Path,
        folder: &Path,
        run: u8,
        torrents: &[[u8; 20]],
    ) -> Result<Self, String> {
        fs::create_dir_all(folder).map_err(|error| error.to_string())?;
        let hex = |torrent: &[u8; 20]| torrent.map(|byte| format!("{byte:02x}")).concat() + "\n";
        let whitelist: String = torrents.iter().map(hex).collect();
        fs::write(folder.join("whitelist"), whitelist).map_err(|error| error.to_string())?;
        let mut trackers = Self { run, children: Vec::new() };
        for address in addresses(run) {
            let (host, port) = (address.ip().to_string(), address.port().to_string());
            let mut command = Command::new(program);
            // Run by root it moves into the folder for good (chroot) and becomes nobody; -A lets us read its counters.
            command.args(["-i", &host, "-p", &port, "-P", &port, "-u", "nobody", "-d", "."]);
            command.args(["-w", "whitelist", "-A", "127.0.0.1"]).current_dir(folder);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            trackers.children.push(command.spawn().map_err(|error| format!("opentracker: {error}"))?);
        }
        let last = torrents.last().ok_or("no torrent")?;
        for address in addresses(run) {
            trackers.wait_for(address, last)?;
        }
        Ok(trackers)
    }

    /// Where they listen.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = SocketAddr> + use<> {
        addresses(self.run)
    }

    /// The processor time that they have used so far, user and system.
    pub(crate) fn cpu(&self) -> Result<Duration, String> {
        self.children.iter().map(|child| cpu_of(child.id())).sum()
    }

    /// How many announces they have counted themselves.
    pub(crate) fn counted(&self) -> Result<u64, String> {
        let count = |address| {
            let stats = get(address, "/stats?mode=everything").map_err(|error| error.to_string())?;
            announces_in(&stats).ok_or_else(|| format!("no counters of {address}: {stats}"))
        };
        self.addresses().map(count).sum()
    }

    /// It listens before it has read its whitelist.
    fn wait_for(&mut self, address: SocketAddr, torrent: &[u8; 20]) -> Result<(), String> {
        let escaped = torrent.map(|byte| format!("%{byte:02x}")).concat();
        let ask = format!(
            "/announce?info_hash={escaped}&peer_id=-OB0001-000000000000&port=1&left=1&compact=1&event=stopped"
        );
        for _ in 0..500 {
            if get(address, &ask).is_ok_and(|answer| answer.contains("8:interval")) {
                return Ok(());
            }
            let gone = |child: &mut Child| child.try_wait().is_ok_and(|status| status.is_some());
            if self.children.iter_mut().any(gone) {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        Err(format!("opentracker did not come up at {address}"))
    }
}

impl Drop for Trackers {
    fn drop(&mut self) {
        for child in &mut self.children {
            // It may be gone already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn addresses(run: u8) -> impl Iterator<Item = SocketAddr> + use<> {
    (1..=TRACKERS).map(move |tracker| SocketAddr::new(IpAddr::V4(Wire::address(run, tracker)), PORT))
}

/// What the threads of a process have used, from the scheduler, which counts nanoseconds where `/proc/PID/stat` has ticks of
/// ten milliseconds. No thread of opentracker ends before it does.
fn cpu_of(process: u32) -> Result<Duration, String> {
    let folder = PathBuf::from(format!("/proc/{process}/task"));
    let failed = |error: io::Error| format!("{}: {error}", folder.display());
    let mut used = Duration::ZERO;
    for thread in fs::read_dir(&folder).map_err(failed)? {
        let text = fs::read_to_string(thread.map_err(failed)?.path().join("schedstat")).map_err(failed)?;
        used += time_on_cpu(&text).ok_or_else(|| format!("schedstat holds no time: {text}"))?;
    }
    Ok(used)
}

/// The first of the three numbers of a `schedstat`: nanoseconds on a processor.
fn time_on_cpu(schedstat: &str) -> Option<Duration> {
    schedstat.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// The announces over TCP and over UDP in opentracker's statistics.
fn announces_in(stats: &str) -> Option<u64> {
    let counters = stats.split("<announce>").skip(1).filter_map(|rest| rest.split('<').next());
    match counters.filter_map(|counter| counter.parse().ok()).collect::<Vec<u64>>()[..] {
        [tcp, udp] => Some(tcp + udp),
        _ => None,
    }
}

fn get(address: SocketAddr, target: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {target} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statistics_of_both_protocols_are_added() {
        let stats = "<tcp><accept>9</accept><announce>7</announce></tcp><udp><announce>35</announce></udp>";
        assert_eq!(announces_in(stats), Some(42));
        assert_eq!(announces_in("<tcp><announce>7</announce></tcp>"), None);
    }

    #[test]
    fn the_time_on_a_processor_is_the_first_number() {
        assert_eq!(time_on_cpu("1500000000 8993733 2\n"), Some(Duration::from_millis(1500)));
        assert_eq!(time_on_cpu(""), None);
    }
}
