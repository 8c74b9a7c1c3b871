//! Verbs on running calls in the registry. A verb is about now: it goes to a connected shard or
//! fails at once, it fails when the connection drops before it was sent, and it is repeated (under
//! its own id, so that the shard does it once) only while somebody waits for the answer.

use super::{Link, PENDING_CAP, Pending, Shard, ShardId};
use call_words::{AgentName, CallId};
use control_wire::{Command, Control, ControlRefusal};
use std::time::Duration;
use storage::Owner;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Time in which a shard has to answer.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// Verbs of one call that may wait for their answer.
const CALL_CAP: usize = 8;

/// Why a verb was not done, or is not known to have been done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlFailure {
    /// No connected shard has the call, or the connection dropped before the verb was sent.
    NoEdge,
    /// It was sent, and no answer came in time.
    NoAnswer,
    /// Too many verbs wait.
    Busy,
    /// The call is over.
    Ended,
    /// The shard did not do it.
    Refused(ControlRefusal),
}

pub(super) type Answer = Result<(), ControlFailure>;

/// Who waits for an answer.
#[derive(Debug)]
pub(super) struct Waiter(oneshot::Sender<Answer>);

impl Waiter {
    pub(super) fn tell(self, answer: Answer) {
        // Whoever does not wait any more needs no answer.
        let _ = self.0.send(answer);
    }
}

/// The answer to a verb that was sent. Dropping it gives the verb up: it is not repeated any more.
#[derive(Debug)]
pub struct ControlAnswer {
    link: Link,
    shard: ShardId,
    command_id: u64,
    answer: oneshot::Receiver<Answer>,
}

impl ControlAnswer {
    /// Waits for the answer, at most [`ANSWER_TIMEOUT`].
    pub async fn wait(mut self) -> Result<(), ControlFailure> {
        match timeout(ANSWER_TIMEOUT, &mut self.answer).await {
            Ok(Ok(answer)) => answer,
            // Forgotten with its call, or with the epoch in which that was live.
            Ok(Err(_)) => Err(ControlFailure::Ended),
            Err(_) => Err(ControlFailure::NoAnswer),
        }
    }
}

impl Drop for ControlAnswer {
    fn drop(&mut self) {
        if let Some(shard) = self.link.lock().shards.get_mut(&self.shard) {
            shard.pending.remove(&self.command_id);
        }
    }
}

/// Where a softphone is, as seen from a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whereabouts {
    Offline,
    /// With the shard that has the call.
    WithCall,
    Elsewhere,
}

impl Link {
    /// Sends a verb to the shard that has its call.
    pub fn control(&self, control: Control) -> Result<ControlAnswer, ControlFailure> {
        let mut registry = self.lock();
        let id = registry.calls.get(&control.call_id).cloned().ok_or(ControlFailure::NoEdge)?;
        let shard = registry
            .shards
            .get_mut(&id)
            .filter(|shard| shard.is_connected())
            .ok_or(ControlFailure::NoEdge)?;
        let is_of_call = |command: &Command| {
            matches!(command,
            Command::Control(other) if other.call_id == control.call_id)
        };
        let of_call = shard.pending.values().filter(|pending| is_of_call(&pending.command)).count();
        if of_call >= CALL_CAP || shard.pending.len() >= PENDING_CAP {
            return Err(ControlFailure::Busy);
        }
        let (waiter, answer) = oneshot::channel();
        let command_id = shard.send_for(Command::Control(Box::new(control)), Some(Waiter(waiter)));
        Ok(ControlAnswer { link: self.clone(), shard: id, command_id, answer })
    }

    /// Asks the shard that has or had a call for something that operators see of it.
    pub fn ask(&self, owner: &Owner, command: Command) -> Result<ControlAnswer, ControlFailure> {
        let id = ShardId { edge: owner.edge.clone(), shard: owner.shard };
        let mut registry = self.lock();
        let is_able = |shard: &&mut Shard| {
            shard.is_connected() && shard.tells_ladders && shard.epoch == owner.epoch
        };
        let shard = registry.shards.get_mut(&id).filter(is_able).ok_or(ControlFailure::NoEdge)?;
        if shard.pending.len() >= PENDING_CAP {
            return Err(ControlFailure::Busy);
        }
        let (waiter, answer) = oneshot::channel();
        let command_id = shard.send_for(command, Some(Waiter(waiter)));
        Ok(ControlAnswer { link: self.clone(), shard: id, command_id, answer })
    }

    /// Notes whether a greeting shard tells the SIP messages of a call that is asked for.
    pub(crate) fn meet_teller(&self, id: &ShardId, tells_ladders: bool) {
        if let Some(shard) = self.lock().shards.get_mut(id) {
            shard.tells_ladders = tells_ladders;
        }
    }

    /// Whether a connected shard has the call.
    pub fn reaches(&self, call_id: &CallId) -> bool {
        let registry = self.lock();
        registry
            .calls
            .get(call_id)
            .and_then(|id| registry.shards.get(id))
            .is_some_and(Shard::is_connected)
    }

    /// Where an agent's softphone is, as seen from a call.
    pub fn whereabouts(&self, agent: &AgentName, call_id: &CallId) -> Whereabouts {
        let registry = self.lock();
        match (registry.softphones.shard_of(agent), registry.calls.get(call_id)) {
            (None, _) => Whereabouts::Offline,
            (Some(softphone), Some(call)) if softphone == call => Whereabouts::WithCall,
            (Some(_), _) => Whereabouts::Elsewhere,
        }
    }
}

impl Shard {
    /// The connection dropped: verbs that it never carried are not kept for the next one.
    pub(super) fn fail_unsent_verbs(&mut self) {
        let is_unsent = |pending: &Pending| {
            let is_about_now = matches!(
                pending.command,
                Command::Control(_)
                    | Command::TellLadder { .. }
                    | Command::StartCapture { .. }
                    | Command::StopCapture { .. }
            );
            is_about_now && !pending.was_sent
        };
        let ids: Vec<u64> = self
            .pending
            .iter()
            .filter(|(_, pending)| is_unsent(pending))
            .map(|(id, _)| *id)
            .collect();
        for waiter in ids.into_iter().filter_map(|id| self.pending.remove(&id)?.waiter) {
            waiter.tell(Err(ControlFailure::NoEdge));
        }
    }
}
