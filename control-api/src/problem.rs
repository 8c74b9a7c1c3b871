//! RFC 9457 problem details: the one shape of every error that this process answers with, and the
//! body extractor that uses it. Does not decide what is an error; resources and `auth` do.

use axum::Json;
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequest, Request};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;

/// Longest JSON request body in bytes.
pub const MAX_BODY_LEN: usize = 64 * 1024;
/// Wait that is proposed while the database does not take records.
const STORAGE_RETRY: Duration = Duration::from_secs(10);
/// What some clients put before a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
/// Time in which a client has to send its whole body.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// One field that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldError {
    /// Name of the field as sent, or of the query parameter or header.
    #[schema(example = "to_number")]
    pub field: String,
    /// What is wrong with it and what is allowed.
    pub detail: String,
}

/// RFC 9457 problem details, with `code` as the stable word to program against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProblemDetails {
    /// URI reference that names the kind of problem: `/problems/` and the `code`.
    #[serde(rename = "type")]
    #[schema(example = "/problems/invalid_number")]
    pub kind: String,
    /// The HTTP status in words.
    #[schema(example = "Unprocessable Entity")]
    pub title: String,
    /// The HTTP status.
    #[schema(example = 422)]
    pub status: u16,
    /// One sentence on this occurrence.
    pub detail: String,
    /// Stable word for the kind of problem.
    #[schema(example = "invalid_number")]
    pub code: String,
    /// The fields that were refused, when the problem lies in them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// The account's assigned caller-ID numbers, when `from_number` is not one of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assigned_numbers: Option<Vec<String>>,
}

/// An error on its way to the client.
#[derive(Debug, Clone)]
pub struct Problem {
    pub status: StatusCode,
    pub body: Box<ProblemDetails>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    /// A problem of any status; the named constructors are for the usual ones.
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        let body = ProblemDetails {
            kind: format!("/problems/{code}"),
            title: status.canonical_reason().unwrap_or("Error").into(),
            status: status.as_u16(),
            detail: detail.into(),
            code: code.into(),
            errors: Vec::new(),
            assigned_numbers: None,
        };
        Self { status, body: Box::new(body), headers: Vec::new() }
    }

    pub fn bad_request(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// 401 with the `WWW-Authenticate` that RFC 6750 §3 asks for. `error` is its error code, `None`
    /// if no credentials were sent.
    pub fn unauthorized(error: Option<&str>, detail: impl Into<String>) -> Self {
        let challenge = match error {
            Some(error) => format!("Bearer realm=\"control-api\", error=\"{error}\""),
            None => "Bearer realm=\"control-api\"".into(),
        };
        let value = HeaderValue::from_str(&challenge).expect("the challenge is plain ASCII");
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail)
            .with_header(header::WWW_AUTHENTICATE, value)
    }

    pub fn forbidden(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, detail)
    }

    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    pub fn conflict(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    pub fn gone(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::GONE, "gone", detail)
    }

    /// 422 for one field.
    pub fn unprocessable(field: &str, code: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, format!("{field}: {detail}"))
            .with_field(field, detail)
    }

    /// 429 with `Retry-After`.
    pub fn too_many_requests(code: &str, detail: impl Into<String>, retry_after: Duration) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, code, detail).with_retry_after(retry_after)
    }

    /// 503 with `Retry-After`.
    pub fn unavailable(code: &str, detail: impl Into<String>, retry_after: Duration) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).with_retry_after(retry_after)
    }

    /// 500; the cause goes to the log, not to the client.
    pub fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(%cause, "request failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the request failed for a reason of ours; it may be sent again",
        )
    }

    #[must_use]
    pub fn with_field(mut self, field: &str, detail: impl Into<String>) -> Self {
        self.body.errors.push(FieldError { field: field.into(), detail: detail.into() });
        self
    }

    #[must_use]
    pub fn with_assigned_numbers(mut self, numbers: Vec<String>) -> Self {
        self.body.assigned_numbers = Some(numbers);
        self
    }

    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Rounds up to whole seconds, at least one.
    fn with_retry_after(self, wait: Duration) -> Self {
        let seconds = wait.as_millis().div_ceil(1000).max(1) as u64;
        self.with_header(header::RETRY_AFTER, HeaderValue::from(seconds))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.extend(
            self.headers
                .into_iter()
                .map(|(name, value)| (Some(name), value))
                .filter_map(|(n, v)| Some((n?, v))),
        );
        response
    }
}

impl From<storage::Error> for Problem {
    fn from(error: storage::Error) -> Self {
        match error {
            storage::Error::Database(cause) => {
                tracing::error!(%cause, "request failed: the database does not do its work");
                let detail = "records cannot be written or read at the moment; the request may be \
                    sent again";
                Self::unavailable("storage_unavailable", detail, STORAGE_RETRY)
            }
            other => Self::internal(&other),
        }
    }
}

/// The answer for a path that no route has.
pub async fn unknown_path() -> Problem {
    Problem::not_found("there is nothing at this path")
}

/// The answer for a method that a path does not have; the router adds `Allow`.
pub async fn unknown_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "this path does not have this method; see Allow",
    )
}

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
            "the body did not arrive within 10 s",
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
            // Of an unknown one only the message knows the name.
            let unknown =
                detail.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next());
            let field = unknown.map_or(path, str::to_owned);
            let problem = Problem::bad_request("malformed_query", format!("{field}: {detail}"));
            if field == "." { problem } else { problem.with_field(&field, detail) }
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
