//! The clients, each as it comes, with everything but trackers switched off.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::scenario::INTERVAL;

/// A client that is measured.
#[derive(Debug)]
pub(crate) struct Client {
    name: &'static str,
    version: String,
    program: Program,
}

#[derive(Debug)]
enum Program {
    /// `examples/announce`, and in which order it takes trackers.
    Ours(PathBuf, &'static str),
    Aria2,
    /// The script that drives it, and the folder it is installed in.
    Libtorrent(PathBuf, PathBuf),
    Transmission,
    Rqbit(PathBuf),
}

impl Client {
    /// All of them.
    ///
    /// # Errors
    /// What is missing, and what installs it.
    pub(crate) fn all() -> Result<Vec<Self>, String> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let script = here.join("compare/libtorrent_client.py");
        let installed = here.join("../../target/interop");
        let (python, rqbit) = (installed.join("python"), installed.join("rqbit/bin/rqbit"));
        let missing = |what: &str| {
            format!("{what} is missing; it is installed by: bash tests/interop/install-compare --with-rqbit")
        };
        let aria2 = first_line(Command::new("aria2c").arg("--version")).ok_or_else(|| missing("aria2c"))?;
        let print_version = "import libtorrent; print(libtorrent.version)";
        let mut command = Command::new("python3");
        let libtorrent = first_line(command.args(["-c", print_version]).env("PYTHONPATH", &python));
        let libtorrent = libtorrent.ok_or_else(|| missing("libtorrent for python3"))?;
        let transmission = first_line(Command::new("transmission-daemon").arg("--version"));
        let transmission = transmission.ok_or_else(|| missing("transmission-daemon"))?;
        let rqbit_version =
            first_line(Command::new(&rqbit).arg("--version")).ok_or_else(|| missing("rqbit"))?;
        let ours = example()?;
        let client =
            |name, version: &str, program| Self { name, version: format!("{name}: {version}"), program };
        Ok(vec![
            client(
                "tracker-failover",
                "examples/announce --order nearest",
                Program::Ours(ours.clone(), "nearest"),
            ),
            client(
                "tracker-failover, BEP 12",
                "examples/announce --order bep12",
                Program::Ours(ours, "bep12"),
            ),
            client(
                "libtorrent",
                &format!("{libtorrent}, from PyPI, default settings"),
                Program::Libtorrent(script, python),
            ),
            client("aria2", &format!("{aria2}, from Debian, default settings"), Program::Aria2),
            client(
                "Transmission",
                &format!("{transmission}, from Debian, default settings"),
                Program::Transmission,
            ),
            client(
                "rqbit",
                &format!("{rqbit_version}, from crates.io, default settings"),
                Program::Rqbit(rqbit),
            ),
        ])
    }

    #[cfg(test)]
    pub(crate) fn for_plans() -> [Self; 2] {
        let client = |name, program| Self { name, version: String::new(), program };
        [client("Transmission", Program::Transmission), client("aria2", Program::Aria2)]
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Whether it asks trackers for more than announces before it announces.
    pub(crate) fn probes(&self) -> bool {
        matches!(self.program, Program::Ours(_, "nearest"))
    }

    /// Whether it shuffles a tier, as BEP 12 says. (libtorrent doesn't; by latency there is no luck, nor where all
    /// trackers are asked at once.)
    pub(crate) fn shuffles(&self) -> bool {
        matches!(self.program, Program::Aria2 | Program::Ours(_, "bep12"))
    }

    /// Starts it on a torrent file. Where it is to announce `again`, the trackers ask for [`INTERVAL`]. That is shorter
    /// than libtorrent (5 minutes, `min_announce_interval`) and ours (1 minute) obey by themselves, and aria2 often makes no
    /// second announce when a tracker asks for so short a one (seen from 8 s on). Transmission and rqbit go by it.
    pub(crate) fn start(&self, file: &Path, folder: &Path, port: u16, again: bool) -> io::Result<Child> {
        let seconds = INTERVAL.as_secs().to_string();
        let mut command = match &self.program {
            Program::Ours(program, order) => {
                let mut command = Command::new(program);
                command.arg(file).args(["--order", order]);
                if again {
                    command.args(["--interval", &seconds]);
                }
                command
            }
            Program::Aria2 => {
                let mut command = Command::new("aria2c");
                command.args([
                    "--no-conf",
                    "--enable-dht=false",
                    "--enable-dht6=false",
                    "--bt-enable-lpd=false",
                ]);
                command.arg("--enable-peer-exchange=false").arg(format!("--listen-port={port}"));
                if again {
                    command.arg(format!("--bt-tracker-interval={seconds}"));
                }
                command.arg("--dir").arg(folder).arg(file);
                command
            }
            Program::Libtorrent(script, python) => {
                let mut command = Command::new("python3");
                command.env("PYTHONPATH", python).arg(script).arg(file).arg(folder).arg(port.to_string());
                if again {
                    command.arg(&seconds);
                }
                command
            }
            Program::Transmission => {
                // It starts the torrents that it finds in this folder.
                fs::create_dir_all(folder.join("torrents"))?;
                fs::copy(file, folder.join("torrents/measured.torrent"))?;
                fs::write(folder.join("settings.json"), transmission_settings(folder, port))?;
                let mut command = Command::new("transmission-daemon");
                command.args(["--foreground", "--config-dir"]).arg(folder);
                command
            }
            Program::Rqbit(program) => {
                let mut command = Command::new(program);
                command.args(["--disable-dht", "--disable-lsd", "--disable-upnp-port-forward"]);
                command.args(["--listen-port", &port.to_string(), "download", "--disable-http-api"]);
                command.arg("--output-folder").arg(folder).arg(file);
                command
            }
        };
        command.current_dir(folder).env("HOME", folder);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
    }
}

/// What isn't as it comes: where files and ports are, and what finds peers without trackers.
fn transmission_settings(folder: &Path, port: u16) -> String {
    let folder = folder.display();
    format!(
        r#"{{"dht-enabled": false, "pex-enabled": false, "lpd-enabled": false, "port-forwarding-enabled": false,
            "rpc-enabled": false, "peer-port": {port}, "download-dir": "{folder}"}}"#
    )
}

/// Cargo builds examples into a folder beside this program.
fn example() -> Result<PathBuf, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let example = program.with_file_name("examples").join("announce");
    let release = if cfg!(debug_assertions) { "" } else { " --release" };
    let missing =
        || format!("the example is missing; it is built by: cargo build{release} --example announce");
    example.is_file().then_some(example).ok_or_else(missing)
}

fn first_line(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    // Transmission prints its version to the other one.
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    out.lines().chain(err.lines()).next().map(str::to_owned)
}
