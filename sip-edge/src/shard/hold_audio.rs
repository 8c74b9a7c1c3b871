//! The WAV files that accounts have for parties on hold: each is read once per shard, when a call
//! names it first, by a task of its own. What cannot be read is counted and said, and the bundled
//! tone takes its place.

use super::Shard;
use glommio::io::BufferedFile;
use std::cell::RefCell;
use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::rc::Weak;

/// Most files of one shard.
const MAX_FILE_COUNT: usize = 64;
/// 120 s of 16-bit samples at 16 kHz, and room for other chunks.
const MAX_FILE_LEN: u64 = 4 * 1024 * 1024;

/// Accounts' hold audio, read from the folder when a call first needs it.
pub struct HoldAudio {
    folder: PathBuf,
    /// Names that were asked for, read or not.
    names: HashSet<String>,
    failed_count: u64,
}

/// A file that is to be read.
pub struct Reading {
    name: String,
    path: PathBuf,
}

#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("{0}")]
    Io(String),
    #[error("longer than {MAX_FILE_LEN} bytes")]
    TooLong,
    #[error("{0}")]
    Wav(#[from] media_core::wav::WavError),
}

impl HoldAudio {
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, names: HashSet::new(), failed_count: 0 }
    }

    /// The file to read for this name; `None` if it was asked for before or cannot be had.
    pub fn admit(&mut self, name: &str) -> Option<Reading> {
        if self.names.contains(name) {
            return None;
        }
        if Path::new(name).file_name().is_none_or(|plain| plain != name) {
            self.count_failure("its name is not a plain name");
            return None;
        }
        if self.names.len() >= MAX_FILE_COUNT {
            self.failed_count += 1;
            return None;
        }
        self.names.insert(name.to_owned());
        Some(Reading { name: name.to_owned(), path: self.folder.join(name) })
    }

    /// Counts and logs a file that cannot be played.
    pub fn count_failure(&mut self, why: &str) {
        self.failed_count += 1;
        tracing::warn!(why, "hold audio cannot be used; the bundled tone is played");
    }

    /// Files that could not be played, since the start.
    pub fn failed_count(&self) -> u64 {
        self.failed_count
    }
}

impl Reading {
    /// Reads the file and gives it to the shard.
    pub async fn run(self, shard: Weak<RefCell<Shard>>) {
        let samples = read(&self.path).await;
        let Some(shard) = shard.upgrade() else { return };
        let mut shard = shard.borrow_mut();
        match samples {
            Ok(samples) => shard.keep_hold_audio(&self.name, &samples),
            Err(error) => shard.hold_audio.count_failure(&error.to_string()),
        }
    }
}

async fn read(path: &Path) -> Result<Vec<i16>, ReadError> {
    let io = |error: glommio::GlommioError<()>| ReadError::Io(error.to_string());
    let file = BufferedFile::open(path).await.map_err(io)?;
    let bytes = read_whole(&file).await;
    file.close().await.map_err(io)?;
    Ok(media_core::wav::read(&bytes?)?)
}

async fn read_whole(file: &BufferedFile) -> Result<Vec<u8>, ReadError> {
    let io = |error: glommio::GlommioError<()>| ReadError::Io(error.to_string());
    let len = file.file_size().await.map_err(io)?;
    if len > MAX_FILE_LEN {
        return Err(ReadError::TooLong);
    }
    let mut bytes = Vec::with_capacity(len as usize);
    while (bytes.len() as u64) < len {
        let read =
            file.read_at(bytes.len() as u64, len as usize - bytes.len()).await.map_err(io)?;
        if read.is_empty() {
            break;
        }
        bytes.extend_from_slice(&read);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use glommio::{LocalExecutorBuilder, Placement};

    #[test]
    fn each_name_is_asked_for_once_and_must_be_plain() {
        let mut audio = HoldAudio::new("folder".into());
        assert_eq!(
            audio.admit("a.wav").map(|reading| reading.path),
            Some(PathBuf::from("folder/a.wav"))
        );
        assert!(audio.admit("a.wav").is_none());
        assert_eq!(audio.failed_count(), 0);
        for name in ["../a.wav", "", "/etc/passwd", "b/a.wav"] {
            assert!(audio.admit(name).is_none(), "{name}");
        }
        assert_eq!(audio.failed_count(), 4);
        for number in 1..MAX_FILE_COUNT {
            assert!(audio.admit(&format!("{number}.wav")).is_some());
        }
        assert!(audio.admit("one-more.wav").is_none());
        assert_eq!(audio.failed_count(), 5);
    }

    /// A WAV header of 8 kHz mono PCM16 and its samples.
    fn wav(samples: &[i16]) -> Vec<u8> {
        let len = samples.len() as u32 * 2;
        let mut bytes = Vec::new();
        bytes.extend_from_slice(b"RIFF");
        bytes.extend_from_slice(&(36 + len).to_le_bytes());
        bytes.extend_from_slice(b"WAVEfmt ");
        bytes.extend_from_slice(&16_u32.to_le_bytes());
        bytes.extend_from_slice(&[1, 0, 1, 0]);
        bytes.extend_from_slice(&8_000_u32.to_le_bytes());
        bytes.extend_from_slice(&16_000_u32.to_le_bytes());
        bytes.extend_from_slice(&[2, 0, 16, 0]);
        bytes.extend_from_slice(b"data");
        bytes.extend_from_slice(&len.to_le_bytes());
        samples.iter().for_each(|sample| bytes.extend_from_slice(&sample.to_le_bytes()));
        bytes
    }

    #[test]
    fn a_file_is_read_whole() {
        let folder = tempfile::tempdir().unwrap();
        let samples: Vec<i16> = (0..8_000).map(|sample| (sample % 1_000) as i16).collect();
        std::fs::write(folder.path().join("good.wav"), wav(&samples)).unwrap();
        std::fs::write(folder.path().join("bad.wav"), b"RIFF, they say").unwrap();
        let path = folder.path().to_owned();
        LocalExecutorBuilder::new(Placement::Unbound).make().unwrap().run(async move {
            assert_eq!(read(&path.join("good.wav")).await.unwrap(), samples);
            assert!(matches!(read(&path.join("bad.wav")).await, Err(ReadError::Wav(_))));
            assert!(matches!(read(&path.join("none.wav")).await, Err(ReadError::Io(_))));
        });
    }
}
