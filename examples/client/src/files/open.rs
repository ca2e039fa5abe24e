//! Opening files of the torrent: only what is one, and never through a link that wasn't allowed.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::Path;

use super::identity::identity;
use super::names::shown;

/// What is at a path: nothing, or a regular file.
pub(super) fn regular(path: &Path) -> io::Result<Option<Metadata>> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(Some(metadata)),
        Ok(_) => Err(io::Error::other(format!(
            "{} is no regular file but a link, a folder or a device, and is not touched",
            shown(path)
        ))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(path, &error)),
    }
}

/// Opens a file that is one, not a link to one.
pub(super) fn open(path: &Path, write: bool, create: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    // Exclusive creation never follows a link, even one to nowhere.
    options.read(true).write(write).create_new(create);
    let before = regular(path)?;
    let file = options.open(path).map_err(|error| at(path, &error))?;
    if let (Some(before), Ok(after)) = (before, file.metadata())
        && identity(&before) != identity(&after)
    {
        return Err(io::Error::other(format!("{} was exchanged while it was opened", shown(path))));
    }
    Ok(file)
}

/// Opens what a link leads to, for reading, unless it leads elsewhere by now: only what was checked may be given to others.
pub(super) fn open_link(path: &Path, target: Option<(u64, u64)>) -> io::Result<File> {
    let leads_elsewhere = |found: &Metadata| !found.is_file() || identity(found) != target;
    // Before it is opened too, since opening a pipe would wait for its other end.
    let before = fs::metadata(path).map_err(|error| at(path, &error))?;
    let file = if leads_elsewhere(&before) { None } else { Some(File::open(path)) };
    let file = file.transpose().map_err(|error| at(path, &error))?;
    match file {
        Some(file) if file.metadata().is_ok_and(|found| !leads_elsewhere(&found)) => Ok(file),
        _ => Err(io::Error::other(format!("{} leads elsewhere than at the start", shown(path)))),
    }
}

/// An error with the path of its file.
pub(super) fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", shown(path)))
}
