//! Messages about metadata (BEP 9): a piece of it is asked for, sent or refused.

use bendy::decoding::{Decoder, Error};

/// Bytes of a piece of the metadata, but for the last (BEP 9).
pub(crate) const PIECE: u32 = 16 * 1024;
/// Nesting allowed in a message; a real one has one level.
const MAX_DEPTH: usize = 4;

/// One message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MetadataMessage<'a> {
    /// The sender wants this piece.
    Request(u32),
    /// A piece, and the bytes of the whole as the sender has it, if it says so.
    Data { piece: u32, total_size: Option<u32>, data: &'a [u8] },
    /// The sender has no such piece, or gives none now.
    Reject(u32),
}

impl<'a> MetadataMessage<'a> {
    /// Reads the body of a message; `None` if it is malformed, or of a kind that means nothing here.
    pub(crate) fn read(bytes: &'a [u8]) -> Option<Self> {
        Head::read(bytes).ok()??.with(bytes)
    }

    /// The body of this message.
    pub(crate) fn write(&self) -> Vec<u8> {
        match *self {
            Self::Request(piece) => format!("d8:msg_typei0e5:piecei{piece}ee").into_bytes(),
            Self::Data { piece, total_size, data } => {
                let size = total_size.map(|size| format!("10:total_sizei{size}e")).unwrap_or_default();
                let mut bytes = format!("d8:msg_typei1e5:piecei{piece}e{size}e").into_bytes();
                bytes.extend_from_slice(data);
                bytes
            }
            Self::Reject(piece) => format!("d8:msg_typei2e5:piecei{piece}ee").into_bytes(),
        }
    }
}

/// The dictionary at the start of a message, and how many bytes it has.
#[derive(Default)]
struct Head {
    kind: Option<u8>,
    piece: Option<u32>,
    total_size: Option<u32>,
    length: usize,
}

impl Head {
    fn read(bytes: &[u8]) -> Result<Option<Self>, Error> {
        let mut decoder = Decoder::new(bytes).with_max_depth(MAX_DEPTH);
        let Some(object) = decoder.next_object()? else { return Ok(None) };
        let whole = object.try_into_dictionary()?.into_raw()?;
        let mut head = Self { length: whole.len(), ..Self::default() };
        let mut decoder = Decoder::new(whole).with_max_depth(MAX_DEPTH);
        let Some(object) = decoder.next_object()? else { return Ok(None) };
        let mut dict = object.try_into_dictionary()?;
        while let Some((key, value)) = dict.next_pair()? {
            match key {
                b"msg_type" => head.kind = value.try_into_integer()?.parse().ok(),
                b"piece" => head.piece = value.try_into_integer()?.parse().ok(),
                b"total_size" => head.total_size = value.try_into_integer()?.parse().ok(),
                _ => {}
            }
        }
        Ok(Some(head))
    }

    fn with(self, bytes: &[u8]) -> Option<MetadataMessage<'_>> {
        let piece = self.piece?;
        match self.kind? {
            0 => Some(MetadataMessage::Request(piece)),
            1 => Some(MetadataMessage::Data {
                piece,
                total_size: self.total_size,
                data: bytes.get(self.length..)?,
            }),
            2 => Some(MetadataMessage::Reject(piece)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_reads_what_it_writes() {
        for message in [
            MetadataMessage::Request(0),
            MetadataMessage::Reject(u32::MAX),
            MetadataMessage::Data { piece: 3, total_size: Some(34_256), data: b"d4:infoe" },
            MetadataMessage::Data { piece: 3, total_size: None, data: b"" },
        ] {
            assert_eq!(MetadataMessage::read(&message.write()), Some(message));
        }
    }

    /// The examples of BEP 9.
    #[test]
    fn the_examples_of_the_document_are_read() {
        for (bytes, expected) in [
            (&b"d8:msg_typei0e5:piecei0ee"[..], MetadataMessage::Request(0)),
            (
                b"d8:msg_typei1e5:piecei0e10:total_sizei34256eexxxxxxxx",
                MetadataMessage::Data { piece: 0, total_size: Some(34_256), data: b"xxxxxxxx" },
            ),
            (b"d8:msg_typei2e5:piecei0ee", MetadataMessage::Reject(0)),
        ] {
            assert_eq!(MetadataMessage::read(bytes), Some(expected));
            assert_eq!(expected.write(), bytes);
        }
        let more = b"d2:abi0e8:msg_typei2e5:piecei0e1:zli1eee";
        assert_eq!(MetadataMessage::read(more), Some(MetadataMessage::Reject(0)));
    }

    #[test]
    fn what_is_no_message_is_none() {
        for bytes in [
            &b""[..],
            b"de",
            b"le",
            b"d8:msg_typei0ee",
            b"d8:msg_typei3e5:piecei0ee",
            b"d8:msg_typei256e5:piecei0ee",
            b"d8:msg_typei-1e5:piecei0ee",
            b"d8:msg_typei0e5:piecei-1ee",
            b"d8:msg_typei0e5:piecei4294967296ee",
            b"d8:msg_type1:05:piecei0ee",
            b"d8:msg_typei0e5:piecei0e",
            &b"d1:a".repeat(1000),
            &b"l".repeat(60_000),
        ] {
            assert_eq!(MetadataMessage::read(bytes), None, "{:?}", &bytes[..bytes.len().min(30)]);
        }
    }
}
