//! Decompression of answers while they arrive: gzip with any number of members, zlib, and bare deflate.

use std::io::{self, Write};

use flate2::write::{DeflateDecoder, GzDecoder, ZlibDecoder};

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// How many members of gzip are read. Each costs the memory of a decoder, and may have only 20 bytes.
const MAX_MEMBERS: usize = 100;

/// A body that is decompressed as its bytes arrive.
pub(super) struct Inflate {
    format: Format,
    members: usize,
    ended: bool,
}

enum Format {
    Gzip(GzDecoder<Bounded>),
    Zlib(ZlibDecoder<Bounded>),
    Deflate(DeflateDecoder<Bounded>),
}

/// An output of limited size.
struct Bounded {
    bytes: Vec<u8>,
    limit: usize,
}

impl Inflate {
    /// A decoder for gzip.
    pub(super) fn gzip(limit: usize) -> Self {
        Self::new(Format::Gzip(GzDecoder::new(Bounded { bytes: Vec::new(), limit })))
    }

    /// A decoder for what HTTP calls deflate: zlib by the standard, but some servers send the bare format, which begins
    /// otherwise.
    pub(super) fn deflate(first: [u8; 2], limit: usize) -> Self {
        let output = Bounded { bytes: Vec::new(), limit };
        let is_zlib = first[0] & 0x8f == 8 && u16::from_be_bytes(first).is_multiple_of(31);
        Self::new(if is_zlib {
            Format::Zlib(ZlibDecoder::new(output))
        } else {
            Format::Deflate(DeflateDecoder::new(output))
        })
    }

    fn new(format: Format) -> Self {
        Self { format, members: 1, ended: false }
    }

    /// Decompresses the next bytes. Gives how many were consumed: the caller passes the others again with those that
    /// follow, unless they come after the end.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut taken = 0;
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
            if self.ended && !self.next_member(rest)? {
                break;
            }
            match self.writer().write(rest)? {
                0 => self.end()?,
                written => taken += written,
            }
        }
        if !self.ended {
            self.writer().flush()?;
        }
        Ok(taken)
    }

    /// The decompressed bytes.
    pub(super) fn output(&self) -> &[u8] {
        match &self.format {
            Format::Gzip(decoder) => &decoder.get_ref().bytes,
            Format::Zlib(decoder) => &decoder.get_ref().bytes,
            Format::Deflate(decoder) => &decoder.get_ref().bytes,
        }
    }

    /// Whether it is gzip, which is certain by its magic number.
    pub(super) fn is_gzip(&self) -> bool {
        matches!(self.format, Format::Gzip(_))
    }

    /// Whether its end has arrived, with a right checksum.
    pub(super) fn has_ended(&mut self) -> bool {
        // The decoder notices its end only when something is written after it.
        self.ended || self.end().is_ok()
    }

    /// Whether the decompressed bytes aren't known to be damaged: the checksum may be missing, but not be wrong.
    pub(super) fn is_sound(&mut self) -> bool {
        match &mut self.format {
            // Where the checksum has arrived, the decoder consumes nothing more.
            Format::Gzip(decoder) if !self.ended => {
                !matches!(decoder.write(&[0]), Ok(0)) || decoder.try_finish().is_ok()
            }
            _ => true,
        }
    }

    fn end(&mut self) -> io::Result<()> {
        if let Format::Gzip(decoder) = &mut self.format {
            decoder.try_finish()?;
        }
        self.ended = true;
        Ok(())
    }

    /// Begins the next member of gzip, if there is one (RFC 1952, 2.2).
    fn next_member(&mut self, rest: &[u8]) -> io::Result<bool> {
        let Format::Gzip(decoder) = &mut self.format else { return Ok(false) };
        if !rest.starts_with(&GZIP) {
            return Ok(false);
        }
        self.members += 1;
        if self.members > MAX_MEMBERS {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let limit = decoder.get_ref().limit;
        let bytes = std::mem::take(&mut decoder.get_mut().bytes);
        *decoder = GzDecoder::new(Bounded { bytes, limit });
        self.ended = false;
        Ok(true)
    }

    fn writer(&mut self) -> &mut dyn Write {
        match &mut self.format {
            Format::Gzip(decoder) => decoder,
            Format::Zlib(decoder) => decoder,
            Format::Deflate(decoder) => decoder,
        }
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.limit - self.bytes.len() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
