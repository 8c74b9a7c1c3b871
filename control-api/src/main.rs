//! The `control-api` binary: serving, checking a configuration, and the operators' commands.

use anyhow::Context;
use clap::{Parser, Subcommand};
use control_api::app::App;
use control_api::config::{self, Config};
use control_api::{cli, preflight, server};
use mimalloc::MiMalloc;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// A call passes many hands, in small pieces that one thread makes and another drops: glibc's
/// allocator takes a sixth of the CPU for that. It serves RocksDB, too.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Places calls between agents and customers through a SIP edge.
#[derive(Debug, Parser)]
#[command(name = "control-api", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves the API until SIGTERM or SIGINT.
    Serve {
        /// TOML file; every key has a default.
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Checks the file and stops.
        #[arg(long)]
        check_config: bool,
    },
    /// Prints the OpenAPI document of an API, for generators of clients.
    Openapi { api: Api },
    /// Onboarding: talks to the admin API of a running process.
    Admin(cli::Arguments),
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Api {
    /// What customers call.
    Public,
    /// What operators call.
    Admin,
}

fn main() -> ExitCode {
    // The allocator asks for huge pages: each is cleared whole, two megabytes for the first small
    // piece, a fifth of the CPU under load. Without the call all works, too.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let code = run(Arguments::parse().command);
    journal::flush();
    code
}

/// Failures go to stderr; the exit status is 2 where the configuration is to blame, else 1.
fn run(command: Command) -> ExitCode {
    let failed = |error: anyhow::Error| {
        journal::say(&format!("control-api: {error:#}"));
        ExitCode::FAILURE
    };
    let done = match command {
        Command::Serve { config, check_config } => match configuration(config.as_deref()) {
            Err(lacks) => {
                lacks
                    .iter()
                    .for_each(|lack| journal::say(&format!("control-api: configuration: {lack}")));
                return ExitCode::from(2);
            }
            Ok(_) if check_config => {
                // The exit status says it as well.
                let _ = writeln!(std::io::stdout(), "configuration is valid");
                return ExitCode::SUCCESS;
            }
            Ok(config) => {
                // What this process writes holds numbers and names of recordings: nobody else reads
                // it.
                rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
                log_to_stderr(&config.log);
                runtime().and_then(|runtime| runtime.block_on(serve(config)))
            }
        },
        Command::Openapi { api } => {
            let document = match api {
                Api::Public => server::public_document(&Config::default().public.url),
                Api::Admin => server::admin_document(),
            };
            writeln!(std::io::stdout(), "{document:#}").context("cannot write the document")
        }
        Command::Admin(arguments) => return admin(arguments),
    };
    done.map_or_else(failed, |()| ExitCode::SUCCESS)
}

/// The configuration, or all that is wrong with it.
fn configuration(file: Option<&Path>) -> Result<Config, Vec<String>> {
    let config = file
        .map_or_else(|| Ok(Config::default()), Config::load)
        .map_err(|error| vec![error.to_string()])?;
    let lacks = preflight::check(&config);
    if lacks.is_empty() { Ok(config) } else { Err(lacks) }
}

/// With `--json` a failure is JSON, too.
fn admin(arguments: cli::Arguments) -> ExitCode {
    let json = arguments.json;
    let done = runtime()
        .and_then(|runtime| Ok(runtime.block_on(cli::run(arguments, &mut std::io::stdout()))?));
    let Err(error) = done else { return ExitCode::SUCCESS };
    match error.downcast_ref::<cli::CliError>().filter(|_| json) {
        Some(error) => journal::say(&error.json()),
        None => journal::say(&format!("control-api: {error:#}")),
    }
    ExitCode::FAILURE
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
}

fn log_to_stderr(log: &config::Log) {
    let filter = tracing_subscriber::EnvFilter::new(&log.filter);
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| journal::Lines)
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal());
    if log.json {
        builder.json().init()
    } else {
        builder.init()
    }
    journal::tell_panics();
}

async fn serve(config: Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let app = tokio::task::spawn_blocking(move || App::open(config)).await??;
    let running = server::start(app).await?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    running.stop().await;
    Ok(())
}
