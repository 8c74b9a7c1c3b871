//! Trunks. Each answer shows what travels unprotected.

use super::table::{listed, table};
use super::{CliError, Session, secret_from};
use crate::admin::trunk::{NumberForm, TrunkSettings, TrunkStateView, TrunkView};
use call_words::MediaProfile;
use clap::{Args, Subcommand};
use serde_json::Value;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum TrunkCommand {
    /// List all trunks
    List,
    /// Show a trunk
    Show { trunk: String },
    /// Create a trunk, or change the settings that are given
    Set(Box<TrunkArgs>),
    /// Remove a trunk that no account uses
    Remove { trunk: String },
}

#[derive(Debug, Args)]
pub struct TrunkArgs {
    trunk: String,
    /// A list's flag may be repeated; '' empties the list
    #[command(flatten)]
    settings: TrunkSettings,
    /// File with the password; an empty one removes it
    #[arg(long)]
    password_file: Option<PathBuf>,
}

impl TrunkArgs {
    fn body(self) -> Result<Value, CliError> {
        let Self { mut settings, password_file, .. } = self;
        for list in [&mut settings.signal_from, &mut settings.media_from, &mut settings.prefixes] {
            list.iter_mut().for_each(|items| items.retain(|item| !item.is_empty()));
        }
        let mut body = serde_json::to_value(settings).expect("settings are plain data");
        if let Some(file) = &password_file {
            body["password"] = secret_from(file)?;
        }
        Ok(body)
    }
}

impl TrunkCommand {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<(), CliError> {
        match self {
            TrunkCommand::List => {
                let trunks: Vec<TrunkView> = session.client.read(&["trunks"]).await?;
                session.show(&trunks, |trunks| list_text(trunks))
            }
            TrunkCommand::Show { trunk } => {
                let trunk: TrunkView = session.client.read(&["trunks", &trunk]).await?;
                session.show(&trunk, trunk_text)
            }
            TrunkCommand::Set(args) => {
                let path = ["trunks", &args.trunk.clone()];
                let trunk: TrunkView = session.client.put(&path, &args.body()?).await?;
                session.show(&trunk, trunk_text)
            }
            TrunkCommand::Remove { trunk } => {
                session.client.delete(&["trunks", &trunk]).await?;
                session.done(format!("removed trunk {trunk}"))
            }
        }
    }
}

fn address(trunk: &TrunkView) -> String {
    let host =
        if trunk.host.contains(':') { format!("[{}]", trunk.host) } else { trunk.host.clone() };
    let port = if trunk.srv { " (SRV)".to_owned() } else { format!(":{}", trunk.port) };
    format!("{}:{host}{port}", trunk.transport)
}

fn media(trunk: &TrunkView) -> String {
    match trunk.media {
        MediaProfile::Rtp => "rtp".into(),
        MediaProfile::SdesSrtp => "sdes-srtp".into(),
        MediaProfile::Osrtp => "osrtp".into(),
    }
}

fn number_format(trunk: &TrunkView) -> String {
    match &trunk.number_format {
        NumberForm::E164Plus => "e164-plus".into(),
        NumberForm::E164 => "e164".into(),
        NumberForm::National0 => "national0".into(),
        NumberForm::Prefix(prefix) => format!("prefix:{prefix}"),
    }
}

fn list_text(trunks: &[TrunkView]) -> String {
    let row = |trunk: &TrunkView| {
        [
            trunk.id.clone(),
            address(trunk),
            media(trunk),
            number_format(trunk),
            trunk.max_calls.to_string(),
            protection(trunk),
        ]
    };
    table(
        ["ID", "ADDRESS", "MEDIA", "NUMBERS", "CALLS", "PROTECTION"],
        trunks.iter().map(row).collect(),
    )
}

fn protection(trunk: &TrunkView) -> String {
    if trunk.warnings.is_empty() { "encrypted".into() } else { "WARNING: plaintext".into() }
}

/// How the trunk stands with one shard, on one line.
fn state_text(state: &TrunkStateView) -> String {
    let until = state.registered_until.as_deref().unwrap_or_default();
    let registered = state.registered.map(|is_registered| {
        if is_registered { format!("registered until {until}") } else { "not registered".into() }
    });
    let code = state.sip_code.map(|code| format!("{code} ")).unwrap_or_default();
    let fault = state.detail.as_ref().map(|detail| format!("last failure: {code}{detail}"));
    let reachable = state.reachable.map(|is_reachable| {
        if is_reachable { "answers OPTIONS".into() } else { "does not answer OPTIONS".to_owned() }
    });
    let avoided = state.breaker_open.then(|| "avoided: its last calls came to nothing".to_owned());
    let lacks_interface =
        state.lacks_interface.then(|| "no interface of the edge reaches it".to_owned());
    let parts: Vec<String> =
        [lacks_interface, registered, fault, reachable, avoided].into_iter().flatten().collect();
    format!("{}/{}: {}", state.edge, state.shard, parts.join("; "))
}

fn trunk_text(trunk: &TrunkView) -> String {
    let TrunkView { warnings, state, .. } = trunk;
    let mut shown = serde_json::to_value(trunk).expect("views are plain data");
    if let Value::Object(settings) = &mut shown {
        // They have lines of their own.
        settings.retain(|name, _| name != "warnings" && name != "state");
    }
    let warnings = warnings.iter().map(|warning| format!("\nwarning: {warning}"));
    let states = state.iter().map(|state| format!("\n{}", state_text(state)));
    std::iter::once(listed(&shown)).chain(warnings).chain(states).collect()
}
