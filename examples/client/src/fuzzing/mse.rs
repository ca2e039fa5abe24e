//! What holds for anything that strangers send before a connection is encrypted: the body of the fuzz target `client_mse`.

use std::sync::LazyLock;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tracker_failover::{InfoHash, PeerId};

use super::script::Script;
use crate::wire::greeting::Greeting;
use crate::wire::handshake;
use crate::wire::mse::Policy;

/// Reads the input as what a peer sends first, or as changes to what an honest peer sends. A change of an encrypted byte is one
/// of the byte in clear, so that everything a peer can say is said. The last byte says which side is played, and which of both
/// the input is.
///
/// # Panics
/// Where something does not hold.
pub fn mse(input: &[u8]) {
    let (mode, input) = input.split_last().map_or((0, input), |(mode, rest)| (*mode, rest));
    let (is_dialled, is_raw) = (mode & 1 == 0, mode & 2 == 0);
    if is_raw {
        return check_greeting(is_dialled, input, mode);
    }
    let said = if is_dialled { &HONEST.accepter } else { &HONEST.dialler };
    let mut changed: Vec<u8> = said.concat();
    let mut script = Script(input);
    // The keys stay: with another one everything behind it is noise.
    while let (Some(kind), Some(high), Some(low)) = (script.byte(), script.byte(), script.byte()) {
        let at = KEY + usize::from(u16::from_be_bytes([high, low]) % 1024);
        match kind % 4 {
            0 => changed.truncate(at),
            1 => {
                let at = at.min(changed.len());
                changed.splice(at..at, script.bytes().iter().copied());
            }
            _ => {
                let delta = script.byte().unwrap_or_default();
                if let Some(byte) = changed.get_mut(at) {
                    *byte ^= delta;
                }
            }
        }
    }
    check_greeting(is_dialled, &changed, mode);
}

static HONEST: LazyLock<Conversation> = LazyLock::new(Conversation::honest);

/// What two honest peers say to each other, each from a fixed seed.
struct Conversation {
    dialler: [Vec<u8>; 2],
    accepter: [Vec<u8>; 2],
}

impl Conversation {
    fn honest() -> Self {
        let [mut dialler, mut accepter] = [Self::dialler(), Self::accepter()];
        let mut said = Self { dialler: Default::default(), accepter: Default::default() };
        for round in 0..2 {
            said.dialler[round] = dialler.take_outgoing();
            assert_eq!(accepter.receive(&said.dialler[round]).map(|done| done.is_some()), Ok(round == 1));
            said.accepter[round] = accepter.take_outgoing();
            assert_eq!(dialler.receive(&said.accepter[round]).map(|done| done.is_some()), Ok(round == 1));
        }
        said
    }

    fn dialler() -> Greeting {
        Greeting::encrypted(
            TORRENT,
            handshake::write(TORRENT, PeerId::new([1; 20]), false),
            Policy::Prefer,
            StdRng::seed_from_u64(1),
        )
    }

    fn accepter() -> Greeting {
        let torrents = [InfoHash::new([3; 20]), TORRENT];
        let ours = torrents.map(|torrent| (torrent, handshake::write(torrent, PeerId::new([2; 20]), false)));
        Greeting::awaited(ours, Policy::Prefer, StdRng::seed_from_u64(2))
    }
}

/// However the bytes are cut, the same comes of them.
fn check_greeting(is_dialled: bool, bytes: &[u8], mode: u8) {
    let play = |chunk: usize| {
        let mut greeting = if is_dialled { Conversation::dialler() } else { Conversation::accepter() };
        let (mut sent, mut taken) = (greeting.take_outgoing(), 0);
        for part in bytes.chunks(chunk) {
            taken += part.len();
            let result = greeting.receive(part);
            sent.append(&mut greeting.take_outgoing());
            assert!(sent.len() <= MAX_SENT, "{} bytes were sent", sent.len());
            match result {
                Ok(None) => {}
                Ok(Some(greeted)) => {
                    assert!(greeted.unread.len() <= taken);
                    return (Ok(Some((greeted.torrent, greeted.handshake))), sent);
                }
                Err(why) => return (Err(why), sent),
            }
        }
        (Ok(None), sent)
    };
    let whole = play(bytes.len().max(1));
    let cut = play(16 + usize::from(mode));
    assert_eq!(whole.0, cut.0);
    if whole.0.is_ok() {
        assert_eq!(whole.1, cut.1);
    }
    if let Ok(Some((torrent, _))) = whole.0 {
        assert!(torrent == TORRENT || !is_dialled);
    }
}

const TORRENT: InfoHash = InfoHash::new([7; 20]);
/// Bytes of a public key.
const KEY: usize = 96;
/// A key, what follows it, noise and padding of 512 bytes each, and a handshake.
const MAX_SENT: usize = KEY + 512 + 20 + 20 + 8 + 4 + 2 + 512 + 2 + 68;
