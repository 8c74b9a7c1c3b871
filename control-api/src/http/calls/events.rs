//! `GET /events` and `GET /calls/{call_id}/events`: what happens to an account's calls as
//! server-sent events (WHATWG HTML §9.2), resumable by their ids for as long as the log keeps them.

use super::own_call;
use crate::app::App;
use crate::clock::now_ms;
use crate::http::auth::ServerCaller;
use crate::http::extract::{PathParams, QueryParams};
use crate::http::openapi::answers::EventStream;
use crate::http::openapi::refusals::{CallPath, CallRefusals, KeyRefusals, StreamRefusals};
use crate::http::sse::{self, Gone, Outlet};
use crate::problem::{Problem, ProblemDetails};
use crate::view::event::EventView;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use call_words::{CallId, EventWord, KeyId};
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use storage::{Call, Storage};
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use utoipa::IntoParams;

/// Events that may wait for a slow reader.
const QUEUE_CAP: usize = 64;
/// Events read from the log at a time.
const PAGE_LEN: usize = 100;
const BUSY_RETRY: Duration = Duration::from_secs(15);

/// Where a stream begins.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Resume {
    /// For clients that cannot send `Last-Event-ID`.
    pub last_event_id: Option<u64>,
}

impl Resume {
    /// The id that was read last; the header goes first, for browsers renew that one.
    fn after(&self, headers: &HeaderMap) -> Result<Option<u64>, Problem> {
        let Some(value) = headers.get("last-event-id") else { return Ok(self.last_event_id) };
        let id = value.to_str().ok().and_then(|text| text.trim().parse().ok());
        id.map(Some).ok_or_else(|| {
            let detail = "allowed is the id of an event";
            Problem::bad_request("malformed_header", format!("Last-Event-ID: {detail}"))
                .with_field("Last-Event-ID", detail)
        })
    }
}

/// Streams the events of all calls of the account, from now on or from behind `Last-Event-ID`.
///
/// Events are kept for 24 h, and at most 10,000 of an account; an event `gap` comes first if some
/// are missing.
#[utoipa::path(
    get, path = "/events", tag = "calls", security(("server_key" = [])),
    params(Resume, ("Last-Event-ID" = Option<u64>, Header,
        description = "Id of the event that was read last")),
    responses(
        EventStream,
        KeyRefusals,
        (status = 400, description = "The id of the last event cannot be read",
            body = ProblemDetails, content_type = "application/problem+json"),
        StreamRefusals,
    ),
)]
pub async fn of_account(
    State(app): State<Arc<App>>,
    caller: ServerCaller,
    QueryParams(resume): QueryParams<Resume>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let after = resume.after(&headers)?;
    open(app, caller, Source::Account, after).await
}

