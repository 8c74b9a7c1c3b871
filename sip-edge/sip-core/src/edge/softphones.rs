//! The softphones of the shard: their grants, their registrations, what they may send, and what
//! their coming and going means for the calls that they are in. Who may register is decided by the
//! registrar.

use super::Edge;
use crate::call::invitation::request as sip;
use crate::call::shard::Owner;
use crate::command::{AgentTarget, Refusal};
use crate::counters::Counter;
use crate::event::{Event, Output, SourceKind};
use crate::flow::{Flow, Transport};
use crate::message::{Method, Request, View, header};
use crate::registrar::{CloseReason, Grant, Notice, Registrar};
use call_words::AgentName;
use std::time::Instant;

/// Whether a request goes on to its call, or is answered already.
pub enum Admitted {
    Yes,
    Answered,
}

impl Edge {
    /// Lets an agent's softphone register; see `control_wire`'s `GrantSoftphone`.
    pub fn grant_softphone(&mut self, now: Instant, grant: Grant) {
        let granted =
            self.shard.registrar.as_mut().is_some_and(|registrar| registrar.grant(now, grant));
        if !granted {
            self.shard.counters.count(Counter::GrantRefused);
        }
    }

    /// Ends an agent's grant and cuts its softphone off, at the end of its call if it is in one.
    pub fn revoke_softphone(&mut self, now: Instant, agent: &AgentName) {
        let is_busy = self.shard.agents.contains_key(agent);
        if let Some(registrar) = &mut self.shard.registrar {
            registrar.revoke(now, agent, is_busy);
        }
        self.settle_softphones(now);
        self.settle(now);
    }

    /// Whether an agent registered over this flow.
    pub fn is_registered(&self, flow: Flow) -> bool {
        self.shard.registrar.as_ref().is_some_and(|registrar| registrar.agent_of(flow).is_some())
    }

    /// Agents whose softphones are registered.
    pub fn softphones(&self) -> impl Iterator<Item = &AgentName> {
        self.shard.registrar.iter().flat_map(Registrar::online)
    }

    /// An agent is called only where it is, and only for one call at a time.
    pub(super) fn admit_agent(&self, agent: &AgentTarget) -> Result<(), Refusal> {
        let AgentTarget::Softphone { agent, .. } = agent else { return Ok(()) };
        self.shard.admit_softphone(agent)
    }

    /// What a WebSocket may send: REGISTER and OPTIONS always, all else once it is registered.
    pub(super) fn admit_softphone(
        &mut self,
        now: Instant,
        flow: Flow,
        request: &Request,
    ) -> Admitted {
        if flow.transport != Transport::Wss {
            return Admitted::Yes;
        }
        let is_registered = self.is_registered(flow);
        match request.method {
            Method::Register if self.shard.registrar.is_some() => self.register(now, flow, request),
            Method::Options => return Admitted::Yes,
            _ if is_registered => return Admitted::Yes,
            Method::Ack => self.shard.counters.count(Counter::ForeignRequest),
            _ => {
                self.shard.counters.count(Counter::ForeignRequest);
                let response =
                    sip::response(&self.shard.config, request, 403, &self.stray_tag(request));
                self.send_response(now, flow, &response);
            }
        }
        Admitted::Answered
    }

    /// The stream delivers by itself, so a REGISTER needs no transaction (RFC 3261 §8.2.7).
    fn register(&mut self, now: Instant, flow: Flow, request: &Request) {
        let tag = self.stray_tag(request);
        let nonce = self.shard.entropy.token();
        let is_draining = self.is_draining;
        // Who is in a call may come back to it: the registrar binds nobody but the agent that the
        // To names.
        let named = request.to_addr().and_then(|to| to.uri.user_text());
        let (Some(registrar), agents) = (&mut self.shard.registrar, &self.shard.agents) else {
            return;
        };
        let is_expected = registrar.agent_of(flow).is_some()
            || named.is_some_and(|agent| agents.contains_key(&AgentName::from(&*agent)));
        let (code, headers) =
            if let Some(refusal) = sip::bad_extension(&self.shard.config, request, &tag) {
                return self.send_response(now, flow, &refusal);
            } else if is_draining && !is_expected {
                (503, vec![header("Retry-After", "30")])
            } else {
                let answer = registrar
                    .handle_register(now, flow, request, nonce, |agent| agents.contains_key(agent));
                (answer.code, answer.headers)
            };
        match code {
            200 => self.shard.counters.count(Counter::Registered),
            401 => {}
            _ => self.shard.counters.count(Counter::RegistrationRefused),
        }
        let mut response = sip::response(&self.shard.config, request, code, &tag);
        headers.into_iter().for_each(|each| response.headers.push(each));
        self.send_response(now, flow, &response);
        self.settle_softphones(now);
    }

