//! Softphones without browsers, as agents of a load run: each opens a launch link, registers over
//! WSS, answers its INVITE, and talks over ICE and DTLS-SRTP. Owns what is measured of them; `line`
//! is one softphone's way to its call, `media` the thread that talks for all.

mod line;
mod media;

use crate::carrier::{LegReport, Totals};
use crate::children::Stack;
use anyhow::Context;
use std::sync::{Arc, mpsc};
use std::time::Duration;

pub(crate) use line::any_certificate;

/// What came of one softphone's call.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// Launch link opened to registered.
    pub registered: Duration,
    /// Launch link opened to keys for audio.
    pub media: Duration,
}

/// The agents of one run.
#[derive(Clone)]
pub struct Fleet {
    client: reqwest::Client,
    tls: Arc<rustls::ClientConfig>,
    media: media::Talker,
    api_url: String,
}

impl Fleet {
    /// Starts the thread that talks. Reports of ended legs come from the receiver.
    pub fn start(
        stack: &Stack,
        totals: Arc<Totals>,
    ) -> anyhow::Result<(Fleet, mpsc::Receiver<LegReport>)> {
        let (media, reports) = media::Talker::start(totals)?;
        let fleet = Fleet {
            client: reqwest::Client::builder().pool_max_idle_per_host(64).build()?,
            tls: Arc::new(any_certificate()),
            media,
            api_url: stack.api_url.clone(),
        };
        Ok((fleet, reports))
    }

    /// Lets one agent open its launch link and stay until the end of the call. `placed` is told
    /// once the call is accepted.
    pub async fn call(
        &self,
        agent: u32,
        launch_url: &str,
        placed: impl FnOnce(),
    ) -> anyhow::Result<Times> {
        let run = line::run(self, agent, launch_url, placed);
        run.await.with_context(|| format!("softphone {agent}"))
    }
}
