//! Makes a .torrent of a file or folder: what `client create` does.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use bendy::encoding::{Encoder, Error, SingleItemEncoder};
use sha1::{Digest, Sha1};
use tracker_failover::TrackerUrl;

use crate::exit;
use crate::files::identity::identity;
use crate::files::names::{is_accepted, shown};
use crate::ui::cli::Create;
use crate::ui::report::Report;
use crate::ui::screen::Screen;

/// What goes into a .torrent.
#[derive(Debug, Clone, Default)]
pub(crate) struct NewTorrent {
    /// The trackers by tier; none are written where there are none.
    pub(crate) tiers: Vec<Vec<String>>,
    /// The name of the file, or of the folder.
    pub(crate) name: Vec<u8>,
    /// The files; a single one has no path.
    pub(crate) files: Vec<NewFile>,
    /// Bytes of a piece.
    pub(crate) piece_length: u32,
    /// The SHA-1 of each piece, one after the other.
    pub(crate) pieces: Vec<u8>,
    /// Whether the torrent may be announced to its own trackers only (BEP 27).
    pub(crate) private: bool,
}

/// One file of a .torrent.
#[derive(Debug, Clone)]
pub(crate) struct NewFile {
    /// The parts of its path.
    pub(crate) path: Vec<Vec<u8>>,
    /// Its length in bytes.
    pub(crate) length: u64,
    /// Whether it is padding (BEP 47).
    pub(crate) padding: bool,
}

/// `client create`; gives the exit code.
pub(crate) fn main(options: &Create) -> u8 {
    let mut report = Report::new(&Screen::new(false, false, 1), false);
    if let Err(reason) = check(options) {
        report.error(&reason);
        return exit::USAGE;
    }
    let source = match Source::at(&options.path) {
        Ok(source) => source.without(&output(options)),
        Err(error) => {
            report.error(&error.to_string());
            return exit::OTHER;
        }
    };
    for left_out in source.left_out() {
        report.info(&left_out.to_string());
    }
    let written = create(options, source, |piece, of| {
        report.looked(u32::try_from(piece).unwrap_or(u32::MAX), u32::try_from(of).unwrap_or(u32::MAX));
    });
    match written {
        Ok((path, pieces)) => {
            report.last(&format!("wrote {} with {pieces} pieces", shown(&path)));
            exit::COMPLETE
        }
        Err(error) => {
            report.error(&error.to_string());
            exit::OTHER
        }
    }
}

/// Whether the options make sense.
fn check(options: &Create) -> Result<(), String> {
    for tracker in tiers(&options.trackers).iter().flatten() {
        // Neither the address nor the library's error is shown in full: it may hold a passkey.
        tracker.parse::<TrackerUrl>().map_err(|error| {
            format!("--tracker: {error}; expected http, https or udp addresses, with commas within a tier")
        })?;
    }
    if options.private && options.trackers.is_empty() {
        return Err(
            "--private: a private torrent is found by its trackers only, give one with --tracker".into()
        );
    }
    Ok(())
}

/// Where the .torrent goes.
fn output(options: &Create) -> PathBuf {
    let named_by = || {
        let name =
            fs::canonicalize(&options.path).ok().and_then(|path| path.file_name().map(ToOwned::to_owned));
        let mut name = name.unwrap_or_default();
        name.push(".torrent");
        PathBuf::from(name)
    };
    options.output.clone().unwrap_or_else(named_by)
}

/// Makes the .torrent; gives where it is, and its number of pieces.
fn create(options: &Create, source: Source, progress: impl FnMut(u64, u64)) -> io::Result<(PathBuf, usize)> {
    let output = output(options);
    // Before the work of hashing.
    may_write(&output, &source, options.overwrite)?;
    let mut torrent = source.hash(options.piece_size.map(|size| size.saturating_mul(1024)), progress)?;
    torrent.tiers = tiers(&options.trackers);
    torrent.private = options.private;
    let bytes = encode(&torrent).map_err(|error| io::Error::other(error.to_string()))?;
    let mut how = OpenOptions::new();
    how.write(true).create_new(!options.overwrite).create(true).truncate(true);
    let written = how.open(&output).and_then(|mut file| file.write_all(&bytes));
    written.map_err(|error| about(&output, &error))?;
    Ok((output, torrent.pieces.len() / 20))
}

