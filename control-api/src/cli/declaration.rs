//! `apply FILE`: reads the declarative file, puts secrets in from the environment or from files and
//! hold audio from its files, and shows what the API made of it.

use super::{CliError, Session};
use crate::admin::apply::{Applied, Change, Kind, Outcome};
use crate::hold_audio;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::Value;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// TOML file; example-account.toml shows every key
    file: PathBuf,
    /// Check and compare only; change nothing
    #[arg(long)]
    dry_run: bool,
}

impl ApplyArgs {
    /// With something missing nothing is written; what else is wrong is asked of the API all the
    /// same, so that all of it is told at once.
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<(), CliError> {
        let (declaration, missing) = load(&self.file)?;
        let mode = ("dry_run", if self.dry_run || !missing.is_empty() { "true" } else { "false" });
        let answer: Result<Applied, CliError> =
            session.client.post_with_query(&["apply"], mode, &declaration).await;
        if missing.is_empty() {
            return session.show(&answer?, text);
        }
        let refused = match answer {
            Ok(_) => Vec::new(),
            Err(CliError::Refused(problem)) if !problem.errors.is_empty() => {
                let others = problem
                    .errors
                    .iter()
                    .filter(|error| missing.iter().all(|missing| missing.setting != error.field));
                others.map(|error| format!("{}: {}", error.field, error.detail)).collect()
            }
            Err(other) => vec![other.to_string()],
        };
        Err(CliError::Problems(
            missing.into_iter().map(|missing| missing.problem.to_string()).chain(refused).collect(),
        ))
    }
}

/// A setting whose value is not at hand.
struct Missing {
    setting: String,
    problem: CliError,
}

/// The file as JSON with every `{ env = … }`, `{ file = … }` and `hold_audio` replaced by what it
/// names, and what could not be. Paths are relative to the file.
fn load(path: &Path) -> Result<(Value, Vec<Missing>), CliError> {
    let content = |reason: String| CliError::Content { path: path.display().to_string(), reason };
    let text = std::fs::read_to_string(path)
        .map_err(|error| CliError::File { path: path.display().to_string(), error })?;
    let table: toml::Table = text
        .parse()
        .map_err(|error: toml::de::Error| content(error.to_string().trim_end().to_owned()))?;
    let mut value = serde_json::to_value(table).map_err(|error| content(error.to_string()))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut missing = Vec::new();
    for (id, account) in
        value.get_mut("accounts").and_then(Value::as_object_mut).into_iter().flatten()
    {
        if let Some(Value::String(name)) = account.get("hold_audio") {
            let setting = format!("accounts.{id}.hold_audio");
            account["hold_audio"] = match hold_audio(&setting, &folder.join(name)) {
                Ok(encoded) => encoded.into(),
                Err(problem) => {
                    missing.push(Missing { setting, problem });
                    Value::Null
                }
            };
        }
    }
    resolve(&mut value, folder, "", &mut missing);
    Ok((value, missing))
}

/// A file in base64. It is checked here already, for the API does not know its path.
fn hold_audio(key: &str, path: &Path) -> Result<String, CliError> {
    let refused = |reason: String| CliError::HoldAudio {
        key: key.to_owned(),
        path: path.display().to_string(),
        reason,
    };
    let file = std::fs::read(path).map_err(|error| refused(error.to_string()))?;
    hold_audio::check(&file).map_err(|refusal| refused(refusal.to_string()))?;
    Ok(STANDARD.encode(file))
}

fn resolve(value: &mut Value, folder: &Path, setting: &str, missing: &mut Vec<Missing>) {
    let inner =
        |name: &str| if setting.is_empty() { name.to_owned() } else { format!("{setting}.{name}") };
    match reference(value, folder, setting) {
        Some(Ok(secret)) => *value = secret.into(),
        Some(Err(problem)) => {
            // Stands for the secret while the rest is checked.
            *value = format!(
                "whsec_{}",
                STANDARD.encode(format!("missing secret {:017}", missing.len()))
            )
            .into();
            missing.push(Missing { setting: setting.to_owned(), problem });
        }
        None => match value {
            Value::Object(entries) => entries
                .iter_mut()
                .for_each(|(name, entry)| resolve(entry, folder, &inner(name), missing)),
            Value::Array(items) => {
                items.iter_mut().for_each(|item| resolve(item, folder, setting, missing))
            }
            _ => {}
        },
    }
}

/// The secret that a table of exactly one key `env` or `file` stands for; `None` if it is no such
/// table.
fn reference(value: &Value, folder: &Path, setting: &str) -> Option<Result<String, CliError>> {
    let (kind, name) = value
        .as_object()
        .filter(|entries| entries.len() == 1)
        .and_then(|entries| entries.iter().next())?;
    let setting = setting.to_owned();
    match (kind.as_str(), name) {
        ("env", Value::String(name)) => Some(
            std::env::var(name).map_err(|_| CliError::NoVariable { setting, name: name.clone() }),
        ),
        ("file", Value::String(name)) => {
            let path = folder.join(name);
            let text = std::fs::read_to_string(&path);
            let secret = text.map(|text| text.trim_end_matches(['\r', '\n']).to_owned());
            Some(secret.map_err(|error| CliError::SecretFile {
                setting,
                path: path.display().to_string(),
                error,
            }))
        }
        _ => None,
    }
}

fn text(applied: &Applied) -> String {
    let mut lines: Vec<String> = applied.changes.iter().flat_map(change_lines).collect();
    let count = |outcome| applied.changes.iter().filter(|change| change.outcome == outcome).count();
    let (created, changed) = (count(Outcome::Created), count(Outcome::Changed));
    let summary =
        format!("{created} created, {changed} changed, {} unchanged", count(Outcome::Unchanged));
    lines.push(if applied.written {
        summary
    } else {
        format!("dry run, nothing written: {summary}")
    });
    for made in &applied.secrets {
        let what = if made.kind == Kind::Key { "key" } else { "signing secret" };
        lines.push(format!("{what} of {} (shown only now): {}", made.id, made.secret));
    }
    lines.join("\n")
}

fn change_lines(change: &Change) -> Vec<String> {
    let kind = match change.kind {
        Kind::Trunk => "trunk",
        Kind::Account => "account",
        Kind::Callback => "callback",
        Kind::Number => "number",
        Kind::Agent => "agent",
        Kind::Key => "key",
    };
    let outcome = match change.outcome {
        Outcome::Created => "created",
        Outcome::Changed => "changed",
        Outcome::Unchanged => "unchanged",
    };
    let mut lines = vec![format!("{outcome:<9}  {kind:<8}  {}", change.id)];
    for difference in &change.differences {
        lines.push(match (&difference.from, &difference.to) {
            (Value::Null, Value::Null) => format!("             {}", difference.setting),
            (from, to) => format!("             {}: {from} -> {to}", difference.setting),
        });
    }
    lines.extend(change.warnings.iter().map(|warning| format!("             warning: {warning}")));
    lines
}
