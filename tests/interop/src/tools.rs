//! Where the real trackers are, and what to do where one is missing.

use std::env;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The programs the run needs, found before anything starts.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) opentracker: PathBuf,
    pub(crate) node: PathBuf,
    /// The folder npm installed into.
    pub(crate) npm_folder: PathBuf,
    /// The script that serves `bittorrent-tracker`.
    pub(crate) npm_tracker: PathBuf,
    /// The script that puts TLS in front of a tracker.
    pub(crate) tls: PathBuf,
}

impl Tools {
    /// Finds them.
    ///
    /// # Errors
    /// What is missing, and the command that installs it.
    pub(crate) fn find() -> Result<Self, String> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let npm_folder = here.join("../../target/interop");
        let module = npm_folder.join("node_modules/bittorrent-tracker/server.js");
        let missing =
            |what: &str| format!("{what} is missing; it is installed by: bash tests/interop/install");
        if !module.is_file() {
            return Err(missing("the npm package bittorrent-tracker"));
        }
        Ok(Self {
            opentracker: in_path("opentracker").ok_or_else(|| missing("opentracker"))?,
            node: in_path("node").ok_or_else(|| missing("node"))?,
            npm_folder,
            npm_tracker: here.join("tracker.mjs"),
            tls: here.join("tls.mjs"),
        })
    }

    /// `aquatic_udp`, which is looked for where it is asked for: building it takes 20 minutes.
    ///
    /// # Errors
    /// How it is installed.
    #[expect(clippy::unused_self, reason = "one place to ask for programs")]
    pub(crate) fn aquatic_udp(&self) -> Result<PathBuf, String> {
        let named = env::var_os("AQUATIC_UDP").map(PathBuf::from).filter(|file| file.is_file());
        named.or_else(|| in_path("aquatic_udp")).ok_or_else(|| {
            "aquatic_udp is neither in PATH nor named by AQUATIC_UDP; it is installed by: \
             cargo install --locked aquatic_udp@0.9.0"
                .to_owned()
        })
    }

    /// What exactly is tested against.
    pub(crate) fn versions(&self) -> io::Result<String> {
        let manifest = self.npm_folder.join("node_modules/bittorrent-tracker/package.json");
        let manifest = std::fs::read_to_string(manifest)?;
        let version = manifest.lines().find_map(|line| line.trim().strip_prefix("\"version\": \""));
        let npm = version.and_then(|version| version.split('"').next()).unwrap_or("of unknown version");
        let debian =
            Command::new("dpkg-query").args(["--show", "--showformat=${Version}", "opentracker"]).output();
        let debian = debian.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        Ok(format!("opentracker {}, bittorrent-tracker {npm}", debian.unwrap_or_default()))
    }
}

/// Where a program is.
pub(crate) fn in_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}
