//! The REGISTERs of one address-of-record (RFC 3261 §10.2): one Call-ID, CSeq numbers that count
//! up, the credentials that answered last, and what an answer says of our Contact.

use super::{flow_at, send};
use crate::call::invitation::credentials::Authority;
use crate::call::invitation::{identity, request};
use crate::call::shard::Resources;
use crate::command::{EdgeConfig, KeptTrunk};
use crate::flow::{Flow, Transport};
use crate::message::{self, Method, NameAddr, Request, RequestParts, Response, View, header};
use crate::transaction::TransactionId;
use call_words::TrunkId;
use std::time::{Duration, Instant};

/// What a final response means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Granted(Duration),
    Challenge,
    /// Less is asked for than the registrar gives (§10.2.8).
    TooBrief(Duration),
    Refused(&'static str),
}

/// The registrations with one trunk, one REGISTER after the other.
pub struct Register {
    trunk: KeptTrunk,
    authority: Authority,
    call_id: String,
    tag: String,
    cseq: u32,
    /// What was sent last, and how often it was answered with a challenge.
    request: Option<Request>,
    challenge_count: u8,
    /// Which of the trunk's addresses is asked, and how many others came to nothing before it.
    at: usize,
    failed_address_count: usize,
}

impl Register {
    /// The registrations with a trunk, which go on where those of the `former` words of it ended.
    pub fn new(shard: &mut Resources, trunk: &KeptTrunk, former: Option<Register>) -> Register {
        let (call_id, tag, cseq) = match former {
            Some(Register { call_id, tag, cseq, .. }) => (call_id, tag, cseq),
            None => (shard.entropy.token(), shard.entropy.token(), 0),
        };
        Register {
            trunk: trunk.clone(),
            authority: Authority::new(trunk.credentials.clone()),
            call_id,
            tag,
            cseq,
            request: None,
            challenge_count: 0,
            at: 0,
            failed_address_count: 0,
        }
    }

    /// Asks for so long; for no time at all, it ends the binding (§10.2.2).
    pub fn send(
        &mut self,
        now: Instant,
        shard: &mut Resources,
        asked: Duration,
    ) -> Option<TransactionId> {
        let username =
            self.trunk.credentials.as_ref().map_or("", |credentials| &credentials.username);
        let record = format!("sip:{}@{}", identity::escape(username), self.trunk.domain);
        let parameter = request::transport_parameter(self.trunk.transport);
        self.cseq += 1;
        let flow = self.flow(&shard.config)?;
        let via = self.hop(shard, flow);
        let contact = format!(
            "<sip:{}@{}{parameter}>",
            contact_user(&shard.config, &self.trunk.trunk),
            shard.config.public(flow)
        );
        let mut register = message::request(&RequestParts {
            method: Method::Register,
            target: &format!("sip:{}{parameter}", self.trunk.domain),
            routes: &[],
            via: &via,
            from: &format!("<{record}>;tag={}", self.tag),
            to: &format!("<{record}>"),
            call_id: &self.call_id,
            cseq: self.cseq,
            contact: Some(&contact),
            extra: vec![
                header("Expires", asked.as_secs().to_string()),
                header("User-Agent", shard.config.user_agent.as_str()),
            ],
            body: None,
        });
        self.authority.sign(shard, &mut register);
        self.challenge_count = 0;
        self.start(now, shard, register)
    }

    /// Sends the same with credentials: once, and once more if only the nonce was too old (§22.2).
    pub fn answer_challenge(
        &mut self,
        now: Instant,
        shard: &mut Resources,
        response: &Response,
    ) -> Option<TransactionId> {
        if !matches!(response.status_code.code(), 401 | 407) {
            return None;
        }
        let is_stale = self.authority.take(response)?;
        if self.challenge_count > u8::from(is_stale) {
            return None;
        }
        self.challenge_count += 1;
        let flow = self.flow(&shard.config)?;
        let via = self.hop(shard, flow);
        let mut register = request::again(self.request.as_ref()?, &via);
        self.cseq += 1;
        self.authority.sign(shard, &mut register);
        self.start(now, shard, register)
    }

