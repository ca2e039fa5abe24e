//! The exchange of keys against values that were computed elsewhere, and against scripted peers.

use rand::SeedableRng;

use super::keys::{KEY, KeyPair, Sender, SharedSecret};
use super::*;

const TORRENT: InfoHash = InfoHash::new([7; 20]);

fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

/// Twenty bytes, each by one greater than the one before.
fn secret(first: u8) -> [u8; 20] {
    let bytes: Vec<u8> = (first..).take(20).collect();
    bytes.try_into().unwrap()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Computed with Python's own numbers, as `pow(2, secret, P)` and so on, `hashlib`, and RC4 in ten lines, which gives the
/// known `eb9f7781b734ca72a719` for the key `Key`. The secrets are the bytes 1 to 20 and 101 to 120, the info-hash 20 sevens.
#[test]
fn keys_and_ciphers_are_those_of_another_implementation() {
    let (a, b) = (KeyPair::new(secret(1)), KeyPair::new(secret(101)));
    let expected_a = "96e112dab29e8c5272accb9b17b26887ce54a144a4e3b697c7d159b7a817e556b0918db2b4c658e02a87f7e5fb14b18a\
                      553e084cbf3dad2d30f16596ccb982d406258c61b30c5c1dae2ddc60bdbd48d79896312aad63238c39e1a633821eb693";
    let expected_b = "d32ae8cedd0de9ca4fe67e35626bb8c7cdb0966727d899f6a62fdb2b68817f9ddc4b684e3eb34030b8dba4e028b7cff3\
                      264020340cb4eab61923cdc4e4216ba873368d83f0a38e497f1f6b4e3d2012eb91a3ee6056f966f9eae732089b6fa46e";
    assert_eq!((hex(a.public()), hex(b.public())), (expected_a.to_owned(), expected_b.to_owned()));
    let shared = a.shared(b.public());
    assert_eq!(hex(&b.shared(a.public()).mark()), "78fffb0f23055a793ff7609f359e04e383ec3505");
    assert_eq!(hex(&shared.mark()), "78fffb0f23055a793ff7609f359e04e383ec3505");
    assert_eq!(hex(&shared.hide(TORRENT)), "71d78150e85448ce01f25cccacd68f4ff1fe589f");
    for (sender, expected) in [
        (Sender::Dialler, "6001a24df82bedd60d89ed941f5de1f9"),
        (Sender::Accepter, "1f1175239bd82cb005687bc45ec41a35"),
    ] {
        let mut zeros = [0; 16];
        let mut cipher = shared.cipher(sender, TORRENT).unwrap();
        // However the bytes are cut.
        zeros.chunks_mut(5).for_each(|part| cipher.apply(part));
        assert_eq!(hex(&zeros), expected);
    }
}

/// A number that is no remainder of the prime: `pow(2**768 - 1, secret, P)`.
#[test]
fn a_key_beyond_the_prime_is_taken_as_its_remainder() {
    let keys = KeyPair::new(secret(1));
    let expected = "82c3267215ffe2bb1124e8b7660a70d0f7054e08ecf932d8a911fda3a2119ec818f216308807fb70d7442f161c57034ca27018\
                    e90b28e79b611a9fd9bbe5c62690d1da9006e8e79ba1b8ba2141742824a2af367fa3f3d37fecf996ba27c65e41";
    assert_eq!(hex(keys.shared(&[0xff; KEY]).bytes()), expected);
    // Those that give nothing away but themselves do no harm.
    assert_eq!(keys.shared(&[0; KEY]).bytes(), &[0; KEY]);
}

/// What a scripted peer that dials sends behind its key.
#[derive(Clone)]
struct Dialler {
    noise: usize,
    constant: [u8; 8],
    offers: u32,
    /// The length of the padding that it names, and the one that it has.
    padding: (u16, usize),
    initial: Vec<u8>,
}

impl Dialler {
    fn new() -> Self {
        Self {
            noise: 0,
            constant: CONSTANT,
            offers: PLAIN | RC4,
            padding: (0, 0),
            initial: b"initial".to_vec(),
        }
    }

    /// Plays it; gives what comes of it, and the bytes that it is sent behind their key.
    fn play(&self, policy: Policy) -> (Result<Option<Secured>, Why>, Vec<u8>, SharedSecret) {
        let keys = KeyPair::new([1; 20]);
        let (mut accepting, mut out) = (Accepting::new(Methods::of(policy), rng(1)), Vec::new());
        let mut bytes = keys.public().to_vec();
        // Not even by chance the mark.
        bytes.resize(KEY + self.noise, 0);
        let torrents = || (0..50).map(|number| InfoHash::new([number; 20]));
        if let Err(why) = accepting.receive(&bytes, torrents(), &mut out) {
            let secret = keys.shared(out.first_chunk().unwrap());
            return (Err(why), out, secret);
        }
        let secret = keys.shared(out.first_chunk().unwrap());
        let mut rest = [secret.mark(), secret.hide(TORRENT)].concat();
        let mut encrypted =
            [&self.constant[..], &self.offers.to_be_bytes(), &self.padding.0.to_be_bytes()].concat();
        encrypted.resize(14 + self.padding.1, 0);
        encrypted.extend_from_slice(&u16::try_from(self.initial.len()).unwrap().to_be_bytes());
        encrypted.extend_from_slice(&self.initial);
        secret.cipher(Sender::Dialler, TORRENT).unwrap().apply(&mut encrypted);
        rest.append(&mut encrypted);
        let answered = out.len();
        let secured = accepting.receive(&rest, torrents(), &mut out);
        (secured, out.split_off(answered), secret)
    }

    fn method(&self, policy: Policy) -> Result<Option<Method>, Why> {
        self.play(policy).0.map(|secured| secured.map(|secured| secured.method))
    }
}

#[test]
fn noise_and_padding_have_at_most_512_bytes() {
    let dialler = Dialler::new();
    for noise in [0, 1, 511, 512] {
        assert_eq!(
            Dialler { noise, ..dialler.clone() }.method(Policy::Prefer),
            Ok(Some(Method::Rc4)),
            "{noise}"
        );
    }
    for noise in [513, 532, 533, 65_535] {
        assert_eq!(
            Dialler { noise, ..dialler.clone() }.method(Policy::Prefer),
            Err(Why::Handshake),
            "{noise}"
        );
    }
    for length in [0, 1, 512] {
        let padding = (length, length.into());
        assert_eq!(Dialler { padding, ..dialler.clone() }.method(Policy::Prefer), Ok(Some(Method::Rc4)));
    }
    // The length is enough to end it.
    for length in [513, u16::MAX] {
        let padding = (length, 0);
        assert_eq!(Dialler { padding, ..dialler.clone() }.method(Policy::Prefer), Err(Why::Handshake));
    }
}

#[test]
fn a_dialler_that_offers_nothing_of_ours_is_refused() {
    for (offers, policy, expected) in [
        (PLAIN | RC4, Policy::Prefer, Ok(Some(Method::Rc4))),
        (PLAIN, Policy::Prefer, Ok(Some(Method::Plain))),
        (u32::MAX, Policy::Require, Ok(Some(Method::Rc4))),
        (PLAIN, Policy::Require, Err(Why::Encryption)),
        (4, Policy::Prefer, Err(Why::Encryption)),
        (0, Policy::Prefer, Err(Why::Encryption)),
    ] {
        assert_eq!(Dialler { offers, ..Dialler::new() }.method(policy), expected, "{offers} {policy:?}");
    }
    let constant = [0, 0, 0, 0, 0, 0, 0, 1];
    assert_eq!(Dialler { constant, ..Dialler::new() }.method(Policy::Prefer), Err(Why::Handshake));
}

#[test]
fn the_initial_bytes_come_out_in_clear() {
    for offers in [PLAIN, RC4] {
        for length in [0, 1, 68, 65_535] {
            let initial: Vec<u8> = (0..length).map(|at: u32| at.to_le_bytes()[0]).collect();
            let (secured, answer, secret) =
                Dialler { offers, initial: initial.clone(), ..Dialler::new() }.play(Policy::Prefer);
            let secured = secured.unwrap().unwrap();
            assert_eq!((secured.torrent, secured.clear == initial), (TORRENT, true), "{length}");
            // The answer: the constant, the choice, and padding.
            let mut clear = answer;
            secret.cipher(Sender::Accepter, TORRENT).unwrap().apply(&mut clear);
            let length = usize::from(u16::from_be_bytes([clear[12], clear[13]]));
            assert_eq!((&clear[..8], &clear[8..12]), (&CONSTANT[..], &offers.to_be_bytes()[..]));
            assert_eq!((clear.len(), length <= MAX_PAD), (14 + length, true));
        }
    }
}

/// What comes of a scripted peer that was dialled: `noise` bytes behind its key, a choice, and padding.
fn dialled(
    policy: Policy,
    noise: usize,
    constant: [u8; 8],
    choice: u32,
    padding: (u16, usize),
) -> Result<Option<Method>, Why> {
    let (keys, mut out) = (KeyPair::new([2; 20]), Vec::new());
    let mut dialling = Dialling::new(TORRENT, Methods::of(policy), b"initial".to_vec(), rng(1), &mut out);
    let secret = keys.shared(out.first_chunk().unwrap());
    let mut bytes = keys.public().to_vec();
    bytes.resize(KEY + noise, 0);
    let mut answer = [&constant[..], &choice.to_be_bytes(), &padding.0.to_be_bytes()].concat();
    answer.resize(14 + padding.1, 0);
    secret.cipher(Sender::Accepter, TORRENT).unwrap().apply(&mut answer);
    bytes.append(&mut answer);
    dialling.receive(&bytes, &mut out).map(|secured| secured.map(|secured| secured.method))
}

#[test]
fn a_peer_that_was_dialled_chooses_one_of_what_was_offered() {
    for (policy, choice, expected) in [
        (Policy::Prefer, RC4, Ok(Some(Method::Rc4))),
        (Policy::Prefer, PLAIN, Ok(Some(Method::Plain))),
        (Policy::Require, RC4, Ok(Some(Method::Rc4))),
        (Policy::Require, PLAIN, Err(Why::Encryption)),
        (Policy::Prefer, PLAIN | RC4, Err(Why::Encryption)),
        (Policy::Prefer, 0, Err(Why::Encryption)),
        (Policy::Prefer, 4, Err(Why::Encryption)),
        (Policy::Prefer, u32::MAX, Err(Why::Encryption)),
    ] {
        assert_eq!(dialled(policy, 0, CONSTANT, choice, (0, 0)), expected, "{policy:?} {choice}");
    }
}

#[test]
fn the_same_bounds_hold_for_a_peer_that_was_dialled() {
    for noise in [0, 1, 512] {
        assert_eq!(dialled(Policy::Prefer, noise, CONSTANT, RC4, (0, 0)), Ok(Some(Method::Rc4)), "{noise}");
    }
    for noise in [513, 65_535] {
        assert_eq!(dialled(Policy::Prefer, noise, CONSTANT, RC4, (0, 0)), Err(Why::Handshake), "{noise}");
    }
    assert_eq!(dialled(Policy::Prefer, 0, CONSTANT, RC4, (512, 512)), Ok(Some(Method::Rc4)));
    assert_eq!(dialled(Policy::Prefer, 0, CONSTANT, RC4, (512, 511)), Ok(None));
    for length in [513, u16::MAX] {
        assert_eq!(dialled(Policy::Prefer, 0, CONSTANT, RC4, (length, 0)), Err(Why::Handshake));
    }
    // Without the constant its end is never found.
    assert_eq!(dialled(Policy::Prefer, 512, [1; 8], RC4, (0, 0)), Err(Why::Handshake));
}

/// Whatever comes, each side gives up within a key, the longest noise, and a mark.
#[test]
fn garbage_ends_an_exchange() {
    let mut random = rng(3);
    let mut garbage = vec![0; KEY + MAX_PAD + 20];
    random.fill_bytes(&mut garbage);
    let mut out = Vec::new();
    let mut accepting = Accepting::new(Methods::of(Policy::Prefer), rng(1));
    let mut dialling = Dialling::new(TORRENT, Methods::of(Policy::Prefer), vec![], rng(1), &mut out);
    let ends = |taken: Vec<Result<Option<Secured>, Why>>| {
        taken.iter().position(|taken| matches!(taken, Err(Why::Handshake)))
    };
    let taken = |at: usize| accepting.receive(&garbage[at..=at], [TORRENT].into_iter(), &mut out);
    assert_eq!(ends((0..garbage.len()).map(taken).collect()), Some(KEY + MAX_PAD + 20 - 1));
    let mut out = Vec::new();
    let taken = |at: usize| dialling.receive(&garbage[at..=at], &mut out);
    assert_eq!(ends((0..KEY + MAX_PAD + 8).map(taken).collect()), Some(KEY + MAX_PAD + 8 - 1));
}

#[test]
fn a_torrent_that_is_not_among_ours_is_refused() {
    let (keys, mut out) = (KeyPair::new([1; 20]), Vec::new());
    let mut accepting = Accepting::new(Methods::of(Policy::Prefer), rng(1));
    let others = || (0..7).map(|number| InfoHash::new([number; 20]));
    assert!(matches!(accepting.receive(keys.public(), others(), &mut out), Ok(None)));
    let secret = keys.shared(out.first_chunk().unwrap());
    let rest = [secret.mark(), secret.hide(TORRENT)].concat();
    assert!(matches!(accepting.receive(&rest[..39], others(), &mut out), Ok(None)));
    assert!(matches!(accepting.receive(&rest[39..], others(), &mut out), Err(Why::InfoHash)));
}
