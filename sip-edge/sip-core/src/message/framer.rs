//! Cuts a TCP stream into SIP messages by Content-Length (RFC 3261 §18.3) and keep-alives (RFC 5626
//! §4.4.1). Owns the bytes that are not yet a whole message; the messages themselves are read by
//! `parse`.

use super::{Limits, grammar, parse};

/// One thing found in the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A whole message for `parse`.
    Message(&'a [u8]),
    /// A double CRLF: the peer wants a single CRLF back.
    Ping,
}

/// Why the stream cannot be cut any further; the connection is to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum FrameError {
    #[error("head above its limit")]
    HeadTooLarge,
    #[error("body above its limit")]
    BodyTooLarge,
    #[error("Content-Length missing or unreadable")]
    ContentLength,
}

/// The framer of one stream.
#[derive(Debug)]
pub struct Framer {
    limits: Limits,
    buffer: Vec<u8>,
    /// Bytes at the front that an earlier `poll` gave out.
    used_len: usize,
    /// Bytes after `used_len` known to hold no end of a head.
    scanned_len: usize,
    failed: Option<FrameError>,
}

impl Framer {
    pub fn new(limits: Limits) -> Self {
        Self { limits, buffer: Vec::new(), used_len: 0, scanned_len: 0, failed: None }
    }

    /// Takes bytes as they came. The caller polls to `None` after each push, so at most one
    /// unfinished message is held.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.buffer.drain(..std::mem::take(&mut self.used_len));
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// Whether some of a message has come, after `poll` gave `None`. Line ends between messages are
    /// none of it.
    pub fn holds_part(&self) -> bool {
        self.buffer[self.used_len..].iter().any(|byte| !b"\r\n".contains(byte))
    }

    /// Takes the single CRLF that answers a ping of ours (RFC 5626 §4.4.1), if it comes next.
    pub fn take_pong(&mut self) -> bool {
        let pending = &self.buffer[self.used_len..];
        let is_pong = pending.starts_with(b"\r\n") && !pending.starts_with(b"\r\n\r\n");
        self.used_len += if is_pong { 2 } else { 0 };
        is_pong
    }

    /// The next frame, `None` when more bytes are needed. After an error it only repeats the error.
    pub fn poll(&mut self) -> Result<Option<Frame<'_>>, FrameError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        match self.cut() {
            Ok(None) => Ok(None),
            Ok(Some((len, is_ping))) => {
                let at = self.used_len;
                self.used_len += len;
                self.scanned_len = 0;
                Ok(Some(if is_ping {
                    Frame::Ping
                } else {
                    Frame::Message(&self.buffer[at..at + len])
                }))
            }
            Err(error) => {
                self.failed = Some(error);
                self.buffer = Vec::new();
                Err(error)
            }
        }
    }

    /// Length of the next frame and whether it is a ping.
    fn cut(&mut self) -> Result<Option<(usize, bool)>, FrameError> {
        loop {
            let pending = &self.buffer[self.used_len..];
            if pending.starts_with(b"\r\n\r\n") {
                return Ok(Some((4, true)));
            }
            // A lone CRLF before a message is to be ignored (§7.5); alone at the end it may be the
            // first half of a ping.
            if pending.starts_with(b"\r\n") && pending.len() > 2 && pending[2] != b'\r' {
                self.used_len += 2;
                self.scanned_len = 0;
                continue;
            }
            let Some(at) = parse::head_len(pending, self.scanned_len) else {
                self.scanned_len = pending.len();
                return if pending.len() > self.limits.head_len {
                    Err(FrameError::HeadTooLarge)
                } else {
                    Ok(None)
                };
            };
            let head_len = at + 4;
            self.scanned_len = at;
            if head_len > self.limits.head_len {
                return Err(FrameError::HeadTooLarge);
            }
            let body_len = Self::body_len(&pending[..head_len]).ok_or(FrameError::ContentLength)?;
            if body_len > self.limits.body_len {
                return Err(FrameError::BodyTooLarge);
            }
            return Ok(
                (pending.len() >= head_len + body_len).then_some((head_len + body_len, false))
            );
        }
    }

    /// A stream message must say its length (§20.14); one of SIP that says of no body either has
    /// none.
    fn body_len(head: &[u8]) -> Option<usize> {
        let head = parse::head_text(parse::head(head));
        let (start, lines) = head.split_once("\r\n")?;
        let (mut found, mut has_body) = (None, false);
        for (name, value) in parse::header_lines(lines).flatten() {
            has_body |= name.eq_ignore_ascii_case("Content-Type");
            if name.eq_ignore_ascii_case("Content-Length") {
                let len = grammar::number(&value)? as usize;
                // Two lengths that differ would let two readers see two different streams.
                if found.is_some_and(|other| other != len) {
                    return None;
                }
                found = Some(len);
            }
        }
        found.or((!has_body && start.contains("SIP/2.0")).then_some(0))
    }
}
