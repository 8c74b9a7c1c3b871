//! Each account's log of events: numbers that rise within the account, written in the same batch as
//! what they tell of. Writes settle in any order, so readers are shown the log up to the first
//! number that is not yet settled. Bounded: the newest of the last day.

use crate::error::{Error, Result};
use crate::key::{Key, KeyReader};
use crate::record::*;
use crate::store::{Batch, Durability, Family, Group, Storage};
use call_words::{AccountId, CallId, EventWord, LegKind};

/// Events kept of one account; older ones make room.
pub const EVENT_CAP: u64 = 10_000;
/// How long an event is kept.
pub const EVENT_WINDOW_MS: u64 = 24 * 3_600_000;
/// Progress callbacks that one call may make.
const PROGRESS_CAP: u32 = 1_000;

/// What is to be noted of a call.
#[derive(Debug, Clone)]
pub(crate) struct Note<'a> {
    pub word: EventWord,
    pub at_ms: u64,
    pub leg: Option<LegKind>,
    pub party: Option<&'a str>,
    pub sip_code: Option<u16>,
    pub reason: Option<String>,
    pub conversation: Option<Conversation>,
    /// Told after the call's last event: to who follows the account, not to who follows the call.
    pub is_epilogue: bool,
}

impl Note<'_> {
    /// An event of which only its time is told.
    pub(crate) fn of(word: EventWord, at_ms: u64) -> Self {
        Self {
            word,
            at_ms,
            leg: None,
            party: None,
            sip_code: None,
            reason: None,
            conversation: None,
            is_epilogue: false,
        }
    }
}

/// Which part of an account's log is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EventRange {
    /// Number of the newest event; 0 if there was none yet.
    pub last: u64,
    /// Events up to this number may be missing.
    pub cut_until: u64,
}

impl Group<'_> {
    /// Adds an event of a call, and its progress callback if it is announced, to the batch that
    /// makes it true. The caller writes the call.
    pub(crate) fn note(&mut self, call: &mut Call, note: Note<'_>) -> Result<Option<Queued>> {
        let (storage, account_id) = (self.storage, &call.account_id);
        let account = storage.known_account(account_id)?;
        let unsettled = storage.event_numbers().take(account_id, || {
            Ok(storage.last_stored(account_id)?.max(storage.event_mark(account_id)?.last_forgotten))
        })?;
        call.event_count += 1;
        let event = EventRecord {
            number: unsettled.number(),
            call_id: call.call_id.clone(),
            uuid: call.uuid.clone(),
            sequence: call.event_count,
            at_ms: note.at_ms,
            event: note.word.into(),
            leg: note.leg,
            party: note.party.map(str::to_owned),
            sip_code: note.sip_code,
            reason: note.reason,
            conversation: note.conversation,
        };
        self.settle(unsettled);
        let batch = &mut self.batch;
        batch.put(Family::Events, &event_key(&call.account_id, event.number), &event);
        if !note.is_epilogue {
            batch.index(
                Family::CallEvents,
                &Key::of(&call.call_id).number(event.number).bytes(),
                b"",
            );
        }
        let is_pushed = !note.is_epilogue && event.sequence <= PROGRESS_CAP;
        let account = account.filter(|_| is_pushed);
        let new = account.and_then(|account| storage.announcer().step(&account, &event));
        Ok(new.map(|new| batch.queue_callback(call, new, Some(event.sequence))))
    }
}

impl Storage {
    fn last_stored(&self, account_id: &AccountId) -> Result<u64> {
        let mut scan = self.scan(Family::Events, &Key::of(account_id).bytes());
        scan.seek_to_last();
        Ok(scan.current()?.map(|(key, _)| parse_event_key(key)).transpose()?.unwrap_or(0))
    }

    fn event_mark(&self, account_id: &AccountId) -> Result<EventMark> {
        Ok(self.load(Family::EventMarks, account_id.as_bytes())?.unwrap_or_default())
    }

    /// Which part of an account's log is there to be read.
    pub fn event_range(&self, account_id: &AccountId) -> Result<EventRange> {
        let mark = self.event_mark(account_id)?;
        let last = match self.event_numbers().settled(account_id) {
            Some(settled) => settled,
            None => self.last_stored(account_id)?.max(mark.last_forgotten),
        };
        Ok(EventRange { last, cut_until: mark.cut_until })
    }

