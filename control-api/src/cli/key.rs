//! Keys, and the onboarding pack that carries them to the customer.

use super::table::{or_dash, table, yes_no};
use super::{CliError, Session, given, secret_from};
use crate::admin::key::{Class, KeyView, NewKey};
use crate::admin::pack::{ClearKeys, Pack};
use crate::secret::Secret;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};
use std::path::PathBuf;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ClassArg {
    /// Opens the launch link only; seen in browsers
    Browser,
    /// Opens the server-to-server API; stays in the customer's backend
    Server,
}

impl ClassArg {
    fn word(self) -> &'static str {
        match self {
            ClassArg::Browser => "browser",
            ClassArg::Server => "server",
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// List an account's keys
    List { account: String },
    /// Make a key and show it once
    Create {
        account: String,
        /// Names the key within its account
        name: String,
        #[arg(long)]
        class: ClassArg,
        /// Network from which a server key may be used; give it again for more. Without it: any
        #[arg(long = "cidr")]
        cidrs: Vec<String>,
        /// The key may add supervisors to calls
        #[arg(long)]
        supervise: bool,
        /// File with the key itself; without it one is made
        #[arg(long)]
        value_file: Option<PathBuf>,
    },
    /// Bind a key to networks; without any, the key may be used from everywhere
    Cidrs { account: String, name: String, cidrs: Vec<String> },
    /// Say whether a server key may add supervisors to calls
    Supervise {
        account: String,
        name: String,
        #[arg(action = clap::ArgAction::Set)]
        allowed: bool,
    },
    /// Make a key's successor and show it once; the old key works on for the overlap
    Rotate {
        account: String,
        name: String,
        /// Seconds for which the old key still works, 0-2592000
        #[arg(long)]
        overlap_s: Option<u64>,
    },
    /// Revoke a key and its predecessors
    Revoke { account: String, name: String },
}

impl KeyCommand {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<(), CliError> {
        match self {
            KeyCommand::List { account } => {
                let keys: Vec<KeyView> =
                    session.client.read(&["accounts", &account, "keys"]).await?;
                session.show(&keys, |keys| keys_text(keys))
            }
            KeyCommand::Create { account, name, class, cidrs, supervise, value_file } => {
                let body = given([
                    ("name", Some(name.into())),
                    ("class", Some(class.word().into())),
                    ("cidrs", Some(cidrs.into())),
                    ("supervise", supervise.then_some(true.into())),
                    ("value", value_file.as_deref().map(secret_from).transpose()?),
                ]);
                let key: NewKey =
                    session.client.post(&["accounts", &account, "keys"], &body).await?;
                session.show(&key, new_key_text)
            }
            KeyCommand::Cidrs { account, name, cidrs } => {
                let body = json!({ "cidrs": cidrs });
                let keys: Vec<KeyView> =
                    session.client.patch(&["accounts", &account, "keys", &name], &body).await?;
                session.show(&keys, |keys| keys_text(keys))
            }
            KeyCommand::Supervise { account, name, allowed } => {
                let body = json!({ "supervise": allowed });
                let keys: Vec<KeyView> =
                    session.client.patch(&["accounts", &account, "keys", &name], &body).await?;
                session.show(&keys, |keys| keys_text(keys))
            }
            KeyCommand::Rotate { account, name, overlap_s } => {
                let body = given([("overlap_s", overlap_s.map(Value::from))]);
                let key: NewKey = session
                    .client
                    .post(&["accounts", &account, "keys", &name, "rotate"], &body)
                    .await?;
                session.show(&key, new_key_text)
            }
            KeyCommand::Revoke { account, name } => {
                session.client.delete(&["accounts", &account, "keys", &name]).await?;
                session.done(format!("revoked key {name}"))
            }
        }
    }
}

fn new_key_text(key: &NewKey) -> String {
    format!(
        "{}\n\nkey (shown only now): {}",
        keys_text(std::slice::from_ref(&key.key)),
        key.clear_key
    )
}

fn keys_text(keys: &[KeyView]) -> String {
    let row = |key: &KeyView| {
        [
            key.id.clone(),
            if key.class == Class::Browser { "browser" } else { "server" }.to_owned(),
            format!("{}…", key.prefix),
            at(key.created_ms),
            or_dash(key.expires_ms.map(at).as_deref()),
            if key.cidrs.is_empty() { "any".into() } else { key.cidrs.join(", ") },
            yes_no(key.supervise),
        ]
    };
    table(
        ["ID", "CLASS", "BEGINS WITH", "CREATED", "EXPIRES", "NETWORKS", "SUPERVISES"],
        keys.iter().map(row).collect(),
    )
}

fn at(unix_ms: u64) -> String {
    let time = i64::try_from(unix_ms / 1000)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_else(|| unix_ms.to_string())
}

/// Everything that a customer's administrator and developer need, ready to send.
#[derive(Debug, Args)]
pub struct PackArgs {
    account: String,
    /// Make a browser key and a server key of this name and put them into the pack
    #[arg(long, value_name = "NAME")]
    create_keys: Option<String>,
}

impl PackArgs {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<(), CliError> {
        let mut clear = ClearKeys::default();
        if let Some(name) = &self.create_keys {
            clear.browser = Some(self.create(session, format!("{name}-browser"), "browser").await?);
            clear.server = Some(self.create(session, format!("{name}-server"), "server").await?);
        }
        let pack: Pack = session.client.read(&["accounts", &self.account, "pack"]).await?;
        if session.json {
            let mut answer = serde_json::to_value(&pack).expect("answers are plain data");
            answer["text"] = pack.text(&clear).into();
            return session.show(&answer, |_| String::new());
        }
        session.show(&pack, |pack| pack.text(&clear))
    }

    async fn create(
        &self,
        session: &Session<'_>,
        name: String,
        class: &str,
    ) -> Result<Secret, CliError> {
        let body = json!({ "name": name, "class": class });
        let key: NewKey = session.client.post(&["accounts", &self.account, "keys"], &body).await?;
        Ok(Secret::new(key.clear_key))
    }
}