/// Whether a .torrent may be written to a path: never over what it is made of, whatever name or link leads there, and
/// over something else only when the user wants it.
fn may_write(output: &Path, source: &Source, overwrite: bool) -> io::Result<()> {
    if fs::symlink_metadata(output).is_err() {
        return Ok(());
    }
    // A link to nowhere is something as well, and no data.
    let target = fs::canonicalize(output).unwrap_or_else(|_| output.into());
    let of = |path: &Path| fs::metadata(path).ok().and_then(|metadata| identity(&metadata));
    let written = of(&target);
    let is_same = |file: &PathBuf| *file == target || (written.is_some() && of(file) == written);
    if source.files.iter().any(is_same) {
        let text = format!("{} is what the torrent is made of, and isn't replaced", shown(output));
        return Err(io::Error::other(text));
    }
    if overwrite {
        return Ok(());
    }
    Err(io::Error::other(format!("{} exists already, --overwrite replaces it", shown(output))))
}

/// What a torrent is made of.
#[derive(Debug)]
pub(crate) struct Source {
    /// The file or folder, without links.
    path: PathBuf,
    name: Vec<u8>,
    files: Vec<PathBuf>,
    left_out: Vec<LeftOut>,
}

/// What lies in the folder and isn't in the torrent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LeftOut {
    path: PathBuf,
    why: &'static str,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is left out: {}", shown(&self.path), self.why)
    }
}

impl Source {
    /// A file, or the files of a folder.
    ///
    /// # Errors
    /// When nothing is there, or it can't be read.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        let path = fs::canonicalize(path).map_err(|error| about(path, &error))?;
        let name =
            path.file_name().ok_or_else(|| io::Error::other("expected a file or folder with a name"))?;
        let name = bytes(name);
        if !is_accepted(&name) {
            let text = format!("{}: clients refuse a torrent of this name", shown(&path));
            return Err(io::Error::other(text));
        }
        let (files, left_out) = if path.is_file() { (vec![path.clone()], Vec::new()) } else { walk(&path)? };
        Ok(Self { path, name, files, left_out })
    }

    /// What isn't in the torrent, by path.
    pub(crate) fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// The same without an earlier .torrent at the output's path. Where nothing else is there, it stays, so that it is
    /// refused to be replaced.
    fn without(mut self, output: &Path) -> Self {
        let is_torrent = output.extension().is_some_and(|extension| extension == "torrent");
        if let Ok(output) = fs::canonicalize(output)
            && is_torrent
            && output != self.path
            && let Some(at) = self.files.iter().position(|file| *file == output)
        {
            self.files.remove(at);
            self.left_out.push(LeftOut { path: output, why: "the .torrent is written there" });
        }
        self
    }

    /// Hashes the content. `progress` is called for every piece, with its index and the number of pieces.
    ///
    /// # Errors
    /// When something can't be read, or there is nothing in it.
    pub(crate) fn hash(
        self,
        piece_length: Option<u32>,
        mut progress: impl FnMut(u64, u64),
    ) -> io::Result<NewTorrent> {
        let mut files = Vec::with_capacity(self.files.len());
        for file in &self.files {
            let length = fs::metadata(file).map_err(|error| about(file, &error))?.len();
            let path = parts(file.strip_prefix(&self.path).unwrap_or(file));
            files.push(NewFile { path, length, padding: false });
        }
        let total = files.iter().map(|file| file.length).sum::<u64>();
        if total == 0 {
            return Err(io::Error::other(format!("{} holds nothing", shown(&self.path))));
        }
        let piece_length = piece_length.unwrap_or_else(|| default_piece_length(total));
        let count = total.div_ceil(u64::from(piece_length));
        let mut pieces = Vec::new();
        let mut rest = Chain { paths: self.files.into_iter(), open: None };
        let mut piece = Vec::with_capacity(piece_length as usize);
        loop {
            piece.clear();
            rest.by_ref().take(u64::from(piece_length)).read_to_end(&mut piece)?;
            if piece.is_empty() {
                break;
            }
            progress(pieces.len() as u64 / 20, count);
            pieces.extend_from_slice(&Sha1::digest(&piece));
        }
        if pieces.len() as u64 != 20 * count {
            return Err(io::Error::other("the files changed while they were read"));
        }
        Ok(NewTorrent { name: self.name, files, piece_length, pieces, ..NewTorrent::default() })
    }
}

