//! The file of DHT nodes with which the next start begins: one `HOST:PORT` a line, replaced as a whole.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};

use super::node_name::NodeName;

/// The file, with the nodes that were in it.
#[derive(Debug, Clone)]
pub(crate) struct NodeFile {
    path: PathBuf,
    nodes: Vec<NodeName>,
}

/// Why the nodes can't be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NodeFileError {
    /// The file system's reason.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is a folder, a pipe, or the like.
    #[error("it is no file")]
    NotAFile,
    /// It is larger than a list of nodes can be.
    #[error("it has more than {LIMIT} bytes")]
    TooLarge,
    /// A line, counted from 1. What is in it is not shown, because it may be anything.
    #[error("line {0}: expected a host and a port, such as router.example.org:6881")]
    Line(usize),
}

impl NodeFile {
    /// Reads it. A file that doesn't exist has no nodes; empty lines are skipped.
    ///
    /// # Errors
    /// When it can't be read, or has a line of another kind.
    pub(crate) fn read(path: impl Into<PathBuf>) -> Result<Self, NodeFileError> {
        let path = path.into();
        let bytes = bytes(&path)?;
        let mut nodes = Vec::new();
        for (number, line) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
            let line = line.trim_ascii();
            if !line.is_empty() {
                let node = std::str::from_utf8(line).ok().and_then(|text| text.parse().ok());
                nodes.push(node.ok_or(NodeFileError::Line(number))?);
            }
        }
        Ok(Self { path, nodes })
    }

    /// The nodes that were in it.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(|node| node.0.as_str())
    }

    /// Writes these nodes and those that were in it, as many as there is room for. There is a whole file at any moment.
    ///
    /// # Errors
    /// When it can't be written.
    pub(crate) fn update(&self, nodes: impl IntoIterator<Item = SocketAddrV4>) -> io::Result<()> {
        let new = nodes.into_iter().map(|node| node.to_string());
        let mut lines: Vec<String> = Vec::new();
        for line in new.chain(self.names().map(str::to_owned)) {
            if lines.len() < MAX_NODES && !lines.contains(&line) {
                lines.push(line);
            }
        }
        let text: String = lines.into_iter().map(|line| line + "\n").collect();
        let beside = beside(&self.path);
        let replaced = write_new(&beside, text.as_bytes()).and_then(|()| fs::rename(&beside, &self.path));
        if replaced.is_err() {
            let _ = fs::remove_file(&beside);
        }
        replaced
    }
}

fn bytes(path: &Path) -> Result<Vec<u8>, NodeFileError> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => {}
        // Opening a pipe would wait for its other end.
        Ok(_) => return Err(NodeFileError::NotAFile),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LIMIT { Err(NodeFileError::TooLarge) } else { Ok(bytes) }
}

/// A path in the same folder, which no other process has.
fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or(OsStr::new("nodes")));
    name.push(format!(".{}.tmp", std::process::id()));
    path.with_file_name(name)
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Nodes in the file. A node that starts asks all of them, and a few that live are enough.
const MAX_NODES: usize = 64;
/// Bytes of a file that is read: far more than the file ever has.
const LIMIT: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nodes");
        fs::write(&path, text).unwrap();
        (folder, path)
    }

    fn node(host: u8) -> SocketAddrV4 {
        SocketAddrV4::new([192, 0, 2, host].into(), 6881)
    }

    #[test]
    fn the_nodes_of_one_start_are_read_at_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("nodes");
        let absent = NodeFile::read(&path).unwrap();
        assert_eq!(absent.names().count(), 0);
        absent.update([node(1), node(2)]).unwrap();
        let read = NodeFile::read(&path).unwrap();
        assert!(read.names().eq(["192.0.2.1:6881", "192.0.2.2:6881"]));
        read.update([node(3), node(2)]).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(
            text, "192.0.2.3:6881\n192.0.2.2:6881\n192.0.2.1:6881\n",
            "the newest first, and each once"
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn it_never_has_more_nodes_than_its_bound() {
        let (_folder, path) = file(b"router.example.org:6881\n");
        NodeFile::read(&path).unwrap().update((0..200).map(node)).unwrap();
        let full = NodeFile::read(&path).unwrap();
        assert!(full.names().eq((0..64).map(|host| format!("192.0.2.{host}:6881"))));
    }

    #[test]
    fn names_and_empty_lines_are_read_and_other_lines_named() {
        let (_folder, path) = file(b"router.example.org:6881\r\n\n  192.0.2.1:1 \n");
        let read = NodeFile::read(&path).unwrap();
        assert!(read.names().eq(["router.example.org:6881", "192.0.2.1:1"]));
        for (text, line) in [
            (&b"a:1\nb:2\nSECRET\n"[..], 3),
            (b"a:0", 1),
            (b"a:1\n:1\n", 2),
            (b"a:1\n\xff:1\n", 2),
            (b"\n\n# a comment", 3),
        ] {
            let (_folder, path) = file(text);
            let error = NodeFile::read(&path).unwrap_err().to_string();
            assert!(error.starts_with(&format!("line {line}: expected a host and a port")), "{error}");
            assert!(!error.contains("SECRET"));
        }
    }

    #[test]
    fn what_is_no_list_of_nodes_is_not_read_and_stays() {
        let (folder, path) = file(&b"a:1\n".repeat(20_000));
        assert!(matches!(NodeFile::read(&path), Err(NodeFileError::TooLarge)));
        assert!(matches!(NodeFile::read(folder.path()), Err(NodeFileError::NotAFile)));
        let other = folder.path().join("folder");
        fs::create_dir(&other).unwrap();
        let file = NodeFile { path: other, nodes: Vec::new() };
        file.update([node(1)]).unwrap_err();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left beside it");
    }
}
