//! One HTTP client for the admin API: token, path segments, problems told as they are.

use crate::problem::ProblemDetails;
use reqwest::{Certificate, Method, Url, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;
use std::time::Duration;

/// A large apply takes a synced write for each record.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Why a command of `admin` failed, and with which status it ends.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    #[error("--url {url}: {reason}; allowed is http://host:port or https://host:port")]
    Url { url: String, reason: String },
    #[error("{path}: {error}")]
    File { path: String, error: std::io::Error },
    #[error(
        "{path}: {error}; the token is in the file that admin.token_file of the running process \
            names: give it with --token-file or \
         CONTROL_API_ADMIN_TOKEN_FILE"
    )]
    Token { path: String, error: std::io::Error },
    #[error("{path}: {reason}")]
    Content { path: String, reason: String },
    #[error(
        "{key}: {path}: {reason} (a WAV file: one channel, 8 or 16 kHz, 16-bit PCM, A-law or \
            µ-law, up to 120 s and 2 MB)"
    )]
    HoldAudio { key: String, path: String, reason: String },
    #[error("{setting}: the variable {name} is not set")]
    NoVariable { setting: String, name: String },
    #[error("{setting}: {path}: {error}")]
    SecretFile { setting: String, path: String, error: std::io::Error },
    #[error("{}", .0.join("\n"))]
    Problems(Vec<String>),
    #[error("the admin API cannot be reached at {url}: {reason}")]
    Unreachable { url: String, reason: String },
    #[error("{}", refusal(.0))]
    Refused(Box<ProblemDetails>),
    #[error(
        "the admin API answered {status} with something that is not its own: is this its address?"
    )]
    Foreign { status: u16 },
    #[error("{0}")]
    Output(std::io::Error),
}

impl CliError {
    /// For programs: the API's own problem, or the sentence as its `detail`.
    pub fn json(&self) -> String {
        let text = match self {
            Self::Refused(problem) => serde_json::to_string_pretty(problem),
            other => {
                serde_json::to_string_pretty(&serde_json::json!({ "detail": other.to_string() }))
            }
        };
        text.expect("problems are plain data")
    }
}

/// The problem's sentence, then each refused field if there are several.
fn refusal(problem: &ProblemDetails) -> String {
    let mut text = format!("{} {}: {}", problem.status, problem.code, problem.detail);
    if problem.errors.len() > 1 {
        for error in &problem.errors {
            text.push_str(&format!("\n  {}: {}", error.field, error.detail));
        }
    }
    text
}

/// The operators' API over HTTP.
pub struct Client {
    http: reqwest::Client,
    base: Url,
    token: String,
}

impl Client {
    /// With the token of this file; `ca` is trusted besides the system's authorities.
    pub fn open(url: &str, token_file: &Path, ca: Option<&Path>) -> Result<Self, CliError> {
        let wrong = |reason: String| CliError::Url { url: url.to_owned(), reason };
        let base = Url::parse(url).map_err(|error| wrong(error.to_string()))?;
        if !matches!(base.scheme(), "http" | "https") || base.cannot_be_a_base() {
            return Err(wrong("not an HTTP address".into()));
        }
        let token = std::fs::read_to_string(token_file)
            .map_err(|error| CliError::Token { path: token_file.display().to_string(), error })?;
        // Fails only if a provider is installed already, which then serves as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none());
        if let Some(ca) = ca {
            let content =
                |reason: String| CliError::Content { path: ca.display().to_string(), reason };
            let roots = Certificate::from_pem_bundle(read(ca)?.as_bytes())
                .map_err(|error| content(error.to_string()))?;
            builder = builder.tls_certs_only(roots);
        } else if base.scheme() == "http" {
            // No certificate is looked at, so the system's need not be there.
            builder = builder.tls_certs_only([]);
        }
        let http = builder.build().map_err(|error| wrong(error.to_string()))?;
        Ok(Self { http, base, token: token.trim().to_owned() })
    }

    /// Reads what is at a path.
    pub async fn read<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, CliError> {
        self.answer(self.request(Method::GET, path)).await
    }

    /// Puts JSON at a path.
    pub async fn put<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, CliError> {
        self.answer(self.request(Method::PUT, path).json(body)).await
    }

    /// Puts at a path what needs no body and has no answer.
    pub async fn put_nothing(
        &self,
        path: &[&str],
        query: &[(&str, Option<String>)],
    ) -> Result<(), CliError> {
        self.bytes(self.with_query(Method::PUT, path, query)).await.map(drop)
    }

    /// Reads the file that is at a path.
    pub async fn file(&self, path: &[&str]) -> Result<bytes::Bytes, CliError> {
        Ok(self.bytes(self.request(Method::GET, path)).await?.1)
    }

