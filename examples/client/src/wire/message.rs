//! The messages of the peer wire (BEP 3, BEP 6) and their framing.
//!
//! A frame's length is judged by its kind before any of it is kept, so a peer can't make us hold more than
//! one block or one bitfield.

use super::Why;

/// Blocks are requested in this size, 16 KiB: peers drop larger requests (BEP 3).
pub(crate) const BLOCK: u32 = 16 * 1024;
/// The largest request that is served, 128 KiB (BEP 3).
pub(crate) const MAX_REQUEST: u32 = 128 * 1024;
/// The largest extended message that is read; the handshake of BEP 10 is far smaller.
const MAX_EXTENDED: u32 = 64 * 1024;

/// A part of a piece, as requests, cancels and pieces name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Block {
    /// The piece.
    pub(crate) piece: u32,
    /// The offset in the piece, in bytes.
    pub(crate) begin: u32,
    /// The length in bytes.
    pub(crate) length: u32,
}

/// One message, borrowing its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Message<'a> {
    KeepAlive,
    Choke,
    Unchoke,
    Interested,
    NotInterested,
    Have(u32),
    Bitfield(&'a [u8]),
    Request(Block),
    Piece {
        piece: u32,
        begin: u32,
        data: &'a [u8],
    },
    Cancel(Block),
    /// An extended message (BEP 10): its id and its body.
    Extended(u8, &'a [u8]),
    /// A piece that the peer would like to be asked for (BEP 6).
    Suggest(u32),
    /// The peer has every piece (BEP 6).
    HaveAll,
    /// The peer has no piece (BEP 6).
    HaveNone,
    /// The peer doesn't send a block that it was asked for (BEP 6).
    Reject(Block),
    /// A piece that the peer may be asked for though it chokes (BEP 6).
    AllowedFast(u32),
    /// The port on which the peer takes queries of the DHT (BEP 5).
    Port(u16),
    /// A kind that means nothing to us; skipped.
    Unknown(u8),
}

/// How long a message may be, which depends on the torrent's number of pieces.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// `None` while the number of pieces isn't known.
    bitfield: Option<u32>,
    any: u32,
}

impl Limits {
    /// The limits for a torrent of so many pieces.
    pub(crate) fn new(pieces: u32) -> Self {
        let bitfield = 1 + pieces.div_ceil(8);
        Self { bitfield: Some(bitfield), any: bitfield.max(9 + BLOCK).max(MAX_EXTENDED) }
    }

    /// The limits while the number of pieces isn't known. Bitfields have any length that a torrent of `most` pieces allows.
    pub(crate) fn without_metadata(most: u32) -> Self {
        Self { bitfield: None, ..Self::new(most) }
    }

    /// The longest frame, with its length prefix.
    pub(crate) fn longest(self) -> usize {
        4 + self.any as usize
    }

    /// Judges a frame by its length and its kind.
    fn check(self, length: u32, kind: u8) -> Result<(), Why> {
        let fits = |expected| if length == expected { Ok(()) } else { Err(Why::BadMessage) };
        match kind {
            0..=3 | 14 | 15 => fits(1),
            4 | 13 | 17 => fits(5),
            5 if self.bitfield.is_some_and(|bitfield| length != bitfield) => Err(Why::BadBitfield),
            6 | 8 | 16 => fits(13),
            7 if length < 9 => Err(Why::BadMessage),
            7 if length > 9 + BLOCK => Err(Why::Oversize),
            9 => fits(3),
            20 if length < 2 => Err(Why::BadMessage),
            _ => Ok(()),
        }
    }
}

