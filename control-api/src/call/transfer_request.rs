//! A REFER from an agent's phone (RFC 3515), as the edge tells it: admitted like a blind transfer
//! that is asked for by REST, if the account's policy says so; else the edge is told that it may
//! not be.

use super::third_party::{NewThird, add};
use super::verbs::send;
use crate::app::App;
use call_words::{CallId, Joining};
use control_wire::Verb;
use std::sync::Arc;
use storage::ReferPolicy;

/// Answers a request. Told again after a restart, it is answered again under the same id, which has
/// no second effect.
pub async fn answer(app: Arc<App>, call_id: CallId, party: String, target: String) {
    let read = async {
        let Some(call) = app.records.call(&call_id).await? else { return Ok(None) };
        let account = app.records.account(&call.account_id).await?;
        Ok::<_, storage::Error>(account.map(|account| (call, account.refer)))
    };
    let (call, refer) = match read.await {
        Ok(Some(found)) => found,
        Ok(None) => return tracing::debug!(%call_id, "transfer requested in an unknown call"),
        Err(error) => {
            return tracing::error!(%call_id, %error, "a requested transfer cannot be looked at");
        }
    };
    if call.other(&party).is_some() {
        return tracing::debug!(%call_id, "a requested transfer was told again");
    }
    let refusal = if refer == ReferPolicy::Transfer {
        let named = Some((party.clone(), format!("refer-{party}")));
        let new = NewThird {
            to_number: Some(target),
            from_number: None,
            joining: Joining::Transfer,
            named,
            request: None,
        };
        match add(&app, &call, new).await {
            Ok(_) => return tracing::info!(%call_id, "transfer requested by the agent's phone"),
            Err(problem) => problem.body.code.clone(),
        }
    } else {
        "not_allowed".to_owned()
    };
    tracing::info!(%call_id, reason = %refusal, "transfer requested by the agent's phone, refused");
    if let Err(failure) = send(&app, &call, format!("refer-cancel-{party}"), Verb::Cancel).await {
        tracing::debug!(%call_id, ?failure, "the refusal of a requested transfer was not taken");
    }
}
