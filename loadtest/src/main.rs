//! The `loadtest` command: load runs, comparisons, the search for the knee and floods, each against
//! a fresh pair of processes, with live progress, a table, and if asked JSON and a page.

use anyhow::Context;
use clap::{Parser, Subcommand};
use loadtest::api::ApiSpec;
use loadtest::capacity::{self, Raised};
use loadtest::compare::{self, With};
use loadtest::floods::FloodSpec;
use loadtest::load::{self, Load};
use loadtest::profile::Flags;
use loadtest::report::{self, Machine};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

/// Places calls through the REST API of a fresh pair of processes, with SIP and RTP peers of its
/// own, and measures them.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// One load run, and a bare loop that relays the same packets after it
    Run {
        #[command(flatten)]
        flags: Flags,
        #[command(flatten)]
        files: Files,
    },
    /// Rounds of a load run beside something else, told by their medians
    Compare {
        with: With,
        /// Rounds in turn
        #[arg(long, default_value_t = 5)]
        rounds: u32,
        #[command(flatten)]
        flags: Flags,
        #[command(flatten)]
        files: Files,
    },
    /// Raises a load until loss, delay, errors or late results break a limit, and prints the knee
    FindCapacity {
        raised: Raised,
        /// Then runs so many times the knee, to show what comes of overload
        #[arg(long, value_name = "FACTOR")]
        beyond: Option<f64>,
        #[command(flatten)]
        flags: Flags,
        #[command(flatten)]
        files: Files,
    },
    /// Durable `POST /calls` and callbacks with one core for control-api
    Api {
        #[command(flatten)]
        spec: ApiSpec,
        /// Write all figures to this file
        #[arg(long)]
        json: Option<PathBuf>,
    },
    /// A stranger floods the edge beside calls, with one kind after another
    Floods {
        /// Calls that run beside each flood
        #[arg(long, default_value_t = 50)]
        calls: u32,
        /// Seconds of each flood
        #[arg(long, default_value_t = 6.0)]
        span: f64,
    },
}

/// What is written besides the table.
#[derive(clap::Args)]
struct Files {
    /// Write all figures and samples to this file
    #[arg(long)]
    json: Option<PathBuf>,
    /// Write a self-contained page with plots to this file
    #[arg(long)]
    html: Option<PathBuf>,
}

impl Files {
    fn write(&self, figures: &impl Serialize, page: impl FnOnce() -> String) -> anyhow::Result<()> {
        let write = |path: &PathBuf, bytes: Vec<u8>| {
            std::fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
        };
        if let Some(path) = &self.json {
            write(path, serde_json::to_vec_pretty(figures)?)?;
        }
        self.html.as_ref().map_or(Ok(()), |path| write(path, page().into_bytes()))
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> anyhow::Result<()> {
    let (arguments, machine) = (Arguments::parse(), Machine::read());
    let progress = &mut |line: String| eprintln!("{line}");
    match arguments.command {
        Command::Run { flags, files } => {
            let load =
                Load { profile: flags.profile()?, limit: None, floor: true, rtpengine: false };
            let report = load::run(&load, progress).await?;
            print!("{}", report.table());
            files.write(&report, || report::of_run(&machine, &report))?;
            let missing = report.callbacks_missing;
            anyhow::ensure!(missing == 0, "{missing} calls have no callback");
        }
        Command::Compare { with, rounds, flags, files } => {
            anyhow::ensure!(rounds > 0, "--rounds must be above 0");
            let comparison = compare::compare(with, flags.profile()?, rounds, progress).await?;
            print!("{}", comparison.table());
            files.write(&comparison, || report::of_comparison(&machine, &comparison))?;
        }
        Command::FindCapacity { raised, beyond, flags, files } => {
            anyhow::ensure!(
                beyond.is_none_or(|factor| (1.0..=3.0).contains(&factor)),
                "--beyond must be from 1 to 3"
            );
            let capacity = capacity::find(raised, &flags.profile()?, beyond, progress).await?;
            print!("{}", capacity.table());
            files.write(&capacity, || report::of_capacity(&machine, &capacity))?;
        }
        Command::Api { spec, json } => {
            let rounds = loadtest::api::run(spec, progress).await?;
            print!("{}", loadtest::api::table(&rounds));
            Files { json, html: None }.write(&rounds, String::new)?;
        }
        Command::Floods { calls, span } => {
            let span = Duration::try_from_secs_f64(span).context("--span")?;
            let spec = FloodSpec { calls, span };
            let reports =
                loadtest::floods::run(spec, &mut |report| eprintln!("{}", report.kind)).await?;
            print!("{}", loadtest::floods::table(&reports));
            let lost_count: u64 = reports.iter().map(|report| report.lost_count).sum();
            anyhow::ensure!(lost_count == 0, "{lost_count} packets of calls were lost");
        }
    }
    Ok(())
}
