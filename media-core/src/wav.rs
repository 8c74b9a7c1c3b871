//! Reads WAV files as audio to be played: one channel of 16-bit PCM, A-law or µ-law, at 8 kHz or,
//! decimated, at 16 kHz. What recordings write is in `recording`.

use crate::codec::{CLOCK_RATE, Law};
use crate::g711;

/// The longest audio, in seconds.
pub const MAX_SECONDS: u32 = 120;
/// Format tags of RFC 2361.
const PCM: u16 = 1;
const A_LAW: u16 = 6;
const MU_LAW: u16 = 7;
/// A format that a GUID names, whose first bytes are a tag.
const EXTENSIBLE: u16 = 0xfffe;
/// A half-band filter before decimation by two: taps at even distances from the middle are 0. In
/// 1/32768.
const HALF_BAND: [(usize, i32); 4] = [(1, 10_079), (3, -2_684), (5, 1_024), (7, -227)];

/// Why a file is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WavError {
    #[error("not a WAV file")]
    NotWav,
    #[error("the file is cut short")]
    CutShort,
    #[error("the samples must be 16-bit PCM, A-law or µ-law")]
    Encoding,
    #[error("the file must have one channel")]
    ChannelCount,
    #[error("the sample rate must be 8000 or 16000 Hz")]
    SampleRate,
    #[error("there are no samples")]
    Empty,
    #[error("the audio is longer than {MAX_SECONDS} s")]
    TooLong,
}

#[derive(Clone, Copy)]
enum Encoding {
    Pcm,
    G711(Law),
}

#[derive(Clone, Copy)]
struct Format {
    encoding: Encoding,
    sample_rate: u32,
}

/// The samples of a WAV file, at 8 kHz.
///
/// # Errors
/// Anything but one channel of a known encoding and rate, of at most `MAX_SECONDS`.
pub fn read(bytes: &[u8]) -> Result<Vec<i16>, WavError> {
    let mut rest = match bytes {
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', chunks @ ..] => chunks,
        _ => return Err(WavError::NotWav),
    };
    let mut format = None;
    while let Some((head, after)) = rest.split_first_chunk::<8>() {
        let [name @ .., l0, l1, l2, l3] = *head;
        let len = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        if &name == b"data" {
            // Files that were streamed may promise more than there is.
            return samples(format.ok_or(WavError::NotWav)?, &after[..len.min(after.len())]);
        }
        if &name == b"fmt " {
            format = Some(parse_format(after.get(..len).ok_or(WavError::CutShort)?)?);
        }
        // Chunks lie at even offsets.
        rest = after.get(len..).and_then(|rest| rest.get(len % 2..)).ok_or(WavError::CutShort)?;
    }
    Err(WavError::CutShort)
}

fn parse_format(chunk: &[u8]) -> Result<Format, WavError> {
    let word = |at: usize| Some(u16::from_le_bytes(*chunk.get(at..)?.first_chunk()?));
    let field = |at| word(at).ok_or(WavError::CutShort);
    let sample_rate = u32::from(field(4)?) | u32::from(field(6)?) << 16;
    let bits = field(14)?;
    let tag = match field(0)? {
        EXTENSIBLE => field(24)?,
        tag => tag,
    };
    let encoding = match (tag, bits) {
        (PCM, 16) => Encoding::Pcm,
        (A_LAW, 8) => Encoding::G711(Law::Pcma),
        (MU_LAW, 8) => Encoding::G711(Law::Pcmu),
        _ => return Err(WavError::Encoding),
    };
    match (field(2)?, sample_rate) {
        (1, CLOCK_RATE | 16_000) => Ok(Format { encoding, sample_rate }),
        (1, _) => Err(WavError::SampleRate),
        _ => Err(WavError::ChannelCount),
    }
}

fn samples(format: Format, data: &[u8]) -> Result<Vec<i16>, WavError> {
    let sample_len = match format.encoding {
        Encoding::Pcm => 2,
        Encoding::G711(_) => 1,
    };
    match data.len() / sample_len {
        0 => return Err(WavError::Empty),
        count if count as u64 > u64::from(MAX_SECONDS) * u64::from(format.sample_rate) => {
            return Err(WavError::TooLong);
        }
        _ => {}
    }
    let samples: Vec<i16> = match format.encoding {
        Encoding::Pcm => {
            data.chunks_exact(2).map(|sample| i16::from_le_bytes([sample[0], sample[1]])).collect()
        }
        Encoding::G711(law) => {
            data.iter().map(|byte| g711::decode_table(law)[usize::from(*byte)]).collect()
        }
    };
    Ok(if format.sample_rate == CLOCK_RATE { samples } else { decimate(&samples) })
}

/// Halves the sample rate.
fn decimate(samples: &[i16]) -> Vec<i16> {
    let at = |index: Option<usize>| {
        index.and_then(|index| samples.get(index)).map_or(0, |sample| i32::from(*sample))
    };
    let middles = (0..samples.len()).step_by(2);
    let filtered = middles.map(|middle| {
        let sides = HALF_BAND.iter().map(|(distance, tap)| {
            let both = at(middle.checked_sub(*distance)) + at(middle.checked_add(*distance));
            i64::from(both) * i64::from(*tap)
        });
        let sum = sides.sum::<i64>() + i64::from(at(Some(middle))) * 16_384;
        (sum >> 15).clamp(i16::MIN.into(), i16::MAX.into()) as i16
    });
    filtered.collect()
}

#[cfg(test)]
mod tests;
