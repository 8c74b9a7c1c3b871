//! A checked request becomes a call: a line is taken, the call is made durable, then it goes to a
//! shard. The same for both ways of placing calls; what is allowed in a request is their own.

use super::admission::{check_minutes, free_trunks, limit_problem, no_shard_problem};
use super::ending;
use super::order::Order;
use crate::agent::presence;
use crate::app::App;
use crate::clock::now_ms;
use crate::limits::{CALL_LINE, Line};
use crate::link::Placement;
use crate::problem::Problem;
use crate::routing::Way;
use call_words::{LegKind, MediaFault, MilestoneKind, Reason, TrunkId};
use std::sync::Arc;
use std::time::Instant;
use storage::{Assignment, CreateOutcome, FinalCall, Progress, TimelineEntry};

/// Takes lines, makes the call durable and sends it.
pub async fn place(app: &Arc<App>, order: Order) -> Result<CreateOutcome, Problem> {
    check_minutes(app, &order.account)?;
    let line = app
        .limits
        .lines
        .take(&order.account.id, &order.account.limits, Instant::now())
        .map_err(limit_problem)?;
    let (ways, trunk_lines) = free_trunks(app, order.trunks.clone(), &order.numbers()).await?;
    let placement = match order.softphone() {
        None => app.link.reserve(&order.new.call_id),
        Some(agent) => app.link.reserve_with(&order.new.call_id, &presence::name(app, &agent)),
    };
    let placement = placement.map_err(no_shard_problem)?;
    let app = Arc::clone(app);
    // Runs to its end even if the client goes away meanwhile.
    let task =
        tokio::spawn(async move { send(&app, order, (line, trunk_lines), ways, placement).await });
    task.await.expect("placing a call does not panic")
}

async fn send(
    app: &Arc<App>,
    order: Order,
    (line, trunk_lines): (Line, Vec<Line<TrunkId>>),
    ways: Vec<Way>,
    placement: Placement,
) -> Result<CreateOutcome, Problem> {
    let place_call = order.place_call(app, &ways);
    let trunk = ways.first().map(Way::first).unwrap_or_default();
    let assignment = Assignment { owner: placement.owner().clone(), trunk };
    let outcome = app.records.create_call(order.new, Some(assignment)).await?;
    if let CreateOutcome::Created { call, queued } = &outcome {
        line.keep();
        for line in trunk_lines {
            app.notices.trunk_lines.hold(&call.call_id, CALL_LINE, line);
        }
        tracing::info!(call_id = %call.call_id, account_id = %call.account_id, "call accepted");
        app.notices.changed(call, queued);
        if placement.send(place_call).is_err() {
            ending::end_call(app, &call.call_id, FinalCall::failed(Reason::System, now_ms()))
                .await?;
        }
    }
    Ok(outcome)
}

/// Makes a call that fails at once for the want of the agent's media, with its record and its
/// callback (S11); no phone rings. `fault` says what was wrong.
pub async fn fail_for_media(
    app: &Arc<App>,
    order: Order,
    fault: MediaFault,
) -> Result<CreateOutcome, Problem> {
    let line = app
        .limits
        .lines
        .take(&order.account.id, &order.account.limits, Instant::now())
        .map_err(limit_problem)?;
    let app = Arc::clone(app);
    let task = tokio::spawn(async move {
        let outcome = app.records.create_call(order.new, None).await?;
        let CreateOutcome::Created { call, queued } = &outcome else { return Ok(outcome) };
        line.keep();
        app.notices.changed(call, queued);
        let step = TimelineEntry {
            sequence: 1,
            at_ms: call.start_ms,
            leg: Some(LegKind::Agent),
            party: None,
            kind: MilestoneKind::Microphone.into(),
            sip_code: None,
            trunk: None,
            detail: Some(fault.as_str().to_owned()),
        };
        let steps = vec![(call.call_id.clone(), step, Progress::default())];
        app.records.apply_steps(steps).await?;
        let end = FinalCall {
            failed_leg: Some(LegKind::Agent),
            reason_detail: Some(fault.into()),
            ..FinalCall::failed(Reason::AgentMedia, now_ms())
        };
        ending::end_call(&app, &call.call_id, end).await?;
        Ok::<_, Problem>(outcome)
    });
    task.await.expect("failing a call does not panic")
}