    /// A softphone's dialog is reached only over its agent's flow; a trunk's only from its route,
    /// never over a WebSocket (B02). What comes from elsewhere is counted as `foreign`.
    pub(super) fn is_reached_over(&mut self, owner: Owner, flow: Flow, foreign: Counter) -> bool {
        let leg = self.calls.get(owner.call).and_then(|call| call.leg_named(owner.leg));
        let softphone = leg.and_then(|leg| leg.softphone());
        if softphone.is_some() || flow.transport == Transport::Wss {
            let sender =
                self.shard.registrar.as_ref().and_then(|registrar| registrar.agent_of(flow));
            if softphone.is_some() && softphone == sender {
                return true;
            }
        } else if let Some(leg) = leg {
            let source = flow.remote.ip();
            if leg.is_signalled_from(owner.invitation, source) {
                return true;
            }
            self.shard.refuse_source(&leg.trunk(owner.invitation), source, SourceKind::Signalling);
        } else if self.farewells.is_signalled_from(owner.call, flow.remote.ip())
            || self.calls.ended.is_signalled_from(owner.call, flow.remote.ip())
        {
            return true;
        }
        self.shard.counters.count(foreign);
        false
    }

    pub(super) fn lose_softphone(&mut self, now: Instant, flow: Flow) {
        if let (Some(registrar), Transport::Wss) = (&mut self.shard.registrar, flow.transport) {
            registrar.handle_lost_flow(flow);
            self.settle_softphones(now);
        }
    }

    pub(super) fn expire_softphones(&mut self, now: Instant) {
        let agents = &self.shard.agents;
        if let Some(registrar) = &mut self.shard.registrar
            && registrar.poll_timeout().is_some_and(|due| due <= now)
        {
            registrar.handle_timeout(now, |agent| agents.contains_key(agent));
            self.settle_softphones(now);
        }
    }

    /// Those in a call stay until its end.
    pub(super) fn close_idle_softphones(&mut self) {
        let is_idle = |agent: &&AgentName| !self.shard.agents.contains_key(*agent);
        let leaving: Vec<AgentName> = self.softphones().filter(is_idle).cloned().collect();
        if let Some(registrar) = &mut self.shard.registrar {
            leaving
                .iter()
                .for_each(|agent| registrar.unbind(agent, Some(CloseReason::ShuttingDown)));
        }
    }

    /// Tells what the registrar has to tell, to control-api and to the calls.
    pub(super) fn settle_softphones(&mut self, now: Instant) {
        while let Some(notice) = self.shard.registrar.as_mut().and_then(Registrar::poll_notice) {
            match notice {
                Notice::Registered { agent, kinship } => {
                    let call = self.shard.agents.get(&agent).copied();
                    self.tell_presence(agent, true);
                    if let Some((call, leg)) = call {
                        self.calls.with(now, &mut self.shard, call, |call, cx| {
                            call.handle_softphone_back(cx, leg, kinship)
                        });
                    }
                }
                Notice::Lost { agent } => {
                    let call = self.shard.agents.get(&agent).copied();
                    self.tell_presence(agent, false);
                    if let Some((call, leg)) = call {
                        self.calls.with(now, &mut self.shard, call, |call, cx| {
                            call.handle_lost_flow(cx, leg)
                        });
                    }
                }
                Notice::Close { flow, reason } => {
                    if reason == CloseReason::TakenOver {
                        self.shard.counters.count(Counter::SoftphoneTakenOver);
                    }
                    self.shard.output.push_back(Output::CloseFlow { flow, reason });
                }
            }
        }
    }

    fn tell_presence(&mut self, agent: AgentName, is_online: bool) {
        self.shard.output.push_back(Output::Event(Event::Presence { agent, is_online }));
    }
}
