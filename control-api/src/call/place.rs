//! A checked request becomes a call: a line is taken, the call is made durable, then it goes to a
//! shard. The same for both ways of placing calls; what is allowed in a request is their own.

use super::admission::{check_minutes, free_trunks, limit_problem, no_shard_problem};
use super::ending;
use super::order::Order;
use crate::agent::presence;
use crate::app::App;
use crate::callback;
use crate::clock::now_ms;
use crate::limits::{CALL_LINE, Line};
use crate::link::Placement;
use crate::problem::Problem;
use crate::routing::ResolvedTrunk;
use std::sync::Arc;
use std::time::Instant;
use storage::{
    Account, Call, CreateOutcome, FinalCall, LegName, NewCall, Progress, Storage, TimelineEntry,
};

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
        Some(agent) => app.link.reserve_with(&order.new.call_id, &presence::name(app, &agent)),
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
            ending::end_call(app, &call.call_id, FinalCall::failed("system", now_ms())).await?;
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
        ending::end_call(&app, &call.call_id, end).await?;
        Ok::<_, Problem>(outcome)
    });
    task.await.expect("failing a call does not panic")
}
