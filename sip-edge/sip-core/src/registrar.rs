//! The registrar of softphones (RFC 3261 §10.3, RFC 5626 §6, RFC 7118): who may register, and over
//! which flow each agent is reached. One binding per agent: the newest registration takes over.
//! Knows no call; whether an agent is in one is told to it.
//!
//! Deviates: no Flow-Timer (RFC 5626 §4.4.1), because a browser cannot send the keep-alives that it
//! asks for; the server's WebSocket pings keep the flow and find its loss (RFC 7118 §6).

mod admission;
mod binding;

pub use binding::{Binding, Kinship};

use crate::flow::Flow;
use crate::message::{self, Header, Request, View, header};
use admission::Challenge;
use binding::Contact;
use call_words::AgentName;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

/// Shortest and longest life of a binding between refreshes.
const EXPIRES: std::ops::RangeInclusive<u32> = 30..=3600;
/// Life of a binding whose REGISTER names none.
const DEFAULT_EXPIRES: u32 = 300;
/// How often an expired credential is looked at again while its agent is in a call.
const GRACE: Duration = Duration::from_secs(5);
/// Grants and challenges per binding that may exist: agents that are not there yet, tabs that were
/// not closed yet.
const SPARE_FACTOR: usize = 4;

/// Names and limits.
#[derive(Debug, Clone)]
pub struct RegistrarConfig {
    /// Realm, and host of each address-of-record.
    pub domain: String,
    /// Most softphones at a time.
    pub capacity: usize,
}

/// A credential by which one agent's softphone may register until it expires.
#[derive(Clone)]
pub struct Grant {
    /// User name of the digest and user part of the address-of-record.
    pub agent: AgentName,
    pub password: String,
    pub expires_at: Instant,
}

/// Why the edge closes a flow; the codes are WebSocket's (RFC 6455 §7.4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The agent registered from elsewhere.
    TakenOver,
    /// The credential was revoked, has expired, or is not known.
    Revoked,
    ShuttingDown,
}

impl CloseReason {
    /// The status code.
    pub fn code(self) -> u16 {
        match self {
            CloseReason::TakenOver => 4001,
            CloseReason::Revoked => 4002,
            CloseReason::ShuttingDown => 4003,
        }
    }

    /// The reason phrase.
    pub fn text(self) -> &'static str {
        match self {
            CloseReason::TakenOver => "taken over",
            CloseReason::Revoked => "credential revoked or expired",
            CloseReason::ShuttingDown => "shutting down",
        }
    }
}

/// What the registrar tells, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The agent is reached over a flow that it was not reached over before.
    Registered {
        agent: AgentName,
        kinship: Kinship,
    },
    /// The agent is not reached any more.
    Lost {
        agent: AgentName,
    },
    Close {
        flow: Flow,
        reason: CloseReason,
    },
}

/// The answer to a REGISTER.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub code: u16,
    pub headers: Vec<Header>,
}

impl Answer {
    fn plain(code: u16) -> Answer {
        Answer { code, headers: Vec::new() }
    }
}

/// A credential and which of the agent's credentials it is.
struct Granted {
    password: String,
    expires_at: Instant,
    serial: u64,
}

/// Who registers what, once it is proven.
struct Registrant<'a> {
    flow: Flow,
    agent: &'a AgentName,
    serial: u64,
}

/// Bindings of agents' softphones and leave to make them (RFC 3261 §10.3).
pub struct Registrar {
    config: RegistrarConfig,
    grants: BTreeMap<AgentName, Granted>,
    bindings: BTreeMap<AgentName, Binding>,
    /// The last binding of agents that are not reached now: by it a user agent is known again.
    parted: BTreeMap<AgentName, Binding>,
    /// Whose flow a connection is.
    agents: BTreeMap<u64, AgentName>,
    challenges: BTreeMap<u64, Challenge>,
    notices: VecDeque<Notice>,
    next_serial: u64,
    /// The first deadline of a binding.
    due: Option<Instant>,
}

impl Registrar {
    pub fn new(config: RegistrarConfig) -> Registrar {
        Registrar {
            config,
            grants: BTreeMap::new(),
            bindings: BTreeMap::new(),
            parted: BTreeMap::new(),
            agents: BTreeMap::new(),
            challenges: BTreeMap::new(),
            notices: VecDeque::new(),
            next_serial: 0,
            due: None,
        }
    }

