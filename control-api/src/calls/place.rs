//! A checked request becomes a call: a line is taken, the call is made durable, then it goes to a
//! shard. The same for both ways of placing calls; what is allowed in a request is their own.

use super::party::{AgentLeg, GivenNumber};
use crate::app::{App, now_ms};
use crate::limits::{CALL_LINE, Exceeded, Line};
use crate::link::{NoShard, Placement};
use crate::number::{E164, Region};
use crate::problem::Problem;
use crate::routing::{self, ResolvedTrunk};
use crate::softphone::{self, AgentId};
use crate::{callback, lifecycle, recordings};
use control_wire::{AgentTarget, PlaceCall, RecordingLayout};
use std::sync::Arc;
use std::time::{Duration, Instant};
use storage::{
    Account, Call, CallType, CreateOutcome, FinalCall, LegName, NewCall, Progress, Storage,
    TimelineEntry, Trunk,
};

const DEFAULT_DISPOSITION: &str = "CRM_CALL";
/// Waits that are proposed when calls cannot be placed at the moment.
const NO_TRUNK_RETRY: Duration = Duration::from_secs(60);
const NO_SHARD_RETRY: Duration = Duration::from_secs(5);

/// A call that may be placed.
pub struct Order {
    pub new: NewCall,
    account: Account,
    region: Region,
    agent: AgentLeg,
    customer: E164,
    caller_id: E164,
    trunks: Vec<Trunk>,
    agent_confirm: bool,
}

/// The parties of a call, checked.
pub struct Parties {
    pub agent: AgentLeg,
    pub customer: GivenNumber,
    pub caller_id: E164,
}

/// What else a request says of its call.
pub struct Terms {
    pub call_type: CallType,
    pub uuid: Option<String>,
    pub record: Option<bool>,
    pub agent_confirm: Option<bool>,
    pub disposition: Option<String>,
    /// Hash of what makes two requests the same.
    pub fingerprint: String,
    pub idempotency_key: Option<String>,
}

impl Order {
    pub fn new(
        store: &Storage,
        account: Account,
        region: Region,
        parties: Parties,
        terms: Terms,
    ) -> Result<Self, Problem> {
        let Parties { agent, customer, caller_id } = parties;
        let record = terms.record.unwrap_or(account.record_by_default);
        let agent_confirm = terms.agent_confirm.unwrap_or(account.agent_confirm);
        let (phone, crm_username) = match &agent {
            AgentLeg::Phone(number) => (Some(number), None),
            AgentLeg::Softphone { crm_username } => (None, Some(crm_username.clone())),
        };
        let new = NewCall {
            call_id: uuid::Uuid::new_v4().to_string(),
            account_id: account.id.clone(),
            fingerprint: terms.fingerprint,
            uuid: terms.uuid,
            call_type: terms.call_type,
            customer_number: customer.text,
            customer_number_e164: customer.e164.as_str().to_owned(),
            agent_number: phone.map(|number| number.text.clone()),
            agent_number_e164: phone.map(|number| number.e164.as_str().to_owned()),
            crm_username,
            from_number: caller_id.as_str().to_owned(),
            disposition: terms.disposition.unwrap_or_else(|| DEFAULT_DISPOSITION.to_owned()),
            recording_file: record.then(recordings::fresh_name),
            idempotency_key: terms.idempotency_key,
            start_ms: now_ms(),
        };
        let trunks: Result<Vec<_>, _> =
            account.trunks.iter().map(|trunk_id| store.trunk(trunk_id)).collect();
        let trunks = trunks?.into_iter().flatten().collect();
        Ok(Self {
            new,
            account,
            region,
            agent,
            customer: customer.e164,
            caller_id,
            trunks,
            agent_confirm,
        })
    }

    /// The agent whose softphone is to be rung.
    pub fn softphone(&self) -> Option<AgentId> {
        let crm_username = self.new.crm_username.clone()?;
        Some(AgentId { account_id: self.account.id.clone(), crm_username })
    }

