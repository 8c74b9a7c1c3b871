//! Trunks. Each answer shows what travels unprotected.

use super::table::{joined, or_dash, settings, table, yes_no};
use super::{CliError, Session, given, secret_from};
use crate::admin::trunk::{NumberForm, TrunkStateView, TrunkView};
use call_words::MediaProfile;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use std::path::PathBuf;

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum TransportArg {
    Udp,
    Tcp,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum MediaArg {
    /// Plain RTP
    Rtp,
    /// SRTP with keys in SDP
    SdesSrtp,
}

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
    /// Host name or address
    #[arg(long)]
    host: Option<String>,
    #[arg(long)]
    port: Option<u16>,
    #[arg(long)]
    transport: Option<TransportArg>,
    #[arg(long)]
    media: Option<MediaArg>,
    /// Consent to SIP or audio without encryption
    #[arg(long)]
    allow_plaintext: Option<bool>,
    /// e164-plus (+9198…), e164 (9198…), national0 (098…) or prefix:TEXT (TEXT9198…)
    #[arg(long)]
    number_format: Option<String>,
    #[arg(long)]
    username: Option<String>,
    /// File with the password; an empty one removes it
    #[arg(long)]
    password_file: Option<PathBuf>,
    /// Calls at once, 1-100000
    #[arg(long)]
    max_calls: Option<u32>,
    /// Network that the carrier's SIP comes from besides its host's addresses; may be repeated; ''
    /// for none
    #[arg(long = "signal-from", value_name = "CIDR")]
    signal_from: Vec<String>,
    /// Network that the carrier's audio comes from besides the addresses that it names; may be
    /// repeated; '' for none
    #[arg(long = "media-from", value_name = "CIDR")]
    media_from: Vec<String>,
    /// Seconds for which each shard registers with the carrier, 30-86400; 0 for none
    #[arg(long)]
    register_s: Option<u32>,
    /// Seconds between two OPTIONS that ask whether the carrier is there, 5-3600; 0 for none
    #[arg(long)]
    probe_interval_s: Option<u32>,
    /// The lower is tried first, 0-65535
    #[arg(long)]
    priority: Option<u32>,
    /// Share of the calls among trunks of the same priority, 0-65535
    #[arg(long)]
    weight: Option<u32>,
    /// Beginning of the numbers that it serves, such as +91; may be repeated; '' for all
    #[arg(long = "prefix", value_name = "E164")]
    prefixes: Vec<String>,
    /// Calls that may start in a second, 1-10000; 0 for any number
    #[arg(long)]
    max_calls_per_s: Option<u32>,
    /// Whether a redirection is followed, to the carrier's own host and --signal-from alone
    #[arg(long)]
    follows_redirects: Option<bool>,
    /// DNS says where it is, by NAPTR and SRV records of the host; the port counts for nothing then
    #[arg(long)]
    srv: Option<bool>,
}

/// The API's form of `e164-plus` and its like; underscores are taken, too.
fn format_from(text: &str) -> Result<Value, CliError> {
    match (text.replace('-', "_").as_str(), text.strip_prefix("prefix:")) {
        (_, Some(prefix)) => Ok(json!({ "prefix": prefix })),
        (word @ ("e164_plus" | "e164" | "national0"), None) => Ok(word.into()),
        _ => Err(CliError::NumberFormat(text.to_owned())),
    }
}

impl TrunkArgs {
    fn body(&self) -> Result<Value, CliError> {
        let transport = self.transport.map(|transport| match transport {
            TransportArg::Udp => "udp".into(),
            TransportArg::Tcp => "tcp".into(),
        });
        let media = self.media.map(|media| match media {
            MediaArg::Rtp => "rtp".into(),
            MediaArg::SdesSrtp => "sdes_srtp".into(),
        });
        let number_format = self.number_format.as_deref().map(format_from).transpose()?;
        Ok(given([
            ("host", self.host.clone().map(Value::from)),
            ("port", self.port.map(Value::from)),
            ("transport", transport),
            ("media", media),
            ("allow_plaintext", self.allow_plaintext.map(Value::from)),
            ("number_format", number_format),
            ("username", self.username.clone().map(Value::from)),
            ("password", self.password_file.as_deref().map(secret_from).transpose()?),
            ("max_calls", self.max_calls.map(Value::from)),
            ("signal_from", list(&self.signal_from)),
            ("media_from", list(&self.media_from)),
            ("register_s", self.register_s.map(Value::from)),
            ("probe_interval_s", self.probe_interval_s.map(Value::from)),
            ("priority", self.priority.map(Value::from)),
            ("weight", self.weight.map(Value::from)),
            ("prefixes", list(&self.prefixes)),
            ("max_calls_per_s", self.max_calls_per_s.map(Value::from)),
            ("follows_redirects", self.follows_redirects.map(Value::from)),
            ("srv", self.srv.map(Value::from)),
        ]))
    }
}

/// The items that were given; an empty text is none.
fn list(given: &[String]) -> Option<Value> {
    let items: Vec<&String> = given.iter().filter(|item| !item.is_empty()).collect();
    (!given.is_empty()).then(|| json!(items))
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
                let trunk: TrunkView =
                    session.client.put(&["trunks", &args.trunk], &args.body()?).await?;
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

/// A setting of which 0 means none.
fn or_none(value: u32, unit: &str) -> String {
    if value == 0 { "-".into() } else { format!("{value} {unit}") }
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
    let parts: Vec<String> =
        [registered, fault, reachable, avoided].into_iter().flatten().collect();
    format!("{}/{}: {}", state.edge, state.shard, parts.join("; "))
}

fn trunk_text(trunk: &TrunkView) -> String {
    let text = settings(vec![
        ("id", trunk.id.clone()),
        ("address", address(trunk)),
        ("media", media(trunk)),
        ("plaintext allowed", yes_no(trunk.allow_plaintext)),
        ("numbers", number_format(trunk)),
        ("username", or_dash(trunk.username.as_deref())),
        ("password set", yes_no(trunk.has_password)),
        ("calls at once", trunk.max_calls.to_string()),
        ("SIP also from", joined(&trunk.signal_from)),
        ("audio also from", joined(&trunk.media_from)),
        ("registered for", or_none(trunk.register_s, "s")),
        ("asked every", or_none(trunk.probe_interval_s, "s")),
        ("priority", trunk.priority.to_string()),
        ("weight", trunk.weight.to_string()),
        ("serves", if trunk.prefixes.is_empty() { "all".into() } else { joined(&trunk.prefixes) }),
        ("new calls", or_none(trunk.max_calls_per_s, "per second")),
        ("follows redirects", yes_no(trunk.follows_redirects)),
    ]);
    let warnings = trunk.warnings.iter().map(|warning| format!("\nwarning: {warning}"));
    let states = trunk.state.iter().map(|state| format!("\n{}", state_text(state)));
    std::iter::once(text).chain(warnings).chain(states).collect()
}
