//! One attempt over HTTPS: over which connection, what is sent, what counts as delivered (any 2xx
//! within 10 s of connect, TLS and headers together; redirects are not followed), which word tells
//! why it failed, and the guard that keeps connections off private networks (S22). The signature
//! follows Standard Webhooks 1.0.

use super::target;
use crate::secret::{MasterKey, Purpose};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use ring::hmac;
use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use storage::{CallbackJob, Sealed};

/// Time for an endpoint to respond (guide; S25).
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(10);
/// An answer's body is read only so that its connection can be used again: no more than this, no
/// longer than that.
const BODY_LEN_CAP: usize = 64 << 10;
const BODY_TIMEOUT: Duration = Duration::from_secs(1);
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);
/// Header lines that an answer may have: only its status is of interest, whatever proxies add to
/// it.
const HEADER_LINE_CAP: usize = 4_096;
/// Which attempt of its cycle this is, from 1.
const ATTEMPT_HEADER: HeaderName = HeaderName::from_static("x-delivery-attempt");
const SIGNING_SECRET_PREFIX: &str = "whsec_";

/// Why the sender cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SenderError {
    #[error("callback.extra_roots: {path}: {reason}")]
    ExtraRoots { path: String, reason: String },
    #[error("HTTPS client: {0}")]
    Client(#[from] reqwest::Error),
}

/// Makes attempts.
pub(super) struct Sender {
    /// Takes a connection that is left from another attempt, if there is one.
    pooled: reqwest::Client,
    /// Opens a connection for each attempt.
    fresh: reqwest::Client,
    secrets: Arc<MasterKey>,
    allow_private_targets: bool,
    timeout: Duration,
}

/// Stable word for an attempt that got no status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Failure(pub &'static str);

impl Sender {
    pub(super) fn new(
        secrets: Arc<MasterKey>,
        allow_private_targets: bool,
        extra_roots: Option<&Path>,
        idle_connections: usize,
    ) -> Result<Self, SenderError> {
        let (pooled, fresh) = clients(allow_private_targets, extra_roots, idle_connections)?;
        Ok(Self { pooled, fresh, secrets, allow_private_targets, timeout: RESPONSE_TIMEOUT })
    }

    #[cfg(test)]
    pub(super) fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Posts a job once, signed by each of the secrets. Whatever answers in time is a response; its
    /// status decides.
    ///
    /// Pooled connections die together when what is behind the endpoint changes, which shows only
    /// in use. So only an attempt that has another behind it takes one, and that other opens its
    /// own.
    pub(super) async fn send(
        &self,
        job: &CallbackJob,
        signing: &[Sealed],
        now_ms: u64,
    ) -> Result<reqwest::Response, Failure> {
        let target = &job.target;
        // The switch may have been turned off, or the rules tightened, since the URL was
        // configured.
        target::callback_url(&target.url, self.allow_private_targets)
            .map_err(|_| Failure("blocked_address"))?;
        let headers = self.headers(job, signing, now_ms)?;
        let has_retry = job.cycle == 1 && job.attempt_count == 0 && job.target.max_retries > 0;
        let client = if has_retry { &self.pooled } else { &self.fresh };
        let request = client.post(&target.url).headers(headers).body(job.body.clone());
        match tokio::time::timeout(self.timeout, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(failure(&error)),
            Err(_) => Err(Failure("timeout")),
        }
    }

    fn headers(
        &self,
        job: &CallbackJob,
        signing: &[Sealed],
        now_ms: u64,
    ) -> Result<HeaderMap, Failure> {
        let unreadable = Failure("secret_unreadable");
        let timestamp = now_ms / 1_000;
        let mut signatures = Vec::new();
        for secret in signing {
            let secret =
                self.secrets.open(Purpose::SigningSecret, secret).map_err(|_| unreadable)?;
            signatures.push(
                signature(secret.expose(), &job.job_id(), timestamp, &job.body)
                    .ok_or(unreadable)?,
            );
        }
        let text = |text: &str| HeaderValue::from_str(text).map_err(|_| Failure("header"));
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert("webhook-id", text(&job.job_id())?);
        headers.insert("webhook-timestamp", HeaderValue::from(timestamp));
        headers.insert("webhook-signature", text(&signatures.join(" "))?);
        headers.insert(ATTEMPT_HEADER, HeaderValue::from(job.attempt_count + 1));
        if let Some(header) = &job.target.auth_header {
            let value = self
                .secrets
                .open(Purpose::CallbackHeader, &header.value)
                .map_err(|_| unreadable)?;
            let mut value = text(value.expose())?;
            value.set_sensitive(true);
            headers.insert(
                HeaderName::from_bytes(header.name.as_bytes()).map_err(|_| Failure("header"))?,
                value,
            );
        }
        Ok(headers)
    }
}

