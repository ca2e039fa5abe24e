//! The one thread that hashes, writes and reads, so that the network never waits for the disk.
//!
//! Its queue is bounded by what the swarm keeps in progress, and buffers travel back with the answers.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::thread::{self, JoinHandle};

use tokio::sync::mpsc::UnboundedSender;

use super::begun::Begun;
use super::check::check;
use super::storage::Storage;
use crate::swarm::PeerKey;
use crate::swarm::bitfield::Bitfield;
use crate::swarm::picker::MAX_OPEN;
use crate::swarm::pieces::Verdict;
use crate::swarm::session::{Digest, MAX_PEERS};
use crate::torrent::Torrent;
use crate::wire::message::{Block, write_piece_head};

/// The way to the thread.
#[derive(Debug)]
pub(crate) struct Disk {
    jobs: SyncSender<Job>,
    thread: JoinHandle<()>,
}

/// What the thread is asked to do.
#[derive(Debug)]
pub(crate) enum Job {
    /// Write a part of a piece, and check the piece's hash where it is whole with it.
    Store { piece: u32, begin: u32, data: Vec<u8>, earlier: Option<Vec<Digest>> },
    /// What was stored of a piece counts no more.
    Forget(u32),
    /// Read blocks, framed as messages.
    Load { peer: PeerKey, blocks: Vec<Block>, buffer: Vec<u8> },
}

/// What the thread has done.
#[derive(Debug)]
pub(crate) enum Done {
    /// So many pieces of what was there at the start have been looked at.
    Looked(u32),
    /// What was there at the start.
    Ready(io::Result<Bitfield>),
    /// A part of a piece was stored, and its piece checked where it was whole with it.
    Stored { piece: u32, data: Vec<u8>, verdict: io::Result<Option<Verdict>> },
    /// Blocks were read.
    Loaded { peer: PeerKey, messages: io::Result<Vec<u8>>, payload: u64 },
}

impl Disk {
    /// Starts the thread, which first looks at what is there and says [`Done::Ready`].
    ///
    /// # Errors
    /// When the folder can't be made, or the thread can't be started.
    pub(crate) fn start(
        torrent: Arc<Torrent>,
        folder: &Path,
        overwrite: bool,
        done: UnboundedSender<Done>,
    ) -> io::Result<Self> {
        let mut storage = Storage::new(folder, Arc::clone(&torrent))?;
        // Each part in memory is in it at most once, each piece is given up only after a part of it was stored,
        // and each peer has two buffers.
        let (jobs, queue) = mpsc::sync_channel(3 * MAX_OPEN + 2 * MAX_PEERS);
        let thread = thread::Builder::new().name("disk".into()).spawn(move || {
            let have = check(&torrent, &mut storage, overwrite, |piece| {
                piece % LOOKED_EVERY != 0 || done.send(Done::Looked(piece)).is_ok()
            });
            if done.send(Done::Ready(have)).is_err() {
                return;
            }
            let mut begun = Begun::default();
            for job in queue {
                if let Some(answer) = work(&torrent, &mut storage, &mut begun, job)
                    && done.send(answer).is_err()
                {
                    return;
                }
            }
        })?;
        Ok(Self { jobs, thread })
    }

    /// Gives the thread something to do.
    ///
    /// # Errors
    /// When the thread is gone, which it is only after a panic.
    pub(crate) fn send(&self, job: Job) -> io::Result<()> {
        self.jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => io::Error::other("the disk's queue is full"),
            TrySendError::Disconnected(_) => io::Error::other("the disk's thread has ended"),
        })
    }

    /// Waits until everything is done that was asked for.
    pub(crate) fn finish(self) {
        drop(self.jobs);
        // A panic in the thread was reported where it happened.
        let _ = self.thread.join();
    }
}

fn work(torrent: &Torrent, storage: &mut Storage, begun: &mut Begun, job: Job) -> Option<Done> {
    match job {
        Job::Store { piece, begin, mut data, earlier } => {
            let verdict = begun.store(torrent, storage, piece, begin, &mut data, earlier.as_deref());
            Some(Done::Stored { piece, data, verdict })
        }
        Job::Forget(piece) => {
            begun.forget(piece);
            None
        }
        Job::Load { peer, blocks, buffer } => {
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
) -> io::Result<Vec<u8>> {
    buffer.clear();
    for &block in blocks {
        write_piece_head(&mut buffer, block);
        let start = torrent.range(block.piece).start + u64::from(block.begin);
        let from = buffer.len();
        buffer.resize(from + block.length as usize, 0);
        storage.read(start..start + u64::from(block.length), &mut buffer[from..])?;
    }
    Ok(buffer)
}

/// Progress of the look at the start is told every so many pieces.
const LOOKED_EVERY: u32 = 64;
