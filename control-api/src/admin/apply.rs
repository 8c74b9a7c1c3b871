//! The declarative file, applied idempotently: what it names is created or changed, what it does
//! not name stays as it is. All of it is checked before the first write. Reading the file and its
//! references to secrets is the CLI's.

mod difference;
mod entry;
mod plan;

pub use difference::Difference;

use super::account::AccountSettings;
use super::callback::CallbackInput;
use super::desk::{Admin, blocking, conflict};
use super::field::Refusals;
use super::key::Class;
use super::trunk::TrunkSettings;
use crate::hold_audio;
use crate::http::extract::{QueryParams, Uncollected, broken_body, collect};
use crate::problem::{Problem, ProblemDetails};
use crate::secret::Secret;
use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};

/// Longest document: some ten thousand agents and numbers, and ten of the longest files of hold
/// audio.
const MAX_DOCUMENT_LEN: usize = 36 << 20;
/// Time in which a client has to send the whole document.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The file's content.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Declaration {
    /// Trunks by id.
    pub trunks: Option<BTreeMap<String, TrunkSettings>>,
    /// Accounts by id.
    pub accounts: Option<BTreeMap<String, AccountEntry>>,
}

/// An account with all that belongs to it, beside each other in one object. Settings left out keep
/// their value.
#[derive(Debug, Default)]
pub struct AccountEntry {
    pub settings: AccountSettings,
    pub belongings: Belongings,
}

/// What belongs to an account.
#[derive(Debug, Default, ToSchema)]
pub struct Belongings {
    /// The WAV file that parties on hold hear, in base64.
    #[schema(content_encoding = "base64", content_media_type = "audio/wav")]
    pub hold_audio: Option<String>,
    /// Caller IDs to assign, in any form.
    pub numbers: Option<Vec<String>>,
    /// Agents to register: ID and display name.
    pub agents: Option<BTreeMap<String, String>>,
    /// Keys by name; each is made once and then kept.
    pub keys: Option<BTreeMap<String, KeyEntry>>,
    pub callback: Option<CallbackInput>,
}

/// A key as a declaration has it, under its name.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyEntry {
    pub class: Class,
    pub cidrs: Option<Vec<String>>,
    /// Whether the key may add supervisors to calls. Default false.
    pub supervise: Option<bool>,
    /// The key itself, at least 24 characters. Default: one is made and told once.
    #[schema(value_type = Option<String>)]
    pub value: Option<Secret>,
}

/// What became of one thing that the file names.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Change {
    pub kind: Kind,
    /// Its id; for what belongs to an account, after the account's and a slash.
    #[schema(example = "demo/agent.017")]
    pub id: String,
    pub outcome: Outcome,
    /// The settings that changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<Difference>,
    /// What an operator should know of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// What a declaration has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Trunk,
    Account,
    Callback,
    Number,
    Agent,
    Key,
}

/// What a declaration has done with one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Created,
    Changed,
    Unchanged,
}

/// A secret that was just made, told only in this answer.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct MadeSecret {
    pub kind: Kind,
    #[schema(example = "demo/backend")]
    pub id: String,
    pub secret: String,
}

/// What a declaration has done, or would do.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Applied {
    /// False for a dry run, which writes nothing.
    pub written: bool,
    pub changes: Vec<Change>,
    /// Keys and signing secrets that were made; empty in a dry run.
    pub secrets: Vec<MadeSecret>,
}

/// Whether a declaration is only tried.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct Mode {
    /// Check and compare only; write nothing. Default false.
    pub dry_run: bool,
}

/// Applies a declaration: the TOML file as JSON, with its secrets in place.
#[utoipa::path(operation_id = "apply_declaration", post, path = "/admin/apply", tag = "onboarding",
    params(Mode), request_body = Declaration,
    responses((status = 200, body = Applied), (status = 409, body = ProblemDetails),
        (status = 413, body = ProblemDetails),
    (status = 422, body = ProblemDetails)))]
pub async fn apply(
    State(admin): State<Arc<Admin>>,
    QueryParams(mode): QueryParams<Mode>,
    request: Request,
) -> Result<Json<Applied>, Problem> {
    let collected =
        tokio::time::timeout(BODY_TIMEOUT, collect(request.into_body(), MAX_DOCUMENT_LEN)).await;
    let timeout = |_| {
        Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "body_timeout",
            format!("the document did not arrive within {} s", BODY_TIMEOUT.as_secs()),
        )
    };
    let bytes = collected.map_err(timeout)?.map_err(|refusal| match refusal {
        Uncollected::TooLong => {
            let detail = format!("the document is longer than {MAX_DOCUMENT_LEN} bytes");
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", detail)
        }
        Uncollected::Broken => broken_body(),
    })?;
    let declaration = read(&bytes)?;
    blocking(&admin, move |admin| run(admin, declaration, mode)).await.map(Json)
}

fn read(bytes: &[u8]) -> Result<Declaration, Problem> {
    let value: serde_json::Value = serde_json::from_slice(bytes).map_err(|error| {
        Problem::bad_request("malformed_json", format!("the body is not JSON: {error}"))
    })?;
    serde_path_to_error::deserialize(value).map_err(|error| {
        let mut refusals = Refusals::default();
        refusals.add(&error.path().to_string(), error.inner().to_string());
        refusals.finish().expect_err("one setting was refused")
    })
}

fn run(admin: &Admin, declaration: Declaration, mode: Mode) -> Result<Applied, Problem> {
    let _held = admin.change();
    let mut refusals = Refusals::default();
    let plan = plan::Plan::of(admin, declaration, &mut refusals)?;
    refusals.finish()?;
    if mode.dry_run {
        return Ok(Applied { written: false, changes: plan.changes, secrets: Vec::new() });
    }
    let folder = &admin.app.config.hold_audio.folder;
    for new in &plan.hold_audio {
        hold_audio::write(folder, &new.file_name, &new.file)
            .map_err(|error| Problem::internal(&error))?;
    }
    for write in &plan.writes {
        write.commit(admin.store()).map_err(conflict)?;
    }
    admin.app.trunk_changes.notify_one();
    for replaced in plan.hold_audio.iter().filter_map(|new| new.replaced.as_ref()) {
        hold_audio::remove(folder, replaced);
    }
    Ok(Applied { written: true, changes: plan.changes, secrets: plan.secrets })
}

#[cfg(test)]
mod tests;