/// The client that pools this many connections an endpoint, and the one that pools none.
pub(super) fn clients(
    allow_private_targets: bool,
    extra_roots: Option<&Path>,
    idle_connections: usize,
) -> Result<(reqwest::Client, reqwest::Client), SenderError> {
    // Another part of the process may have installed it before; either way there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let roots = extra_roots.map(load_roots).transpose()?.unwrap_or_default();
    let client = |idle_connections| {
        reqwest::Client::builder()
            .user_agent(concat!("control-api/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .http1_only()
            .http1_max_headers(HEADER_LINE_CAP)
            .http1_ignore_invalid_headers_in_responses(true)
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .http1_allow_spaces_after_header_name_in_responses(true)
            .dns_resolver(Guard { allow_private_targets })
            .tls_certs_merge(roots.clone())
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(idle_connections)
            .build()
    };
    Ok((client(idle_connections)?, client(0)?))
}

/// Reads what is left of an answer within bounds, so that its connection can be used again; beyond
/// them it is closed.
pub(super) async fn discard_body(mut response: reqwest::Response) {
    let read = async {
        let mut len = 0;
        while let Ok(Some(chunk)) = response.chunk().await {
            len += chunk.len();
            if len > BODY_LEN_CAP {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(BODY_TIMEOUT, read).await;
}

/// `v1,` and the signature of id, time and body; `None` if the secret is not `whsec_` and base64.
pub(super) fn signature(secret: &str, id: &str, timestamp: u64, body: &str) -> Option<String> {
    let key = STANDARD.decode(secret.strip_prefix(SIGNING_SECRET_PREFIX)?).ok()?;
    let tag = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, &key),
        format!("{id}.{timestamp}.{body}").as_bytes(),
    );
    Some(format!("v1,{}", STANDARD.encode(tag)))
}

fn load_roots(path: &Path) -> Result<Vec<reqwest::Certificate>, SenderError> {
    let wrong =
        |reason: String| SenderError::ExtraRoots { path: path.display().to_string(), reason };
    let pem = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
    let roots =
        reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| wrong(error.to_string()))?;
    if roots.is_empty() { Err(wrong("no PEM certificate in it".to_owned())) } else { Ok(roots) }
}

/// Finds the word for a failure by what lies at its ground.
fn failure(error: &reqwest::Error) -> Failure {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(word) = word(error) {
            return Failure(word);
        }
        cause = error.source();
    }
    Failure(if error.is_timeout() { "timeout" } else { "failed" })
}

fn word(error: &(dyn Error + 'static)) -> Option<&'static str> {
    use std::io::ErrorKind;
    if let Some(error) = error.downcast_ref::<ResolveError>() {
        return Some(match error {
            ResolveError::Dns => "dns",
            ResolveError::Blocked => "blocked_address",
        });
    }
    if error.is::<rustls::Error>() {
        return Some("tls");
    }
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        return if error.is_incomplete_message() {
            Some("reset")
        } else {
            error.is_parse().then_some("malformed_response")
        };
    }
    let error = error.downcast_ref::<std::io::Error>()?;
    // `source` of such an error skips what it wraps.
    if let Some(word) = error.get_ref().and_then(|inner| word(inner)) {
        return Some(word);
    }
    match error.kind() {
        ErrorKind::ConnectionRefused => Some("refused"),
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof => Some("reset"),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable | ErrorKind::NetworkDown => {
            Some("unreachable")
        }
        ErrorKind::TimedOut => Some("timeout"),
        _ => None,
    }
}

/// Resolves names, and hides every address that is not public: what a name meant when it was
/// configured does not bind it later.
struct Guard {
    allow_private_targets: bool,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum ResolveError {
    #[error("the name has no address")]
    Dns,
    #[error("the name leads into a private network")]
    Blocked,
}

impl Guard {
    async fn addresses(
        name: String,
        allow_private_targets: bool,
    ) -> Result<Vec<SocketAddr>, ResolveError> {
        let mut addresses: Vec<_> =
            tokio::net::lookup_host((name, 0)).await.map_err(|_| ResolveError::Dns)?.collect();
        if addresses.is_empty() {
            return Err(ResolveError::Dns);
        }
        addresses.retain(|address| allow_private_targets || !target::is_private(address.ip()));
        if addresses.is_empty() { Err(ResolveError::Blocked) } else { Ok(addresses) }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let lookup = Self::addresses(name.as_str().to_owned(), self.allow_private_targets);
        Box::pin(async move { Ok(Box::new(lookup.await?.into_iter()) as Addrs) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Test vector of the Standard Webhooks reference implementations.
    #[test]
    fn signs_as_standard_webhooks() {
        let signed = signature(
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(signed.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
        assert_eq!(signature("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "id", 1, ""), None);
        assert_eq!(signature("whsec_*", "id", 1, ""), None);
    }

    // S22
    #[tokio::test]
    async fn names_that_lead_inside_are_blocked_when_they_resolve() {
        assert_eq!(Guard::addresses("localhost".into(), false).await, Err(ResolveError::Blocked));
        assert!(Guard::addresses("localhost".into(), true).await.is_ok());
    }
}