    /// Posts JSON to a path.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, CliError> {
        self.answer(self.request(Method::POST, path).json(body)).await
    }

    /// Posts JSON to a path with a query.
    pub async fn post_with_query<T: DeserializeOwned>(
        &self,
        path: &[&str],
        (name, value): (&str, &str),
        body: &impl Serialize,
    ) -> Result<T, CliError> {
        let mut url = self.url(path);
        url.query_pairs_mut().append_pair(name, value);
        self.answer(self.authorized(Method::POST, url).json(body)).await
    }

    /// Changes what is at a path.
    pub async fn patch<T: DeserializeOwned>(
        &self,
        path: &[&str],
        body: &impl Serialize,
    ) -> Result<T, CliError> {
        self.answer(self.request(Method::PATCH, path).json(body)).await
    }

    /// Puts a file's bytes at a path.
    pub async fn put_file<T: DeserializeOwned>(
        &self,
        path: &[&str],
        file: Vec<u8>,
        kind: &'static str,
    ) -> Result<T, CliError> {
        self.answer(self.request(Method::PUT, path).header(header::CONTENT_TYPE, kind).body(file))
            .await
    }

    /// Removes something that the answer shows as it is then.
    pub async fn delete_from<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, CliError> {
        self.answer(self.request(Method::DELETE, path)).await
    }

    /// Removes what is at a path.
    pub async fn delete(&self, path: &[&str]) -> Result<(), CliError> {
        self.bytes(self.request(Method::DELETE, path)).await.map(drop)
    }

    /// The same of something that may be in use.
    pub async fn delete_confirmed(&self, path: &[&str], confirm: bool) -> Result<(), CliError> {
        self.bytes(self.with_query(
            Method::DELETE,
            path,
            &[("confirm", confirm.then(|| "true".into()))],
        ))
        .await
        .map(drop)
    }

    /// Reads what is at a path with a query.
    pub async fn read_with_query<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, Option<String>)],
    ) -> Result<T, CliError> {
        self.answer(self.with_query(Method::GET, path, query)).await
    }

    /// Removes what is at a path, as the query says.
    pub async fn delete_with_query<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &[(&str, Option<String>)],
    ) -> Result<T, CliError> {
        self.answer(self.with_query(Method::DELETE, path, query)).await
    }

    /// With the parameters that are given.
    fn with_query(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, Option<String>)],
    ) -> reqwest::RequestBuilder {
        let mut url = self.url(path);
        let given: Vec<_> =
            query.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?))).collect();
        if !given.is_empty() {
            url.query_pairs_mut().extend_pairs(given);
        }
        self.authorized(method, url)
    }

    /// The address of a resource: `/admin` and one segment each.
    fn url(&self, path: &[&str]) -> Url {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .expect("HTTP addresses have a path")
            .pop_if_empty()
            .push("admin")
            .extend(path);
        url
    }

    fn request(&self, method: Method, path: &[&str]) -> reqwest::RequestBuilder {
        self.authorized(method, self.url(path))
    }

    fn authorized(&self, method: Method, url: Url) -> reqwest::RequestBuilder {
        self.http
            .request(method, url)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
    }

    async fn answer<T: DeserializeOwned>(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<T, CliError> {
        let (status, body) = self.bytes(request).await?;
        serde_json::from_slice(&body).map_err(|_| CliError::Foreign { status })
    }

    async fn bytes(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<(u16, bytes::Bytes), CliError> {
        let unreachable = |error: reqwest::Error| {
            let reason = reason(self.base.scheme(), innermost(&error));
            CliError::Unreachable { url: self.base.to_string(), reason }
        };
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let body = response.bytes().await.map_err(unreachable)?;
        if status.is_success() {
            return Ok((status.as_u16(), body));
        }
        match serde_json::from_slice(&body) {
            Ok(problem) => Err(CliError::Refused(Box::new(problem))),
            Err(_) => Err(CliError::Foreign { status: status.as_u16() }),
        }
    }
}

fn read(path: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(path)
        .map_err(|error| CliError::File { path: path.display().to_string(), error })
}

/// What went wrong, and what to do about it where it is known.
fn reason(scheme: &str, reason: String) -> String {
    let advice = match scheme {
        "https" if reason.contains("InvalidContentType") => {
            "it speaks plain HTTP there: use http://"
        }
        "http" if reason.contains("invalid HTTP") => "it may speak TLS there: use https://",
        _ if reason.contains("refused") => {
            "--url or CONTROL_API_ADMIN_URL says where admin.listen of the running process is"
        }
        _ => return reason,
    };
    format!("{reason}; {advice}")
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
