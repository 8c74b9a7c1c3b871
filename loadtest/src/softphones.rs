//! Softphones without browsers, as agents of a load run: each opens a launch link, registers over WSS, answers its INVITE, and talks over
//! ICE and DTLS-SRTP. Owns what is measured of them; `line` is one softphone's way to its call, `media` the thread that talks for all.

mod line;
mod media;

use crate::carrier::{LegReport, Totals};
use crate::children::Stack;
use anyhow::Context;
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// What came of one softphone's call.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// Launch link opened to registered.
    pub registered: Duration,
    /// Launch link opened to keys for audio.
    pub media: Duration,
}

/// The launch link of an agent and a customer's number.
type LaunchUrl = dyn Fn(u32, &str) -> String + Send + Sync;

/// The agents of one run.
#[derive(Clone)]
pub struct Fleet {
    client: reqwest::Client,
    tls: Arc<rustls::ClientConfig>,
    media: media::Talker,
    launch_url: Arc<LaunchUrl>,
    api_url: String,
}

impl Fleet {
    /// Starts the thread that talks. Reports of ended legs come from the receiver.
    pub fn start(stack: &Stack, totals: Arc<Totals>) -> anyhow::Result<(Fleet, mpsc::Receiver<LegReport>)> {
        let (media, reports) = media::Talker::start(totals)?;
        let (base, key, from) = (stack.api_url.clone(), stack.browser_key.clone(), stack.from_number.clone());
        let launch_url = move |agent: u32, to: &str| {
            let agent = format!("agent.{}", 1000 + agent);
            let query = [("crm_username", agent.as_str()), ("api_key", &key), ("to_number", to), ("from_number", &from)];
            reqwest::Url::parse_with_params(&format!("{base}/CRM_API/webphone/launch"), query).expect("an address of ours").into()
        };
        let fleet = Fleet {
            client: reqwest::Client::builder().pool_max_idle_per_host(64).build()?,
            tls: Arc::new(line::any_certificate()),
            media,
            launch_url: Arc::new(launch_url),
            api_url: stack.api_url.clone(),
        };
        Ok((fleet, reports))
    }

    /// Lets one agent call this number, from the link to the end of the call. `placed` is told once the call is accepted.
    pub async fn call(&self, agent: u32, to_number: &str, placed: impl FnOnce()) -> anyhow::Result<Times> {
        let run = line::run(self, agent, to_number, placed);
        run.await.with_context(|| format!("softphone {agent}"))
    }
}
