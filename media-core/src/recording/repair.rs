//! What a file that a killed process left behind can still become.

use super::{HEADER_LEN, Layout, header};
use std::time::Duration;

/// How to finish a file that was left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// Write `header` at offset 0 and cut the file to `len` bytes; then it is a valid recording.
    Finalise { header: [u8; HEADER_LEN], len: u64 },
    /// No audio was written yet.
    Empty,
    /// Not a recording of this format; leave it alone.
    Foreign,
}

/// Judges a file by its first bytes (at least `HEADER_LEN` of them, if it has so many) and its
/// length.
pub fn repair(head: &[u8], file_len: u64) -> Repair {
    let least = Layout::Stereo.frame_len() as u64;
    let Some(stored_len) =
        file_len.checked_sub(HEADER_LEN as u64).filter(|stored| *stored >= least)
    else {
        return Repair::Empty;
    };
    let Some(head) = head.first_chunk::<HEADER_LEN>() else { return Repair::Foreign };
    let declared =
        Layout::ALL.into_iter().find_map(|layout| Some((layout, declared_len(layout, head)?)));
    let (layout, declared_len) = match declared {
        Some(declared) => declared,
        // A hole where the header was to be; files of three channels begin with theirs.
        None if head.iter().all(|byte| *byte == 0) => (Layout::Stereo, stored_len),
        None => return Repair::Foreign,
    };
    match declared_len.min(stored_len) / layout.frame_len() as u64 {
        0 => Repair::Empty,
        frame_count => Repair::Finalise {
            header: header(layout, frame_count),
            len: layout.offset(frame_count),
        },
    }
}

/// How long this many bytes of samples play under a header of ours.
pub fn duration_of(header: &[u8; HEADER_LEN], samples_len: u64) -> Duration {
    let bytes_per_second = header[28..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    Duration::from_millis((samples_len * 1000).checked_div(bytes_per_second.into()).unwrap_or(0))
}

/// The length of the samples that a header of ours promises.
fn declared_len(layout: Layout, head: &[u8; HEADER_LEN]) -> Option<u64> {
    let ours = header(layout, 0);
    let (lengths, fixed) = ([4..8, 40..44], [0..4, 8..40]);
    if fixed.into_iter().any(|range| head[range.clone()] != ours[range]) {
        return None;
    }
    let [_, data] = lengths;
    let bytes = head[data].first_chunk::<4>()?;
    Some(u32::from_le_bytes(*bytes).into())
}
