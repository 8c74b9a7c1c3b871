//! Accounts and what is set with them: numbers, agents, callback.

use super::table::{joined, listed, or_dash, settings, table, yes_no};
use super::{CliError, Session, given, secret_from};
use crate::admin::account::{AccountSettings, AccountView, Removal};
use crate::admin::callback::{CallbackAnswer, CallbackView};
use crate::admin::identity::{AgentStatus, AgentView};
use crate::admin::trial::Trial;
use clap::{Args, Subcommand};
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// List all accounts
    List,
    /// Show an account
    Show { account: String },
    // Said as an attribute: what the shape of the settings says of itself is no help here.
    #[command(
        about = "Create an account, or change the settings that are given",
        long_about = None,
    )]
    Set(Box<AccountArgs>),
    /// Set what parties on hold hear: a WAV file, or the bundled tone again
    HoldAudio {
        account: String,
        /// Mono, 8 or 16 kHz, 16-bit PCM, A-law or µ-law, up to 120 s and 2 MB
        #[arg(required_unless_present = "remove", conflicts_with = "remove")]
        file: Option<PathBuf>,
        #[arg(long)]
        remove: bool,
    },
    /// Remove an account with all that it has: numbers, agents, keys, calls, recordings. Not while
    /// calls are live or results wait
    Remove {
        account: String,
        /// Only say what it has
        #[arg(long, conflicts_with = "yes")]
        dry_run: bool,
        /// Remove it, for ever
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub struct AccountArgs {
    account: String,
    #[command(flatten)]
    settings: AccountSettings,
    /// Dial numbers of the region's country only
    #[arg(long, conflicts_with = "countries")]
    own_country_only: bool,
    /// Push no events, only results
    #[arg(long, conflicts_with = "progress_events")]
    no_progress_events: bool,
}

impl AccountArgs {
    fn settings(self) -> AccountSettings {
        let Self { settings, own_country_only, no_progress_events, .. } = self;
        let none = |is_wanted: bool| is_wanted.then(Vec::new);
        AccountSettings {
            countries: settings.countries.or(none(own_country_only)),
            progress_events: settings.progress_events.or(none(no_progress_events)),
            ..settings
        }
    }
}

impl AccountCommand {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<(), CliError> {
        match self {
            AccountCommand::List => {
                let accounts: Vec<AccountView> = session.client.read(&["accounts"]).await?;
                session.show(&accounts, |accounts| list_text(accounts))
            }
            AccountCommand::Show { account } => {
                let account: AccountView = session.client.read(&["accounts", &account]).await?;
                session.show(&account, listed)
            }
            AccountCommand::Set(args) => {
                let id = args.account.clone();
                let account: AccountView =
                    session.client.put(&["accounts", &id], &args.settings()).await?;
                session.show(&account, listed)
            }
            AccountCommand::HoldAudio { account, file, .. } => {
                let path = ["accounts", &account, "hold-audio"];
                let account: AccountView = match file {
                    Some(file) => {
                        let wrong =
                            |error| CliError::File { path: file.display().to_string(), error };
                        session
                            .client
                            .put_file(&path, std::fs::read(&file).map_err(wrong)?, "audio/wav")
                            .await?
                    }
                    None => session.client.delete_from(&path).await?,
                };
                session.show(&account, listed)
            }
            AccountCommand::Remove { account, dry_run, yes } => {
                let given = |flag: bool| flag.then(|| "true".to_owned());
                let query = [("dry_run", given(dry_run)), ("confirm", given(yes))];
                let removal: Removal =
                    session.client.delete_with_query(&["accounts", &account], &query).await?;
                session.show(&removal, |removal| match removal.removed {
                    true => format!("removed account {account}: {}", removal.text()),
                    false => format!("dry run, nothing removed: {account} has {}", removal.text()),
                })
            }
        }
    }
}

fn list_text(accounts: &[AccountView]) -> String {
    let row = |account: &AccountView| {
        [
            account.id.clone(),
            account.name.clone(),
            account.region.clone(),
            account.limits.max_concurrent_calls.to_string(),
            account.limits.calls_per_second.to_string(),
            yes_no(account.record),
            joined(&account.trunks),
            or_dash(account.callback.as_ref().map(|callback| callback.url.as_str())),
        ]
    };
    table(
        ["ID", "NAME", "REGION", "CALLS", "PER SECOND", "RECORD", "TRUNKS", "CALLBACK"],
        accounts.iter().map(row).collect(),
    )
}

#[derive(Debug, Subcommand)]
pub enum NumberCommand {
    /// List an account's numbers
    List { account: String },
    /// Assign numbers, written in any form, to an account
    Add {
        account: String,
        #[arg(required = true)]
        numbers: Vec<String>,
    },
    /// Take a number from an account
    Remove { account: String, number: String },
}

impl NumberCommand {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<(), CliError> {
        match self {
            NumberCommand::List { account } => {
                let numbers: Vec<String> =
                    session.client.read(&["accounts", &account, "numbers"]).await?;
                session.show(&numbers, |numbers| {
                    if numbers.is_empty() { "none".into() } else { numbers.join("\n") }
                })
            }
            NumberCommand::Add { account, numbers } => {
                let mut assigned: Vec<String> = Vec::new();
                for number in &numbers {
                    assigned.push(
                        session
                            .client
                            .put(&["accounts", &account, "numbers", number], &json!(null))
                            .await?,
                    );
                }
                session.show(&assigned, |assigned| format!("assigned {}", assigned.join(", ")))
            }
            NumberCommand::Remove { account, number } => {
                session.client.delete(&["accounts", &account, "numbers", &number]).await?;
                session.done(format!("removed number {number}"))
            }
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum AgentCommand {
    /// List an account's agents
    List { account: String },
    /// Register an agent, or rename one
    Set {
        account: String,
        /// The CRM's own ID of the agent: exact and case-sensitive
        crm_username: String,
        #[arg(long)]
        display_name: Option<String>,
    },
    /// Remove an agent
    Remove {
        account: String,
        crm_username: String,
        /// Also while it is in a call
        #[arg(long)]
        yes: bool,
    },
}

impl AgentCommand {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<(), CliError> {
        match self {
            AgentCommand::List { account } => {
                let agents: Vec<AgentStatus> =
                    session.client.read(&["accounts", &account, "agents"]).await?;
                session.show(&agents, |agents| presence_text(agents))
            }
            AgentCommand::Set { account, crm_username, display_name } => {
                let body = given([("display_name", display_name.map(Into::into))]);
                let agent: AgentView = session
                    .client
                    .put(&["accounts", &account, "agents", &crm_username], &body)
                    .await?;
                session.show(&agent, |agent| agents_text(std::slice::from_ref(agent)))
            }
            AgentCommand::Remove { account, crm_username, yes } => {
                session
                    .client
                    .delete_confirmed(&["accounts", &account, "agents", &crm_username], yes)
                    .await?;
                session.done(format!("removed agent {crm_username}"))
            }
        }
    }
}

fn presence_text(agents: &[AgentStatus]) -> String {
    let row = |agent: &AgentStatus| {
        [
            agent.crm_username.clone(),
            agent.display_name.clone(),
            yes_no(agent.online),
            yes_no(agent.in_call),
            or_dash(agent.last_seen.as_deref()),
            or_dash(agent.microphone.as_deref()),
            or_dash(agent.media_test.as_ref().map(|test| test.outcome.as_str())),
        ]
    };
    table(
        ["CRM_USERNAME", "NAME", "ONLINE", "IN CALL", "LAST SEEN", "MICROPHONE", "MEDIA TEST"],
        agents.iter().map(row).collect(),
    )
}

fn agents_text(agents: &[AgentView]) -> String {
    let rows = agents.iter().map(|agent| [agent.crm_username.clone(), agent.display_name.clone()]);
    table(["CRM_USERNAME", "NAME"], rows.collect())
}

#[derive(Debug, Subcommand)]
pub enum CallbackCommand {
    /// Show an account's callback
    Show { account: String },
    /// Set an account's callback, or change the settings that are given
    Set {
        account: String,
        /// Where results are pushed: https:// and a public host
        #[arg(long, value_name = "URL")]
        target: Option<String>,
        /// Name of the customer's own header
        #[arg(long, requires = "auth_value_file")]
        auth_header: Option<String>,
        /// File with that header's value
        #[arg(long, requires = "auth_header")]
        auth_value_file: Option<PathBuf>,
        /// File with the signing secret, whsec_...; without it one is made
        #[arg(long)]
        signing_secret_file: Option<PathBuf>,
        /// Retries after the first attempt, 0-3
        #[arg(long)]
        max_retries: Option<u32>,
    },
    /// Send the result of a call that never took place, and show what came of it
    Test { account: String },
    /// Make a new signing secret and show it once; the present one signs beside it for the overlap
    NewSecret {
        account: String,
        /// Seconds for which the present secret signs on, 0-2592000; 86400 unless given
        #[arg(long)]
        overlap_s: Option<u64>,
    },
    /// Let the present signing secret sign alone from now on
    EndOverlap { account: String },
    /// Remove an account's callback
    Remove {
        account: String,
        /// Also while calls are live, whose results are then not pushed
        #[arg(long)]
        yes: bool,
    },
}

impl CallbackCommand {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<(), CliError> {
        match self {
            CallbackCommand::Show { account } => {
                let callback: CallbackView =
                    session.client.read(&["accounts", &account, "callback"]).await?;
                session.show(&callback, callback_text)
            }
            CallbackCommand::Set {
                account,
                target,
                auth_header,
                auth_value_file,
                signing_secret_file,
                max_retries,
            } => {
                let value = auth_value_file.as_deref().map(secret_from).transpose()?;
                let header = auth_header
                    .zip(value)
                    .map(|(name, value)| json!({ "name": name, "value": value }));
                let body = given([
                    ("url", target.map(Into::into)),
                    ("auth_header", header),
                    (
                        "signing_secret",
                        signing_secret_file.as_deref().map(secret_from).transpose()?,
                    ),
                    ("max_retries", max_retries.map(Into::into)),
                ]);
                let answer: CallbackAnswer =
                    session.client.put(&["accounts", &account, "callback"], &body).await?;
                session.show(&answer, answer_text)
            }
            CallbackCommand::Test { account } => {
                let trial: Trial = session
                    .client
                    .post(&["accounts", &account, "callback", "test"], &json!({}))
                    .await?;
                session.show(&trial, trial_text)
            }
            CallbackCommand::NewSecret { account, overlap_s } => {
                let path = ["accounts", &account, "callback", "signing-secret"];
                let body = given([("overlap_s", overlap_s.map(Into::into))]);
                let answer: CallbackAnswer = session.client.post(&path, &body).await?;
                session.show(&answer, answer_text)
            }
            CallbackCommand::EndOverlap { account } => {
                session
                    .client
                    .delete(&["accounts", &account, "callback", "signing-secret", "overlap"])
                    .await?;
                session.done(format!("the present signing secret of {account} signs alone"))
            }
            CallbackCommand::Remove { account, yes } => {
                session.client.delete_confirmed(&["accounts", &account, "callback"], yes).await?;
                session.done(format!("removed the callback of {account}"))
            }
        }
    }
}

fn callback_text(callback: &CallbackView) -> String {
    settings(vec![
        ("url", callback.url.clone()),
        ("auth header", or_dash(callback.auth_header.as_deref())),
        ("retries", callback.max_retries.to_string()),
        ("former secret signs until", or_dash(callback.overlap_until.as_deref())),
    ])
}

fn trial_text(trial: &Trial) -> String {
    let outcome = if trial.delivered { "delivered" } else { "failed" };
    match (trial.http_status, &trial.error) {
        (Some(status), _) => format!("{outcome}: the target answered {status}"),
        (None, error) => format!("{outcome}: {}", error.as_deref().unwrap_or("no answer")),
    }
}

fn answer_text(answer: &CallbackAnswer) -> String {
    let text = callback_text(&answer.callback);
    match &answer.signing_secret {
        Some(secret) => format!("{text}\n\nsigning secret (shown only now): {secret}"),
        None => text,
    }
}
