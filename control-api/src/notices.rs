//! Who waits for what happens to calls: pages of agents, readers of event streams, the deliverer of
//! callbacks, and those who wait for a line of a trunk. One place tells them all.

use crate::callback::Callbacks;
use crate::limits::TrunkUse;
use crate::speaking::Speakers;
use crate::streams::Streams;
use crate::watch::Watchers;
use call_words::CallId;
use storage::{Call, Queued};

/// Everyone who is told.
pub struct Notices {
    pub softphones: Watchers,
    pub speakers: Speakers,
    pub streams: Streams,
    pub callbacks: Callbacks,
    pub trunk_lines: TrunkUse,
}

impl Notices {
    /// A call is another than it was, and so it is on disk: wakes who shows it, who reads its
    /// account's events and the queues of its callbacks, and gives back the lines of who left it.
    pub fn changed<'a>(&self, call: &Call, queued: impl IntoIterator<Item = &'a Queued>) {
        self.softphones.call_changed(call);
        self.streams.wake(&call.account_id);
        queued.into_iter().for_each(|queued| self.callbacks.notify(queued));
        if call.is_live() {
            for other in call.others.iter().filter(|other| other.end_ms.is_some()) {
                self.trunk_lines.give_back_of(&call.call_id, &other.party);
            }
        } else {
            self.release(&call.call_id);
        }
    }

    /// Nothing is held for a call any more: it is over, or it never was.
    pub fn release(&self, call_id: &CallId) {
        self.trunk_lines.give_back(call_id);
        self.speakers.forget(call_id);
    }
}
