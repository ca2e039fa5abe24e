//! The body of an answer: bounded, and decompressed while it arrives. It is complete when the dictionary in it closes.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use tokio::time::{Instant, timeout_at};

#[cfg(feature = "gzip")]
use super::inflate::Inflate;
use crate::error::{AnnounceError, Cause, ReplyError};
use crate::net::clock;
use crate::wire::bencode::{Extent, is_blank};

/// How long the end of a body is waited for when the dictionary in it is complete. The last chunk often comes in a separate
/// packet, and with it the connection can be used again. Servers that signal no end would be waited for to the limit.
const END_PATIENCE: Duration = Duration::from_millis(50);

/// How many blanks may come before compressed data.
const MAX_BLANKS: usize = 1024;

/// A body that has been read.
pub(super) struct Body {
    /// Its bytes, decompressed; none where it was too large or is damaged.
    pub(super) bytes: Vec<u8>,
    /// Why it isn't complete, if it isn't.
    pub(super) flaw: Option<AnnounceError>,
    /// Whether its end has arrived, so that the connection can be used again.
    pub(super) ended: bool,
}

/// Reads a body up to a limit (S-01), or until the dictionary in it has closed.
pub(super) async fn read(mut incoming: Incoming, limit: usize) -> Body {
    if usize::try_from(incoming.size_hint().lower()).map_or(true, |announced| announced > limit) {
        return Body { bytes: Vec::new(), flaw: Some(AnnounceError::TooLarge { limit }), ended: false };
    }
    let mut reply = Unpacking::new(limit);
    let mut give_up_at: Option<Instant> = None;
    let broken = loop {
        let frame = match give_up_at {
            None => incoming.frame().await,
            Some(moment) => match timeout_at(moment, incoming.frame()).await {
                Ok(frame) => frame,
                Err(_) => return reply.finish(None, false),
            },
        };
        match frame.map(|frame| frame.map(hyper::body::Frame::into_data)) {
            None => return reply.finish(None, true),
            Some(Ok(Ok(data))) if reply.push(&data).is_err() => break None,
            Some(Ok(_)) => {}
            Some(Err(error)) => break Some(AnnounceError::Broken(Cause::new(error))),
        }
        if give_up_at.is_none() && reply.is_whole() {
            give_up_at = Some(clock::after(END_PATIENCE));
        }
    };
    reply.finish(broken, false)
}

/// A body that is decompressed while it arrives. Its first bytes decide about the compression, whatever the head says (R65,
/// One layer is removed (S-02).
struct Unpacking {
    limit: usize,
    /// All bytes that have arrived.
    packed: Vec<u8>,
    /// How many of these have been processed.
    read: usize,
    form: Form,
    extent: Extent,
}

enum Form {
    /// Too little has arrived to decide.
    Unknown,
    Plain,
    #[cfg(feature = "gzip")]
    Packed(Box<Inflate>),
    Refused(AnnounceError),
}

impl Unpacking {
    fn new(limit: usize) -> Self {
        Self { limit, packed: Vec::new(), read: 0, form: Form::Unknown, extent: Extent::default() }
    }

    /// Adds the next bytes. An error means that no more are needed.
    fn push(&mut self, bytes: &[u8]) -> Result<(), ()> {
        if bytes.len() > self.limit - self.packed.len() {
            if self.is_whole() {
                return Err(());
            }
            self.form = Form::Refused(AnnounceError::TooLarge { limit: self.limit });
            return Err(());
        }
        self.packed.extend_from_slice(bytes);
        if matches!(self.form, Form::Unknown) {
            self.form = self.recognised();
        }
        self.advance();
        if matches!(self.form, Form::Refused(_)) { Err(()) } else { Ok(()) }
    }

    /// Whether the dictionary in it has closed.
    fn is_whole(&self) -> bool {
        self.extent.is_whole()
    }

    fn advance(&mut self) {
        let fresh = self.packed.get(self.read..).unwrap_or_default();
        match &mut self.form {
            Form::Unknown | Form::Refused(_) => {}
            Form::Plain => {
                self.extent.push(fresh);
                self.read = self.packed.len();
            }
            #[cfg(feature = "gzip")]
            Form::Packed(inflate) => {
                let before = inflate.output().len();
                let taken = inflate.feed(fresh);
                self.extent.push(inflate.output().get(before..).unwrap_or_default());
                match taken {
                    Ok(taken) => self.read += taken,
                    Err(error) => self.not_packed(&error),
                }
            }
        }
    }

    /// The form that the first bytes indicate. Blanks may come before them, because some scripts print some.
    #[cfg(feature = "gzip")]
    fn recognised(&mut self) -> Form {
        let blanks = self.packed.iter().take_while(|byte| is_blank(**byte)).count();
        match self.packed.get(blanks..).unwrap_or_default() {
            [] | [_] if blanks < MAX_BLANKS => Form::Unknown,
            [0x1f, 0x8b, ..] => {
                self.read = blanks;
                Form::Packed(Box::new(Inflate::gzip(self.limit)))
            }
            [b'd', b'0'..=b'9' | b'e', ..] => Form::Plain,
            // Bare deflate has no magic number, so whatever else comes is tried as that.
            _ => match self.packed[..] {
                [one, other, ..] if blanks < MAX_BLANKS => {
                    Form::Packed(Box::new(Inflate::deflate([one, other], self.limit)))
                }
                _ => Form::Plain,
            },
        }
    }

    #[cfg(not(feature = "gzip"))]
    fn recognised(&mut self) -> Form {
        let blanks = self.packed.iter().take_while(|byte| is_blank(**byte)).count();
        match self.packed.get(blanks..).unwrap_or_default() {
            [] | [_] if blanks < MAX_BLANKS => Form::Unknown,
            [0x1f, 0x8b, ..] => {
                let expected = "expected no compression (the feature `gzip` is off)";
                Form::Refused(AnnounceError::NotAReply(ReplyError::new(expected, 0)))
            }
            _ => Form::Plain,
        }
    }

    /// Handles data that can't be decompressed: gzip is refused, anything else wasn't compressed and is used as it is.
    #[cfg(feature = "gzip")]
    fn not_packed(&mut self, error: &std::io::Error) {
        let is_gzip = matches!(&self.form, Form::Packed(inflate) if inflate.is_gzip());
        self.extent = Extent::default();
        self.read = 0;
        self.form = if error.kind() == std::io::ErrorKind::FileTooLarge {
            Form::Refused(AnnounceError::TooLarge { limit: self.limit })
        } else if is_gzip {
            Form::Refused(unsound())
        } else {
            Form::Plain
        };
        self.advance();
    }

    fn finish(self, broken: Option<AnnounceError>, ended: bool) -> Body {
        let (bytes, flaw) = match self.form {
            Form::Unknown | Form::Plain => (self.packed, None),
            #[cfg(feature = "gzip")]
            Form::Packed(mut inflate) => {
                let is_gzip = inflate.is_gzip();
                let whole = self.extent.is_whole();
                let good = if whole { inflate.is_sound() } else { is_gzip && inflate.has_ended() };
                match good {
                    true => (inflate.output().to_vec(), None),
                    false if is_gzip => (Vec::new(), Some(unsound())),
                    false => (self.packed, None),
                }
            }
            Form::Refused(error) => (Vec::new(), Some(error)),
        };
        Body { bytes, flaw: broken.or(flaw), ended }
    }
}

#[cfg(feature = "gzip")]
fn unsound() -> AnnounceError {
    AnnounceError::NotAReply(ReplyError::new("expected sound gzip", 0))
}

#[cfg(all(test, feature = "gzip"))]
mod tests;
