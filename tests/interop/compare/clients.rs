//! The clients, each as it comes, with everything but trackers switched off.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

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
}

impl Client {
    /// All of them.
    ///
    /// # Errors
    /// What is missing, and what installs it.
    pub(crate) fn all() -> Result<Vec<Self>, String> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let script = here.join("compare/libtorrent_client.py");
        let python = here.join("../../target/interop/python");
        let missing =
            |what: &str| format!("{what} is missing; it is installed by: bash tests/interop/install-compare");
        let aria2 = first_line(Command::new("aria2c").arg("--version")).ok_or_else(|| missing("aria2c"))?;
        let print_version = "import libtorrent; print(libtorrent.version)";
        let mut command = Command::new("python3");
        let libtorrent = first_line(command.args(["-c", print_version]).env("PYTHONPATH", &python));
        let libtorrent = libtorrent.ok_or_else(|| missing("libtorrent for python3"))?;
        // Cargo builds examples into a folder beside this program.
        let ours = std::env::current_exe().map_err(|error| error.to_string())?;
        let ours = ours.with_file_name("examples").join("announce");
        if !ours.is_file() {
            return Err(
                "the example is missing; it is built by: cargo build --release --example announce".into()
            );
        }
        let version = |order| format!("tracker-failover: examples/announce --order {order}");
        Ok(vec![
            Self {
                name: "tracker-failover",
                version: version("nearest"),
                program: Program::Ours(ours.clone(), "nearest"),
            },
            Self {
                name: "tracker-failover, BEP 12",
                version: version("bep12"),
                program: Program::Ours(ours, "bep12"),
            },
            Self {
                name: "libtorrent",
                version: format!("libtorrent: {libtorrent}, from PyPI, default settings"),
                program: Program::Libtorrent(script, python),
            },
            Self {
                name: "aria2",
                version: format!("aria2: {aria2}, from Debian, default settings"),
                program: Program::Aria2,
            },
        ])
    }

    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// Whether it asks trackers for more than announces.
    pub(crate) fn probes(&self) -> bool {
        matches!(self.program, Program::Ours(_, "nearest"))
    }

    /// Whether it shuffles a tier, as BEP 12 says. (libtorrent doesn't; by latency there is no luck.)
    pub(crate) fn shuffles(&self) -> bool {
        matches!(self.program, Program::Aria2 | Program::Ours(_, "bep12"))
    }

    /// Starts it on a torrent file.
    pub(crate) fn start(&self, file: &Path, folder: &Path, port: u16) -> io::Result<Child> {
        let mut command = match &self.program {
            Program::Ours(program, order) => {
                let mut command = Command::new(program);
                command.arg(file).args(["--order", order]);
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
                command.arg("--dir").arg(folder).arg(file);
                command
            }
            Program::Libtorrent(script, python) => {
                let mut command = Command::new("python3");
                command.env("PYTHONPATH", python).arg(script).arg(file).arg(folder).arg(port.to_string());
                command
            }
        };
        command.current_dir(folder);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
    }
}

fn first_line(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    String::from_utf8_lossy(&output.stdout).lines().next().map(str::to_owned)
}
