//! RFC 9457 problem details: the one shape of every error that this process answers with. Does not
//! decide what is an error; resources, `call` and `http::auth` do.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;

/// Wait that is proposed while the database does not take records.
const STORAGE_RETRY: Duration = Duration::from_secs(10);

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

    /// 400: what was sent cannot be read.
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

    /// 403: the key may not do this.
    pub fn forbidden(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, detail)
    }

    /// 404, also for what belongs to another account.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// 409: not in the present state.
    pub fn conflict(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    /// 410: it was there, but is kept no longer.
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

    /// Names a further field that is refused.
    #[must_use]
    pub fn with_field(mut self, field: &str, detail: impl Into<String>) -> Self {
        self.body.errors.push(FieldError { field: field.into(), detail: detail.into() });
        self
    }

    /// Names the numbers that the account may call from.
    #[must_use]
    pub fn with_assigned_numbers(mut self, numbers: Vec<String>) -> Self {
        self.body.assigned_numbers = Some(numbers);
        self
    }

    /// Adds a header to the answer.
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