    fn place_call(&self, app: &App, trunks: &[ResolvedTrunk]) -> PlaceCall {
        let leg = |number, ring_ms| {
            routing::destination(trunks, number, &self.caller_id, self.region, ring_ms)
        };
        let agent = match &self.agent {
            AgentLeg::Phone(number) => {
                AgentTarget::Phone(leg(&number.e164, self.account.agent_ring_ms))
            }
            AgentLeg::Softphone { crm_username } => AgentTarget::Softphone {
                agent: app.master_key.agent_name(&self.account.id, crm_username),
                ring_ms: self.account.agent_ring_ms,
            },
        };
        PlaceCall {
            call_id: self.new.call_id.clone(),
            account_id: self.account.id.clone(),
            agent,
            customer: leg(&self.customer, self.account.customer_ring_ms),
            max_duration_ms: self.account.max_duration_ms,
            no_media_ms: self.account.no_media_ms,
            recording: self.new.recording_file.clone(),
            recording_layout: match self.account.recording_layout {
                storage::RecordingLayout::Stereo => RecordingLayout::Stereo,
                storage::RecordingLayout::ThreeChannel => RecordingLayout::ThreeChannel,
            },
            hold_audio: self.account.hold_audio.clone(),
            accepts_refer: self.account.refer == storage::ReferPolicy::Transfer,
            agent_confirm: self.agent_confirm,
        }
    }
}

/// Takes lines, makes the call durable and sends it.
pub async fn place(app: &Arc<App>, order: Order) -> Result<CreateOutcome, Problem> {
    check_minutes(app, &order.account)?;
    let line = app
        .lines
        .take(&order.account.id, &order.account.limits, Instant::now())
        .map_err(limit_problem)?;
    let (trunks, trunk_line) = free_trunks(app, order.trunks.clone()).await?;
    let placement = match order.softphone() {
        None => app.link.reserve(&order.new.call_id),
        Some(agent) => app.link.reserve_with(&order.new.call_id, &softphone::name(app, &agent)),
    };
    let placement = placement.map_err(no_shard_problem)?;
    let app = Arc::clone(app);
    // Runs to its end even if the client goes away meanwhile.
    let task =
        tokio::spawn(async move { send(&app, order, [line, trunk_line], trunks, placement).await });
    task.await.expect("placing a call does not panic")
}

async fn send(
    app: &Arc<App>,
    order: Order,
    [line, trunk_line]: [Line; 2],
    trunks: Vec<ResolvedTrunk>,
    placement: Placement,
) -> Result<CreateOutcome, Problem> {
    let place_call = order.place_call(app, &trunks);
    let account = order.account;
    let (new, owner) = (order.new, placement.owner().clone());
    let trunk_id = trunks.first().map(|trunk| trunk.id().to_owned()).unwrap_or_default();
    let (outcome, progress) = app
        .with_store(move |store| {
            let (outcome, progress) = create(store, new, &account)?;
            if let CreateOutcome::Created(call) = &outcome {
                store.assign_call(&call.call_id, owner, &trunk_id)?;
            }
            Ok((outcome, progress))
        })
        .await?;
    if let CreateOutcome::Created(call) = &outcome {
        line.keep();
        app.trunk_lines.hold(&call.call_id, CALL_LINE, trunk_line);
        told(app, call, progress.as_deref());
        tracing::info!(call_id = %call.call_id, account_id = %call.account_id, "call accepted");
        app.softphones.call_changed(call);
        if placement.send(place_call).is_err() {
            lifecycle::end_call(app, &call.call_id, FinalCall::failed("system", now_ms())).await?;
        }
    }
    Ok(outcome)
}

/// Makes a call durable; tells the queue of its progress callback, too.
fn create(
    store: &Storage,
    new: NewCall,
    account: &Account,
) -> Result<(CreateOutcome, Option<String>), storage::Error> {
    let mut endpoint = None;
    let outcome = store.create_call(new, |_, event| {
        let callback = callback::for_event(account, event, now_ms());
        endpoint = callback.as_ref().map(|callback| callback.target.endpoint.clone());
        Ok(callback)
    })?;
    Ok((outcome, endpoint))
}

/// The call's first event is in the log, and its progress callback in the outbox.
fn told(app: &App, call: &Call, progress_endpoint: Option<&str>) {
    app.streams.wake(&call.account_id);
    if let Some(endpoint) = progress_endpoint {
        app.callbacks.notify(endpoint);
    }
}

