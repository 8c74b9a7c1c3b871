//! Pushing call results, and calls' progress to accounts that ask for it (S20–S26, A1, A2, A23): a
//! call's job is stored in the write that ends the call (`Announcements`), then `Callbacks` tries
//! it, endpoint by endpoint, until a 2xx answers or the retries are used up. What was tried is on
//! disk before the next wait, so a restart neither loses nor skips an attempt. Which URLs and
//! headers may be configured is `target`'s and `admin::field`'s.

mod attempt;
mod payload;
mod queue;
mod schedule;
pub mod target;

#[cfg(test)]
mod sink;
#[cfg(test)]
mod tests;

pub use attempt::RESPONSE_TIMEOUT;
pub use payload::Payload;
pub use queue::{Callbacks, Settings, StartError, check};

use crate::clock::now_ms;
use crate::view::event::EventView;
use call_words::{AccountId, EndpointId};
use storage::{
    Account, Announcer, Call, CallbackSettings, CallbackTarget, EventRecord, NewCallback,
};

/// Makes the callbacks of calls for the store, inside its writes.
pub struct Announcements {
    /// Head of the links to recordings.
    pub public_url: String,
}

impl Announcer for Announcements {
    fn result(&self, account: &Account, call: &Call) -> Option<NewCallback> {
        for_call(account, call, &self.public_url, now_ms())
    }

    fn step(&self, account: &Account, event: &EventRecord) -> Option<NewCallback> {
        for_event(account, event, now_ms())
    }
}

/// The callback of an ended call, due now; `None` if the account has no callback (A17).
fn for_call(account: &Account, call: &Call, public_url: &str, now_ms: u64) -> Option<NewCallback> {
    let settings = account.callback.as_ref()?;
    let target = target(settings, endpoint(&account.id, &settings.url));
    let body = serde_json::to_string(&Payload::of(call, public_url))
        .expect("a payload has string keys and plain values only");
    Some(NewCallback { target, body, due_ms: now_ms })
}

/// The callback of a call that never took place, which says so; `None` if the account has no
/// callback.
pub fn for_test(
    account: &Account,
    call: &Call,
    public_url: &str,
    now_ms: u64,
) -> Option<NewCallback> {
    let settings = account.callback.as_ref()?;
    let target = target(settings, endpoint(&account.id, &settings.url));
    let body = serde_json::to_string(&Payload::of_test(call, public_url))
        .expect("a payload has string keys and plain values only");
    Some(NewCallback { target, body, due_ms: now_ms })
}

/// The progress callback of an event, due now; `None` unless the account asks for its word. It
/// waits in a queue of its own, so that no result waits behind it.
fn for_event(account: &Account, event: &EventRecord, now_ms: u64) -> Option<NewCallback> {
    let settings = account.callback.as_ref()?;
    let word = event.event.known()?;
    if !account.progress_events.iter().any(|wanted| word.is_under(wanted)) {
        return None;
    }
    let target =
        target(settings, format!("{} progress", endpoint(&account.id, &settings.url)).into());
    let body = serde_json::to_string(&EventView::of(event))
        .expect("an event has string keys and plain values only");
    Some(NewCallback { target, body, due_ms: now_ms })
}

fn target(settings: &CallbackSettings, endpoint: EndpointId) -> CallbackTarget {
    CallbackTarget {
        endpoint,
        url: settings.url.clone(),
        auth_header: settings.auth_header.clone(),
        signing_secret: settings.signing_secret.clone(),
        max_retries: settings.max_retries,
    }
}

/// Name of the queue that a URL's jobs wait in: one per account, scheme, host and port.
fn endpoint(account_id: &AccountId, url: &str) -> EndpointId {
    let origin = reqwest::Url::parse(url).map(|url| url.origin().ascii_serialization());
    format!("{account_id} {}", origin.as_deref().unwrap_or(url)).into()
}
