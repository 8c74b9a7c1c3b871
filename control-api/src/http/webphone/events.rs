//! `GET session/events`: the calls of a page's agent as server-sent events, one at each change
//! (WHATWG HTML §9.2). A call that the page did not start is told like its own. Besides, who speaks
//! in the live call.

use super::session::{OpenSession, shown_call, still_open};
use super::view::PageCall;
use crate::app::App;
use crate::clock::now_ms;
use crate::http::sse::{self, Outlet};
use crate::problem::Problem;
use crate::watch::AgentId;
use axum::extract::State;
use axum::response::Response;
use axum::response::sse::Event;
use call_words::CallId;
use control_wire::Speaking;
use std::sync::Arc;
use std::time::Duration;
use storage::{Storage, WebphoneSession};
use tokio::sync::watch;

const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Streams that one agent may have open.
const STREAM_CAP: usize = 16;
/// Events that may wait for a slow page.
const QUEUE_CAP: usize = 8;
const BUSY_RETRY: Duration = Duration::from_secs(15);

/// Streams the agent's calls, beginning with the one that the session shows.
pub async fn read(State(app): State<Arc<App>>, open: OpenSession) -> Result<Response, Problem> {
    let agent = open.agent_id();
    if app.notices.softphones.watcher_count(&agent) >= STREAM_CAP {
        return Err(Problem::too_many_requests(
            "too_many_streams",
            "the agent has too many pages open",
            BUSY_RETRY,
        ));
    }
    let changes = app.notices.softphones.watch(&agent);
    let (outlet, response) = sse::open(QUEUE_CAP, KEEP_ALIVE);
    tokio::spawn(async move { tell(&app, open.session, agent, changes, outlet).await });
    Ok(response)
}

/// Until the page is gone, its session is over or the process is to stop.
async fn tell(
    app: &App,
    session: WebphoneSession,
    agent: AgentId,
    mut changes: watch::Receiver<()>,
    outlet: Outlet,
) {
    let mut told: Option<PageCall> = None;
    let mut speech = Speech::default();
    loop {
        changes.borrow_and_update();
        let (session, agent) = (session.clone(), agent.clone());
        let last = told.as_ref().map(|call| call.call_id.clone());
        let (news, ends_ms) =
            match app.records.visit(move |store| news(store, &session, &agent, last)).await {
                Ok(Some(news)) => news,
                Ok(None) => return,
                Err(error) => {
                    tracing::error!(%error, "a softphone's calls cannot be read");
                    return;
                }
            };
        for call in news {
            if told.as_ref() != Some(&call) {
                let event =
                    Event::default().event("call").json_data(&call).expect("a call is plain data");
                if outlet.send(event).await.is_err() {
                    return;
                }
                told = Some(call);
            }
        }
        speech.follow(app, told.as_ref());
        let end = tokio::time::sleep(Duration::from_millis(ends_ms.saturating_sub(now_ms())));
        tokio::pin!(end);
        loop {
            tokio::select! {
                changed = changes.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return,
                },
                event = speech.next() => if outlet.send(event).await.is_err() { return },
                () = outlet.closed() => return,
                () = app.shutdown.cancelled() => return,
                () = &mut end => return,
            }
        }
    }
}

/// Who speaks in the call that a page shows.
#[derive(Default)]
struct Speech {
    watched: Option<(CallId, watch::Receiver<Vec<String>>)>,
}

impl Speech {
    /// Listens to the call while its parties talk.
    fn follow(&mut self, app: &App, call: Option<&PageCall>) {
        let Some(call) = call.filter(|call| call.conversation.is_some()) else {
            self.watched = None;
            return;
        };
        if self.watched.as_ref().is_none_or(|(call_id, _)| *call_id != call.call_id) {
            self.watched = Some((call.call_id.clone(), app.notices.speakers.watch(&call.call_id)));
        }
    }

    /// The next change of who speaks.
    async fn next(&mut self) -> Event {
        loop {
            let Some((call_id, parties)) = &mut self.watched else {
                return std::future::pending().await;
            };
            if parties.changed().await.is_ok() {
                let speaking = Speaking {
                    call_id: call_id.clone(),
                    parties: parties.borrow_and_update().clone(),
                };
                return Event::default()
                    .event("speaking")
                    .json_data(&speaking)
                    .expect("names are plain data");
            }
            self.watched = None;
        }
    }
}

/// The call that was told last as it is now, then the agent's live one if it is another, and the
/// session's end in Unix milliseconds. `None` if the session is over.
fn news(
    store: &Storage,
    session: &WebphoneSession,
    agent: &AgentId,
    last: Option<CallId>,
) -> Result<Option<(Vec<PageCall>, u64)>, storage::Error> {
    let Some((session, ends_ms)) = still_open(store, &session.id)? else { return Ok(None) };
    let first = match &last {
        Some(call_id) => store.call(call_id)?,
        None => shown_call(store, &session)?,
    };
    let live = store
        .live_softphone_call(&agent.account_id, &agent.crm_username)?
        .filter(|live| first.as_ref().is_none_or(|first| first.call_id != live.call_id));
    // A call that came and went between two looks is not skipped.
    let missed = shown_call(store, &session)?.filter(|shown| {
        live.is_none()
            && first.as_ref().is_some_and(|first| {
                first.call_id != shown.call_id && first.start_ms <= shown.start_ms
            })
    });
    Ok(Some((first.iter().chain(&live).chain(&missed).map(PageCall::from).collect(), ends_ms)))
}