    /// A Via with a fresh branch. Over UDP it offers to keep the way open (RFC 6223 §4.3).
    fn hop(&self, shard: &mut Resources, flow: Flow) -> String {
        let via = request::hop(shard, flow);
        if flow.transport == Transport::Udp { via + ";keep" } else { via }
    }

    /// How often the registrar wants the way kept open, zero if it does not say; `None` if it has
    /// not agreed to it (RFC 6223 §4.4).
    pub fn keep_interval(&self, response: &Response) -> Option<Duration> {
        let via = response.top_via().filter(|_| self.trunk.transport == Transport::Udp)?;
        via.params.value("keep").and_then(seconds)
    }

    /// The way to the address that is asked.
    pub fn flow(&self, config: &EdgeConfig) -> Option<Flow> {
        flow_at(config, &self.trunk, self.at)
    }

    fn start(
        &mut self,
        now: Instant,
        shard: &mut Resources,
        register: Request,
    ) -> Option<TransactionId> {
        self.request = Some(register.clone());
        send(now, shard, &self.trunk, self.at, register)
    }

    /// What a final response says.
    pub fn read(&self, config: &EdgeConfig, response: &Response) -> Answer {
        match response.status_code.code() {
            200..300 => match self.granted(config, response) {
                Duration::ZERO => Answer::Refused("no time is granted"),
                granted => Answer::Granted(granted),
            },
            401 | 407 => Answer::Challenge,
            423 => match response.value("Min-Expires").and_then(seconds) {
                Some(least) => Answer::TooBrief(least),
                None => Answer::Refused("the time is too brief"),
            },
            403 => Answer::Refused("forbidden"),
            404 => Answer::Refused("the user is unknown"),
            503 => Answer::Refused("the registrar is not available"),
            _ => Answer::Refused("refused"),
        }
    }

    /// The time of our Contact among those that are bound, else of the header, else of the Contact
    /// that ends first, for some rewrite ours; else what was asked for (§10.2.4).
    fn granted(&self, config: &EdgeConfig, response: &Response) -> Duration {
        let ours = contact_user(config, &self.trunk.trunk);
        let public = self.flow(config).map(|flow| config.public(flow));
        let contacts: Vec<NameAddr<'_>> = response
            .values("Contact")
            .flat_map(message::grammar::split_list)
            .map(NameAddr::read)
            .collect();
        let time = |contact: &NameAddr<'_>| contact.params.value("expires").and_then(seconds);
        let is_ours = |contact: &&NameAddr<'_>| {
            contact.uri.user_text().as_ref() == Some(&ours)
                && contact.uri.ip() == public.map(|public| public.ip())
                && public.is_some_and(|public| contact.uri.port.unwrap_or(5060) == public.port())
        };
        let asked = || self.request.as_ref().and_then(|request| request.value("Expires"));
        contacts
            .iter()
            .find(is_ours)
            .and_then(time)
            .or_else(|| response.value("Expires").and_then(seconds))
            .or_else(|| contacts.iter().filter_map(time).min())
            .or_else(|| asked().and_then(seconds))
            .unwrap_or_default()
    }

    /// The address that was asked is of no use: whether there is one that was not tried since.
    pub fn try_next_address(&mut self) -> bool {
        self.at += 1;
        self.failed_address_count += 1;
        let has_other = self.failed_address_count < self.trunk.addresses.len();
        if !has_other {
            self.failed_address_count = 0;
        }
        has_other
    }

    /// The address that was asked is of use.
    pub fn stay_here(&mut self) {
        self.failed_address_count = 0;
    }
}

/// User part of our Contact: this shard's, and this trunk's, so that no other binding is meant.
fn contact_user(config: &EdgeConfig, trunk: &TrunkId) -> String {
    format!("s{}-{}", config.shard, identity::escape(trunk.as_str()))
}

fn seconds(text: &str) -> Option<Duration> {
    message::grammar::leading_number(message::grammar::trim(text))
        .map(|seconds| Duration::from_secs(seconds.into()))
}
