//! Whether an edge's folders are the ones that this process serves from: a recording written
//! elsewhere would be a link that answers 404, and hold audio elsewhere would never be heard.

use super::{Link, ShardId};
use crate::config::Config;
use control_wire::{Folder, Folders};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

impl Link {
    /// Compares what a shard told with what is here, and tells what does not fit.
    pub(crate) async fn compare_folders(
        &self,
        id: &ShardId,
        told: Option<&Folders>,
        config: &Config,
    ) {
        let mut complaints = Vec::new();
        if let Some(told) = told {
            let pairs = [
                (
                    "recordings.folder",
                    &told.recordings,
                    &config.recordings.folder,
                    "recordings are not found",
                ),
                (
                    "hold_audio.folder",
                    &told.hold_audio,
                    &config.hold_audio.folder,
                    "hold audio is not heard",
                ),
            ];
            for (key, theirs, ours, effect) in pairs {
                if !is_same(theirs, ours).await {
                    let ours = std::path::absolute(ours).unwrap_or_else(|_| ours.to_owned());
                    let theirs = &theirs.path;
                    let edge = &id.edge;
                    complaints.push(format!(
                        "{key} of {edge} is {theirs}, here it is {}: {effect}; set both to one \
                            folder",
                        ours.display()
                    ));
                }
            }
        }
        for reason in &complaints {
            tracing::warn!(edge = %id.edge, shard = id.shard, reason,
                "the edge works on another folder");
        }
        if let Some(shard) = self.lock().shards.get_mut(id) {
            shard.complaints = complaints;
        }
    }
}

async fn is_same(theirs: &Folder, ours: &Path) -> bool {
    let identity =
        tokio::fs::metadata(ours).await.ok().map(|metadata| (metadata.dev(), metadata.ino()));
    identity.is_some() && identity == theirs.identity
}
