//! Where a torrent comes from: decides what the argument is, and reads it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use tracker_failover::wire::clean_text;
use url::Url;

use crate::fetch::FetchError;

/// What the argument names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// A file or a FIFO that holds a .torrent.
    File(PathBuf),
    /// The URL of a .torrent. It may hold a passkey, so only its host is ever shown.
    Url(String),
    /// `-`: a .torrent on standard input.
    Stdin,
    /// A magnet link, as it was written. It may hold passkeys, so it is never shown.
    Magnet(String),
}

/// Why the argument names no torrent. The texts say what to do, and hold no URL, since passkeys live in those.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    /// No argument.
    #[error("expected a .torrent, see --help")]
    Missing,
    /// The URL gives none: its host, and why.
    #[error("{0}: {1}")]
    NotFetched(String, FetchError),
    /// The info-hash alone, where no file has that name.
    #[error(
        "an info-hash alone is not enough: expected a .torrent, or a magnet link with this info-hash in it"
    )]
    InfoHash,
    /// Standard input isn't redirected.
    #[error("standard input is a terminal: expected a .torrent there, such as by `client - < FILE`")]
    Terminal,
    /// It can't be read.
    #[error("{0}: {1}")]
    Unreadable(String, io::Error),
    /// There is something else of that name.
    #[error("{0} is {1}: expected a .torrent")]
    NoFile(String, &'static str),
    /// The content is something else, which is named here.
    #[error("{0}")]
    Content(&'static str),
}

impl Source {
    /// What an argument names.
    pub(crate) fn of<T: AsRef<OsStr>>(argument: T) -> Self {
        let argument = argument.as_ref();
        let text = argument.to_str().unwrap_or_default();
        let starts =
            |scheme: &str| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
        if text == "-" {
            Self::Stdin
        } else if starts("magnet:") {
            Self::Magnet(text.to_owned())
        } else if starts("http://") || starts("https://") {
            Self::Url(text.to_owned())
        } else {
            Self::File(PathBuf::from(argument))
        }
    }

    /// What to call it until its torrent's name is known; no secrets are in it.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::File(path) => clean_text(path.as_os_str().as_encoded_bytes()),
            Self::Url(url) => host_of(url),
            Self::Stdin => "standard input".into(),
            Self::Magnet(_) => "magnet link".into(),
        }
    }

    /// The bytes of the .torrent, at most a little more than one may have. Empty for links.
    ///
    /// # Errors
    /// When it can't be read, or is no .torrent by its first bytes.
    pub(crate) fn read(&self) -> Result<Vec<u8>, SourceError> {
        let bytes = match self {
            Self::Magnet(_) | Self::Url(_) => return Ok(Vec::new()),
            Self::Stdin if io::stdin().is_terminal() => return Err(SourceError::Terminal),
            Self::Stdin => up_to_limit(io::stdin().lock())
                .map_err(|error| SourceError::Unreadable("standard input".into(), error))?,
            Self::File(path) => file(path)?,
        };
        checked(bytes)
    }
}

/// Bytes that may be those of a .torrent.
///
/// # Errors
/// When they are none by the first ones.
pub(crate) fn checked(bytes: Vec<u8>) -> Result<Vec<u8>, SourceError> {
    match foreign(&bytes) {
        Some(what) => Err(SourceError::Content(what)),
        None => Ok(bytes),
    }
}

/// The scheme and the host of a URL.
pub(crate) fn host_of(url: &str) -> String {
    match Url::parse(url) {
        Ok(url) => {
            format!("{}://{}", url.scheme(), clean_text(url.host_str().unwrap_or_default().as_bytes()))
        }
        Err(_) => "a URL".into(),
    }
}

fn file(path: &Path) -> Result<Vec<u8>, SourceError> {
    let shown = clean_text(path.as_os_str().as_encoded_bytes());
    let kind = match fs::metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(_) if is_info_hash(&shown) => return Err(SourceError::InfoHash),
        Err(error) => return Err(SourceError::Unreadable(shown, error)),
    };
    if kind.is_dir() {
        return Err(SourceError::NoFile(shown, "a folder"));
    }
    if is_device(kind) {
        return Err(SourceError::NoFile(shown, "a device or a socket"));
    }
    // Opening a FIFO waits for a writer.
    File::open(path).and_then(up_to_limit).map_err(|error| SourceError::Unreadable(shown, error))
}

