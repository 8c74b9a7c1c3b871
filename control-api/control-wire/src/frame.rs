//! Length-prefixed JSON frames, cut from a byte stream with a cap on their length.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longest JSON body of one frame in bytes.
pub const MAX_FRAME_LEN: usize = 256 * 1024;

/// Why a byte stream is not a sequence of frames; the connection is to be closed.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("frame of {0} bytes is longer than {MAX_FRAME_LEN}")]
    TooLong(usize),
    #[error("frame is not a known message: {0}")]
    Malformed(#[from] serde_json::Error),
}

/// Encodes one message as a frame, appended to `out`.
pub fn encode<M: Serialize>(message: &M, out: &mut Vec<u8>) -> Result<(), FrameError> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    serde_json::to_writer(&mut *out, message)?;
    let body_len = out.len() - start - 4;
    if body_len > MAX_FRAME_LEN {
        out.truncate(start);
        return Err(FrameError::TooLong(body_len));
    }
    out[start..start + 4].copy_from_slice(&(body_len as u32).to_be_bytes());
    Ok(())
}

/// Cuts frames from received bytes. Holds at most one unfinished frame besides what one `push`
/// brought.
#[derive(Debug, Default)]
pub struct FrameDecoder {
    buffer: Vec<u8>,
    start: usize,
}

impl FrameDecoder {
    /// Adds received bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.drain(..self.start);
        self.start = 0;
        self.buffer.extend_from_slice(bytes);
    }

    /// Decodes the next whole frame, or `None` until more bytes come.
    pub fn poll<M: DeserializeOwned>(&mut self) -> Result<Option<M>, FrameError> {
        let rest = &self.buffer[self.start..];
        let Some((prefix, rest)) = rest.split_first_chunk::<4>() else { return Ok(None) };
        let body_len = u32::from_be_bytes(*prefix) as usize;
        if body_len > MAX_FRAME_LEN {
            return Err(FrameError::TooLong(body_len));
        }
        let Some(body) = rest.get(..body_len) else { return Ok(None) };
        let message = serde_json::from_slice(body)?;
        self.start += 4 + body_len;
        Ok(Some(message))
    }
}
