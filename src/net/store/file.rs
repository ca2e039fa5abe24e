//! The file of the latency cache: read up to a limit, replaced as a whole, and renamed where it is damaged.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::in_use::while_in_use;
use crate::error::{CacheError, Cause};
use crate::host_snapshot::HostSnapshot;
use crate::policy::HealthBook;
use crate::wire::cache::{LIMIT, decode, encode};

/// The result of reading the file.
#[derive(Debug)]
pub(super) struct Loaded {
    /// The hosts in it; none where it doesn't exist, or is damaged.
    pub(super) hosts: Vec<HostSnapshot>,
    /// Why it can't be read, or its folder not be written to.
    pub(super) failure: Option<CacheError>,
    /// Whether it may be replaced.
    pub(super) is_replaceable: bool,
}

/// Reads the file. A damaged one is renamed, if that is possible.
pub(super) fn load(path: &Path) -> Loaded {
    match read(path) {
        // Whether it can be written is tried now, while there are listeners, and not at the end.
        Ok(hosts) => Loaded { hosts, failure: beside(path).err().map(unwritable), is_replaceable: true },
        Err(error) => {
            let is_replaceable = set_aside(path, &error);
            Loaded { hosts: Vec::new(), failure: Some(error), is_replaceable }
        }
    }
}

/// Replaces the file by `hosts` merged with those that another process has written: of each host the newer entry is kept.
///
/// The file is whole at any moment, however many processes write. Where two write at the same moment, changes of the first
/// one's last minute are missing until it writes again.
pub(super) fn save(path: &Path, hosts: Vec<HostSnapshot>, calendar: u64) -> Result<(), CacheError> {
    let theirs = match read(path) {
        Ok(theirs) => theirs,
        Err(error) if set_aside(path, &error) => Vec::new(),
        Err(error) => return Err(error),
    };
    let hosts = HealthBook::worth_keeping(hosts.into_iter().chain(theirs), calendar);
    replace(path, &encode(&hosts, calendar)).map_err(unwritable)
}

fn unwritable(error: io::Error) -> CacheError {
    CacheError::Unwritable(Cause::new(error))
}

/// The hosts in the file; none where it doesn't exist, or is empty.
fn read(path: &Path) -> Result<Vec<HostSnapshot>, CacheError> {
    let unreadable = |error: io::Error| CacheError::Unreadable(Cause::new(error));
    match while_in_use(|| fs::metadata(path)) {
        Ok(metadata) if metadata.is_file() => {}
        // Opening a pipe would wait for its other end.
        Ok(_) => return Err(CacheError::NotAFile),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    }
    let file = while_in_use(|| File::open(path)).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(LIMIT as u64 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.is_empty() { Ok(Vec::new()) } else { decode(&bytes) }
}

/// Renames a damaged file to `….bad`, unless there is one already. Gives whether its place may be written to: a second
/// damaged cache may be replaced, a file that isn't a cache never.
fn set_aside(path: &Path, error: &CacheError) -> bool {
    if matches!(error, CacheError::Unreadable(_) | CacheError::NotAFile) {
        return false;
    }
    let aside = aside(path);
    let free = matches!(fs::symlink_metadata(&aside), Err(error) if error.kind() == ErrorKind::NotFound);
    let moved = free
        && match while_in_use(|| fs::rename(path, &aside)) {
            Ok(()) => true,
            // Another process has just done it.
            Err(error) => error.kind() == ErrorKind::NotFound,
        };
    moved || !matches!(error, CacheError::Foreign)
}

fn aside(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".bad");
    name.into()
}

/// Writes a new file beside the old one and renames it, so that there is a whole one at any moment, also after a loss
/// of power.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = beside(path)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    put_in_place(file, path)?;
    // The file is in its place. Where a folder can't be synchronised, it takes a moment longer until that is on the disk.
    #[cfg(unix)]
    let _ = File::open(folder(path)).and_then(|folder| folder.sync_all());
    Ok(())
}

fn put_in_place(file: NamedTempFile, path: &Path) -> io::Result<()> {
    let mut pending = Some(file);
    while_in_use(|| {
        let Some(file) = pending.take() else { return Ok(()) };
        file.persist(path).map(drop).map_err(|failed| {
            pending = Some(failed.file);
            failed.error
        })
    })
}

