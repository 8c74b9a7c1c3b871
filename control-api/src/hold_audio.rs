//! What an account's parties on hold hear: one WAV file for each account, checked when it is taken,
//! in a folder that the edge reads. Named after its content, so that a file never changes while a
//! call plays it. Playing is the edge's.

use call_words::AccountId;
use std::io;
use std::path::Path;

/// Longest file in bytes.
pub const MAX_FILE_LEN: usize = 2 << 20;
/// Longest audio in seconds.
const MAX_SECONDS: usize = 120;
/// `wFormatTag` of the encodings that the edge plays (RFC 2361): PCM, A-law, µ-law.
const PCM: u16 = 1;
const A_LAW: u16 = 6;
const MU_LAW: u16 = 7;

/// Why a file is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HoldAudioRefusal {
    #[error("not a RIFF WAVE file")]
    NotWave,
    #[error("allowed is 16-bit PCM, A-law or µ-law")]
    Encoding,
    #[error("allowed is one channel")]
    Channels,
    #[error("allowed is a rate of 8000 or 16000 Hz")]
    Rate,
    #[error("the file holds no sound")]
    Empty,
    #[error("allowed are up to {MAX_SECONDS} s")]
    TooLong,
    #[error("allowed are up to {MAX_FILE_LEN} bytes")]
    TooLarge,
}

/// Checks that the edge can play a file.
pub fn check(file: &[u8]) -> Result<(), HoldAudioRefusal> {
    if file.len() > MAX_FILE_LEN {
        return Err(HoldAudioRefusal::TooLarge);
    }
    if file.get(..4) != Some(b"RIFF") || file.get(8..12) != Some(b"WAVE") {
        return Err(HoldAudioRefusal::NotWave);
    }
    let mut bytes_per_second = None;
    let mut rest = &file[12..];
    loop {
        let (name, after) = rest.split_first_chunk::<4>().ok_or(HoldAudioRefusal::NotWave)?;
        let (len, body) = after.split_first_chunk::<4>().ok_or(HoldAudioRefusal::NotWave)?;
        let len = u32::from_le_bytes(*len) as usize;
        match name {
            b"fmt " => {
                bytes_per_second =
                    Some(check_format(body.get(..len).ok_or(HoldAudioRefusal::NotWave)?)?)
            }
            b"data" => {
                let bytes_per_second = bytes_per_second.ok_or(HoldAudioRefusal::NotWave)?;
                return match len.min(body.len()) {
                    0 => Err(HoldAudioRefusal::Empty),
                    len if len > MAX_SECONDS * bytes_per_second => Err(HoldAudioRefusal::TooLong),
                    _ => Ok(()),
                };
            }
            _ => {}
        }
        let padded = len.checked_add(len % 2).ok_or(HoldAudioRefusal::NotWave)?;
        rest = body.get(padded..).ok_or(HoldAudioRefusal::NotWave)?;
    }
}

/// Bytes per second of a format that is played.
fn check_format(format: &[u8]) -> Result<usize, HoldAudioRefusal> {
    let short =
        |at: usize| format.get(at..at + 2).map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
    let long = |at: usize| {
        format
            .get(at..at + 4)
            .map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    };
    let (Some(tag), Some(channels), Some(rate), Some(bits)) =
        (short(0), short(2), long(4), short(14))
    else {
        return Err(HoldAudioRefusal::NotWave);
    };
    let sample_len = match (tag, bits) {
        (PCM, 16) => 2,
        (A_LAW | MU_LAW, 8) => 1,
        _ => return Err(HoldAudioRefusal::Encoding),
    };
    if channels != 1 {
        return Err(HoldAudioRefusal::Channels);
    }
    match rate {
        8_000 | 16_000 => Ok(rate as usize * sample_len),
        _ => Err(HoldAudioRefusal::Rate),
    }
}

/// Name of an account's file with this content.
pub fn file_name(account_id: &AccountId, file: &[u8]) -> String {
    use std::fmt::Write;
    let digest = ring::digest::digest(&ring::digest::SHA256, file);
    let hash = digest.as_ref()[..16].iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
        text
    });
    format!("{account_id}-{hash}.wav")
}

/// Writes a file whole or not at all.
pub fn write(folder: &Path, file_name: &str, file: &[u8]) -> io::Result<()> {
    let unfinished = folder.join(format!("{file_name}.part"));
    std::fs::write(&unfinished, file)?;
    std::fs::File::open(&unfinished)?.sync_all()?;
    std::fs::rename(unfinished, folder.join(file_name))
}

/// Removes a file that no account names any more.
pub fn remove(folder: &Path, file_name: &str) {
    match std::fs::remove_file(folder.join(file_name)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, file_name,
                "hold audio that is not used any more cannot be removed");
        }
        _ => {}
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A file of so many seconds.
    pub fn wav(tag: u16, channels: u16, rate: u32, bits: u16, seconds: u32) -> Vec<u8> {
        let mut file = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0".to_vec();
        for number in [tag, channels] {
            file.extend(number.to_le_bytes());
        }
        let bytes_per_second = rate * u32::from(channels) * u32::from(bits / 8);
        file.extend(rate.to_le_bytes());
        file.extend(bytes_per_second.to_le_bytes());
        file.extend((channels * bits / 8).to_le_bytes());
        file.extend(bits.to_le_bytes());
        file.extend(*b"LIST\x03\0\0\0abc\0data");
        file.extend((bytes_per_second * seconds).to_le_bytes());
        file.resize(file.len() + (bytes_per_second * seconds) as usize, 0);
        file
    }

    #[test]
    fn files_that_the_edge_can_play() {
        for (tag, bits) in [(PCM, 16), (A_LAW, 8), (MU_LAW, 8)] {
            for rate in [8_000, 16_000] {
                assert_eq!(check(&wav(tag, 1, rate, bits, 1)), Ok(()), "{tag} {rate}");
            }
        }
        assert_eq!(check(&wav(MU_LAW, 1, 8_000, 8, 120)), Ok(()));
        assert_eq!(check(&wav(MU_LAW, 1, 8_000, 8, 121)), Err(HoldAudioRefusal::TooLong));
        assert_eq!(check(&wav(PCM, 1, 16_000, 16, 66)), Err(HoldAudioRefusal::TooLarge));
        assert_eq!(check(&wav(PCM, 1, 8_000, 16, 0)), Err(HoldAudioRefusal::Empty));
        assert_eq!(check(&wav(PCM, 2, 8_000, 16, 1)), Err(HoldAudioRefusal::Channels));
        assert_eq!(check(&wav(PCM, 1, 44_100, 16, 1)), Err(HoldAudioRefusal::Rate));
        assert_eq!(check(&wav(PCM, 1, 8_000, 8, 1)), Err(HoldAudioRefusal::Encoding));
        assert_eq!(check(&wav(3, 1, 8_000, 32, 1)), Err(HoldAudioRefusal::Encoding));
        assert_eq!(check(b"ID3"), Err(HoldAudioRefusal::NotWave));
    }

    #[test]
    fn hostile_files_are_refused_without_a_panic() {
        let file = wav(PCM, 1, 8_000, 16, 1);
        for len in 0..64 {
            let _ = check(&file[..len]);
            for byte in [0, 0x7f, 0xff] {
                let mut mutated = file.clone();
                mutated[len] = byte;
                let _ = check(&mutated);
            }
        }
        assert_eq!(check(b"RIFF\0\0\0\0WAVEjunk\xff\xff\xff\xff"), Err(HoldAudioRefusal::NotWave));
    }
}