/// Whether reading it might never end, or is no reading at all.
#[cfg(unix)]
fn is_device(kind: fs::FileType) -> bool {
    use std::os::unix::fs::FileTypeExt;
    kind.is_block_device() || kind.is_char_device() || kind.is_socket()
}

#[cfg(not(unix))]
fn is_device(kind: fs::FileType) -> bool {
    !kind.is_file()
}

fn up_to_limit(from: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(MAX_TORRENT + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What bytes are that are no .torrent, where that can be seen. What begins with `d` may be one.
fn foreign(bytes: &[u8]) -> Option<&'static str> {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    if text.is_empty() {
        Some("it is empty: expected a .torrent; the download of it may have failed")
    } else if bytes.starts_with(b"\x1f\x8b") {
        Some("it is compressed by gzip: decompress it first, such as with `gunzip`")
    } else if bytes.starts_with(b"PK\x03\x04") {
        Some("it is a ZIP archive: unpack it first")
    } else if text.first() == Some(&b'<') {
        Some("it is a web page (HTML or XML): the site may have wanted a login, download the .torrent again")
    } else if text.get(..7).is_some_and(|start| start.eq_ignore_ascii_case(b"magnet:")) {
        Some("it holds a magnet link: give the link itself, in quotes")
    } else {
        None
    }
}

/// 40 hexadecimal digits, or 32 of base32 (BEP 9).
fn is_info_hash(text: &str) -> bool {
    (text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
        || (text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

/// The library refuses what is larger.
const MAX_TORRENT: u64 = 32 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    /// R160
    #[test]
    fn an_argument_is_a_file_standard_input_or_a_magnet_link() {
        let of = |argument: &str| Source::of(argument);
        assert_eq!(of("x.torrent"), Source::File("x.torrent".into()));
        assert_eq!(of("-"), Source::Stdin);
        assert_eq!(of("MAGNET:?xt=y"), Source::Magnet("MAGNET:?xt=y".into()));
        assert_eq!(of("magnet"), Source::File("magnet".into()));
        for (url, shown) in [
            ("https://x.test/passkey/x.torrent", "https://x.test"),
            ("HTTP://user:passkey@x.test:81/passkey", "http://x.test"),
            ("http://", "a URL"),
        ] {
            assert_eq!((of(url), of(url).shown()), (Source::Url(url.into()), shown.into()));
        }
    }

    /// R160
    #[test]
    fn what_is_no_torrent_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.torrent");
        for (content, expected) in [
            (b"".as_slice(), "empty"),
            (b" \r\n", "empty"),
            (b"\x1f\x8b\x08\0", "gunzip"),
            (b"PK\x03\x04", "ZIP"),
            (b"\xef\xbb\xbf\n<!DOCTYPE html>", "web page"),
            (b"magnet:?xt=urn:btih:x", "magnet link"),
        ] {
            fs::write(&path, content).unwrap();
            let error = Source::File(path.clone()).read().unwrap_err();
            assert!(matches!(error, SourceError::Content(text) if text.contains(expected)), "{error}");
        }
        fs::write(&path, "de").unwrap();
        assert_eq!(Source::File(path).read().unwrap(), b"de");
        let error = Source::File(folder.path().into()).read().unwrap_err().to_string();
        assert!(error.ends_with("is a folder: expected a .torrent"), "{error}");
        let error = Source::File("0123456789abcdef0123456789abcdef01234567".into()).read().unwrap_err();
        assert!(matches!(error, SourceError::InfoHash), "{error}");
        let error = Source::File(folder.path().join("none")).read().unwrap_err().to_string();
        // The code is 2 on Unix and on Windows, the words are not the same.
        assert!(error.contains(&format!("none: {}", io::Error::from_raw_os_error(2))), "{error}");
        #[cfg(unix)]
        assert!(matches!(Source::File("/dev/zero".into()).read(), Err(SourceError::NoFile(..))));
    }

    /// R160
    #[cfg(unix)]
    #[test]
    fn a_fifo_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let writer = std::thread::spawn({
            let path = path.clone();
            move || fs::write(path, "d1:ai1ee").unwrap()
        });
        assert_eq!(Source::File(path).read().unwrap(), b"d1:ai1ee");
        writer.join().unwrap();
    }
}
