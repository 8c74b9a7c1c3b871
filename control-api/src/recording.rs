//! Recordings as files: their unguessable names, their links, and what is left of one whose edge is
//! gone. The edge writes them.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use call_words::{CallId, RecordingName};
use ring::rand::SecureRandom;
use std::io;
use std::path::Path;
use storage::RecordingResult;
use tokio::fs::File;
use tokio::io::AsyncReadExt;

/// Random bytes of a recording's name: 192 bits.
const NAME_LEN: usize = 24;
/// Part of a file in which a WAV header ends.
const HEADER_LEN: u64 = 8 * 1024;

const CAPTURE_PREFIX: &str = "capture-";
const CAPTURE_SUFFIX: &str = ".pcap";

/// A fresh name for a recording.
pub fn fresh_name() -> RecordingName {
    let mut bytes = [0; NAME_LEN];
    ring::rand::SystemRandom::new().fill(&mut bytes).expect("the kernel gives random bytes");
    format!("crm_{}.wav", URL_SAFE_NO_PAD.encode(bytes)).into()
}

/// The link under which a recording is downloaded.
pub fn url(public_url: &str, file_name: &RecordingName) -> String {
    format!("{public_url}/recordings/{file_name}")
}

/// Whether a text has the shape of a recording's name; nothing else is looked up, on disk or
/// elsewhere.
pub fn is_name(text: &str) -> bool {
    let token = text.strip_prefix("crm_").and_then(|rest| rest.strip_suffix(".wav"));
    token.is_some_and(|token| {
        (22..=64).contains(&token.len())
            && token
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
    })
}

/// File name of a call's capture: known by the call's record alone, for it is no secret.
pub fn capture_name(call_id: &CallId) -> String {
    format!("{CAPTURE_PREFIX}{call_id}{CAPTURE_SUFFIX}")
}

/// Whether a file is a capture.
pub fn is_capture(file_name: &str) -> bool {
    file_name.starts_with(CAPTURE_PREFIX) && file_name.ends_with(CAPTURE_SUFFIX)
}

/// Opens a recording, or what a crashed edge left of it.
pub async fn open(folder: &Path, file_name: &RecordingName) -> io::Result<File> {
    match File::open(folder.join(file_name.as_str())).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            File::open(folder.join(format!("{file_name}.part"))).await
        }
        other => other,
    }
}

/// What is on disk of the recording of a call whose edge is gone; `None` if nothing was recorded.
pub async fn recover(folder: &Path, file_name: &RecordingName) -> Option<RecordingResult> {
    let file = open(folder, file_name).await.ok()?;
    let file_len = file.metadata().await.ok()?.len();
    let mut head = Vec::new();
    file.take(HEADER_LEN).read_to_end(&mut head).await.ok()?;
    let duration_ms = wav_duration_ms(&head, file_len)?;
    Some(RecordingResult {
        file_name: file_name.to_owned(),
        duration_ms,
        file_len,
        pauses: Vec::new(),
    })
}

/// Duration of a PCM WAVE file of `file_len` bytes by its `fmt ` and `data` chunks. `None` if it is
/// no such file or holds no sound.
fn wav_duration_ms(head: &[u8], file_len: u64) -> Option<u64> {
    let number = |at: usize| {
        head.get(at..at + 4).map(|bytes| u32::from_le_bytes(bytes.try_into().expect("4 bytes")))
    };
    if head.get(..4) != Some(b"RIFF") || head.get(8..12) != Some(b"WAVE") {
        return None;
    }
    let (mut at, mut bytes_per_second) = (12, None);
    loop {
        let (name, len) = (head.get(at..at + 4)?, number(at + 4)?);
        match name {
            b"fmt " => {
                bytes_per_second = Some(u64::from(number(at + 16)?)).filter(|rate| *rate > 0)
            }
            b"data" => {
                let data_len = u64::from(len).min(file_len.saturating_sub(at as u64 + 8));
                return Some(data_len * 1000 / bytes_per_second?)
                    .filter(|duration_ms| *duration_ms > 0);
            }
            _ => {}
        }
        at = at.checked_add(8)?.checked_add(len as usize)?.checked_add(len as usize % 2)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // S41
    #[test]
    fn names_are_random_and_nothing_else_is_a_name() {
        let name = fresh_name();
        assert!(is_name(name.as_str()) && name != fresh_name());
        assert_eq!(name.as_str().len(), 4 + 32 + 4);
        for text in [
            "",
            "crm_.wav",
            "crm_short.wav",
            "../crm_0123456789012345678901.wav",
            "crm_01234567890123456789012/.wav",
        ] {
            assert!(!is_name(text), "{text}");
        }
    }

    #[test]
    fn duration_is_of_what_is_on_disk() {
        let mut file = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x02\0".to_vec();
        for number in [8000_u32, 32_000] {
            file.extend(number.to_le_bytes());
        }
        file.extend(*b"\x04\0\x10\0LIST\x03\0\0\0abc\0data");
        file.extend(64_000_u32.to_le_bytes());
        let header_len = file.len() as u64;
        assert_eq!(wav_duration_ms(&file, header_len + 64_000), Some(2_000));
        assert_eq!(wav_duration_ms(&file, header_len + 16_000), Some(500), "cut short by a crash");
        assert_eq!(wav_duration_ms(&file, header_len), None);
        for len in 0..file.len() {
            assert_eq!(wav_duration_ms(&file[..len], 1_000_000), None);
        }
        assert_eq!(wav_duration_ms(b"RIFF\0\0\0\0WAVEjunk\xff\xff\xff\xff", 1_000), None);
    }
}
