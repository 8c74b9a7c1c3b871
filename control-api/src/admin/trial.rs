//! A trial of an account's callback: the result of a call that never took place, sent once, signed
//! and with the account's header.

use super::callback::no_callback;
use super::desk::{Admin, blocking};
use crate::callback::for_test;
use crate::clock::now_ms;
use crate::http::extract::PathParams;
use crate::problem::{Problem, ProblemDetails};
use axum::Json;
use axum::extract::State;
use call_words::{AccountId, CallId, CallState, CallStatus, CallType, Direction, JobState, Reason};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use storage::{Account, Call, CallbackJob, CallbackTarget};
use utoipa::ToSchema;

/// What came of a trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Trial {
    /// Whether the target answered 2xx in time.
    pub delivered: bool,
    /// The status that the target answered with.
    pub http_status: Option<u16>,
    /// Why there was no answer, as in a call's timeline.
    #[schema(example = "timeout")]
    pub error: Option<String>,
}

/// Sends the result of a call that never took place to the account's callback, once. It says
/// `"test": true`, its `disposition` is `CALLBACK_TEST`, its `reason` and `uuid` are
/// `callback_test`.
#[utoipa::path(operation_id = "try_callback", post,
    path = "/admin/accounts/{account}/callback/test", tag = "callback",
    params(("account" = String, Path)),
    responses((status = 200, body = Trial), (status = 404, body = ProblemDetails)))]
pub async fn run(
    State(admin): State<Arc<Admin>>,
    PathParams(account): PathParams<AccountId>,
) -> Result<Json<Trial>, Problem> {
    let job = blocking(&admin, move |admin| {
        let account = admin.account(&account)?;
        let number =
            admin.store().numbers(&account.id)?.into_iter().next().map(|number| number.e164);
        job(&account, number.unwrap_or_default(), &admin.app.config.public.url)
            .ok_or_else(|| no_callback(&account.id))
    });
    let sent = admin.app.notices.callbacks.send_once(&job.await?).await;
    Ok(Json(Trial {
        delivered: sent.is_ok_and(|status| (200..300).contains(&status)),
        http_status: sent.ok(),
        error: sent.err().map(str::to_owned),
    }))
}

fn job(account: &Account, number: String, public_url: &str) -> Option<CallbackJob> {
    let now_ms = now_ms();
    let call_id = CallId::from(uuid::Uuid::new_v4().to_string());
    let call = Call {
        call_id: call_id.clone(),
        account_id: account.id.clone(),
        uuid: "callback_test".into(),
        call_type: CallType::Server,
        direction: Direction::Outbound,
        customer_number: number.clone(),
        customer_number_e164: number.clone(),
        agent_number: None,
        agent_number_e164: None,
        crm_username: None,
        from_number: number,
        hide_caller: false,
        disposition: "CALLBACK_TEST".into(),
        record: false,
        recording_file: None,
        fingerprint: String::new(),
        state: CallState::Ended,
        owner: None,
        hang_up_requested: false,
        start_ms: now_ms,
        answer_ms: None,
        end_ms: Some(now_ms),
        status: Some(CallStatus::Canceled),
        reason: Some(Reason::CallbackTest.into()),
        failed_leg: None,
        sip_code: None,
        hangup_by: None,
        duration_s: 0,
        attempts: Vec::new(),
        recording: None,
        agent_media: None,
        customer_media: None,
        reason_detail: None,
        trunk: None,
        agent_away: false,
        session_id: None,
        conversation: None,
        others: Vec::new(),
        party_count: 0,
        event_count: 0,
        recording_written: None,
    };
    let callback = for_test(account, &call, public_url, now_ms)?;
    Some(CallbackJob {
        call_id,
        account_id: account.id.clone(),
        // Sent once: nothing repeats it.
        target: CallbackTarget { max_retries: 0, ..callback.target },
        body: callback.body,
        state: JobState::Pending,
        cycle: 1,
        attempt_count: 0,
        delivery_count: 0,
        next_ms: now_ms,
        sequence: None,
        queued_ms: now_ms,
        start_ms: now_ms,
        last_error: None,
    })
}
