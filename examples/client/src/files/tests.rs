//! The resume file in its life: written by one run, and relied on or not by the next.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::check::{Checked, How};
use super::disk::{Disk, Done, Job};
use crate::swarm::PeerKey;
use crate::torrent::Torrent;
use crate::torrent::tests::{content, multi};
use crate::wire::message::Block;

const BEGIN: How = How::Begin { overwrite: false, ends_complete: false };

/// Four files; pieces 0 and 1 within a, 2 shared by a, b and c, 3 and 4 within c, 5 shared by c and d, 6 within d.
struct Rig {
    folder: TempDir,
    data: Vec<u8>,
    torrent: Arc<Torrent>,
}

impl Rig {
    fn new() -> Self {
        let data = content(100);
        let torrent = Arc::new(multi("t", &[("a", 36), ("b", 4), ("c", 50), ("d", 10)], &data, 16));
        Self { folder: tempfile::tempdir().unwrap(), data, torrent }
    }

    /// With all files there and a resume file of them.
    fn complete() -> Self {
        let rig = Self::new();
        for (file, range) in [("a", 0..36), ("b", 36..40), ("c", 40..90), ("d", 90..100)] {
            fs::create_dir_all(rig.folder.path().join("t")).unwrap();
            fs::write(rig.file(file), &rig.data[range]).unwrap();
        }
        assert_eq!(rig.run(BEGIN, &[]), (vec![0, 1, 2, 3, 4, 5, 6], 7));
        rig
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("t").join(name)
    }

    fn resume_file(&self) -> PathBuf {
        self.folder.path().join(format!(".{}.resume", self.torrent.info_hash))
    }

    fn start(&self, how: How) -> (Disk, UnboundedReceiver<Done>, Checked) {
        let (sender, mut done) = unbounded_channel();
        let disk = Disk::start(Arc::clone(&self.torrent), self.folder.path(), how, 64, sender).unwrap();
        loop {
            match done.blocking_recv() {
                Some(Done::Ready(checked)) => return (disk, done, checked.unwrap()),
                Some(_) => {}
                None => panic!("the disk has ended"),
            }
        }
    }

    /// A run that stores these pieces; gives what it found at its start and how many pieces it hashed for that.
    fn run(&self, how: How, pieces: &[u32]) -> (Vec<u32>, u32) {
        let (disk, _done, checked) = self.start(how);
        for &piece in pieces {
            self.store(&disk, piece);
        }
        disk.finish();
        (checked.have.iter().collect(), checked.hashed)
    }

    fn store(&self, disk: &Disk, piece: u32) {
        let range = self.torrent.range(piece);
        let data =
            self.data[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()].to_vec();
        disk.send(Job::Store { piece, begin: 0, data, earlier: None }).unwrap();
    }
}

fn modified(path: &Path) -> SystemTime {
    fs::metadata(path).unwrap().modified().unwrap()
}

