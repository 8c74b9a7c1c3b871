//! The events of one shard that control-api has not acknowledged, in order, with what of them was
//! sent on the present connection. Pure. When it is full, milestones are dropped and counted; an
//! `Ended` never is.

use call_words::CallId;
use control_wire::Event;
use std::collections::{HashSet, VecDeque};

struct Entry {
    id: u64,
    event: Event,
}

/// Bounded by `capacity` milestones and one `Ended` per call.
pub struct Outbox {
    capacity: usize,
    entries: VecDeque<Entry>,
    /// Entries with a lower id were sent on this connection.
    next_unsent: u64,
    next_id: u64,
    ended: HashSet<CallId>,
    dropped_milestones: u64,
}

impl Outbox {
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            entries: VecDeque::new(),
            next_unsent: 1,
            next_id: 1,
            ended: HashSet::new(),
            dropped_milestones: 0,
        }
    }

    /// Adds an event; in a full outbox the oldest milestone makes room.
    pub fn push(&mut self, event: Event) {
        if let Event::Ended(ended) = &event {
            self.ended.insert(ended.call_id.clone());
        }
        if self.entries.len() >= self.capacity {
            let oldest =
                self.entries.iter().position(|entry| matches!(entry.event, Event::Milestone(_)));
            match (oldest, &event) {
                (Some(oldest), _) => {
                    self.entries.remove(oldest);
                    self.dropped_milestones += 1;
                }
                (None, Event::Milestone(_) | Event::TransferRequested { .. }) => {
                    self.dropped_milestones += 1;
                    return;
                }
                (None, Event::Ended(_)) => {}
            }
        }
        self.entries.push_back(Entry { id: self.next_id, event });
        self.next_id += 1;
    }

    /// Forgets an acknowledged event; unknown ids are ignored.
    pub fn acknowledge(&mut self, id: u64) {
        let Ok(index) = self.entries.binary_search_by_key(&id, |entry| entry.id) else { return };
        if let Some(Entry { event: Event::Ended(ended), .. }) = self.entries.remove(index) {
            self.ended.remove(&ended.call_id);
        }
    }

    /// The next event to send on this connection.
    pub fn poll_unsent(&mut self) -> Option<(u64, &Event)> {
        let index = self.entries.partition_point(|entry| entry.id < self.next_unsent);
        let entry = self.entries.get(index)?;
        self.next_unsent = entry.id + 1;
        Some((entry.id, &entry.event))
    }

    /// Begins a new connection: all that is not acknowledged is to be sent again.
    pub fn rewind(&mut self) {
        self.next_unsent = 0;
    }

    /// Calls whose `Ended` is not acknowledged.
    pub fn ended_calls(&self) -> impl Iterator<Item = &CallId> {
        self.ended.iter()
    }

    /// Whether the call's `Ended` waits here.
    pub fn holds_end_of(&self, call_id: &CallId) -> bool {
        self.ended.contains(call_id)
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Milestones that were left out because too many waited.
    pub fn dropped_milestones(&self) -> u64 {
        self.dropped_milestones
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use call_words::CallStatus;
    use control_wire::{Ended, Milestone};

    fn milestone(call: &str, sequence: u32) -> Event {
        Event::Milestone(Milestone {
            call_id: call.into(),
            sequence,
            at_ms: 0,
            leg: None,
            kind: "ringing".into(),
            sip_code: None,
            trunk: None,
            detail: None,
            party: None,
            conversation: None,
        })
    }

    fn ended(call: &str) -> Event {
        Event::Ended(Box::new(Ended {
            call_id: call.into(),
            status: CallStatus::Answer,
            reason: None,
            failed_leg: None,
            sip_code: None,
            hangup_by: None,
            answered_at_ms: None,
            ended_at_ms: 0,
            duration_s: 0,
            attempts: Vec::new(),
            recording: None,
            recording_written: None,
            agent_media: None,
            customer_media: None,
            others: Vec::new(),
            detail: None,
        }))
    }

    fn sent(outbox: &mut Outbox) -> Vec<(u64, String)> {
        std::iter::from_fn(|| {
            outbox.poll_unsent().map(|(id, event)| match event {
                Event::Milestone(milestone) => {
                    (id, format!("{} {}", milestone.call_id, milestone.sequence))
                }
                Event::Ended(ended) => (id, format!("{} ended", ended.call_id)),
                Event::TransferRequested { call_id, .. } => (id, format!("{call_id} asks")),
            })
        })
        .collect()
    }

    #[test]
    fn sends_each_event_once_per_connection_until_acknowledged() {
        let mut outbox = Outbox::new(10);
        outbox.push(milestone("a", 1));
        outbox.push(milestone("a", 2));
        assert_eq!(sent(&mut outbox), [(1, "a 1".into()), (2, "a 2".into())]);
        outbox.push(ended("a"));
        assert_eq!(sent(&mut outbox), [(3, "a ended".into())]);
        assert_eq!(sent(&mut outbox), []);
        outbox.acknowledge(2);
        outbox.acknowledge(99);
        outbox.rewind();
        assert_eq!(sent(&mut outbox), [(1, "a 1".into()), (3, "a ended".into())]);
        assert!(outbox.holds_end_of(&"a".into()));
        assert_eq!(outbox.ended_calls().collect::<Vec<_>>(), ["a"]);
        outbox.acknowledge(3);
        outbox.acknowledge(1);
        assert!(outbox.is_empty() && !outbox.holds_end_of(&"a".into()));
        outbox.rewind();
        outbox.push(milestone("b", 1));
        assert_eq!(sent(&mut outbox), [(4, "b 1".into())]);
    }

    #[test]
    fn a_full_outbox_loses_milestones_and_never_an_end() {
        let mut outbox = Outbox::new(3);
        outbox.push(ended("a"));
        outbox.push(milestone("b", 1));
        outbox.push(milestone("b", 2));
        outbox.push(milestone("b", 3));
        assert_eq!(
            sent(&mut outbox),
            [(1, "a ended".into()), (3, "b 2".into()), (4, "b 3".into())]
        );
        outbox.push(ended("b"));
        outbox.push(ended("c"));
        outbox.push(ended("d"));
        outbox.push(milestone("e", 1));
        outbox.rewind();
        let ends = [(1, "a ended"), (5, "b ended"), (6, "c ended"), (7, "d ended")];
        assert_eq!(sent(&mut outbox), ends.map(|(id, text)| (id, text.to_string())));
        assert_eq!(outbox.dropped_milestones(), 4);
    }
}
