//! Recordings over HTTP (S34, S41): unguessable names, single ranges (RFC 9110 §14), streamed from
//! disk. The edge writes the files.

use super::auth::{self, Client};
use super::extract::PathParams;
use crate::app::App;
use crate::problem::{Problem, ProblemDetails};
use crate::recording;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use call_words::RecordingName;
use std::io;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

/// Bytes read from disk at a time; what one download holds in memory.
const CHUNK_LEN: usize = 64 * 1024;

/// Downloads a recording.
///
/// The link of `recording_url` needs no header: its name is the secret. One range is served;
/// several are answered with the whole file.
#[utoipa::path(
    method(get, head), path = "/recordings/{name}", tag = "recordings",
    params(
        ("name" = String, Path, description = "File name from `recording_url`"),
        ("Range" = Option<String>, Header, description = "`bytes=FIRST-LAST`"),
        ("If-Range" = Option<String>, Header,
            description = "`ETag` of an earlier answer: the range is served only if it still \
                holds"),
    ),
    responses(
        (status = 200, description = "The whole recording: stereo, left the agent, right the \
            customer", content_type = "audio/wav", body = [u8]),
        (status = 206, description = "The range", content_type = "audio/wav", body = [u8]),
        (status = 403, description = "A browser key or a key in the query string was sent",
            body = ProblemDetails, content_type = "application/problem+json"),
        (status = 404, description = "No such recording", body = ProblemDetails,
            content_type = "application/problem+json"),
        (status = 410, description = "The recording's retention is over", body = ProblemDetails,
            content_type = "application/problem+json"),
        (status = 429, description = "Too many unknown names came from this address",
            body = ProblemDetails, content_type = "application/problem+json",
            headers(("Retry-After" = u64, description = "Seconds"))),
        (status = 416, description = "The range lies outside the recording", body = ProblemDetails,
            content_type = "application/problem+json"),
    ),
)]
pub async fn download(
    State(app): State<Arc<App>>,
    Client(client): Client,
    name: Result<PathParams<String>, Problem>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Response> {
    // A name that is not even text is no name.
    let name = name.map(|PathParams(name)| name).unwrap_or_default();
    serve(&app, name, &method, &headers).await.map_err(|problem| {
        let is_guess = problem.status == StatusCode::NOT_FOUND;
        let problem = if is_guess { auth::guessed(&app, client, problem) } else { problem };
        private(problem.into_response())
    })
}

async fn serve(
    app: &App,
    name: String,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    if auth::has_browser_key(app, headers).await? {
        return Err(Problem::forbidden("key_class", "a browser key does not open recordings"));
    }
    let unknown = || Problem::not_found("there is no such recording");
    // Names are found by their whole value, so that the time of a miss tells nothing about names
    // that exist.
    let wanted = if recording::is_name(&name) { name.into() } else { RecordingName::default() };
    let entry = app.records.recording(&wanted).await?.ok_or_else(unknown)?;
    if entry.expired_ms.is_some() {
        return Err(Problem::gone("the retention of this recording is over"));
    }
    let file = recording::open(&app.config.recordings.folder, &entry.file_name).await.map_err(
        |error| match error.kind() {
            io::ErrorKind::NotFound => unknown(),
            _ => Problem::internal(&error),
        },
    )?;
    let metadata = file.metadata().await.map_err(|error| Problem::internal(&error))?;
    let modified = metadata
        .modified()
        .ok()
        .and_then(|at| at.duration_since(UNIX_EPOCH).ok())
        .unwrap_or(Duration::ZERO);
    let etag = format!("\"{:x}-{:x}\"", metadata.len(), modified.as_millis());
    send_file(file, metadata.len(), &etag, method, headers).await
}

async fn send_file(
    mut file: File,
    len: u64,
    etag: &str,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    let range = match wanted_range(headers, etag, len) {
        Wanted::Whole => None,
        Wanted::Part { first, last } => Some((first, last)),
        Wanted::Outside => {
            let total = HeaderValue::from_str(&format!("bytes */{len}")).expect("digits");
            let detail = format!("the recording has {len} bytes");
            return Err(Problem::new(StatusCode::RANGE_NOT_SATISFIABLE, "range", detail)
                .with_header(header::CONTENT_RANGE, total));
        }
    };
    let (first, send_len) = range.map_or((0, len), |(first, last)| (first, last - first + 1));
    let body = if method == Method::HEAD {
        Body::empty()
    } else {
        file.seek(io::SeekFrom::Start(first)).await.map_err(|error| Problem::internal(&error))?;
        Body::from_stream(ReaderStream::with_capacity(file.take(send_len), CHUNK_LEN))
    };
    let mut response = private(body.into_response());
    let answer = response.headers_mut();
    answer.insert(header::CONTENT_TYPE, HeaderValue::from_static("audio/wav"));
    answer.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    answer.insert(header::CONTENT_LENGTH, HeaderValue::from(send_len));
    answer.insert(header::ETAG, HeaderValue::from_str(etag).expect("hexadecimal digits in quotes"));
    if let Some((first, last)) = range {
        let range = format!("bytes {first}-{last}/{len}");
        answer.insert(header::CONTENT_RANGE, HeaderValue::from_str(&range).expect("digits"));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(response)
}

/// Keeps an answer out of caches, indexes and guesses at its type.
fn private(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    headers.insert("x-robots-tag", HeaderValue::from_static("noindex, nofollow"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    share(headers);
    response
}

/// Lets the pages of any CRM fetch recordings: the name is the permission, and no credentials go
/// with it.
fn share(headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    let read = HeaderValue::from_static("Accept-Ranges, Content-Length, Content-Range, ETag");
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, read);
}

/// The answer to a browser that asks before it fetches a range (CORS preflight). It is the same for
/// any name.
pub async fn preflight() -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    share(headers);
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD"));
    headers
        .insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("Range, If-Range"));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    response
}

#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    Whole,
    /// Both ends included.
    Part {
        first: u64,
        last: u64,
    },
    Outside,
}

