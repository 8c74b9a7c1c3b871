//! Captures of single calls, for operators: started and stopped while the call runs, downloaded for
//! some days. The edge writes the file; it holds SIP without secrets and RTP, without its payload
//! unless that is asked for and `calls.capture_audio` allows it.

use super::desk::{Admin, unknown};
use crate::app::App;
use crate::call::{ladder, verbs};
use crate::http::extract::{PathParams, QueryParams};
use crate::problem::{Problem, ProblemDetails};
use crate::recording;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use call_words::CallId;
use control_wire::Command;
use serde::Deserialize;
use std::io;
use std::sync::Arc;
use storage::Call;
use tokio::fs::File;
use tokio_util::io::ReaderStream;
use utoipa::IntoParams;

/// What pcap files are called (the type that IANA lists for them).
const PCAP: &str = "application/vnd.tcpdump.pcap";

/// What is captured besides SIP, RTCP and the heads of RTP.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct CaptureQuery {
    /// RTP with its payload: the call can be heard. Only where `calls.capture_audio` is set.
    #[serde(default)]
    audio: bool,
}

/// Captures a running call from now on, until it is over or the capture is stopped.
#[utoipa::path(put, path = "/admin/calls/{call_id}/capture", tag = "calls",
    operation_id = "start_capture",
    params(("call_id" = String, Path), CaptureQuery),
    responses((status = 204, description = "It is captured, what was said by SIP before included"),
    (status = 403, body = ProblemDetails, description = "Audio is left out of captures here"),
    (status = 404, body = ProblemDetails, description = "No such call"),
    (status = 409, body = ProblemDetails, description = "The call is over"),
    (status = 503, body = ProblemDetails, description = "Its edge is not connected, or captures \
        as many calls as it may")))]
pub async fn start(
    State(admin): State<Arc<Admin>>,
    PathParams(call_id): PathParams<CallId>,
    QueryParams(CaptureQuery { audio }): QueryParams<CaptureQuery>,
) -> Result<StatusCode, Problem> {
    let call = known(&admin.app, &call_id).await?;
    if audio && !admin.app.config.calls.capture_audio {
        return Err(Problem::forbidden(
            "capture_audio",
            "audio is left out of captures: `calls.capture_audio = true` in control-api's \
             configuration allows it",
        ));
    }
    let file_name = recording::capture_name(&call_id);
    let command = Command::StartCapture { call_id: call_id.clone(), file_name, with_audio: audio };
    ask(&admin.app, &call, command).await?;
    tracing::info!(%call_id, account = %call.account_id, audio, "a capture was started");
    Ok(StatusCode::NO_CONTENT)
}

/// Ends the capture of a call; what was captured stays for `calls.capture_days`.
#[utoipa::path(delete, path = "/admin/calls/{call_id}/capture", tag = "calls",
    operation_id = "stop_capture",
    params(("call_id" = String, Path)),
    responses((status = 204, description = "It is captured no more"),
    (status = 404, body = ProblemDetails, description = "No such call"),
    (status = 503, body = ProblemDetails, description = "Its edge is not connected")))]
pub async fn stop(
    State(admin): State<Arc<Admin>>,
    PathParams(call_id): PathParams<CallId>,
) -> Result<StatusCode, Problem> {
    let call = known(&admin.app, &call_id).await?;
    ask(&admin.app, &call, Command::StopCapture { call_id: call_id.clone() }).await?;
    tracing::info!(%call_id, account = %call.account_id, "a capture was stopped");
    Ok(StatusCode::NO_CONTENT)
}

/// Downloads what was captured of a call so far.
#[utoipa::path(get, path = "/admin/calls/{call_id}/capture", tag = "calls",
    operation_id = "read_capture",
    params(("call_id" = String, Path)),
    responses((status = 200, content_type = "application/vnd.tcpdump.pcap", body = [u8],
        description = "A pcap file of IP packets (LINKTYPE_RAW); SIP over streams stands in UDP"),
    (status = 404, body = ProblemDetails, description = "No such call, or no capture of it")))]
pub async fn read(
    State(admin): State<Arc<Admin>>,
    PathParams(call_id): PathParams<CallId>,
) -> Result<Response, Problem> {
    let app: &App = &admin.app;
    known(app, &call_id).await?;
    let path = app.config.recordings.folder.join(recording::capture_name(&call_id));
    let file = File::open(path).await.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Problem::not_found(format!(
            "nothing was captured of the call {call_id:?}, or calls.capture_days are over"
        )),
        _ => Problem::internal(&error),
    })?;
    let body = Body::from_stream(ReaderStream::new(file));
    Ok(([(header::CONTENT_TYPE, PCAP)], body).into_response())
}

async fn known(app: &App, call_id: &CallId) -> Result<Call, Problem> {
    app.records.call(call_id).await?.ok_or_else(|| unknown("call", call_id.as_str()))
}

async fn ask(app: &App, call: &Call, command: Command) -> Result<(), Problem> {
    ladder::ask(app, call, command).await.map_err(verbs::problem)
}
