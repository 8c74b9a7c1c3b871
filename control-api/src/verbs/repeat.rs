//! Requests for parties that are sent again while the first one is being done: they wait for it and
//! get its outcome. What was done before, the call's record knows. The first one's own limits bound
//! the wait.

use super::reread;
use super::third_party::Asked;
use crate::app::App;
use crate::problem::Problem;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use storage::{Call, PartyRequest};
use tokio::sync::watch;

/// The party that was asked for, or why it was not.
type Outcome = Result<String, Problem>;

/// The requests that are being done, by call and Idempotency-Key.
#[derive(Debug, Default)]
pub struct Repeats(Mutex<HashMap<(String, String), First>>);

#[derive(Debug, Clone)]
struct First {
    fingerprint: String,
    /// `None` until it is done.
    outcome: watch::Receiver<Option<Outcome>>,
}

impl Repeats {
    fn lock(&self) -> MutexGuard<'_, HashMap<(String, String), First>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is being done, until it is dropped.
struct Turn {
    app: Arc<App>,
    key: (String, String),
    outcome: watch::Sender<Option<Outcome>>,
}

impl Turn {
    /// Or who has it.
    fn take(app: &Arc<App>, call: &Call, request: &PartyRequest) -> Result<Turn, First> {
        let key = (call.call_id.clone(), request.idempotency_key.clone());
        let mut firsts = app.repeats.lock();
        if let Some(first) = firsts.get(&key) {
            return Err(first.clone());
        }
        let (sender, outcome) = watch::channel(None);
        firsts.insert(key.clone(), First { fingerprint: request.fingerprint.clone(), outcome });
        Ok(Turn { app: Arc::clone(app), key, outcome: sender })
    }

    fn tell(&self, asked: &Result<Asked, Problem>) {
        let outcome = match asked {
            Ok(Asked::Now { party, .. } | Asked::Before { party, .. }) => Ok(party.clone()),
            Err(problem) => Err(problem.clone()),
        };
        self.outcome.send_replace(Some(outcome));
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.app.repeats.lock().remove(&self.key);
    }
}

/// Does a request to its end, even if the client goes away meanwhile; or waits for the same one, if
/// that is being done. Another one with its key is done after it.
pub(super) async fn once<F>(
    app: &Arc<App>,
    call: &Call,
    request: Option<&PartyRequest>,
    work: F,
) -> Result<Asked, Problem>
where
    F: Future<Output = Result<Asked, Problem>> + Send + 'static,
{
    let mut turn = request.map(|request| (request, Turn::take(app, call, request)));
    while let Some((request, Err(first))) = &mut turn {
        // It is done without an outcome only if it panicked.
        let outcome =
            first.outcome.wait_for(Option::is_some).await.ok().and_then(|outcome| outcome.clone());
        if let Some(outcome) = outcome.filter(|_| first.fingerprint == request.fingerprint) {
            return Ok(Asked::Before { party: outcome?, call: reread(app, call).await? });
        }
        turn = Some((request, Turn::take(app, call, request)));
    }
    let turn = turn.and_then(|(_, turn)| turn.ok());
    let task = tokio::spawn(async move {
        let asked = work.await;
        if let Some(turn) = turn {
            turn.tell(&asked);
        }
        asked
    });
    task.await.expect("asking for a party does not panic")
}
