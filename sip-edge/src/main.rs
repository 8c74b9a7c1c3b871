//! `sip-edge`: places calls and carries their media on behalf of control-api.

use clap::Parser;
use mimalloc::MiMalloc;
use rustix::fs::Mode;
use rustix::process::umask;
use sip_edge::config::{Config, LogConfig, LogFormat, LogLevel};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// A fifth of a call's SIP is making and freeing small pieces, in glibc's allocator.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

#[derive(Parser)]
#[command(
    version,
    about = "SIP and media edge: places calls and carries their media on behalf of control-api."
)]
struct Arguments {
    /// Configuration file (TOML); without it every key has its default.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Checks the configuration, says what is wrong in one line, and exits.
    #[arg(long)]
    check_config: bool,
}

fn main() -> ExitCode {
    // The allocator asks for huge pages: each is cleared whole, two megabytes for the first small
    // piece. Without the call all works, too.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let code = run(Arguments::parse());
    journal::flush();
    code
}

/// 2 for a configuration that is wrong, 1 for any other failure, each with one line on standard
/// error.
fn run(arguments: Arguments) -> ExitCode {
    let config =
        match arguments.config.as_deref().map_or_else(|| Ok(Config::default()), Config::load) {
            Ok(config) => config,
            Err(error) => {
                journal::say(&format!("sip-edge: configuration: {error}"));
                return ExitCode::from(2);
            }
        };
    if arguments.check_config {
        return match sip_edge::process::check_config(&config) {
            Ok(()) => {
                // The exit status says it as well.
                let _ = writeln!(std::io::stdout(), "configuration is valid");
                ExitCode::SUCCESS
            }
            Err(error) => {
                journal::say(&format!("sip-edge: configuration: {error:#}"));
                ExitCode::from(2)
            }
        };
    }
    // Names of recordings are the permission to hear them: others than the group do not read them.
    umask(Mode::WGRP | Mode::RWXO);
    start_log(&config.log);
    match sip_edge::process::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            journal::say(&format!("sip-edge: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn start_log(config: &LogConfig) {
    let level = match config.level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
        LogLevel::Trace => "trace",
    };
    // glommio warns of what the preflight has said already.
    let filter = tracing_subscriber::EnvFilter::new(format!("{level},glommio=error"));
    let is_terminal = std::io::stderr().is_terminal();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| journal::Lines)
        .log_internal_errors(false)
        .with_ansi(is_terminal);
    match config.format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    journal::tell_panics();
}
