//! Whether the disks take what is written: tried now and then, for who asks whether calls can be
//! placed.

use crate::records::Records;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How long what was seen of the disks still holds.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);
/// What is written to see whether it can be.
const PROBE_LEN: usize = 4096;
/// Free bytes without which no recording is begun in good faith.
const LEAST_ROOM: u64 = 1 << 20;

/// What was seen when it was last tried to write.
#[derive(Debug, Default)]
pub struct Probe(Mutex<Option<(Instant, Written)>>);

/// Whether writes succeeded, or why not.
#[derive(Debug, Clone)]
pub struct Written {
    pub store: Result<(), String>,
    pub recordings: Result<(), String>,
}

impl Probe {
    /// Tries to write into the store and into the folder of recordings, at most once a second
    /// however many ask.
    pub async fn look(&self, records: &Records, folder: PathBuf) -> Written {
        let mut last = self.0.lock().await;
        if let Some((_, written)) = last.as_ref().filter(|(at, _)| at.elapsed() < PROBE_INTERVAL) {
            return written.clone();
        }
        let written = records.visit(move |store| Written {
            store: store.probe().map_err(|error| format!("storage.folder: {error}")),
            recordings: try_to_write(&folder)
                .map_err(|error| format!("recordings.folder: {}: {error}", folder.display())),
        });
        let written = written.await;
        *last = Some((Instant::now(), written.clone()));
        written
    }
}

/// Writes a file into a folder that still has room, and removes it.
fn try_to_write(folder: &Path) -> io::Result<()> {
    let path = folder.join(format!(".probe-{}", std::process::id()));
    let written = std::fs::write(&path, [0; PROBE_LEN]);
    let removed = std::fs::remove_file(&path);
    written?;
    removed?;
    let room = rustix::fs::statvfs(folder)?;
    check_room(room.f_bavail.saturating_mul(room.f_frsize))
}

fn check_room(free: u64) -> io::Result<()> {
    match free {
        LEAST_ROOM.. => Ok(()),
        _ => Err(io::Error::new(io::ErrorKind::StorageFull, "less than 1 MiB is free")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // B11
    #[test]
    fn a_disk_with_hardly_any_room_takes_no_recording() {
        for (free, is_enough) in [(0, false), ((1 << 20) - 1, false), (1 << 20, true)] {
            assert_eq!(check_room(free).is_ok(), is_enough, "{free}");
        }
    }
}
