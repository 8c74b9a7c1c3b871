//! Trunks in the registry: which ones each shard registers with and probes, and how they stand
//! there. Which they are to be, and who hears of changes, is `edge/trunks`'s.

use super::{Link, Shard, ShardId};
use crate::clock::now_ms;
use call_words::{EdgeName, TrunkId};
use control_wire::{Command, KeptTrunk, Registration, TrunkState};

/// How a trunk stands with one shard.
#[derive(Debug, Clone)]
pub struct TrunkStanding {
    pub edge: EdgeName,
    pub shard: u16,
    pub state: TrunkState,
}

/// Whether a registration holds.
pub fn is_registered(registration: &Registration) -> bool {
    registration.until_ms.is_some_and(|until_ms| now_ms() < until_ms)
}

impl Link {
    /// Has each shard that can keep these trunks, and no others from now on.
    pub(crate) fn keep_trunks(&self, trunks: Vec<KeptTrunk>) {
        let mut registry = self.lock();
        for shard in registry.shards.values_mut() {
            shard.keep(&trunks);
        }
        registry.kept_trunks = Some(trunks);
    }

    /// Notes whether a greeting shard can keep trunks.
    pub(crate) fn meet_keeper(&self, id: &ShardId, keeps_trunks: bool) {
        if let Some(shard) = self.lock().shards.get_mut(id) {
            shard.keeps_trunks = keeps_trunks;
        }
    }

    /// Notes how a trunk stands with a shard, and returns how it stood.
    pub(crate) fn set_trunk_state(&self, id: &ShardId, state: TrunkState) -> Option<TrunkState> {
        let mut registry = self.lock();
        let trunks = &mut registry.shards.get_mut(id)?.trunks;
        let is_of_interest =
            state.registration.is_some() || state.reachable.is_some() || state.breaker_open;
        if is_of_interest {
            trunks.insert(state.trunk.clone(), state)
        } else {
            trunks.remove(&state.trunk)
        }
    }

    /// How a trunk stands with each connected shard that tells of it.
    pub fn trunk_standings(&self, trunk: &TrunkId) -> Vec<TrunkStanding> {
        let registry = self.lock();
        let connected = registry.shards.iter().filter(|(_, shard)| shard.is_connected());
        let standing = |(id, shard): (&ShardId, &Shard)| {
            let state = shard.trunks.get(trunk)?.clone();
            Some(TrunkStanding { edge: id.edge.clone(), shard: id.shard, state })
        };
        connected.filter_map(standing).collect()
    }
}

impl Shard {
    /// Sends which trunks to keep, in place of what still waits to be said of it. One that is away
    /// hears of it when it is back.
    pub(super) fn keep(&mut self, trunks: &[KeptTrunk]) {
        self.pending.retain(|_, pending| !matches!(pending.command, Command::KeepTrunks(_)));
        if self.keeps_trunks && self.is_connected() {
            self.send(Command::KeepTrunks(trunks.to_vec()));
        }
    }
}
