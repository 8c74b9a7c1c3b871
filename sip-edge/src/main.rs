//! `sip-edge`: places calls and carries their media on behalf of control-api.

use clap::Parser;
use sip_edge::config::{Config, LogConfig, LogFormat, LogLevel};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(version, about = "SIP and media edge: places calls and carries their media on behalf of control-api.")]
struct Arguments {
    /// Configuration file (TOML); without it every key has its default.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Checks the configuration, says what is wrong in one line, and exits.
    #[arg(long)]
    check_config: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let config = match arguments.config.as_deref().map_or_else(|| Ok(Config::default()), Config::load) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("sip-edge: configuration: {error}");
            return ExitCode::from(2);
        }
    };
    if arguments.check_config {
        return match sip_edge::process::check_config(&config) {
            Ok(()) => {
                println!("configuration is valid");
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("sip-edge: configuration: {error:#}");
                ExitCode::from(2)
            }
        };
    }
    start_log(&config.log);
    match sip_edge::process::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sip-edge: {error:#}");
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
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(is_terminal);
    match config.format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}
