//! The clients, each with its defaults, but for what finds peers without trackers.

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// How long a client may take for its `stopped`.
const STOPPING: Duration = Duration::from_secs(35);

/// A client that is measured.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) name: &'static str,
    pub(crate) version: String,
    program: Program,
}

#[derive(Debug, Clone)]
enum Program {
    /// This program, as `operators client`.
    Ours(PathBuf),
    /// The script that drives it, and the folder it is installed in.
    Libtorrent(PathBuf, PathBuf),
    Rqbit(PathBuf),
}

/// A running client. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
}

impl Client {
    /// All of them.
    ///
    /// # Errors
    /// What is missing, and what installs it.
    pub(crate) fn all() -> Result<Vec<Self>, String> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let installed = here.join("../../target/interop");
        let missing = |what: &str| {
            format!("{what} is missing; it is installed by: bash tests/interop/install-compare --with-rqbit")
        };
        let python = installed.join("python");
        let print_version = "import libtorrent; print(libtorrent.version)";
        let mut command = Command::new("python3");
        let libtorrent = first_line(command.args(["-c", print_version]).env("PYTHONPATH", &python))
            .ok_or_else(|| missing("libtorrent for python3"))?;
        let rqbit = Some(installed.join("rqbit/bin/rqbit")).filter(|file| file.is_file());
        let rqbit = rqbit.or_else(|| in_path("rqbit")).ok_or_else(|| missing("rqbit"))?;
        let rqbit_version =
            first_line(Command::new(&rqbit).arg("--version")).ok_or_else(|| missing("rqbit"))?;
        let ours = env::current_exe().map_err(|error| error.to_string())?;
        let script = here.join("operators/libtorrent_client.py");
        let client = |name, version, program| Self { name, version, program };
        Ok(vec![
            client("tracker-failover", "the library with its defaults".to_owned(), Program::Ours(ours)),
            client("libtorrent", libtorrent, Program::Libtorrent(script, python)),
            client("rqbit", rqbit_version, Program::Rqbit(rqbit)),
        ])
    }

    /// Starts it on a folder of torrent files; `port` and the next one are its own.
    pub(crate) fn start(&self, torrents: &Path, folder: &Path, port: u16) -> io::Result<Running> {
        let downloads = folder.join("downloads");
        fs::create_dir_all(&downloads)?;
        let mut command = match &self.program {
            Program::Ours(program) => {
                let mut command = Command::new(program);
                command.arg(CLIENT).arg(torrents).arg(port.to_string());
                command
            }
            Program::Libtorrent(script, python) => {
                let mut command = Command::new("python3");
                command.env("PYTHONPATH", python).arg(script).arg(torrents).arg(&downloads);
                command.arg(port.to_string());
                command
            }
            Program::Rqbit(program) => {
                let mut command = Command::new(program);
                command.args(["-v", "warn", "--disable-dht", "--disable-lsd", "--disable-upnp-port-forward"]);
                command.args(["--ipv4-only", "--listen-ip", "127.0.0.1", "--listen-port", &port.to_string()]);
                command.args(["--http-api-listen-addr", &format!("127.0.0.1:{}", port + 1)]);
                command.args(["server", "start", "--disable-persistence", "--watch-folder"]);
                command.arg(torrents).arg(&downloads);
                command
            }
        };
        let log = folder.join("log");
        let output = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).current_dir(folder);
        Ok(Running { child: command.spawn()?, log })
    }
}

/// The argument by which this program is our client.
pub(crate) const CLIENT: &str = "client";

impl Running {
    /// Fails where it has ended by itself.
    pub(crate) fn check(&mut self) -> Result<(), String> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(format!("the client ended early ({status}): {}", self.last_words())),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Asks it to end (SIGTERM), and waits for that. False where it had to be killed.
    pub(crate) fn terminate(&mut self) -> Result<bool, String> {
        self.check()?;
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).ok_or("no process id")?;
        kill_process(pid, Signal::TERM).map_err(|error| error.to_string())?;
        let step = Duration::from_millis(20);
        for _ in 0..STOPPING.as_millis() / step.as_millis() {
            if self.child.try_wait().map_err(|error| error.to_string())?.is_some() {
                return Ok(true);
            }
            thread::sleep(step);
        }
        Ok(false)
    }

    /// The end of what it has said.
    pub(crate) fn last_words(&self) -> String {
        let said = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = said.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has mostly ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where a program is.
pub(crate) fn in_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// The first line of what a command prints, if it succeeds.
pub(crate) fn first_line(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    String::from_utf8_lossy(&output.stdout).lines().next().map(str::to_owned)
}