/// Makes a call that fails at once for the want of the agent's media, with its record and its
/// callback (S11); no phone rings. `detail` says what was wrong.
pub async fn fail_for_media(
    app: &Arc<App>,
    order: Order,
    detail: &'static str,
) -> Result<CreateOutcome, Problem> {
    let line = app
        .lines
        .take(&order.account.id, &order.account.limits, Instant::now())
        .map_err(limit_problem)?;
    let app = Arc::clone(app);
    let task = tokio::spawn(async move {
        let (outcome, progress) =
            app.with_store(move |store| create(store, order.new, &order.account)).await?;
        let CreateOutcome::Created(call) = &outcome else { return Ok(outcome) };
        line.keep();
        told(&app, call, progress.as_deref());
        let (call_id, at_ms) = (call.call_id.clone(), call.start_ms);
        let step = TimelineEntry {
            sequence: 1,
            at_ms,
            leg: Some(LegName::Agent),
            party: None,
            kind: "microphone".to_owned(),
            sip_code: None,
            trunk: None,
            detail: Some(detail.to_owned()),
        };
        app.with_store(move |store| {
            store.apply_milestone(&call_id, &step, &Progress::default(), storage::no_progress)
        })
        .await?;
        let end = FinalCall {
            failed_leg: Some(LegName::Agent),
            reason_detail: Some(detail.to_owned()),
            ..FinalCall::failed("agent_media", now_ms())
        };
        lifecycle::end_call(&app, &call.call_id, end).await?;
        Ok::<_, Problem>(outcome)
    });
    task.await.expect("failing a call does not panic")
}

/// The trunks that can be reached and have room, and a line of the first.
pub async fn free_trunks(
    app: &App,
    trunks: Vec<Trunk>,
) -> Result<(Vec<ResolvedTrunk>, Line), Problem> {
    let ready = app.resolver.ready_trunks(trunks, &app.master_key).await;
    if ready.is_empty() {
        return Err(Problem::unavailable(
            "no_trunk",
            "no trunk of the account can be reached",
            NO_TRUNK_RETRY,
        ));
    }
    let now = Instant::now();
    let take = |trunk: ResolvedTrunk| {
        app.trunk_lines.take(trunk.id(), trunk.max_calls(), now).map(|line| (trunk, line))
    };
    let (trunks, lines): (Vec<_>, Vec<_>) = ready.into_iter().filter_map(take).unzip();
    // The lines of the trunks that are only there for failover are given back at once.
    let line = lines.into_iter().next();
    let line = line.ok_or_else(|| {
        Problem::unavailable(
            "trunks_full",
            "the account's trunks carry all the calls that they may",
            NO_SHARD_RETRY,
        )
    })?;
    Ok((trunks, line))
}

/// Refuses an account that has talked as long as it may today (B09).
pub fn check_minutes(app: &App, account: &Account) -> Result<(), Problem> {
    app.minutes.check(account, now_ms(), &app.metrics).map_err(|wait| {
        let detail = format!(
            "the account's setting `minutes_per_day` allows {} minutes of talk a day (UTC)",
            account.minutes_per_day
        );
        Problem::too_many_requests("minutes_limit", detail, wait)
    })
}

/// Says which limit was exceeded, and when to come again.
pub fn limit_problem(exceeded: Exceeded) -> Problem {
    match exceeded {
        Exceeded::Concurrency { retry_after } => Problem::too_many_requests(
            "concurrency_limit",
            "the account has as many calls as it may have at once",
            retry_after,
        ),
        Exceeded::Rate { retry_after } => Problem::too_many_requests(
            "rate_limit",
            "the account starts as many calls per second as it may",
            retry_after,
        ),
    }
}

/// The softphone is not there to be rung.
pub fn agent_offline() -> Problem {
    Problem::conflict("agent_offline", "crm_username: the agent's softphone is not online")
}

/// Says why no shard takes a call now.
pub fn no_shard_problem(refusal: NoShard) -> Problem {
    let (code, detail) = match refusal {
        NoShard::Disconnected => ("no_edge", "no media server is connected"),
        NoShard::Draining => ("draining", "the media servers are draining"),
        NoShard::Full => ("capacity", "the media servers have no free line"),
        NoShard::AgentOffline => return agent_offline(),
    };
    Problem::unavailable(code, detail, NO_SHARD_RETRY)
}
