//! The table of calls: found by key or by id, each with its log and its armed deadline. Calls that
//! are over leave it; for what may still come of their INVITEs there is `ended`.

mod ended;

use crate::call::Call;
use crate::call::context::{Context, Log};
use crate::call::shard::{CallKey, Resources};
use crate::command::{PlaceCall, Refusal};
use crate::event::{Event, Ladder, Output};
use call_words::CallId;
use ended::Ended;
use slab::Slab;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

struct Entry {
    generation: u64,
    call: Call,
    log: Log,
    armed: Option<Instant>,
}

/// All calls of the shard, by their places, ids and deadlines.
#[derive(Default)]
pub struct Calls {
    entries: Slab<Entry>,
    /// Those that have not been told as ended, by call id.
    live: BTreeMap<CallId, CallKey>,
    deadlines: BTreeSet<(Instant, CallKey)>,
    next_generation: u64,
    pub ended: Ended,
}

impl Calls {
    /// Begins a call, or refuses it whole: then nothing of it is held.
    pub fn place(
        &mut self,
        now: Instant,
        shard: &mut Resources,
        request: PlaceCall,
    ) -> Result<(), Refusal> {
        let slot = self.entries.vacant_entry();
        let index = u32::try_from(slot.key()).map_err(|_| Refusal::CallCapacity)?;
        let key = CallKey { index, generation: self.next_generation };
        let mut log = Log {
            call_id: request.call_id.clone(),
            sequence: 0,
            is_closed: false,
            parties: Vec::new(),
        };
        let keeps_ladder = request.keeps_ladder;
        let mut cx = Context { now, call: key, log: &mut log, shard };
        let call = Call::place(&mut cx, request).map_err(|_| Refusal::NoPort)?;
        self.next_generation += 1;
        // What the call has sent by now is still with its transactions.
        if keeps_ladder || shard.config.copies_sip {
            shard.ladders.begin(key, &log.call_id, keeps_ladder);
        }
        self.live.insert(log.call_id.clone(), key);
        slot.insert(Entry { generation: key.generation, call, log, armed: None });
        self.settle(shard, key);
        Ok(())
    }

    /// Lets a call take an input; nothing happens if the key is stale.
    pub fn with(
        &mut self,
        now: Instant,
        shard: &mut Resources,
        key: CallKey,
        input: impl FnOnce(&mut Call, &mut Context<'_>),
    ) {
        let Some(entry) = self
            .entries
            .get_mut(key.index as usize)
            .filter(|entry| entry.generation == key.generation)
        else {
            return;
        };
        let mut cx = Context { now, call: key, log: &mut entry.log, shard };
        input(&mut entry.call, &mut cx);
        self.settle(shard, key);
    }

    /// Arms the call's next deadline, and forgets what is told or over.
    fn settle(&mut self, shard: &mut Resources, key: CallKey) {
        let Some(entry) = self.entries.get_mut(key.index as usize) else { return };
        entry.call.note_remains(shard);
        let due = entry.call.poll_timeout();
        if entry.armed != due {
            if let Some(old) = entry.armed {
                self.deadlines.remove(&(old, key));
            }
            if let Some(due) = due {
                self.deadlines.insert((due, key));
            }
            entry.armed = due;
        }
        if entry.call.is_told() && self.live.get(&entry.log.call_id) == Some(&key) {
            self.live.remove(&entry.log.call_id);
        }
        if entry.call.is_over() {
            tell_ladder(shard, key, &entry.log, true);
            shard.ladders.forget(&key);
            entry.call.forget(shard);
            for invitation in entry.call.invitations() {
                self.ended.take_over(shard, invitation);
            }
            if let Some(old) = entry.armed {
                self.deadlines.remove(&(old, key));
            }
            self.entries.remove(key.index as usize);
        }
    }

    /// A call that is not over; of two of this name, the one that has not been told as ended.
    pub fn find_any(&self, call_id: &CallId) -> Option<CallKey> {
        let named = || self.entries.iter().filter(|(_, entry)| entry.log.call_id == *call_id);
        let key = |(index, entry): (usize, &Entry)| CallKey {
            index: index as u32,
            generation: entry.generation,
        };
        self.find(call_id).or_else(|| named().next_back().map(key))
    }

    /// Tells the messages of a call that is not over, if it keeps them; else `false`.
    pub fn tell_ladder(&self, shard: &mut Resources, call_id: &CallId) -> bool {
        let entry = self.find_any(call_id).and_then(|key| {
            let entry = self.entries.get(key.index as usize)?;
            Some((key, entry))
        });
        entry.is_some_and(|(key, entry)| tell_ladder(shard, key, &entry.log, false))
    }

    /// Looks at a call.
    pub fn get(&self, key: CallKey) -> Option<&Call> {
        let entry = self
            .entries
            .get(key.index as usize)
            .filter(|entry| entry.generation == key.generation)?;
        Some(&entry.call)
    }

    /// The live call of this id.
    pub fn find(&self, call_id: &CallId) -> Option<CallKey> {
        self.live.get(call_id).copied()
    }

    /// Whether the call has not been told as ended.
    pub fn is_live(&self, call_id: &CallId) -> bool {
        self.live.contains_key(call_id)
    }

    /// Calls that have not been told as ended.
    pub fn live(&self) -> impl Iterator<Item = &CallId> {
        self.live.keys()
    }

    /// Calls that have not been told as ended.
    pub fn live_count(&self) -> usize {
        self.live.len()
    }

    /// All calls, those included that only answer stray messages.
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// All calls, those that only finish included.
    pub fn keys(&self) -> Vec<CallKey> {
        self.live.values().copied().collect()
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.deadlines.first().map(|(due, _)| *due)
    }

    /// A call whose deadline has come.
    pub fn due(&self, now: Instant) -> Option<CallKey> {
        self.deadlines.first().filter(|(due, _)| *due <= now).map(|(_, key)| *key)
    }
}

/// Tells what a call keeps of its messages; `false` if it keeps none.
fn tell_ladder(shard: &mut Resources, key: CallKey, log: &Log, is_whole: bool) -> bool {
    let Some((rungs, left_out_count)) = shard.ladders.told(&key, |leg| log.party(leg)) else {
        return false;
    };
    let call_id = log.call_id.clone();
    let ladder = Ladder { call_id, rungs, left_out_count, is_whole };
    shard.output.push_back(Output::Event(Event::Ladder(ladder)));
    true
}