/// A new file beside it, which is removed when it is dropped.
fn beside(path: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new().prefix(".latency-cache").tempfile_in(folder(path))
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::tracker::TrackerUrl;

    const CALENDAR: u64 = 1_800_000_000;

    fn known(name: &str, at: u64) -> HostSnapshot {
        let url: TrackerUrl = format!("http://{name}.test/").parse().unwrap();
        HostSnapshot { answered_at: Some(at), ..HostSnapshot::new(url.tracker_host()) }
    }

    fn empty() -> (TempDir, PathBuf) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("hosts");
        (folder, path)
    }

    fn files(folder: &TempDir) -> Vec<String> {
        let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn reason(loaded: &Loaded) -> String {
        loaded.failure.as_ref().map(ToString::to_string).unwrap_or_default()
    }

    #[test]
    fn saved_hosts_are_loaded_and_no_other_file_is_left() {
        let (folder, path) = empty();
        let hosts = vec![known("a", CALENDAR), known("b", CALENDAR - 1)];
        save(&path, hosts.clone(), CALENDAR).unwrap();
        save(&path, hosts.clone(), CALENDAR).unwrap();
        let loaded = load(&path);
        assert_eq!((&loaded.hosts, loaded.is_replaceable, reason(&loaded)), (&hosts, true, String::new()));
        assert_eq!(files(&folder), ["hosts"]);
    }

    #[test]
    fn a_missing_or_empty_file_is_a_cold_start() {
        let (_folder, path) = empty();
        for _ in 0..2 {
            let loaded = load(&path);
            assert_eq!(
                (loaded.hosts.len(), loaded.is_replaceable, reason(&loaded)),
                (0, true, String::new())
            );
            fs::write(&path, b"").unwrap();
        }
    }

    #[test]
    fn a_damaged_file_is_renamed_once() {
        let good = encode(&[known("a", CALENDAR)], CALENDAR);
        let mut large = good.clone();
        large.resize(LIMIT + 100_000, b' ');
        let other_version = String::from_utf8_lossy(&good).replace("6:formati1e", "6:formati2e").into_bytes();
        let rows = [
            (good[..good.len() - 1].to_vec(), "damaged", true),
            (good[..40].to_vec(), "damaged", true),
            (large, "larger than 1048576 bytes", true),
            (other_version, "version 2, expected version 1", true),
            (b"dear diary".to_vec(), "not a latency cache", false),
        ];
        for (bytes, expected, is_replaceable_again) in rows {
            let (folder, path) = empty();
            fs::write(&path, &bytes).unwrap();
            let loaded = load(&path);
            assert!(reason(&loaded).contains(expected) && loaded.hosts.is_empty(), "{}", reason(&loaded));
            assert!(loaded.is_replaceable, "{expected}");
            assert_eq!(files(&folder), ["hosts.bad"], "{expected}");
            assert_eq!(fs::read(aside(&path)).unwrap(), bytes, "{expected}");

            fs::write(&path, &bytes).unwrap();
            fs::write(aside(&path), b"the first").unwrap();
            assert_eq!(load(&path).is_replaceable, is_replaceable_again, "{expected}");
            let saved = save(&path, vec![known("b", CALENDAR)], CALENDAR);
            assert_eq!(saved.is_ok(), is_replaceable_again, "{expected}: {saved:?}");
            assert_eq!(fs::read(aside(&path)).unwrap(), b"the first", "{expected}");
            if !is_replaceable_again {
                assert_eq!(fs::read(&path).unwrap(), bytes, "a file that isn't a cache is never overwritten");
            }
        }
    }

    #[test]
    fn what_is_no_file_is_left_alone() {
        let (folder, path) = empty();
        fs::create_dir(&path).unwrap();
        let loaded = load(&path);
        assert_eq!((reason(&loaded).as_str(), loaded.is_replaceable), ("it is not a file", false));
        assert!(matches!(save(&path, Vec::new(), CALENDAR), Err(CacheError::NotAFile)));
        assert_eq!(files(&folder), ["hosts"]);
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_of_writing() {
        let (_folder, path) = empty();
        let path = path.join("deeper");
        assert!(matches!(load(&path).failure, Some(CacheError::Unwritable(_))), "found out early");
        assert!(matches!(save(&path, Vec::new(), CALENDAR), Err(CacheError::Unwritable(_))));
    }

    /// Another process has written since this one read.
    #[test]
    fn of_each_host_the_newer_entry_is_kept() {
        let (_folder, path) = empty();
        save(&path, vec![known("a", CALENDAR - 9), known("b", CALENDAR - 2)], CALENDAR).unwrap();
        save(&path, vec![known("b", CALENDAR - 5), known("c", CALENDAR - 7), known("a", CALENDAR)], CALENDAR)
            .unwrap();
        let hosts = HealthBook::worth_keeping(load(&path).hosts, CALENDAR);
        assert_eq!(hosts, [known("a", CALENDAR), known("b", CALENDAR - 2), known("c", CALENDAR - 7)]);
    }

    #[test]
    fn a_hundred_thousand_hosts_make_a_file_that_can_be_read() {
        let (_folder, path) = empty();
        let name = |number: u64| format!("tracker-number-{number}.example");
        let hosts = (0..100_000).map(|number| known(&name(number), CALENDAR - number)).collect();
        save(&path, hosts, CALENDAR).unwrap();
        assert!(fs::metadata(&path).unwrap().len() <= LIMIT as u64);
        let loaded = load(&path);
        assert_eq!((loaded.hosts.len(), loaded.failure.is_some()), (4096, false));
        assert!(loaded.hosts.contains(&known(&name(0), CALENDAR)));
    }

    /// On Windows a file that is being read can't be replaced, and one that is being replaced can't be read.
    /// R120.
    #[test]
    fn a_reader_and_a_writer_at_once_lose_nothing() {
        const SAVES: u64 = 60;
        let (folder, path) = empty();
        save(&path, Vec::new(), CALENDAR).unwrap();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for number in 0..SAVES {
                    save(&path, vec![known(&format!("h{number}"), CALENDAR)], CALENDAR).unwrap();
                }
            });
            let mut seen = 0;
            while !writer.is_finished() {
                let loaded = load(&path);
                assert_eq!(reason(&loaded), "");
                assert!(loaded.hosts.len() >= seen, "{} after {seen}", loaded.hosts.len());
                seen = loaded.hosts.len();
            }
        });
        assert_eq!(load(&path).hosts.len() as u64, SAVES);
        assert_eq!(files(&folder), ["hosts"]);
    }

    /// At any moment another process finds a whole file.
    #[test]
    fn two_processes_that_write_at_once_leave_a_whole_file() {
        let (folder, path) = empty();
        save(&path, Vec::new(), CALENDAR).unwrap();
        std::thread::scope(|scope| {
            for writer in 0..2 {
                let path = &path;
                scope.spawn(move || {
                    for number in 0..10 {
                        save(path, vec![known(&format!("h{writer}-{number}"), CALENDAR)], CALENDAR).unwrap();
                        assert!(load(path).failure.is_none());
                    }
                });
            }
        });
        assert_eq!(files(&folder), ["hosts"]);
    }
}
