//! The file of the history: read as a whole, and replaced as a whole.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::history::History;

/// The largest file that is read, in bytes. A history at its bounds is smaller.
const MAX_LEN: u64 = 16 << 20;

/// Reads the history of a file; an empty one where there is no file.
///
/// # Errors
/// When the file can't be read or is damaged. It is then left as it is.
pub(crate) fn read(path: &Path) -> Result<History, String> {
    let at = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let len = match std::fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(History::default()),
        Err(error) => return Err(at(&error)),
    };
    if len > MAX_LEN {
        return Err(at(&format_args!("expected a history of at most {MAX_LEN} bytes, found {len}")));
    }
    let text = std::fs::read(path).map_err(|error| at(&error))?;
    History::parse(&text).map_err(|error| {
        at(&format_args!("the history is damaged: {error}; move the file away to begin a new one"))
    })
}

/// Replaces the file: a reader finds the old history or the new one, whatever happens meanwhile.
///
/// # Errors
/// When it can't be written. The old one is then still there.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<(), String> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.map_or_else(|| PathBuf::from("."), Path::to_path_buf);
    let replace = || {
        let mut file = beside(path, &folder)?;
        file.write_all(content)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    replace().map_err(|error: io::Error| format!("{}: {error}", path.display()))
}

/// A new file in the folder of the one that it is to replace, with the permissions of that, or else those of any new file:
/// temporary files can be read by their owner alone.
#[cfg_attr(
    not(unix),
    expect(unused_variables, reason = "other systems give a new file the permissions of its folder")
)]
fn beside(path: &Path, folder: &Path) -> io::Result<NamedTempFile> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let before = std::fs::metadata(path).map(|metadata| metadata.permissions()).ok();
        let new = before.clone().unwrap_or_else(|| std::fs::Permissions::from_mode(0o666));
        let file = tempfile::Builder::new().permissions(new).tempfile_in(folder)?;
        if let Some(before) = before {
            file.as_file().set_permissions(before)?;
        }
        Ok(file)
    }
    #[cfg(not(unix))]
    NamedTempFile::new_in(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_survives_and_a_damaged_one_is_left_as_it_is() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("history");
        let mut history = read(&path).unwrap();
        assert_eq!(history, History::default());
        history.add("http://a.test", Some(1), 1);
        write(&path, &history.encode().unwrap()).unwrap();
        assert_eq!(read(&path).unwrap(), history);

        std::fs::write(&path, "{\"version\":1,").unwrap();
        let error = read(&path).unwrap_err();
        assert!(error.contains("is damaged") && error.contains("move the file away"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), b"{\"version\":1,");
        // Nothing but the history is left in the folder.
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    /// A web server may be another user.
    #[cfg(unix)]
    #[test]
    fn a_file_has_the_permissions_of_any_other_and_keeps_those_that_it_has() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::TempDir::new().unwrap();
        let [page, other] = ["page", "other"].map(|name| folder.path().join(name));
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        write(&page, b"1").unwrap();
        std::fs::write(&other, b"1").unwrap();
        assert_eq!(mode(&page), mode(&other));
        std::fs::set_permissions(&page, std::fs::Permissions::from_mode(0o604)).unwrap();
        write(&page, b"2").unwrap();
        assert_eq!(mode(&page), 0o604);
    }

    #[test]
    fn where_it_cannot_be_written_the_error_says_so() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("missing/history");
        assert!(write(&path, b"x").unwrap_err().contains("history: "));
    }
}
