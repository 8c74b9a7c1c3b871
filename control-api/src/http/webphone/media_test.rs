//! The test of the way that a call's sound takes between an agent's browser and the edge: a leg to
//! the softphone alone, of which no record is kept, and what its page measured meanwhile, which is
//! remembered with the agent.

use super::session::OpenSession;
use crate::agent::presence;
use crate::app::App;
use crate::call::admission::{agent_offline, no_shard_problem};
use crate::clock::now_ms;
use crate::http::extract::JsonBody;
use crate::problem::Problem;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use call_words::{CallId, RecordingLayout};
use control_wire::{AgentTarget, Destination, PlaceCall};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::{Duration, Instant};
use storage::MediaTest;

/// Time in which the softphone has to have registered.
const REGISTER_WAIT: Duration = Duration::from_secs(5);
/// Longest time to the softphone's answer, and longest test.
const RING_MS: u64 = 8_000;
const LONGEST_MS: u64 = 25_000;

/// A test that was begun.
#[derive(Serialize)]
pub struct Begun {
    /// `X-Call-Id` of the INVITE that comes.
    call_id: CallId,
}

/// Calls the agent's softphone, which hears a ringing tone; the page measures and hangs up.
pub async fn begin(
    State(app): State<Arc<App>>,
    open: OpenSession,
) -> Result<(StatusCode, Json<Begun>), Problem> {
    let agent = open.agent_id();
    let uses = [(
        format!("test {} {}", agent.account_id, agent.crm_username),
        app.config.softphone.launch_per_minute_per_agent,
    )];
    app.limits.launches.take(&uses, Instant::now()).map_err(|wait| {
        Problem::too_many_requests("rate_limited", "this agent tests too often", wait)
    })?;
    if app.records.live_call_of(&agent).await?.is_some() {
        return Err(Problem::conflict("agent_busy", "the agent is in a call"));
    }
    if !presence::wait_online(&app, &agent, REGISTER_WAIT).await {
        return Err(agent_offline());
    }
    let call_id = CallId::from(uuid::Uuid::new_v4().to_string());
    let name = presence::name(&app, &agent);
    let placement = app.link.reserve_with(&call_id, &name).map_err(no_shard_problem)?;
    let test = PlaceCall {
        call_id: call_id.clone(),
        account_id: agent.account_id,
        agent: AgentTarget::Softphone { agent: name, ring_ms: RING_MS, opus: false },
        customer: Destination { ring_ms: 0, routes: Vec::new(), skipped: Vec::new() },
        max_duration_ms: LONGEST_MS,
        no_media_ms: LONGEST_MS,
        recording: None,
        recording_layout: RecordingLayout::Stereo,
        hold_audio: None,
        accepts_refer: false,
        agent_confirm: false,
        keep_ladder: false,
    };
    placement.send(test).map_err(|_| agent_offline())?;
    Ok((StatusCode::CREATED, Json(Begun { call_id })))
}

/// What a page measured.
#[derive(Deserialize)]
pub struct Measured {
    outcome: Outcome,
    round_trip_ms: Option<u32>,
    jitter_ms: Option<u32>,
    /// Of what the service sent, in thousandths.
    lost_permille: Option<u16>,
    /// Of what the page sent, in thousandths.
    sent_lost_permille: Option<u16>,
}

/// How far the sound came.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Good,
    Fair,
    Poor,
    /// The browser has no network for media.
    NoCandidates,
    /// Nothing came through.
    NoPath,
    /// The softphone was not called.
    NoCall,
}

impl Outcome {
    fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Fair => "fair",
            Self::Poor => "poor",
            Self::NoCandidates => "no_candidates",
            Self::NoPath => "no_path",
            Self::NoCall => "no_call",
        }
    }
}

/// Remembers the last test with the agent.
pub async fn keep(
    State(app): State<Arc<App>>,
    open: OpenSession,
    JsonBody(measured): JsonBody<Measured>,
) -> Result<StatusCode, Problem> {
    let agent = open.agent_id();
    let Measured { outcome, round_trip_ms, jitter_ms, lost_permille, sent_lost_permille } =
        measured;
    let outcome = outcome.word().to_owned();
    let test = MediaTest {
        at_ms: now_ms(),
        outcome,
        round_trip_ms,
        jitter_ms,
        lost_permille,
        sent_lost_permille,
    };
    app.records.change_softphone(&agent, |softphone| softphone.media_test = Some(test)).await?;
    Ok(StatusCode::NO_CONTENT)
}
