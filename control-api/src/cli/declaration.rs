//! `apply FILE`: reads the declarative file, puts secrets in from the environment or from files and hold audio from its files, and shows
//! what the API made of it.

use super::{CliError, Session};
use crate::apply::{Applied, Change, Kind, Outcome};
use crate::hold_audio;
use base64::{Engine, engine::general_purpose::STANDARD};
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
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<(), CliError> {
        let declaration = load(&self.file)?;
        let mode = ("dry_run", if self.dry_run { "true" } else { "false" });
        let applied: Applied = session.client.post_with_query(&["apply"], mode, &declaration).await?;
        session.show(&applied, text)
    }
}

/// The file as JSON with every `{ env = … }`, `{ file = … }` and `hold_audio` replaced by what it names. Paths are relative to the file.
fn load(path: &Path) -> Result<Value, CliError> {
    let content = |reason: String| CliError::Content { path: path.display().to_string(), reason };
    let text = std::fs::read_to_string(path).map_err(|error| CliError::File { path: path.display().to_string(), error })?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| content(error.to_string().trim_end().to_owned()))?;
    let mut value = serde_json::to_value(table).map_err(|error| content(error.to_string()))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    for (id, account) in value.get_mut("accounts").and_then(Value::as_object_mut).into_iter().flatten() {
        if let Some(Value::String(name)) = account.get("hold_audio") {
            account["hold_audio"] = hold_audio(&format!("accounts.{id}.hold_audio"), &folder.join(name))?.into();
        }
    }
    resolve(&mut value, folder)?;
    Ok(value)
}

/// A file in base64. It is checked here already, for the API does not know its path.
fn hold_audio(key: &str, path: &Path) -> Result<String, CliError> {
    let refused = |reason: String| CliError::HoldAudio { key: key.to_owned(), path: path.display().to_string(), reason };
    let file = std::fs::read(path).map_err(|error| refused(error.to_string()))?;
    hold_audio::check(&file).map_err(|refusal| refused(refusal.to_string()))?;
    Ok(STANDARD.encode(file))
}

fn resolve(value: &mut Value, folder: &Path) -> Result<(), CliError> {
    if let Some(secret) = reference(value, folder)? {
        *value = secret.into();
        return Ok(());
    }
    match value {
        Value::Object(entries) => entries.values_mut().try_for_each(|entry| resolve(entry, folder)),
        Value::Array(items) => items.iter_mut().try_for_each(|item| resolve(item, folder)),
        _ => Ok(()),
    }
}

/// The secret that a table of exactly one key `env` or `file` stands for.
fn reference(value: &Value, folder: &Path) -> Result<Option<String>, CliError> {
    let Some(entry) = value.as_object().filter(|entries| entries.len() == 1).and_then(|entries| entries.iter().next()) else {
        return Ok(None);
    };
    match (entry.0.as_str(), entry.1) {
        ("env", Value::String(name)) => std::env::var(name).map(Some).map_err(|_| CliError::NoVariable(name.clone())),
        ("file", Value::String(name)) => {
            let path = folder.join(name);
            let text =
                std::fs::read_to_string(&path).map_err(|error| CliError::File { path: path.display().to_string(), error })?;
            Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
        }
        _ => Ok(None),
    }
}

fn text(applied: &Applied) -> String {
    let mut lines: Vec<String> = applied.changes.iter().flat_map(change_lines).collect();
    let count = |outcome| applied.changes.iter().filter(|change| change.outcome == outcome).count();
    let (created, changed) = (count(Outcome::Created), count(Outcome::Changed));
    let summary = format!("{created} created, {changed} changed, {} unchanged", count(Outcome::Unchanged));
    lines.push(if applied.written { summary } else { format!("dry run, nothing written: {summary}") });
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