/// Takes the first frame off the bytes; gives the message and how many bytes it had, `None` while it isn't
/// whole.
///
/// # Errors
/// When the frame is none that a peer may send, which is known as soon as its first five bytes are here.
pub(crate) fn next_frame(bytes: &[u8], limits: Limits) -> Result<Option<(Message<'_>, usize)>, Why> {
    let Some((prefix, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_be_bytes(*prefix);
    if length == 0 {
        return Ok(Some((Message::KeepAlive, 4)));
    }
    if length > limits.any {
        return Err(Why::Oversize);
    }
    let Some(&kind) = rest.first() else { return Ok(None) };
    limits.check(length, kind)?;
    let Some(body) = rest.get(1..length as usize) else { return Ok(None) };
    let message = read(kind, body).ok_or(Why::BadMessage)?;
    Ok(Some((message, 4 + length as usize)))
}

/// Reads a body whose length was checked already; `None` can't happen then.
fn read(kind: u8, body: &[u8]) -> Option<Message<'_>> {
    Some(match kind {
        0 => Message::Choke,
        1 => Message::Unchoke,
        2 => Message::Interested,
        3 => Message::NotInterested,
        4 => Message::Have(number(body, 0)?),
        5 => Message::Bitfield(body),
        6 => Message::Request(block(body)?),
        7 => Message::Piece { piece: number(body, 0)?, begin: number(body, 4)?, data: body.get(8..)? },
        8 => Message::Cancel(block(body)?),
        9 => Message::Port(u16::from_be_bytes(*body.first_chunk()?)),
        13 => Message::Suggest(number(body, 0)?),
        14 => Message::HaveAll,
        15 => Message::HaveNone,
        16 => Message::Reject(block(body)?),
        17 => Message::AllowedFast(number(body, 0)?),
        20 => {
            let (&id, payload) = body.split_first()?;
            Message::Extended(id, payload)
        }
        _ => Message::Unknown(kind),
    })
}

fn block(body: &[u8]) -> Option<Block> {
    Some(Block { piece: number(body, 0)?, begin: number(body, 4)?, length: number(body, 8)? })
}

fn number(body: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(*body.get(at..)?.first_chunk()?))
}

impl Message<'_> {
    /// Whether it is one of the fast extension (BEP 6), which is sent only where both sides speak it.
    pub(crate) fn is_fast(&self) -> bool {
        matches!(
            self,
            Self::Suggest(_) | Self::HaveAll | Self::HaveNone | Self::Reject(_) | Self::AllowedFast(_)
        )
    }

    /// Appends the message as it travels.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match *self {
            Self::KeepAlive => out.extend_from_slice(&[0; 4]),
            Self::Choke => head(out, 1, 0),
            Self::Unchoke => head(out, 1, 1),
            Self::Interested => head(out, 1, 2),
            Self::NotInterested => head(out, 1, 3),
            Self::Have(piece) => write_piece(out, 4, piece),
            Self::Bitfield(bits) => {
                head(out, 1 + bits.len(), 5);
                out.extend_from_slice(bits);
            }
            Self::Request(block) => write_block(out, 6, block),
            Self::Piece { piece, begin, data } => {
                head(out, 9 + data.len(), 7);
                out.extend_from_slice(&piece.to_be_bytes());
                out.extend_from_slice(&begin.to_be_bytes());
                out.extend_from_slice(data);
            }
            Self::Cancel(block) => write_block(out, 8, block),
            Self::Suggest(piece) => write_piece(out, 13, piece),
            Self::HaveAll => head(out, 1, 14),
            Self::HaveNone => head(out, 1, 15),
            Self::Reject(block) => write_block(out, 16, block),
            Self::AllowedFast(piece) => write_piece(out, 17, piece),
            Self::Extended(id, payload) => {
                head(out, 2 + payload.len(), 20);
                out.push(id);
                out.extend_from_slice(payload);
            }
            Self::Port(port) => {
                head(out, 3, 9);
                out.extend_from_slice(&port.to_be_bytes());
            }
            Self::Unknown(kind) => head(out, 1, kind),
        }
    }
}

/// Appends the start of a `piece` message whose data follows, so that the disk can be read straight behind it.
pub(crate) fn write_piece_head(out: &mut Vec<u8>, block: Block) {
    head(out, 9 + block.length as usize, 7);
    out.extend_from_slice(&block.piece.to_be_bytes());
    out.extend_from_slice(&block.begin.to_be_bytes());
}

fn write_piece(out: &mut Vec<u8>, kind: u8, piece: u32) {
    head(out, 5, kind);
    out.extend_from_slice(&piece.to_be_bytes());
}

fn write_block(out: &mut Vec<u8>, kind: u8, block: Block) {
    head(out, 13, kind);
    for number in [block.piece, block.begin, block.length] {
        out.extend_from_slice(&number.to_be_bytes());
    }
}

