//! The SIP messages of calls, kept for a while beside their records and never longer than those.

use crate::calls::call_lock;
use crate::error::Result;
use crate::key::Key;
use crate::record::Ladder;
use crate::store::{Batch, Family, Group, Reading, Storage};
use call_words::CallId;

impl Group<'_> {
    /// Keeps what was told of a call's messages, in place of what was told before. Nothing is kept
    /// of a call that is not known, and what is whole stays.
    pub fn put_ladder(&mut self, ladder: &Ladder) -> Result<()> {
        let call_id = &ladder.call_id;
        self.hold(&[call_lock(call_id)]);
        let Some(call) = self.call(call_id)? else { return Ok(()) };
        let present = || self.load::<Ladder>(Family::Ladders, call_id.as_bytes());
        if !ladder.whole && present()?.is_some_and(|present| present.whole) {
            return Ok(());
        }
        self.batch.put(Family::Ladders, call_id.as_bytes(), ladder);
        self.batch.index(Family::LadderExpiry, &expiry_key(call.start_ms, call_id), b"");
        Ok(())
    }
}

impl Storage {
    /// [`Group::put_ladder`] in the next group.
    pub fn put_ladder(&self, ladder: &Ladder) -> Result<()> {
        let ladder = ladder.clone();
        self.write(move |group| group.put_ladder(&ladder))
    }

    /// The SIP messages of a call, if they are kept.
    pub fn ladder(&self, call_id: &CallId) -> Result<Option<Ladder>> {
        self.load(Family::Ladders, call_id.as_bytes())
    }

    /// Forgets the messages of calls that started before then, at most `limit`; returns how many.
    pub fn expire_ladders(&self, before_ms: u64, limit: usize) -> Result<usize> {
        let is_over = |start_ms| start_ms < before_ms;
        self.expire_indexed(Family::LadderExpiry, Family::Ladders, is_over, limit)
    }

    /// Forgets the messages of a call with its record.
    pub(crate) fn forget_ladder(&self, batch: &mut Batch<'_>, call_id: &CallId, start_ms: u64) {
        batch.delete(Family::Ladders, call_id.as_bytes());
        batch.delete(Family::LadderExpiry, &expiry_key(start_ms, call_id));
    }
}

fn expiry_key(start_ms: u64, call_id: &CallId) -> Vec<u8> {
    Key::default().number(start_ms).rest(call_id).bytes()
}
