//! The `control-api` binary: serving, checking a configuration, and the operators' commands.

use anyhow::Context;
use clap::{Parser, Subcommand};
use control_api::{
    app::App,
    cli,
    config::{self, Config},
    server,
};
use std::{io::IsTerminal, path::PathBuf, process::ExitCode};
use tokio::signal::unix::{SignalKind, signal};

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
    /// Onboarding: talks to the admin API of a running process.
    Admin(cli::Arguments),
}

/// Every failure is one line on stderr and exit status 1.
fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("control-api: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<()> {
    match arguments.command {
        Command::Serve { config, check_config } => {
            let config = config.as_deref().map_or_else(|| Ok(Config::default()), Config::load)?;
            if check_config {
                println!("configuration is fine");
                return Ok(());
            }
            log_to_stderr(&config.log);
            runtime()?.block_on(serve(config))
        }
        Command::Admin(arguments) => Ok(runtime()?.block_on(cli::run(arguments, &mut std::io::stdout()))?),
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("cannot start the runtime")
}

fn log_to_stderr(log: &config::Log) {
    let filter = tracing_subscriber::EnvFilter::new(&log.filter);
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    if log.json { builder.json().init() } else { builder.init() }
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