fn head(out: &mut Vec<u8>, length: usize, kind: u8) {
    // Nothing we write comes near 4 GiB: blocks are at most 128 KiB and bitfields as long as the torrent's.
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    out.push(kind);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(length: u32, rest: &[u8]) -> Vec<u8> {
        [&length.to_be_bytes()[..], rest].concat()
    }

    #[test]
    fn every_message_reads_what_it_writes() {
        let block = Block { piece: 1, begin: 2, length: 3 };
        let messages = [
            Message::KeepAlive,
            Message::Choke,
            Message::Unchoke,
            Message::Interested,
            Message::NotInterested,
            Message::Have(7),
            Message::Bitfield(&[0x80]),
            Message::Request(block),
            Message::Piece { piece: 1, begin: 2, data: b"data" },
            Message::Port(6881),
            Message::Cancel(block),
            Message::Suggest(7),
            Message::HaveAll,
            Message::HaveNone,
            Message::Reject(block),
            Message::AllowedFast(7),
            Message::Extended(0, b"de"),
            Message::Unknown(99),
        ];
        let mut bytes = Vec::new();
        for message in &messages {
            message.write(&mut bytes);
        }
        let (mut at, limits) = (0, Limits::new(8));
        for message in messages {
            let (read, length) = next_frame(&bytes[at..], limits).unwrap().unwrap();
            assert_eq!(read, message);
            // Cut anywhere, it is not whole yet.
            for cut in 0..length {
                assert_eq!(next_frame(&bytes[at..at + cut], limits), Ok(None), "{message:?} cut at {cut}");
            }
            at += length;
        }
        assert_eq!(at, bytes.len());
    }

    /// P-01, P-03, P-08, P-09: judged by the first five bytes.
    #[test]
    fn a_frame_is_judged_before_its_body_is_here() {
        let rows = [
            (1 << 31, 7, Why::Oversize),
            (1 << 24, 7, Why::Oversize),
            (u32::MAX, 0, Why::Oversize),
            (9 + BLOCK + 1, 7, Why::Oversize),
            (8, 7, Why::BadMessage),
            (2, 0, Why::BadMessage),
            (6, 4, Why::BadMessage),
            (4, 4, Why::BadMessage),
            (12, 6, Why::BadMessage),
            (14, 8, Why::BadMessage),
            (4, 9, Why::BadMessage),
            (1, 20, Why::BadMessage),
            (3, 5, Why::BadBitfield),
            (1, 5, Why::BadBitfield),
            (2, 14, Why::BadMessage),
            (2, 15, Why::BadMessage),
            (1, 13, Why::BadMessage),
            (12, 16, Why::BadMessage),
            (6, 17, Why::BadMessage),
        ];
        for (length, kind, expected) in rows {
            assert_eq!(
                next_frame(&frame(length, &[kind]), Limits::new(8)),
                Err(expected),
                "{kind} of {length}"
            );
        }
        assert_eq!(next_frame(&frame(1 << 24, &[]), Limits::new(8)), Err(Why::Oversize));
    }

    /// P-08: what isn't known is skipped, whatever its size.
    #[test]
    fn unknown_kinds_are_skipped() {
        let bytes = frame(5, &[21, 1, 2, 3, 4, 0, 0]);
        assert_eq!(next_frame(&bytes, Limits::new(8)), Ok(Some((Message::Unknown(21), 9))));
    }

    #[test]
    fn bitfields_have_any_length_while_the_number_of_pieces_is_unknown() {
        let limits = Limits::without_metadata(1 << 20);
        for length in [2, 1000, 1 + (1 << 17)] {
            assert_eq!(next_frame(&frame(length, &[5]), limits), Ok(None), "{length}");
        }
        assert_eq!(next_frame(&frame(2 + (1 << 17), &[5]), limits), Err(Why::Oversize));
        assert_eq!(next_frame(&frame(1, &[14]), limits), Ok(Some((Message::HaveAll, 5))));
    }

    /// A bitfield longer than everything else is still whole.
    #[test]
    fn a_large_bitfield_fits() {
        let limits = Limits::new(2 << 20);
        let bits = vec![0; 256 << 10];
        let mut bytes = Vec::new();
        Message::Bitfield(&bits).write(&mut bytes);
        assert!(bytes.len() <= limits.longest());
        assert_eq!(next_frame(&bytes, limits), Ok(Some((Message::Bitfield(&bits), bytes.len()))));
    }
}
