//! How an account's calls are found again: newest first, filtered, in pages.

use crate::error::{Error, Result};
use crate::key::{Key, KeyReader};
use crate::outbox::{parse_listed, results_prefix};
use crate::record::*;
use crate::store::{Family, Storage};
use call_words::{AccountId, CallId, CallStatus, CallType, JobState};

/// Most calls looked at for one page; a page may be short and still have a cursor.
const SCAN_CAP: usize = 5_000;
const PAGE_CAP: usize = 1_000;

/// Which calls to list; unset fields match all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallFilter {
    pub uuid: Option<String>,
    pub status: Option<CallStatus>,
    pub live: Option<bool>,
    pub call_type: Option<CallType>,
    pub crm_username: Option<String>,
    pub agent_number_e164: Option<String>,
    pub customer_number_e164: Option<String>,
    pub from_number: Option<String>,
    pub disposition: Option<String>,
    /// Calls whose result is in this state.
    pub callback: Option<JobState>,
    /// Calls that started at or after.
    pub from_ms: Option<u64>,
    /// Calls that started before.
    pub until_ms: Option<u64>,
}

impl CallFilter {
    fn matches(&self, call: &Call) -> bool {
        fn is<T: PartialEq>(wanted: &Option<T>, actual: &T) -> bool {
            wanted.as_ref().is_none_or(|wanted| wanted == actual)
        }
        is(&self.uuid, &call.uuid)
            && self.status.is_none_or(|status| call.status == Some(status))
            && is(&self.live, &call.is_live())
            && is(&self.call_type, &call.call_type)
            && (self.crm_username.is_none() || self.crm_username == call.crm_username)
            && (self.agent_number_e164.is_none()
                || self.agent_number_e164 == call.agent_number_e164)
            && is(&self.customer_number_e164, &call.customer_number_e164)
            && is(&self.from_number, &call.from_number)
            && is(&self.disposition, &call.disposition)
    }
}

/// Part of a listing.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// Newest first.
    pub calls: Vec<Call>,
    /// Where the next page starts; `None` at the end of the listing.
    pub next_cursor: Option<String>,
    /// Calls looked at, whether or not they matched.
    pub examined_count: usize,
}

impl Storage {
    /// An account's calls, newest first, at most `limit` (and at most 1,000) a page.
    pub fn calls(
        &self,
        account_id: &AccountId,
        filter: &CallFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page> {
        // Results that are not delivered are few among all calls, and have a list of their own in
        // the same order.
        let listed = filter.callback.filter(|state| *state != JobState::Delivered);
        let (family, prefix) = match listed {
            Some(state) => (Family::Results, results_prefix(account_id, state)),
            None => (Family::AccountCalls, Key::of(account_id).bytes()),
        };
        let head = || Key::default().raw(&prefix);
        let after = cursor.map(|cursor| parse_cursor(head(), cursor)).transpose()?;
        let mut scan = self.scan(family, &prefix);
        if let Some(until_ms) = filter.until_ms {
            let newest = until_ms.checked_sub(1).map(|newest| head().newest(newest).bytes());
            scan.seek(&newest.unwrap_or_else(|| crate::store::behind(&prefix)));
        }
        if let Some(after) = &after
            && scan.current()?.is_some_and(|(key, _)| key <= after.as_slice())
        {
            scan.seek(after);
            if scan.current()?.is_some_and(|(key, _)| key == after) {
                scan.advance();
            }
        }
        let mut page = Page { calls: Vec::new(), next_cursor: None, examined_count: 0 };
        let mut last: Option<(u64, CallId)> = None;
        while let Some((key, _)) = scan.current()? {
            let (start_ms, call_id) =
                if listed.is_some() { parse_listed(key)? } else { parse_account_call_key(key)? };
            if filter.from_ms.is_some_and(|from_ms| start_ms < from_ms) {
                break;
            }
            if page.calls.len() >= limit.clamp(1, PAGE_CAP) || page.examined_count >= SCAN_CAP {
                page.next_cursor = last.map(|(start_ms, call_id)| format!("{start_ms}.{call_id}"));
                break;
            }
            page.examined_count += 1;
            let call = self.call(&call_id)?.filter(|call| filter.matches(call));
            let is_delivered = || {
                Ok::<_, Error>(
                    self.callback_job(call_id.as_str())?
                        .is_some_and(|job| job.state == JobState::Delivered),
                )
            };
            if call.is_some() && (filter.callback != Some(JobState::Delivered) || is_delivered()?) {
                page.calls.extend(call);
            }
            last = Some((start_ms, call_id));
            scan.advance();
        }
        Ok(page)
    }
}

/// Longest that a call may last (A20), by which one that ended today may have started yesterday.
const LONGEST_CALL_MS: u64 = 86_400_000;

impl Storage {
    /// Milliseconds of talk of the calls of an account that ended at or after `since_ms`.
    pub fn talk_ms(&self, account_id: &AccountId, since_ms: u64) -> Result<u64> {
        let (mut scan, mut talk_ms) =
            (self.scan(Family::AccountCalls, &Key::of(account_id).bytes()), 0);
        while let Some((key, _)) = scan.current()? {
            let (start_ms, call_id) = parse_account_call_key(key)?;
            if start_ms < since_ms.saturating_sub(LONGEST_CALL_MS) {
                break;
            }
            let call = self
                .call(&call_id)?
                .filter(|call| call.end_ms.is_some_and(|end_ms| end_ms >= since_ms));
            talk_ms += call.map_or(0, |call| call.talk_ms());
            scan.advance();
        }
        Ok(talk_ms)
    }
}

/// Start and call id of a key made by `account_call_key`.
pub(crate) fn parse_account_call_key(key: &[u8]) -> Result<(u64, CallId)> {
    let mut reader = KeyReader(key);
    let parsed = reader
        .text()
        .and_then(|_| reader.newest())
        .and_then(|start_ms| reader.rest().map(|id| (start_ms, id.into())));
    parsed
        .ok_or_else(|| Error::Corrupt { kind: "account call", reason: "malformed key".to_owned() })
}

fn parse_cursor(head: Key, cursor: &str) -> Result<Vec<u8>> {
    let (start_ms, call_id) = cursor.split_once('.').ok_or(Error::BadCursor)?;
    let start_ms = start_ms.parse().map_err(|_| Error::BadCursor)?;
    Ok(head.newest(start_ms).rest(call_id).bytes())
}
