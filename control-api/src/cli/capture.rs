//! Captures of single calls: begun, ended, and fetched.

use super::{CliError, Session};
use clap::Subcommand;
use serde_json::json;
use std::path::PathBuf;

#[derive(Debug, Subcommand)]
pub enum CaptureCommand {
    /// Capture a running call from now on: SIP without secrets, RTP without audio
    Start {
        call_id: String,
        /// RTP with its audio, where calls.capture_audio allows it
        #[arg(long)]
        audio: bool,
    },
    /// End the capture of a call
    Stop { call_id: String },
    /// Write what was captured of a call to a pcap file
    Fetch {
        call_id: String,
        /// The file to write; CALL_ID.pcap unless given
        #[arg(long)]
        out: Option<PathBuf>,
    },
}

impl CaptureCommand {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<(), CliError> {
        match self {
            CaptureCommand::Start { call_id, audio } => {
                let query = [("audio", audio.then(|| "true".into()))];
                session.client.put_nothing(&["calls", &call_id, "capture"], &query).await?;
                session.done(format!("the call {call_id} is captured"))
            }
            CaptureCommand::Stop { call_id } => {
                session.client.delete(&["calls", &call_id, "capture"]).await?;
                session.done(format!("the call {call_id} is captured no more"))
            }
            CaptureCommand::Fetch { call_id, out } => {
                let bytes = session.client.file(&["calls", &call_id, "capture"]).await?;
                let path = out.unwrap_or_else(|| PathBuf::from(format!("{call_id}.pcap")));
                let told = json!({ "file": path, "len": bytes.len() });
                std::fs::write(&path, &bytes)
                    .map_err(|error| CliError::File { path: path.display().to_string(), error })?;
                let text = format!("{} bytes are in {}", bytes.len(), path.display());
                session.show(&told, |_| text)
            }
        }
    }
}