fn set_modified(path: &Path, time: SystemTime) {
    File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

/// Changes a byte of a file, which keeps its size and its time.
fn spoil(path: &Path) {
    let time = modified(path);
    let mut bytes = fs::read(path).unwrap();
    bytes[3] ^= 1;
    fs::write(path, bytes).unwrap();
    set_modified(path, time);
}

#[test]
fn what_has_not_changed_is_not_hashed_again() {
    let rig = Rig::complete();
    for _ in 0..2 {
        assert_eq!(rig.run(BEGIN, &[]), (vec![0, 1, 2, 3, 4, 5, 6], 0));
    }
    assert!(!rig.folder.path().join(format!(".{}.resume.new", rig.torrent.info_hash)).exists());
}

#[test]
fn of_a_file_that_was_touched_its_pieces_are_hashed_again() {
    for (file, hashed) in [("a", 3), ("b", 1), ("c", 4), ("d", 2)] {
        let rig = Rig::complete();
        let path = rig.file(file);
        set_modified(&path, modified(&path) - Duration::from_secs(3600));
        assert_eq!(rig.run(BEGIN, &[]), (vec![0, 1, 2, 3, 4, 5, 6], hashed), "{file}");
        assert_eq!(rig.run(BEGIN, &[]), (vec![0, 1, 2, 3, 4, 5, 6], 0), "{file}");
    }
}

#[test]
fn of_a_file_that_is_gone_cut_or_changed_nothing_is_believed() {
    type Change = fn(&Path);
    let changes: [(Change, &[u32]); 3] = [
        (|path| fs::remove_file(path).unwrap(), &[0, 1, 6]),
        (|path| File::options().write(true).open(path).unwrap().set_len(30).unwrap(), &[0, 1, 2, 3, 6]),
        (|path| fs::write(path, [7; 50]).unwrap(), &[0, 1, 6]),
    ];
    for (change, left) in changes {
        let rig = Rig::complete();
        change(&rig.file("c"));
        assert_eq!(rig.run(BEGIN, &[]), (left.to_vec(), 4));
        // It has its length again by now, and the run has said what is in it.
        assert_eq!(rig.run(BEGIN, &[]).0, left);
    }
}

/// A byte that changed while size and time stayed is beyond what a resume file can see.
#[test]
fn a_check_hashes_every_byte_and_corrects_the_resume_file() {
    let rig = Rig::complete();
    spoil(&rig.file("c"));
    assert_eq!(rig.run(BEGIN, &[]), (vec![0, 1, 2, 3, 4, 5, 6], 0));
    assert_eq!(rig.run(How::Verify, &[]), (vec![0, 1, 3, 4, 5, 6], 7));
    assert_eq!(rig.run(BEGIN, &[]), (vec![0, 1, 3, 4, 5, 6], 0));
}

#[test]
fn a_check_makes_no_files() {
    let rig = Rig::new();
    assert_eq!(rig.run(How::Verify, &[]), (vec![], 0));
    assert_eq!(fs::read_dir(rig.folder.path()).unwrap().count(), 0);
}

#[test]
fn a_download_goes_on_with_what_it_had() {
    let rig = Rig::new();
    assert_eq!(rig.run(BEGIN, &[0, 3, 4]), (vec![], 0));
    // What isn't here of files that haven't changed is known as well.
    assert_eq!(rig.run(BEGIN, &[6]), (vec![0, 3, 4], 0));
    assert_eq!(rig.run(BEGIN, &[1, 2, 5]), (vec![0, 3, 4, 6], 0));
    assert_eq!(rig.run(BEGIN, &[]), (vec![0, 1, 2, 3, 4, 5, 6], 0));
}

/// Without a word at the end, as after SIGKILL: what was written since the resume file was is hashed, and nothing is believed
/// that isn't on the disk.
#[test]
fn after_a_crash_files_that_were_written_to_are_hashed() {
    let rig = Rig::new();
    assert_eq!(rig.run(BEGIN, &[0, 3]), (vec![], 0));
    let (disk, mut done, _) = rig.start(BEGIN);
    rig.store(&disk, 4);
    while !matches!(done.blocking_recv(), Some(Done::Stored { piece: 4, .. })) {}
    let kept = fs::read(rig.resume_file()).unwrap();
    disk.finish();
    // The resume file that a crash at this point would have left.
    fs::write(rig.resume_file(), kept).unwrap();
    let (have, hashed) = rig.run(BEGIN, &[]);
    assert_eq!((have, hashed), (vec![0, 3, 4], 4), "c was written to");
}

/// A crash after the file system lost what was written: the file is as it was made, and its time isn't.
#[test]
fn what_a_crash_took_is_not_believed() {
    let rig = Rig::complete();
    let length = fs::metadata(rig.file("c")).unwrap().len();
    fs::write(rig.file("c"), vec![0; usize::try_from(length).unwrap()]).unwrap();
    assert_eq!(rig.run(BEGIN, &[]), (vec![0, 1, 6], 4));
}

/// R158: what turned out to be behind the end of a cut file stays away, although its file has its length again.
#[test]
fn pieces_that_were_lost_stay_lost() {
    let rig = Rig::complete();
    let (disk, mut done, _) = rig.start(BEGIN);
    File::options().write(true).open(rig.file("c")).unwrap().set_len(10).unwrap();
    let connected = Arc::new(());
    let blocks = vec![Block { piece: 4, begin: 0, length: 16 }];
    let load = Job::Load { peer: PeerKey(1), connected: Arc::downgrade(&connected), blocks, buffer: vec![] };
    disk.send(load).unwrap();
    while !matches!(done.blocking_recv(), Some(Done::Loaded { messages: Err(_), .. })) {}
    rig.store(&disk, 5);
    disk.finish();
    let (have, _) = rig.run(BEGIN, &[]);
    assert_eq!(have, [0, 1, 2, 5, 6]);
    assert_eq!(rig.run(BEGIN, &[]), (have, 0));
}

/// A file is cut while it isn't read: writing to it later gives it its length back, with zeros in between.
#[test]
fn what_others_did_to_a_file_while_we_ran_is_noticed() {
    let rig = Rig::new();
    rig.run(BEGIN, &[0, 1, 2, 3, 4, 6]);
    let (disk, _done, checked) = rig.start(BEGIN);
    assert_eq!(checked.hashed, 0);
    File::options().write(true).open(rig.file("c")).unwrap().set_len(10).unwrap();
    rig.store(&disk, 5);
    disk.finish();
    assert_eq!(rig.run(BEGIN, &[]), (vec![0, 1, 2, 5, 6], 4));
}

#[test]
fn a_resume_file_that_is_none_is_not_believed() {
    let rig = Rig::complete();
    let good = fs::read(rig.resume_file()).unwrap();
    let other = multi("t", &[("a", 36), ("b", 4), ("c", 50), ("d", 10)], &content(101)[1..], 16);
    for bad in [
        b"".to_vec(),
        b"d".to_vec(),
        good[..good.len() - 1].to_vec(),
        [&good[..], b"x"].concat(),
        vec![b'l'; 5_000_000],
        good.iter().map(|byte| byte ^ 1).collect(),
    ] {
        fs::write(rig.resume_file(), bad).unwrap();
        assert_eq!(rig.run(BEGIN, &[]), (vec![0, 1, 2, 3, 4, 5, 6], 7));
        assert_eq!(fs::read(rig.resume_file()).unwrap().len(), good.len(), "it is written anew");
    }
    // That of another torrent, by its name.
    let theirs = Rig { folder: rig.folder, data: content(101)[1..].to_vec(), torrent: Arc::new(other) };
    fs::write(theirs.resume_file(), good).unwrap();
    let (sender, mut done) = unbounded_channel();
    let disk = Disk::start(Arc::clone(&theirs.torrent), theirs.folder.path(), BEGIN, 64, sender).unwrap();
    disk.finish();
    let ready = std::iter::from_fn(|| done.blocking_recv()).find(|done| matches!(done, Done::Ready(_)));
    assert!(matches!(ready, Some(Done::Ready(Err(_)))), "the files are another torrent's: {ready:?}");
}

/// F-03: the names of the resume file lead nowhere.
#[cfg(unix)]
#[test]
fn no_link_is_followed_for_the_resume_file() {
    use std::os::unix::fs::symlink;
    let rig = Rig::complete();
    let elsewhere = tempfile::tempdir().unwrap();
    let target = elsewhere.path().join("x");
    let new = rig.folder.path().join(format!(".{}.resume.new", rig.torrent.info_hash));
    let kept = fs::read(rig.resume_file()).unwrap();
    fs::write(&target, &kept).unwrap();
    fs::remove_file(rig.resume_file()).unwrap();
    symlink(&target, rig.resume_file()).unwrap();
    symlink(elsewhere.path().join("nowhere"), &new).unwrap();
    assert_eq!(rig.run(BEGIN, &[]), (vec![0, 1, 2, 3, 4, 5, 6], 7), "it isn't read through a link");
    assert_eq!(fs::read(&target).unwrap(), kept);
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1);
    assert!(fs::symlink_metadata(rig.resume_file()).unwrap().is_file());
    assert_eq!(rig.run(BEGIN, &[]).1, 0);
}