/// What of a file of `len` bytes is asked for. A range that cannot be read, several ranges, and a
/// range whose `If-Range` does not hold count as none (RFC 9110 §14.2).
fn wanted_range(headers: &HeaderMap, etag: &str, len: u64) -> Wanted {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if headers.contains_key(header::IF_RANGE) && text(header::IF_RANGE) != Some(etag) {
        return Wanted::Whole;
    }
    // Names of units are case-insensitive (§14.1).
    let range = text(header::RANGE).and_then(|range| range.split_once('='));
    let range = range
        .filter(|(unit, _)| unit.eq_ignore_ascii_case("bytes"))
        .and_then(|(_, range)| range.split_once('-'));
    let Some((first, last)) =
        range.filter(|(first, last)| !first.contains('+') && !last.contains('+'))
    else {
        return Wanted::Whole;
    };
    match (first.trim(), last.trim()) {
        ("", suffix) => match suffix.parse::<u64>() {
            Ok(0) => Wanted::Outside,
            Ok(_) if len == 0 => Wanted::Outside,
            Ok(suffix) => Wanted::Part { first: len.saturating_sub(suffix), last: len - 1 },
            Err(_) => Wanted::Whole,
        },
        (first, last) => match (
            first.parse::<u64>(),
            if last.is_empty() { Ok(u64::MAX) } else { last.parse::<u64>() },
        ) {
            (Ok(first), Ok(last)) if first <= last && first < len => {
                Wanted::Part { first, last: last.min(len - 1) }
            }
            (Ok(first), Ok(last)) if first <= last => Wanted::Outside,
            _ => Wanted::Whole,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_range(range: &str, if_range: Option<&str>, expected: Wanted) {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, range.parse().unwrap());
        if let Some(if_range) = if_range {
            headers.insert(header::IF_RANGE, if_range.parse().unwrap());
        }
        assert_eq!(wanted_range(&headers, "\"e\"", 100), expected, "{range}");
    }

    #[test]
    fn ranges() {
        check_range("bytes=0-9", None, Wanted::Part { first: 0, last: 9 });
        check_range("bytes=90-", None, Wanted::Part { first: 90, last: 99 });
        check_range("bytes=90-1000", None, Wanted::Part { first: 90, last: 99 });
        check_range("bytes=-5", None, Wanted::Part { first: 95, last: 99 });
        check_range("bytes=-500", None, Wanted::Part { first: 0, last: 99 });
        check_range("bytes=100-", None, Wanted::Outside);
        check_range("bytes=-0", None, Wanted::Outside);
        check_range("bytes=9-0", None, Wanted::Whole);
        check_range("bytes=0-1,5-6", None, Wanted::Whole);
        check_range("bytes=-", None, Wanted::Whole);
        check_range("bytes=x-y", None, Wanted::Whole);
        check_range("lines=0-9", None, Wanted::Whole);
        check_range("Bytes=0-9", None, Wanted::Part { first: 0, last: 9 });
        check_range("BYTES=-5", None, Wanted::Part { first: 95, last: 99 });
        check_range("bytes=+0-9", None, Wanted::Whole);
        check_range("bytes=0-+9", None, Wanted::Whole);
        check_range("bytes=-+9", None, Wanted::Whole);
        check_range("bytes=0-99999999999999999999", None, Wanted::Whole);
        check_range("bytes=0-9", Some("\"e\""), Wanted::Part { first: 0, last: 9 });
        check_range("bytes=0-9", Some("\"other\""), Wanted::Whole);
    }
}
