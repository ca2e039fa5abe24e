//! Writes a result file: how it was measured, then rows with tabs between the fields.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

/// A file that is yet to be written.
#[derive(Debug)]
pub(crate) struct Results {
    text: String,
}

impl Results {
    /// A file without rows: how it was measured, and the names of the columns.
    pub(crate) fn new(about: &[(String, String)], columns: &[&str]) -> Self {
        let mut text = String::new();
        for (key, value) in about {
            // Writing to a string can't fail.
            let _ = writeln!(text, "# {key}: {value}");
        }
        Self { text: text + &columns.join("\t") + "\n" }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, fields: &[String]) {
        self.text += &fields.join("\t");
        self.text.push('\n');
    }

    /// Writes the file into a folder that is made if need be.
    ///
    /// # Errors
    /// Where it can't be written.
    pub(crate) fn write(&self, folder: &Path, name: &str) -> Result<(), String> {
        let path = folder.join(name);
        let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, &self.text));
        written.map_err(|error| format!("{}: {error}", path.display()))
    }
}

/// What is measured by a command, when and on what.
///
/// # Errors
/// Where it can't be learned from the system.
pub(crate) fn circumstances(command: &str) -> Result<Vec<(String, String)>, String> {
    let cores = std::thread::available_parallelism().map_err(|error| error.to_string())?;
    let known = [
        ("command", command.to_owned()),
        ("commit", commit()?),
        ("date", output("date", &["+%Y-%m-%d"])?),
        ("machine", format!("{cores} cores, {}, Linux {}", std::env::consts::ARCH, kernel()?)),
    ];
    Ok(known.map(|(key, value)| (key.to_owned(), value)).into())
}

/// The commit that is measured, and whether the tree differs from it. Result files do, as soon as they are written.
fn commit() -> Result<String, String> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let commit = output("git", &["-C", root, "rev-parse", "--short", "HEAD"])?;
    let status =
        ["-C", root, "status", "--porcelain", "--untracked-files=no", "--", ".", ":!benches/results"];
    let dirty = if output("git", &status)?.is_empty() { "" } else { "-dirty" };
    Ok(commit + dirty)
}

/// The version of Linux, without what a distribution adds.
fn kernel() -> Result<String, String> {
    let release = output("uname", &["-r"])?;
    Ok(release.split('.').take(2).collect::<Vec<_>>().join("."))
}

fn output(program: &str, arguments: &[&str]) -> Result<String, String> {
    let failed = |why: String| format!("{program} {}: {why}", arguments.join(" "));
    let output = Command::new(program).args(arguments).output().map_err(|error| failed(error.to_string()))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_its_keys_its_columns_and_its_rows() {
        let about = [("command", "cargo run"), ("cap", "75 s")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()));
        let mut results = Results::new(&about, &["client", "seconds", "most"]);
        results.row(&["a".to_owned(), "1.5".to_owned(), String::new()]);
        assert_eq!(results.text, "# command: cargo run\n# cap: 75 s\nclient\tseconds\tmost\na\t1.5\t\n");
    }
}
