//! `control-api admin …`: the admin API from a shell. Tables for people, `--json` for programs.
//! Secrets come from files or the environment, never from arguments. What is allowed is decided by
//! the API, not here.

mod account;
mod capture;
mod client;
mod declaration;
mod delivery;
mod key;
mod ladder;
mod table;
mod trunk;

pub use client::CliError;

use clap::{Args, Subcommand};
use client::Client;
use serde::Serialize;
use serde_json::Value;
use std::io::Write;
use std::path::PathBuf;

/// Onboarding through the admin API of a running control-api.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Where the admin API listens
    #[arg(
        long,
        global = true,
        env = "CONTROL_API_ADMIN_URL",
        default_value = "http://127.0.0.1:8081"
    )]
    url: String,
    /// File with the admin token
    #[arg(
        long,
        global = true,
        env = "CONTROL_API_ADMIN_TOKEN_FILE",
        default_value = "data/admin.token"
    )]
    token_file: PathBuf,
    /// PEM file of the authority to trust instead of the system's
    #[arg(long, global = true, env = "CONTROL_API_ADMIN_CA")]
    ca: Option<PathBuf>,
    /// Print the API's answer as JSON
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Accounts: region, limits, recording, timers, retention, trunks
    #[command(subcommand)]
    Account(account::AccountCommand),
    /// Caller IDs of an account
    #[command(subcommand)]
    Number(account::NumberCommand),
    /// Agents of an account
    #[command(subcommand)]
    Agent(account::AgentCommand),
    /// API keys of an account
    #[command(subcommand)]
    Key(key::KeyCommand),
    /// Where an account's results are pushed
    #[command(subcommand)]
    Callback(account::CallbackCommand),
    /// An account's calls, newest first
    Calls(delivery::CallsArgs),
    /// Calls of all accounts that have not ended
    Live,
    /// Captures of single calls, to be read by Wireshark
    #[command(subcommand)]
    Capture(capture::CaptureCommand),
    /// The SIP messages of a call, live or ended, as a ladder
    Ladder(ladder::LadderArgs),
    /// Results that are not delivered: list them, push them again
    #[command(subcommand)]
    Deliveries(delivery::DeliveryCommand),
    /// SIP peers
    #[command(subcommand)]
    Trunk(trunk::TrunkCommand),
    /// Apply a declarative file: create and change what it names, remove nothing
    Apply(declaration::ApplyArgs),
    /// Print a customer's onboarding pack
    Pack(key::PackArgs),
}

/// Runs one command and prints what came of it to `out`.
pub async fn run(arguments: Arguments, out: &mut dyn Write) -> Result<(), CliError> {
    let client = Client::open(&arguments.url, &arguments.token_file, arguments.ca.as_deref())?;
    let mut session = Session { client, json: arguments.json, out };
    match arguments.command {
        Command::Account(command) => command.run(&mut session).await,
        Command::Number(command) => command.run(&mut session).await,
        Command::Agent(command) => command.run(&mut session).await,
        Command::Key(command) => command.run(&mut session).await,
        Command::Callback(command) => command.run(&mut session).await,
        Command::Calls(args) => args.run(&mut session).await,
        Command::Live => delivery::live(&mut session).await,
        Command::Capture(command) => command.run(&mut session).await,
        Command::Ladder(args) => args.run(&mut session).await,
        Command::Deliveries(command) => command.run(&mut session).await,
        Command::Trunk(command) => command.run(&mut session).await,
        Command::Apply(args) => args.run(&mut session).await,
        Command::Pack(args) => args.run(&mut session).await,
    }
}

/// One run of the command.
struct Session<'a> {
    client: Client,
    json: bool,
    out: &'a mut dyn Write,
}

impl Session<'_> {
    /// Prints the answer as JSON, or as text for people.
    fn show<T: Serialize>(
        &mut self,
        answer: &T,
        text: impl FnOnce(&T) -> String,
    ) -> Result<(), CliError> {
        let text = if self.json { pretty(answer) } else { text(answer) };
        writeln!(self.out, "{}", text.trim_end()).map_err(CliError::Output)
    }

    /// Says what was done where the API answers with nothing.
    fn done(&mut self, what: String) -> Result<(), CliError> {
        self.show(&serde_json::json!({ "done": what }), |_| what.clone())
    }
}

fn pretty<T: Serialize>(answer: &T) -> String {
    serde_json::to_string_pretty(answer).expect("answers are plain data")
}

/// A JSON object of the settings that were given.
fn given<const N: usize>(settings: [(&str, Option<Value>); N]) -> Value {
    settings
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// A secret from a file, without the line end that editors add.
fn secret_from(path: &std::path::Path) -> Result<Value, CliError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| CliError::File { path: path.display().to_string(), error })?;
    Ok(text.trim_end_matches(['\r', '\n']).into())
}

#[cfg(test)]
mod tests;