/// The bytes of a .torrent.
///
/// # Errors
/// Never: every key is written in order.
pub(crate) fn encode(torrent: &NewTorrent) -> Result<Vec<u8>, Error> {
    let mut encoder = Encoder::new();
    encoder.emit_dict(|mut dict| {
        if let Some(first) = torrent.tiers.first().and_then(|tier| tier.first()) {
            dict.emit_pair(b"announce", first.as_str())?;
        }
        if torrent.tiers.iter().map(Vec::len).sum::<usize>() > 1 {
            dict.emit_pair_with(b"announce-list", |list| strings_of_strings(list, &torrent.tiers))?;
        }
        dict.emit_pair_with(b"info", |info| encode_info(info, torrent))
    })?;
    encoder.get_output()
}

fn encode_info(info: SingleItemEncoder<'_>, torrent: &NewTorrent) -> Result<(), Error> {
    info.emit_dict(|mut info| {
        match torrent.files.as_slice() {
            [single] if single.path.is_empty() => info.emit_pair(b"length", single.length)?,
            files => info.emit_pair_with(b"files", |list| {
                list.emit_list(|list| {
                    for NewFile { path, length, padding } in files {
                        list.emit_dict(|mut file| {
                            if *padding {
                                file.emit_pair(b"attr", "p")?;
                            }
                            file.emit_pair(b"length", *length)?;
                            file.emit_pair_with(b"path", |list| {
                                list.emit_list(|list| path.iter().try_for_each(|part| list.emit_bytes(part)))
                            })
                        })?;
                    }
                    Ok(())
                })
            })?,
        }
        info.emit_pair_with(b"name", |name| name.emit_bytes(&torrent.name))?;
        info.emit_pair(b"piece length", torrent.piece_length)?;
        info.emit_pair_with(b"pieces", |pieces| pieces.emit_bytes(&torrent.pieces))?;
        if torrent.private { info.emit_pair(b"private", 1) } else { Ok(()) }
    })
}

fn strings_of_strings(item: SingleItemEncoder<'_>, lists: &[Vec<String>]) -> Result<(), Error> {
    item.emit_list(|list| {
        for texts in lists {
            list.emit_list(|list| texts.iter().try_for_each(|text| list.emit_str(text)))?;
        }
        Ok(())
    })
}

/// Trackers as the command line has them: a comma within a tier, one option a tier.
pub(crate) fn tiers(options: &[String]) -> Vec<Vec<String>> {
    let tier = |option: &String| option.split(',').map(|url| url.trim().to_owned()).collect();
    options.iter().map(tier).collect()
}

/// About a thousand pieces, of 16 KiB to 16 MiB.
fn default_piece_length(total: u64) -> u32 {
    let length = (total / 1024).next_power_of_two().clamp(16 << 10, 16 << 20);
    u32::try_from(length).unwrap_or(16 << 20)
}

/// The files below a folder, sorted bytewise, and what is left out: links aren't followed, and what other clients would
/// take for padding is none.
fn walk(folder: &Path) -> io::Result<(Vec<PathBuf>, Vec<LeftOut>)> {
    let (mut files, mut left_out) = (Vec::new(), Vec::new());
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(|error| about(&folder, &error))? {
            let entry = entry?;
            let (kind, path, name) = (entry.file_type()?, entry.path(), bytes(&entry.file_name()));
            let why = if kind.is_symlink() {
                "links are not followed"
            } else if !is_accepted(&name) {
                "clients refuse its name"
            } else if kind.is_dir() && name == b".pad" {
                "other clients take what is in it for padding"
            } else if name.starts_with(b"_____padding_file_") {
                "other clients take it for padding"
            } else if kind.is_dir() {
                folders.push(path);
                continue;
            } else if kind.is_file() {
                files.push(path);
                continue;
            } else {
                "it is neither a file nor a folder"
            };
            left_out.push(LeftOut { path, why });
        }
    }
    files.sort_by_key(|file| parts(file));
    left_out.sort_by(|one, other| one.path.cmp(&other.path));
    Ok((files, left_out))
}

