//! Finishes the recordings that a killed process left behind, before the shards start. One process
//! at a time owns a folder, so that nobody finishes a file that another still writes.

use media_core::recording::{HEADER_LEN, Repair, repair};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::time::{Duration, Instant};

/// Suffix of a file that is still written.
pub(crate) const PART_SUFFIX: &str = ".part";
const LOCK_NAME: &str = ".sip-edge.lock";
/// Longest wait for all that the kernel still writes for the process that is gone.
pub(crate) const LATE_WRITE_LIMIT: Duration = Duration::from_secs(2);
const TRY_PERIOD: Duration = Duration::from_millis(5);

/// The recordings' folder, locked as long as this lives.
#[derive(Debug)]
pub struct OwnedFolder {
    _lock: File,
    pub recovered: Recovered,
}

/// What was found in the folder.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Made valid and given their final names.
    pub repaired: u64,
    /// Held no audio and were deleted.
    pub removed: u64,
    /// Left as they are: not recordings of ours, or not readable.
    pub left: u64,
}

/// Makes the folder if it is missing, locks it and finishes what an earlier process left in it.
pub fn own(folder: &Path) -> io::Result<OwnedFolder> {
    std::fs::create_dir_all(folder)?;
    let lock = File::create(folder.join(LOCK_NAME))?;
    lock.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => {
            io::Error::new(io::ErrorKind::ResourceBusy, "another edge writes to this folder")
        }
        TryLockError::Error(error) => error,
    })?;
    let mut recovered = Recovered::default();
    let deadline = Instant::now() + LATE_WRITE_LIMIT;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(name) = path.to_str().and_then(|path| path.strip_suffix(PART_SUFFIX)) else {
            continue;
        };
        match finish(&path, Path::new(name), deadline) {
            Ok(Repair::Finalise { .. }) => recovered.repaired += 1,
            Ok(Repair::Empty) => recovered.removed += 1,
            Ok(Repair::Foreign) | Err(_) => recovered.left += 1,
        }
    }
    Ok(OwnedFolder { _lock: lock, recovered })
}

/// Makes a file valid with what is in it and gives it its final name. Blocks.
pub(crate) fn finish(part: &Path, path: &Path, deadline: Instant) -> io::Result<Repair> {
    let mut file = OpenOptions::new().read(true).write(true).open(part)?;
    // The process is gone, but a write that was on its way may still come and would make the file
    // longer again. It keeps the file locked.
    while file.try_lock().is_err() && Instant::now() < deadline {
        std::thread::sleep(TRY_PERIOD);
    }
    let mut head = Vec::new();
    (&file).take(HEADER_LEN as u64).read_to_end(&mut head)?;
    let verdict = repair(&head, file.metadata()?.len());
    match &verdict {
        Repair::Finalise { header, len } => {
            file.rewind()?;
            file.write_all(header)?;
            file.set_len(*len)?;
            file.sync_all()?;
            std::fs::rename(part, path)?;
        }
        Repair::Empty => std::fs::remove_file(part)?,
        Repair::Foreign => {}
    }
    Ok(verdict)
}
