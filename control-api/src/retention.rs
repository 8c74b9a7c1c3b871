//! Forgets what is past its account's retention: records, recordings with their files, idempotency
//! keys. What is due is `storage`'s.

use crate::app::App;
use crate::clock::now_ms;
use crate::recording;
use call_words::RecordingName;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(600);
const DAY_MS: u64 = 24 * 3_600_000;
/// Records of each kind that one turn forgets.
const TURN_LIMIT: usize = 500;

/// Forgets until the process is to stop; the first look is at once.
pub async fn run(app: Arc<App>) {
    let mut ticks = tokio::time::interval(INTERVAL);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = app.shutdown.cancelled() => return,
        }
        while !app.shutdown.is_cancelled() {
            match expire_once(&app, now_ms()).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    let wait_s = INTERVAL.as_secs();
                    tracing::error!(%error, "retention failed; tried again in {wait_s} s");
                    break;
                }
            }
        }
    }
}

/// One turn. True if more is due.
pub async fn expire_once(app: &Arc<App>, now_ms: u64) -> Result<bool, storage::Error> {
    let folder = app.config.recordings.folder.clone();
    let ladders_before_ms = now_ms.saturating_sub(app.config.calls.ladder_days * DAY_MS);
    let captures_before_ms = now_ms.saturating_sub(app.config.calls.capture_days * DAY_MS);
    let expired = app
        .records
        .visit(move |store| {
            delete_captures(&folder, captures_before_ms);
            let mut expired = store.expire(now_ms, TURN_LIMIT)?;
            let ladder_count = store.expire_ladders(ladders_before_ms, TURN_LIMIT)?;
            expired.more |= ladder_count >= TURN_LIMIT;
            let deleted: Vec<RecordingName> = expired
                .recording_files
                .iter()
                .filter(|name| delete(&folder, name))
                .cloned()
                .collect();
            store.confirm_recordings_deleted(&deleted)?;
            // Files that cannot be deleted are named again; they must not make a turn follow a turn
            // for ever.
            Ok::<_, storage::Error>((
                expired.more && deleted.len() == expired.recording_files.len(),
                expired,
            ))
        })
        .await?;
    let (more, expired) = expired;
    if expired.call_count + expired.recording_count > 0 {
        tracing::info!(
            calls = expired.call_count,
            recordings = expired.recording_count,
            "retention is over"
        );
    }
    Ok(more)
}

/// Deletes the captures that were last written before then.
fn delete_captures(folder: &Path, before_ms: u64) {
    let before = UNIX_EPOCH + Duration::from_millis(before_ms);
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let is_capture = entry.file_name().to_str().is_some_and(recording::is_capture);
        let written = entry.metadata().and_then(|metadata| metadata.modified());
        if is_capture
            && written.is_ok_and(|written| written < before)
            && let Err(error) = std::fs::remove_file(entry.path())
        {
            tracing::warn!(%error, "a capture past its days cannot be deleted");
        }
    }
}

/// Whether nothing is left of the file.
fn delete(folder: &Path, file_name: &RecordingName) -> bool {
    [file_name.to_string(), format!("{file_name}.part")].iter().all(|name| {
        match std::fs::remove_file(folder.join(name)) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => {
                tracing::warn!(%error, "a recording past its retention cannot be deleted");
                false
            }
        }
    })
}