    /// Lets an agent register; replaces its former grant. The same grant again changes nothing.
    /// False when there are too many.
    pub fn grant(&mut self, now: Instant, grant: Grant) -> bool {
        self.grants
            .retain(|agent, granted| granted.expires_at > now || self.bindings.contains_key(agent));
        if self.grants.get(&grant.agent).is_some_and(|granted| granted.password == grant.password) {
            let granted = self.grants.get_mut(&grant.agent).expect("it was found");
            granted.expires_at = grant.expires_at;
            return true;
        }
        if !self.grants.contains_key(&grant.agent)
            && self.grants.len() >= self.config.capacity * SPARE_FACTOR
        {
            return false;
        }
        self.next_serial += 1;
        let granted = Granted {
            password: grant.password,
            expires_at: grant.expires_at,
            serial: self.next_serial,
        };
        self.grants.insert(grant.agent, granted);
        true
    }

    /// Ends the agent's grant and its binding. Who is in a call keeps what it is registered by
    /// until the call's end, like one whose credential has expired.
    pub fn revoke(&mut self, now: Instant, agent: &AgentName, is_busy: bool) {
        match self.bindings.get_mut(agent).filter(|_| is_busy) {
            Some(binding) => {
                binding.check_at = now + GRACE;
                if let Some(granted) = self.grants.get_mut(agent) {
                    granted.expires_at = granted.expires_at.min(now);
                }
                self.rearm();
            }
            None => {
                self.grants.remove(agent);
                self.unbind(agent, Some(CloseReason::Revoked));
            }
        }
    }

    /// Ends the agent's binding, for example because the edge shuts down.
    pub fn unbind(&mut self, agent: &AgentName, reason: Option<CloseReason>) {
        let Some(binding) = self.bindings.remove(agent) else { return };
        self.rearm();
        if let Some(connection) = binding.flow.connection {
            self.agents.remove(&connection);
        }
        self.notices.push_back(Notice::Lost { agent: agent.to_owned() });
        if let Some(reason) = reason {
            self.notices.push_back(Notice::Close { flow: binding.flow, reason });
        }
        self.part(agent.to_owned(), binding);
    }

    fn part(&mut self, agent: AgentName, binding: Binding) {
        if self.parted.len() >= self.config.capacity * SPARE_FACTOR {
            // Who is forgotten is only taken for a new page when it comes back.
            self.parted.clear();
        }
        self.parted.insert(agent, binding);
    }

    /// The flow is gone.
    pub fn handle_lost_flow(&mut self, flow: Flow) {
        let Some(connection) = flow.connection else { return };
        self.challenges.remove(&connection);
        if let Some(agent) = self.agents.remove(&connection) {
            let binding = self.bindings.remove(&agent);
            self.rearm();
            self.notices.push_back(Notice::Lost { agent: agent.clone() });
            if let Some(binding) = binding {
                self.part(agent, binding);
            }
        }
    }

    /// The agent that registered over this flow.
    pub fn agent_of(&self, flow: Flow) -> Option<&AgentName> {
        self.agents.get(&flow.connection?)
    }

    /// How an agent is reached.
    pub fn binding(&self, agent: &AgentName) -> Option<&Binding> {
        self.bindings.get(agent)
    }

    /// Agents that are reached.
    pub fn online(&self) -> impl Iterator<Item = &AgentName> {
        self.bindings.keys()
    }

    /// The domain of the addresses-of-record.
    pub fn domain(&self) -> &str {
        &self.config.domain
    }

    /// Bindings and challenges that are kept.
    pub fn len(&self) -> usize {
        self.bindings.len() + self.challenges.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next coming or going of a softphone.
    pub fn poll_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    /// When `handle_timeout` is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    fn rearm(&mut self) {
        self.due = self.bindings.values().map(Binding::due).min();
    }

    /// Ends the bindings that are over. A credential's end waits until its agent is in no call: a
    /// call must not depend on whether new credentials can be had.
    pub fn handle_timeout(&mut self, now: Instant, is_busy: impl Fn(&AgentName) -> bool) {
        let due: Vec<AgentName> = self
            .bindings
            .iter()
            .filter(|(_, binding)| binding.due() <= now)
            .map(|(agent, _)| agent.clone())
            .collect();
        for agent in due {
            let Some(binding) = self.bindings.get_mut(&agent) else { continue };
            if binding.expires_at <= now {
                self.unbind(&agent, Some(CloseReason::Revoked));
            } else if let Some(granted) =
                self.grants.get(&agent).filter(|granted| granted.serial == binding.serial)
                && granted.expires_at > now
            {
                binding.check_at = granted.expires_at;
            } else if is_busy(&agent) {
                binding.check_at = now + GRACE;
            } else {
                self.unbind(&agent, Some(CloseReason::Revoked));
            }
        }
        self.rearm();
    }

