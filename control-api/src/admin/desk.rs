//! What operators' requests work on: the store, changes one at a time, and the answers that many
//! give.

use super::field::Context;
use crate::app::App;
use crate::problem::Problem;
use call_words::AccountId;
use serde::Deserialize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use storage::{Account, Call, Storage};
use utoipa::IntoParams;

/// What the admin API works on.
pub struct Admin {
    pub app: Arc<App>,
    /// Changes read and write: one at a time.
    changes: Mutex<()>,
}

impl Admin {
    pub fn new(app: Arc<App>) -> Self {
        Self { app, changes: Mutex::new(()) }
    }

    /// Held from the first read of a change to its last write.
    pub(crate) fn change(&self) -> MutexGuard<'_, ()> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn context(&self) -> Context<'_> {
        Context {
            secrets: &self.app.secrets.master_key,
            allow_private_targets: self.app.config.callback.allow_private_targets,
        }
    }

    pub(crate) fn store(&self) -> &Storage {
        self.app.records.blocking()
    }

    /// How many live calls there are of a kind.
    pub(crate) fn live_calls(&self, is_wanted: impl Fn(&Call) -> bool) -> Result<usize, Problem> {
        Ok(self.store().live_calls()?.iter().filter(|call| is_wanted(call)).count())
    }

    /// The account, or 404.
    pub(crate) fn account(&self, id: &AccountId) -> Result<Account, Problem> {
        self.store().account(id)?.ok_or_else(|| unknown("account", id.as_str()))
    }
}

/// Whether what is about to be lost is known.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Confirmation {
    /// Do it although calls are live. Default false.
    pub confirm: bool,
}

impl Confirmation {
    /// 409 unless nothing is live or it is confirmed.
    pub(crate) fn check(&self, live_count: usize, effect: &str) -> Result<(), Problem> {
        if live_count == 0 || self.confirm {
            return Ok(());
        }
        let detail = format!(
            "{live_count} calls are live: {effect}; wait for their end, or repeat it with \
                ?confirm=true (--yes)"
        );
        Err(Problem::conflict("in_use", detail))
    }
}

/// Runs a database operation where it may block.
pub(crate) async fn blocking<T, F>(admin: &Arc<Admin>, operation: F) -> Result<T, Problem>
where
    T: Send + 'static,
    F: FnOnce(&Admin) -> Result<T, Problem> + Send + 'static,
{
    let admin = Arc::clone(admin);
    let records = admin.app.records.clone();
    records.visit(move |_| operation(&admin)).await
}

pub(crate) fn unknown(kind: &str, id: &str) -> Problem {
    Problem::not_found(format!("there is no {kind} {id:?}"))
}

/// Refusals of the database are the client's: 409.
pub(crate) fn conflict(error: storage::Error) -> Problem {
    match error {
        storage::Error::Conflict(why) => Problem::conflict("conflict", why),
        other => Problem::from(other),
    }
}