/// Streams the events of one call, from its beginning or from behind `Last-Event-ID`, to its end.
#[utoipa::path(
    get, path = "/calls/{call_id}/events", tag = "calls", security(("server_key" = [])),
    params(
        CallPath, Resume,
        ("Last-Event-ID" = Option<u64>, Header, description = "Id of the event that was read last"),
    ),
    responses(
        EventStream,
        (status = 204, description = "The call has ended and all its events are told: there is no \
            reason to come again"),
        CallRefusals,
        (status = 400, description = "The id in the path or of the last event cannot be read",
            body = ProblemDetails, content_type = "application/problem+json"),
        StreamRefusals,
    ),
)]
pub async fn of_call(
    State(app): State<Arc<App>>,
    caller: ServerCaller,
    PathParams(call_id): PathParams<CallId>,
    QueryParams(resume): QueryParams<Resume>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let call = own_call(&app, &caller, call_id).await?;
    let after = resume.after(&headers)?;
    if !call.is_live() {
        let call = call.clone();
        let is_told = app.records.visit(move |store| {
            let range = store.event_range(&call.account_id)?;
            let is_missing = after.is_some_and(|after| after < range.cut_until);
            Ok::<_, storage::Error>(
                !is_missing
                    && store.call_events(&call, after.unwrap_or(0).min(range.last), 1)?.is_empty(),
            )
        });
        // By a 204 a client is told not to come again (WHATWG HTML §9.2.3).
        if is_told.await? {
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
    }
    open(app, caller, Source::Call(Box::new(call)), after).await
}

/// Which events a stream tells.
#[derive(Clone)]
enum Source {
    Account,
    Call(Box<Call>),
}

async fn open(
    app: Arc<App>,
    caller: ServerCaller,
    source: Source,
    after: Option<u64>,
) -> Result<Response, Problem> {
    let news = app.notices.streams.open(&caller.account_id).ok_or_else(|| {
        Problem::too_many_requests(
            "too_many_streams",
            "the account has as many streams of events open as it may",
            BUSY_RETRY,
        )
    })?;
    let (outlet, response) = sse::open(QUEUE_CAP, app.notices.streams.patience.keep_alive);
    let teller = Teller { app, caller, source, outlet };
    tokio::spawn(async move { teller.run(news, after).await });
    Ok(response)
}

/// One stream's writer.
struct Teller {
    app: Arc<App>,
    caller: ServerCaller,
    source: Source,
    outlet: Outlet,
}

/// The stream is over.
struct Over;

impl Teller {
    /// Until the reader is gone or too slow, the call has ended, the key does not work any more, or
    /// the process is to stop.
    async fn run(self, mut news: watch::Receiver<()>, after: Option<u64>) {
        let Ok(mut last) = self.begin(after).await else { return };
        let mut looks = tokio::time::interval(self.app.notices.streams.patience.keep_alive);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        looks.reset();
        loop {
            news.borrow_and_update();
            if self.tell_news(&mut last).await.is_err() {
                return;
            }
            tokio::select! {
                changed = news.changed() => if changed.is_err() { return },
                // A key may expire without a word.
                _ = looks.tick() => {}
                () = self.outlet.closed() => return,
                () = self.app.shutdown.cancelled() => return,
            }
        }
    }

    /// The number behind which the stream begins, after an event for what is missing there.
    async fn begin(&self, after: Option<u64>) -> Result<u64, Over> {
        let (account_id, source) = (self.caller.account_id.clone(), self.source.clone());
        let (range, first) = self
            .read(move |store| {
                let first = match &source {
                    Source::Account => None,
                    Source::Call(call) => {
                        store.call_events(call, 0, 1)?.first().map(|event| event.sequence)
                    }
                };
                Ok((store.event_range(&account_id)?, first))
            })
            .await?;
        let start = match (&self.source, after) {
            (_, Some(after)) => after.min(range.last),
            (Source::Account, None) => range.last,
            (Source::Call(_), None) => 0,
        };
        let is_missing = match after {
            Some(after) => after < range.cut_until,
            None => first.is_some_and(|sequence| sequence > 1),
        };
        if is_missing {
            let data =
                serde_json::json!({ "event": "gap", "after": start, "until": range.cut_until });
            let event = Event::default().event("gap").id(range.cut_until.to_string());
            self.send(event.json_data(data).expect("plain data")).await?;
        }
        Ok(start)
    }

    async fn tell_news(&self, last: &mut u64) -> Result<(), Over> {
        loop {
            let (caller, source, after) = (self.caller.clone(), self.source.clone(), *last);
            let events = self
                .read(move |store| {
                    if !key_works(store, &caller.key_id)? {
                        return Ok(None);
                    }
                    match &source {
                        Source::Account => store.events(&caller.account_id, after, PAGE_LEN),
                        Source::Call(call) => store.call_events(call, after, PAGE_LEN),
                    }
                    .map(Some)
                })
                .await?
                .ok_or(Over)?;
            if events.is_empty() {
                return self.check_end();
            }
            for record in events {
                *last = record.number;
                let event =
                    Event::default().event(record.event.as_str()).id(record.number.to_string());
                self.send(event.json_data(EventView::of(&record)).expect("plain data")).await?;
                if record.event.known() == Some(EventWord::Ended)
                    && matches!(self.source, Source::Call(_))
                {
                    return Err(Over);
                }
            }
        }
    }

    /// The stream of a call that had ended before is over when all was told.
    fn check_end(&self) -> Result<(), Over> {
        let Source::Call(call) = &self.source else { return Ok(()) };
        if call.is_live() { Ok(()) } else { Err(Over) }
    }

    async fn read<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&Storage) -> Result<T, storage::Error> + Send + 'static,
    ) -> Result<T, Over> {
        self.app.records.visit(operation).await.map_err(|error| {
            tracing::error!(%error, "an account's events cannot be read");
            Over
        })
    }

    async fn send(&self, event: Event) -> Result<(), Over> {
        let patience = self.app.notices.streams.patience.slow_reader;
        self.outlet.send_within(event, patience).await.map_err(|Gone| Over)
    }
}

fn key_works(store: &Storage, key_id: &KeyId) -> Result<bool, storage::Error> {
    let key = store.api_key(key_id)?;
    Ok(key.is_some_and(|key| key.expires_ms.is_none_or(|expires_ms| now_ms() < expires_ms)))
}
