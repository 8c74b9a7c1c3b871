//! The legs of calls that are over, as long as their INVITE may be answered once more.

use crate::call::invitation::Invitation;
use crate::call::invitation::echo::Echo;
use crate::call::shard::{CallKey, Owner, Resources};
use crate::transaction::{self, TransactionId};
use slab::Slab;
use std::net::IpAddr;
use std::time::Instant;

/// By their places, which they have from their INVITE's transaction on.
#[derive(Default)]
pub struct Ended {
    entries: Slab<(u64, Echo)>,
    next_generation: u64,
}

impl Ended {
    /// Takes over an INVITE that its call has left.
    pub fn take_over(&mut self, shard: &mut Resources, invitation: &mut Invitation) {
        let slot = self.entries.vacant_entry();
        let Ok(index) = u32::try_from(slot.key()) else { return };
        let key = CallKey::of_ended(index, self.next_generation);
        if let Some(echo) = invitation.leave_echo(shard, key) {
            self.next_generation += 1;
            slot.insert((key.generation, echo));
        }
    }

    fn get_mut(&mut self, key: CallKey) -> Option<&mut Echo> {
        let entry = self.entries.get_mut(key.index as usize);
        entry.filter(|(generation, _)| *generation == key.generation).map(|(_, echo)| echo)
    }

    /// Takes what became of a transaction of such a leg. Of the BYE to who answered too late
    /// nothing more comes.
    pub fn handle_output(
        &mut self,
        now: Instant,
        shard: &mut Resources,
        owner: Owner,
        id: TransactionId,
        output: &transaction::Output,
    ) {
        let Some(echo) = self.get_mut(owner.call).filter(|echo| echo.is_of(id)) else { return };
        match output {
            transaction::Output::Response(response) => echo.handle_response(now, shard, response),
            transaction::Output::Terminated => {
                self.entries.remove(owner.call.index as usize);
            }
            _ => {}
        }
    }

    /// Whether messages of such a leg may come from here.
    pub fn is_signalled_from(&self, key: CallKey, source: IpAddr) -> bool {
        let entry = self.entries.get(key.index as usize);
        entry.is_some_and(|(generation, echo)| {
            *generation == key.generation && echo.is_signalled_from(source)
        })
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }
}
