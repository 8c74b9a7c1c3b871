//! What requests are read by: bodies, queries and paths, bounded in length and in time. What cannot
//! be read is answered with a problem.

use crate::problem::Problem;
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequest, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Longest JSON request body in bytes.
pub const MAX_BODY_LEN: usize = 64 * 1024;
/// What some clients put before a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
/// Time in which a client has to send its whole body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// A JSON body: at most [`MAX_BODY_LEN`] bytes, `Content-Type: application/json` (or `+json`),
/// nesting bounded by serde_json (128).
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        parse(&read_json(request).await?).map(Self)
    }
}

impl<T: DeserializeOwned, S: Send + Sync> OptionalFromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    /// `None` for a request without a body, or with the body `null`.
    async fn from_request(request: Request, _: &S) -> Result<Option<Self>, Problem> {
        if axum::body::HttpBody::is_end_stream(request.body()) {
            return Ok(None);
        }
        let bytes = read_json(request).await?;
        if bytes.is_empty() || bytes.trim_ascii() == b"null" {
            Ok(None)
        } else {
            parse(&bytes).map(|value| Some(Self(value)))
        }
    }
}

/// The bytes of a body that says that it is JSON, and is sent as it is.
async fn read_json(request: Request) -> Result<Vec<u8>, Problem> {
    let (parts, body) = request.into_parts();
    if !is_json(&parts) {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "the body must be sent with Content-Type: application/json",
        ));
    }
    if let Some(coding) =
        parts.headers.get(header::CONTENT_ENCODING).filter(|coding| *coding != "identity")
    {
        let detail = format!(
            "the body is sent with Content-Encoding: {coding:?}, which is not read; send it as it \
                is"
        );
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_content_encoding",
            detail,
        )
        .with_header(header::ACCEPT_ENCODING, HeaderValue::from_static("identity")));
    }
    let mut bytes = read_body(&parts, body).await?;
    // A byte order mark is not JSON's, but may be passed over (RFC 8259 §8.1).
    if bytes.starts_with(BYTE_ORDER_MARK) {
        bytes.drain(..BYTE_ORDER_MARK.len());
    }
    Ok(bytes)
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    // serde would also take an array for the fields of a struct in their order.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::bad_request("malformed_json", "the body must be a JSON object"));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value =
        serde_path_to_error::deserialize(&mut reader).map_err(|error| json_problem(&error))?;
    reader.end().map_err(|error| Problem::bad_request("malformed_json", error.to_string()))?;
    Ok(value)
}

/// 400 that names the field, if it lies in one.
fn json_problem(error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let (path, detail) = (error.path().to_string(), error.inner().to_string());
    let problem = Problem::bad_request(
        "malformed_json",
        format!("the body is not the expected JSON: {detail}"),
    );
    if path == "." { problem } else { problem.with_field(&path, detail) }
}

async fn read_body(parts: &Parts, body: Body) -> Result<Vec<u8>, Problem> {
    let too_large = || {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "payload_too_large",
            format!("the body is longer than {MAX_BODY_LEN} bytes"),
        )
    };
    let declared = parts
        .headers
        .get(header::CONTENT_LENGTH)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.parse::<u64>().ok());
    if declared.is_some_and(|len| len > MAX_BODY_LEN as u64) {
        return Err(too_large());
    }
    match tokio::time::timeout(BODY_TIMEOUT, collect(body, MAX_BODY_LEN)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(Uncollected::TooLong)) => Err(too_large()),
        Ok(Err(Uncollected::Broken)) => Err(broken_body()),
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "body_timeout",
            format!("the body did not arrive within {} s", BODY_TIMEOUT.as_secs()),
        )),
    }
}

/// Why there is no whole body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uncollected {
    TooLong,
    /// Its framing is wrong, or the client ended before it.
    Broken,
}

/// Reads a body of at most `max_len` bytes whole.
pub async fn collect(body: Body, max_len: usize) -> Result<Vec<u8>, Uncollected> {
    let (mut chunks, mut bytes) = (body.into_data_stream(), Vec::new());
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Uncollected::Broken)?;
        if chunk.len() > max_len - bytes.len() {
            return Err(Uncollected::TooLong);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// 400 for a body that is shorter than it says, or whose chunks cannot be read (RFC 9112 §6.3,
/// §7.1).
pub fn broken_body() -> Problem {
    Problem::bad_request(
        "broken_body",
        "the body ended before its Content-Length, or its chunks cannot be read",
    )
}

fn is_json(parts: &Parts) -> bool {
    let Some(value) = parts.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok())
    else {
        return false;
    };
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json"
        || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// Query parameters; a wrong one is a 400 that names it.
pub struct QueryParams<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for QueryParams<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let reader = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
        serde_path_to_error::deserialize(reader).map(Self).map_err(|error| {
            let (path, detail) = (error.path().to_string(), error.inner().to_string());
            let problem = Problem::bad_request("malformed_query", format!("{path}: {detail}"));
            if path == "." { problem } else { problem.with_field(&path, detail) }
        })
    }
}

/// Path parameters; those that cannot be read are a 400.
pub struct PathParams<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for PathParams<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = axum::extract::Path::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(value)| Self(value))
            .map_err(|error| Problem::bad_request("malformed_path", error.body_text()))
    }
}