    /// Answers a REGISTER (RFC 3261 §10.3). `nonce` is unforeseeable text for a challenge;
    /// `is_busy` says whether an agent is in a call.
    pub fn handle_register(
        &mut self,
        now: Instant,
        flow: Flow,
        request: &Request,
        nonce: String,
        is_busy: impl Fn(&AgentName) -> bool,
    ) -> Answer {
        // §10.3 step 1: the domain of the request-URI must be ours.
        let target = request.uri.to_string();
        let is_ours = message::Uri::parse(&target)
            .is_some_and(|uri| uri.host.eq_ignore_ascii_case(&self.config.domain));
        if !is_ours {
            return Answer::plain(404);
        }
        // §10.3 step 3
        let (agent, serial) = match self.authenticate(now, flow, request, nonce, &is_busy) {
            Ok(proven) => proven,
            Err(answer) => return answer,
        };
        // §10.3 steps 4 and 5: only its own address-of-record.
        let owns = request.to_addr().is_some_and(|to| {
            to.uri.user_text().as_deref() == Some(agent.as_str())
                && to.uri.host.eq_ignore_ascii_case(&self.config.domain)
        });
        let is_foreign_flow = self.agent_of(flow).is_some_and(|other| *other != agent);
        if !owns || is_foreign_flow {
            return Answer::plain(403);
        }
        let contact = match Contact::of_request(request) {
            Ok(contact) => contact,
            Err(answer) => return answer,
        };
        // §10.3 step 7
        if let Some(binding) = self.bindings.get(&agent)
            && binding.is_overtaken_by(request)
        {
            return Answer::plain(500);
        }
        let registrant = Registrant { flow, agent: &agent, serial };
        match contact {
            Contact::None => {}
            Contact::Removed => {
                if self.bindings.get(&agent).is_some_and(|binding| binding.flow == flow) {
                    self.unbind(&agent, None);
                }
            }
            Contact::One { value, target, expires } => {
                if !self.bindings.contains_key(&agent)
                    && self.bindings.len() >= self.config.capacity
                {
                    return Answer { code: 503, headers: vec![header("Retry-After", "10")] };
                }
                self.bind(now, registrant, request, value, target, expires);
            }
        }
        self.confirm(now, &agent, request)
    }

    fn bind(
        &mut self,
        now: Instant,
        by: Registrant<'_>,
        request: &Request,
        value: String,
        target: String,
        expires: u32,
    ) {
        let check_at = self.grants.get(by.agent).map_or(now, |granted| granted.expires_at);
        let binding = Binding {
            flow: by.flow,
            target,
            contact: value,
            call_id: request.call_id().unwrap_or_default().to_owned(),
            cseq: request.cseq().map_or(0, |cseq| cseq.number),
            expires_at: now + Duration::from_secs(expires.into()),
            check_at: check_at.max(now + Duration::from_millis(1)),
            serial: by.serial,
        };
        let parted = self.parted.remove(by.agent);
        let former = self.bindings.get(by.agent).or(parted.as_ref());
        let kinship = former.map_or(Kinship::Stranger, |former| binding.kinship(former));
        let former = self.bindings.insert(by.agent.to_owned(), binding).map(|former| former.flow);
        self.rearm();
        if former == Some(by.flow) {
            return;
        }
        if let Some(connection) = by.flow.connection {
            self.agents.insert(connection, by.agent.to_owned());
        }
        self.notices.push_back(Notice::Registered { agent: by.agent.to_owned(), kinship });
        if let Some(former) = former {
            former.connection.map(|connection| self.agents.remove(&connection));
            self.notices.push_back(Notice::Close { flow: former, reason: CloseReason::TakenOver });
        }
    }

    /// The 200: each binding with its remaining seconds (§10.3 step 8); RFC 5626 §6 for who asked
    /// for outbound.
    fn confirm(&self, now: Instant, agent: &AgentName, request: &Request) -> Answer {
        let mut headers = Vec::new();
        if let Some(binding) = self.bindings.get(agent) {
            let left = binding.expires_at.saturating_duration_since(now).as_secs();
            headers.push(header("Contact", format!("{};expires={left}", binding.contact)));
            if binding.is_outbound() && request.supports("outbound") {
                headers.push(header("Require", "outbound"));
            }
        }
        headers.push(header("Supported", "outbound"));
        Answer { code: 200, headers }
    }
}

#[cfg(test)]
mod tests;