fn parts(path: &Path) -> Vec<Vec<u8>> {
    path.iter().map(bytes).collect()
}

/// A name as it stands in a .torrent: on Unix its bytes, elsewhere UTF-8.
#[cfg(unix)]
fn bytes(name: &OsStr) -> Vec<u8> {
    std::os::unix::ffi::OsStrExt::as_bytes(name).to_vec()
}

#[cfg(not(unix))]
fn bytes(name: &OsStr) -> Vec<u8> {
    name.to_string_lossy().into_owned().into_bytes()
}

/// Files read one after the other.
struct Chain {
    paths: std::vec::IntoIter<PathBuf>,
    open: Option<File>,
}

impl Read for Chain {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(file) = &mut self.open {
                let read = file.read(buffer)?;
                if read > 0 || buffer.is_empty() {
                    return Ok(read);
                }
            }
            let Some(path) = self.paths.next() else { return Ok(0) };
            self.open = Some(File::open(&path).map_err(|error| about(&path, &error))?);
        }
    }
}

fn about(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", shown(path)))
}

#[cfg(test)]
mod tests {
    use tracker_failover::Metainfo;

    use super::*;

    #[test]
    fn a_folder_becomes_a_torrent_of_several_trackers() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("dir");
        fs::create_dir_all(root.join("sub")).unwrap();
        fs::write(root.join("b"), vec![1; 20_000]).unwrap();
        fs::write(root.join("sub/a"), vec![2; 20_000]).unwrap();
        fs::write(root.join("Z"), []).unwrap();
        let mut torrent = Source::at(&root).unwrap().hash(Some(16_384), |_, _| {}).unwrap();
        torrent.tiers =
            tiers(&["http://a.test/announce, http://b.test/announce".into(), "udp://c.test:1".into()]);
        torrent.private = true;
        let metainfo = Metainfo::parse(&encode(&torrent).unwrap()).unwrap();
        let hosts: Vec<Vec<&str>> = metainfo
            .announce_tiers()
            .iter()
            .map(|tier| tier.iter().map(TrackerUrl::host).collect())
            .collect();
        assert_eq!(hosts, [vec!["a.test", "b.test"], vec!["c.test"]]);
        let files: Vec<_> =
            metainfo.files().iter().map(|file| (file.path().join("/"), file.length())).collect();
        assert_eq!(files, [("Z".into(), 0), ("b".into(), 20_000), ("sub/a".into(), 20_000)]);
        assert_eq!((metainfo.name(), metainfo.is_private(), metainfo.pieces().len()), ("dir", true, 3));
        let data = [vec![1; 20_000], vec![2; 20_000]].concat();
        assert_eq!(metainfo.pieces()[1], <[u8; 20]>::from(Sha1::digest(&data[16_384..32_768])));
    }

    #[test]
    fn a_file_becomes_a_torrent_of_one_tracker() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.bin");
        fs::write(&path, vec![1; 100]).unwrap();
        let mut torrent = Source::at(&path).unwrap().hash(None, |_, _| {}).unwrap();
        torrent.tiers = tiers(&["http://a.test/announce".into()]);
        let bytes = encode(&torrent).unwrap();
        let metainfo = Metainfo::parse(&bytes).unwrap();
        assert!(metainfo.is_single_file() && !bytes.windows(13).any(|part| part == b"announce-list"));
        assert_eq!((metainfo.name(), metainfo.total_length()), ("x.bin", 100));
        assert!(Source::at(&folder.path().join("absent")).is_err());
    }
}
