//! The two threads that hash, and write and read, so that the network never waits for the disk.
//!
//! A piece that came in one part is hashed before the disk has to do with it, and the next one while it is written:
//! with one thread for both, everything waited for that, and a fast download took a fifth longer. Larger pieces are
//! hashed where they are written, since parts that came out of order are read back for it.
//!
//! The queues are as long as what the swarm has in progress, which it bounds itself: parts in memory, what is given up of
//! those that were stored, and reads for peers. Buffers travel back with the answers.

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};

use tokio::sync::mpsc::UnboundedSender;

use super::begun::{Begun, verdict};
use super::check::{Checked, How, check};
use super::storage::Storage;
use super::verified::Verified;
use crate::swarm::PeerKey;
use crate::swarm::verdict::{Digest, Verdict};
use crate::torrent::Torrent;
use crate::wire::message::{Block, write_piece_head};

/// The way to the threads.
#[derive(Debug)]
pub(crate) struct Disk {
    torrent: Arc<Torrent>,
    whole: Sender<Whole>,
    work: Sender<Work>,
    hasher: JoinHandle<()>,
    writer: JoinHandle<()>,
}

/// What the threads are asked to do.
#[derive(Debug)]
pub(crate) enum Job {
    /// Write a part of a piece, and check the piece's hash where it is whole with it.
    Store { piece: u32, begin: u32, data: Vec<u8>, earlier: Option<Vec<Digest>> },
    /// What was stored of a piece counts no more.
    Forget(u32),
    /// Write the resume file, if something has changed.
    SaveResume,
    /// Read blocks, framed as messages, unless the peer has left.
    Load { peer: PeerKey, connected: Weak<()>, blocks: Vec<Block>, buffer: Vec<u8> },
}

/// A piece that came in one part.
#[derive(Debug)]
struct Whole {
    piece: u32,
    data: Vec<u8>,
    earlier: Option<Vec<Digest>>,
}

/// What the disk's thread has to do.
#[derive(Debug)]
enum Work {
    Job(Job),
    /// Write a piece that is good.
    Keep {
        piece: u32,
        data: Vec<u8>,
        verdict: Verdict,
    },
}

/// What the threads have done.
#[derive(Debug)]
pub(crate) enum Done {
    /// So many pieces of what was there at the start have been looked at.
    Looked(u32),
    /// What was there at the start.
    Ready(io::Result<Checked>),
    /// A part of a piece was stored, and its piece checked where it was whole with it.
    Stored { piece: u32, data: Vec<u8>, verdict: io::Result<Option<Verdict>> },
    /// Blocks were read, or none for a peer that has left.
    Loaded { peer: PeerKey, messages: Result<Vec<u8>, Unreadable>, payload: u64 },
    /// The resume file couldn't be written, so that the next start takes longer.
    NotResumable(io::Error),
}

/// What was good, and can't be read any more.
#[derive(Debug)]
pub(crate) struct Unreadable {
    /// The pieces: the one that was asked for, and all others of its files that are gone with it.
    pub(crate) pieces: BTreeSet<u32>,
    /// Why, with the path of the file.
    pub(crate) error: io::Error,
}

impl Disk {
    /// Starts the threads. That of the disk first checks the existing files, and then sends [`Done::Ready`]. It keeps so many
    /// files open.
    ///
    /// # Errors
    /// When the folder can't be made, or a thread can't be started.
    pub(crate) fn start(
        torrent: Arc<Torrent>,
        folder: &Path,
        how: How,
        open_files: usize,
        done: UnboundedSender<Done>,
    ) -> io::Result<Self> {
        let storage = Storage::new(folder, Arc::clone(&torrent))?.keep_open(open_files);
        let (whole, pieces) = mpsc::channel();
        let (work, queue) = mpsc::channel();
        let hasher = thread::Builder::new().name("hash".into()).spawn({
            let (torrent, done, work) = (Arc::clone(&torrent), done.clone(), work.clone());
            move || hash_pieces(&torrent, &pieces, &done, &work)
        })?;
        let writer = thread::Builder::new().name("disk".into()).spawn({
            let torrent = Arc::clone(&torrent);
            move || tend_disk(&torrent, storage, how, &queue, &done)
        })?;
        Ok(Self { torrent, whole, work, hasher, writer })
    }

    /// Gives the threads something to do.
    ///
    /// # Errors
    /// When one is gone, which it is only after a panic.
    pub(crate) fn send(&self, job: Job) -> io::Result<()> {
        match job {
            Job::Store { piece, begin: 0, data, earlier } if self.is_whole(piece, &data) => {
                send(&self.whole, Whole { piece, data, earlier })
            }
            job => send(&self.work, Work::Job(job)),
        }
    }

    fn is_whole(&self, piece: u32, data: &[u8]) -> bool {
        let range = self.torrent.range(piece);
        data.len() as u64 == range.end - range.start
    }

    /// Waits until everything is done that was asked for.
    pub(crate) fn finish(self) {
        drop((self.whole, self.work));
        // A panic in a thread was reported where it happened.
        let _ = (self.hasher.join(), self.writer.join());
    }
}

fn send<T>(queue: &Sender<T>, what: T) -> io::Result<()> {
    queue.send(what).map_err(|_| io::Error::other("the disk's thread has ended"))
}

/// Hashes pieces until one of the channels is closed. The valid ones go on to the disk.
fn hash_pieces(
    torrent: &Torrent,
    pieces: &Receiver<Whole>,
    done: &UnboundedSender<Done>,
    work: &Sender<Work>,
) {
    for Whole { piece, data, earlier } in pieces {
        let heard = match verdict(torrent, piece, &data, earlier.as_deref()) {
            Ok(verdict @ Verdict::Good { .. }) => work.send(Work::Keep { piece, data, verdict }).is_ok(),
            bad => done.send(Done::Stored { piece, data, verdict: bad.map(Some) }).is_ok(),
        };
        if !heard {
            return;
        }
    }
}

