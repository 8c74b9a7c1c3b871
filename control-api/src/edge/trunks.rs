//! The trunks that shards know, register with and probe: which they are, told to the shards
//! whenever that changes, and a line in the log when one stands worse than before, or well again.

use crate::app::App;
use crate::link::{ShardId, is_registered};
use control_wire::{KeptTrunk, TrunkState};
use std::sync::Arc;
use std::time::Duration;

/// What all kept trunks may take of one frame of the link, in bytes.
const MAX_LEN: usize = 192 * 1024;

/// Until the process is to stop: has the shards keep the trunks as they are set and as their hosts
/// resolve.
pub async fn keep(app: Arc<App>) {
    let period = Duration::from_secs(app.config.calls.dns_cache_s);
    let mut last = None;
    loop {
        match kept(&app).await {
            Ok(trunks) if last.as_ref() != Some(&trunks) => {
                app.link.keep_trunks(trunks.clone());
                last = Some(trunks);
            }
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "trunks cannot be read; it is tried again"),
        }
        tokio::select! {
            () = app.trunk_changes.notified() => {}
            () = tokio::time::sleep(period) => {}
            () = app.shutdown.cancelled() => return,
        }
    }
}

/// The trunks that are to be kept.
async fn kept(app: &App) -> Result<Vec<KeptTrunk>, storage::Error> {
    let trunks = app.records.visit(|store| store.trunks()).await?;
    let ready = app.resolver.ready_trunks(trunks, &app.secrets.master_key).await;
    let mut kept = Vec::with_capacity(ready.len());
    let mut len = 0;
    for trunk in ready.iter().map(|trunk| trunk.kept()) {
        len += serde_json::to_vec(&trunk).map_or(0, |bytes| bytes.len());
        if len > MAX_LEN {
            tracing::error!(trunk = %trunk.trunk,
                "too many trunks: shards know, register with and probe neither this one nor \
                    further ones");
            break;
        }
        kept.push(trunk);
    }
    Ok(kept)
}

/// Takes how a trunk stands with a shard.
pub(super) fn state_told(app: &App, id: &ShardId, state: TrunkState) {
    let before = app.link.set_trunk_state(id, state.clone());
    let ShardId { edge, shard } = id;
    let trunk = &state.trunk;
    let fault = state.registration.as_ref().and_then(|one| one.fault.as_ref());
    match (before.as_ref().is_some_and(is_refused), is_refused(&state)) {
        (false, true) => tracing::warn!(%trunk, %edge, shard,
            sip_code = fault.and_then(|fault| fault.sip_code),
            reason = fault.map(|fault| fault.detail.as_str()), "trunk is not registered"),
        (true, false) => tracing::info!(%trunk, %edge, shard, "trunk is registered again"),
        _ => {}
    }
    let is_lost = |state: &TrunkState| state.reachable == Some(false);
    match (before.as_ref().is_some_and(is_lost), is_lost(&state)) {
        (false, true) => tracing::warn!(%trunk, %edge, shard, "trunk does not answer OPTIONS"),
        (true, false) => tracing::info!(%trunk, %edge, shard, "trunk answers OPTIONS again"),
        _ => {}
    }
    match (before.as_ref().is_some_and(|before| before.breaker_open), state.breaker_open) {
        (false, true) => tracing::warn!(%trunk, %edge, shard,
            "calls over the trunk come to nothing: others are tried before it"),
        (true, false) => tracing::info!(%trunk, %edge, shard, "calls go over the trunk again"),
        _ => {}
    }
}

/// Whether a registration failed and none holds.
fn is_refused(state: &TrunkState) -> bool {
    state.registration.as_ref().is_some_and(|one| one.fault.is_some() && !is_registered(one))
}
