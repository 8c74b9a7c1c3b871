//! Room that a call was promised on a shard, until its record is durable and the call is sent.

use super::{CallLink, Link, ShardId};
use call_words::CallId;
use control_wire::{Command, PlaceCall};
use storage::Owner;

/// The shard that a call was promised to restarted meanwhile: the call cannot be placed any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardGone;

/// Room on a shard for one call, given back when dropped unless the call is sent.
#[derive(Debug)]
pub struct Placement {
    link: Link,
    call_id: CallId,
    owner: Owner,
    is_used: bool,
}

impl Placement {
    pub(super) fn new(link: Link, call_id: &CallId, owner: Owner) -> Self {
        Self { link, call_id: call_id.to_owned(), owner, is_used: false }
    }

    /// The shard, to be stored with the call.
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Sends the call, whose record is durable by now. If the shard is away for a moment, the call
    /// goes out when it is back.
    pub fn send(mut self, place: PlaceCall) -> Result<(), ShardGone> {
        let mut registry = self.link.lock();
        let id = ShardId { edge: self.owner.edge.clone(), shard: self.owner.shard };
        let shard = registry
            .shards
            .get_mut(&id)
            .filter(|shard| shard.epoch == self.owner.epoch)
            .ok_or(ShardGone)?;
        let held = shard.calls.get_mut(&self.call_id).ok_or(ShardGone)?;
        let reserved = std::mem::replace(&mut held.link, CallLink::Placed);
        shard.send(Command::PlaceCall(Box::new(place)));
        if reserved == (CallLink::Reserved { hang_up: true }) {
            shard.send(Command::HangUp { call_id: self.call_id.clone() });
        }
        drop(registry);
        self.is_used = true;
        Ok(())
    }
}

impl Drop for Placement {
    fn drop(&mut self) {
        if !self.is_used {
            self.link.release(&self.call_id);
        }
    }
}