/// Checks the existing files, and then writes and reads, until one of the channels is closed. The resume file is written when
/// it is asked for, when everything is here, and at the end.
fn tend_disk(
    torrent: &Torrent,
    mut storage: Storage,
    how: How,
    queue: &Receiver<Work>,
    done: &UnboundedSender<Done>,
) {
    let checked = check(torrent, &mut storage, how, |piece| {
        piece % LOOKED_EVERY != 0 || done.send(Done::Looked(piece)).is_ok()
    });
    let ends_complete = matches!(how, How::Begin { ends_complete: true, .. });
    let is_ready = checked.as_ref().ok().map(|checked| Verified::new(torrent, checked, ends_complete));
    let is_heard = done.send(Done::Ready(checked)).is_ok();
    let Some(mut verified) = is_ready.filter(|_| is_heard) else { return };
    let mut begun = Begun::default();
    for work in queue {
        let answer = match work {
            Work::Job(Job::SaveResume) => {
                verified.save(torrent, &storage);
                None
            }
            Work::Job(job) => do_job(torrent, &mut storage, &mut begun, job),
            Work::Keep { piece, data, verdict } => {
                let verdict = storage.write(torrent.range(piece), &data).map(|()| Some(verdict));
                Some(Done::Stored { piece, data, verdict })
            }
        };
        if answer.as_ref().is_some_and(|answer| note(&mut verified, answer)) {
            verified.save(torrent, &storage);
        }
        if answer.is_some_and(|answer| done.send(answer).is_err()) {
            break;
        }
    }
    if let Err(error) = verified.finish(torrent, &storage) {
        // Nothing is heard any more where the program ends at once.
        let _ = done.send(Done::NotResumable(error));
    }
}

/// Notes which pieces are on the disk with this. Whether everything that is wanted is.
fn note(verified: &mut Verified, answer: &Done) -> bool {
    match answer {
        Done::Stored { piece, verdict: Ok(Some(Verdict::Good { .. })), .. } => verified.add(*piece),
        Done::Loaded { messages: Err(Unreadable { pieces, .. }), .. } => {
            verified.lost(pieces);
            false
        }
        _ => false,
    }
}

fn do_job(torrent: &Torrent, storage: &mut Storage, begun: &mut Begun, job: Job) -> Option<Done> {
    match job {
        Job::Store { piece, begin, mut data, earlier } => {
            let verdict = begun.store(torrent, storage, piece, begin, &mut data, earlier.as_deref());
            Some(Done::Stored { piece, data, verdict })
        }
        Job::Forget(piece) => {
            begun.forget(piece);
            None
        }
        Job::SaveResume => None,
        Job::Load { peer, connected, blocks: _, mut buffer } if connected.strong_count() == 0 => {
            buffer.clear();
            Some(Done::Loaded { peer, messages: Ok(buffer), payload: 0 })
        }
        Job::Load { peer, blocks, buffer, .. } => {
            let payload = blocks.iter().map(|block| u64::from(block.length)).sum();
            Some(Done::Loaded { peer, messages: load(torrent, storage, &blocks, buffer), payload })
        }
    }
}

/// Reads blocks into the messages that carry them.
fn load(
    torrent: &Torrent,
    storage: &mut Storage,
    blocks: &[Block],
    mut buffer: Vec<u8>,
) -> Result<Vec<u8>, Unreadable> {
    buffer.clear();
    for &block in blocks {
        write_piece_head(&mut buffer, block);
        let start = torrent.range(block.piece).start + u64::from(block.begin);
        let from = buffer.len();
        buffer.resize(from + block.length as usize, 0);
        let end = start + u64::from(block.length);
        let read = storage.read(start..end, &mut buffer[from..]);
        read.map_err(|error| {
            // Once a piece is written behind the end of a file that was cut, what is between reads as zeros.
            let mut pieces = storage.missing_pieces(start..end);
            pieces.insert(block.piece);
            Unreadable { pieces, error }
        })?;
    }
    Ok(buffer)
}

/// After how many pieces the progress of the check at the start is reported.
const LOOKED_EVERY: u32 = 64;

#[cfg(test)]
mod tests {
    use std::fs;

    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::torrent::tests::{content, single};
    use crate::wire::message::BLOCK;

    /// R150.
    #[test]
    fn blocks_for_a_departed_peer_are_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let data = content(BLOCK as usize);
        fs::write(folder.path().join("x"), &data).unwrap();
        let torrent = Arc::new(single("x", &data, BLOCK as usize));
        let (sender, mut done) = unbounded_channel();
        let disk = Disk::start(
            torrent,
            folder.path(),
            How::Begin { overwrite: false, ends_complete: false },
            64,
            sender,
        )
        .unwrap();
        let (here, left) = (Arc::new(()), Weak::new());
        for (peer, connected) in [(1, left), (2, Arc::downgrade(&here))] {
            let blocks = vec![Block { piece: 0, begin: 0, length: BLOCK }];
            disk.send(Job::Load { peer: PeerKey(peer), connected, blocks, buffer: vec![7; 9] }).unwrap();
        }
        disk.finish();
        let mut loaded = Vec::new();
        while let Ok(job) = done.try_recv() {
            if let Done::Loaded { peer, messages, payload } = job {
                loaded.push((peer.0, messages.unwrap().len(), payload));
            }
        }
        assert_eq!(loaded, [(1, 0, 0), (2, 13 + BLOCK as usize, u64::from(BLOCK))]);
    }
}