    /// Events of an account behind a number, oldest first, at most `limit`.
    pub fn events(
        &self,
        account_id: &AccountId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<EventRecord>> {
        let last = self.event_range(account_id)?.last;
        let mut events = Vec::new();
        let mut scan = self.scan(Family::Events, &Key::of(account_id).bytes());
        scan.seek(&event_key(account_id, after.saturating_add(1)));
        while let Some((key, value)) = scan.current()? {
            if events.len() >= limit || parse_event_key(key)? > last {
                break;
            }
            events.push(crate::codec::decode(value)?);
            scan.advance();
        }
        Ok(events)
    }

    /// The same of one call.
    pub fn call_events(&self, call: &Call, after: u64, limit: usize) -> Result<Vec<EventRecord>> {
        let last = self.event_range(&call.account_id)?.last;
        let mut events = Vec::new();
        let mut scan = self.scan(Family::CallEvents, &Key::of(&call.call_id).bytes());
        scan.seek(&Key::of(&call.call_id).number(after.saturating_add(1)).bytes());
        while let Some((key, _)) = scan.current()? {
            let number = parse_event_key(key)?;
            if events.len() >= limit || number > last {
                break;
            }
            events.extend(self.load(Family::Events, &event_key(&call.account_id, number))?);
            scan.advance();
        }
        Ok(events)
    }

    /// Cuts the log of an account to its newest events of the last day; removes at most `limit`.
    pub(crate) fn expire_events(
        &self,
        account_id: &AccountId,
        now_ms: u64,
        limit: usize,
    ) -> Result<usize> {
        let last = self.event_range(account_id)?.last;
        let mut count = 0;
        let mut batch = self.batch();
        let mut mark = self.event_mark(account_id)?;
        let mut scan = self.scan(Family::Events, &Key::of(account_id).bytes());
        while let Some((key, value)) = scan.current()? {
            let number = parse_event_key(key)?;
            let event: EventRecord = crate::codec::decode(value)?;
            let is_kept =
                number + EVENT_CAP > last && now_ms < event.at_ms.saturating_add(EVENT_WINDOW_MS);
            if count >= limit || is_kept || number > last {
                break;
            }
            batch.delete(Family::Events, key);
            batch.delete(Family::CallEvents, &Key::of(&event.call_id).number(number).bytes());
            mark = EventMark { last_forgotten: mark.last_forgotten.max(number), cut_until: number };
            count += 1;
            scan.advance();
        }
        if count > 0 {
            let _held = self.lock(&[mark_lock(account_id)]);
            let present = self.event_mark(account_id)?;
            let mark = EventMark {
                last_forgotten: mark.last_forgotten.max(present.last_forgotten),
                ..mark
            };
            batch.put(Family::EventMarks, account_id.as_bytes(), &mark);
            batch.commit(Durability::Logged)?;
        }
        Ok(count)
    }

    /// Adds the removal of a call's events to a batch. The caller holds `mark_lock`.
    pub(crate) fn forget_events(
        &self,
        batch: &mut Batch<'_>,
        account_id: &AccountId,
        call_id: &CallId,
    ) -> Result<()> {
        let mut mark = self.event_mark(account_id)?;
        let mut scan = self.scan(Family::CallEvents, &Key::of(call_id).bytes());
        while let Some((key, _)) = scan.current()? {
            let number = parse_event_key(key)?;
            batch.delete(Family::CallEvents, key);
            batch.delete(Family::Events, &event_key(account_id, number));
            mark.last_forgotten = mark.last_forgotten.max(number);
            scan.advance();
        }
        if mark.last_forgotten > 0 {
            batch.put(Family::EventMarks, account_id.as_bytes(), &mark);
        }
        Ok(())
    }
}

/// Name of the lock on what is remembered of an account's forgotten events.
pub(crate) fn mark_lock(account_id: &AccountId) -> Vec<u8> {
    [b"events:", account_id.as_bytes()].concat()
}

fn event_key(account_id: &AccountId, number: u64) -> Vec<u8> {
    Key::of(account_id).number(number).bytes()
}

/// Number in a key of either family: both end in it.
fn parse_event_key(key: &[u8]) -> Result<u64> {
    let mut reader = KeyReader(key);
    let number = reader.text().and_then(|_| reader.number());
    number.ok_or_else(|| Error::Corrupt { kind: "event", reason: "malformed key".to_owned() })
}
