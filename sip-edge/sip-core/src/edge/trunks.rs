//! The trunks that the shard registers with and probes: what is sent to them and when, and what
//! their answers mean for the machines that count them (`trunk`). Each shard has registrations of
//! its own, under a Contact of its own.

mod keep_alive;
mod register;

use super::Edge;
use crate::call::invitation::request;
use crate::call::shard::Resources;
use crate::command::{EdgeConfig, KeptTrunk};
use crate::event::{Event, Output};
use crate::flow::{Flow, FlowFault};
use crate::message::{self, Method, RequestParts, Response, View};
use crate::transaction::{self, TransactionId};
use crate::trunk::Kept;
use crate::trunk::probe::Probe;
use crate::trunk::registration::{Fault, Registration};
use call_words::TrunkId;
use register::{Answer, Register};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Trunks that are kept.
const MAX_KEPT: usize = 1024;

/// What a request outside any call is for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Errand {
    Register(TrunkId),
    Probe(TrunkId),
    /// The end of a registration that is not kept any more.
    Unregister(u64),
}

/// What is under way for trunks.
#[derive(Default)]
pub struct Errands {
    running: BTreeMap<TransactionId, Errand>,
    registers: BTreeMap<TrunkId, Register>,
    ending: BTreeMap<u64, Register>,
    last_ending: u64,
    /// Which of a trunk's addresses is probed.
    probed: BTreeMap<TrunkId, usize>,
    due: Option<Instant>,
}

impl Errands {
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }

    /// Registrations that are kept or being ended.
    pub fn registration_count(&self) -> usize {
        self.registers.len() + self.ending.len()
    }
}

impl Edge {
    /// Knows these trunks, registers with those and probes those that ask for it, and no others
    /// from now on: a trunk that is not named any more, or that is another by its
    /// address-of-record, is unregistered. Tells how all of them stand, and from then on what
    /// changes.
    pub fn keep_trunks(&mut self, now: Instant, trunks: Vec<KeptTrunk>) {
        let named: BTreeSet<&TrunkId> = trunks.iter().map(|trunk| &trunk.trunk).collect();
        let gone = self.shard.trunks.ids().filter(|id| !named.contains(id)).cloned();
        for id in gone.collect::<Vec<_>>() {
            self.release_trunk(now, &id);
        }
        for trunk in trunks.into_iter().take(MAX_KEPT) {
            self.keep_trunk(now, trunk);
        }
        self.trunks.due = self.shard.trunks.poll_timeout();
        for state in self.shard.trunks.begin_telling() {
            self.shard.output.push_back(Output::Event(Event::Trunk(state)));
        }
        self.handle_trunk_timeout(now);
        self.settle(now);
    }

    fn keep_trunk(&mut self, now: Instant, mut trunk: KeptTrunk) {
        let id = trunk.trunk.clone();
        for address in &trunk.addresses {
            self.shard.remember_trunk(address.ip(), &trunk.signal_from);
        }
        let (config, name) = (&self.shard.config, trunk.interface.clone());
        let mut fault = None;
        trunk.addresses.retain(|address| {
            let interface = config.interface(name.as_deref(), trunk.transport, address.ip());
            fault = interface.err().or(fault);
            interface.is_ok()
        });
        if let Some(fault) = fault.filter(|_| trunk.addresses.is_empty()) {
            self.shard.lack_interface(&id, name.as_deref(), fault);
        }
        if self.shard.trunks.get(&id).is_some_and(|kept| kept.trunk == trunk) {
            return;
        }
        if self.shard.trunks.get(&id).is_some_and(|kept| !is_same_binding(&kept.trunk, &trunk)) {
            self.release_trunk(now, &id);
        }
        let (former, known) = match self.shard.trunks.release(&id) {
            Some(Kept { trunk, registration, probe, .. }) => (Some(trunk), (registration, probe)),
            None => (None, (None, None)),
        };
        let registration = trunk.register.map(|asked| {
            let fresh = Registration::new(now, asked);
            known.0.map_or(fresh, |known| known.renewed(now, asked))
        });
        if registration.is_some() {
            self.cancel_errand(&Errand::Register(id.clone()));
            let known = self.trunks.registers.remove(&id);
            let register = Register::new(&mut self.shard, &trunk, known);
            self.trunks.registers.insert(id.clone(), register);
        }
        let is_same_target = former.is_some_and(|former| {
            former.addresses == trunk.addresses
                && former.interface == trunk.interface
                && former.probe_interval == trunk.probe_interval
        });
        let probe = match known.1.filter(|_| is_same_target) {
            Some(known) => Some(known),
            None => {
                self.cancel_errand(&Errand::Probe(id.clone()));
                self.trunks.probed.remove(&id);
                trunk.probe_interval.map(|interval| Probe::new(now, interval))
            }
        };
        // The next registration agrees to it anew.
        let keep_alive = None;
        self.shard.trunks.keep(Kept { trunk, registration, keep_alive, probe });
    }

    /// Keeps a trunk no more, and takes our binding back if it may have one.
    fn release_trunk(&mut self, now: Instant, id: &TrunkId) {
        let Some(kept) = self.shard.trunks.release(id) else { return };
        self.cancel_errand(&Errand::Register(id.clone()));
        self.cancel_errand(&Errand::Probe(id.clone()));
        self.trunks.probed.remove(id);
        let register = self.trunks.registers.remove(id);
        let is_bound = kept.registration.is_some_and(|one| one.may_be_bound());
        if let Some(mut register) = register.filter(|_| is_bound)
            && let Some(transaction) = register.send(now, &mut self.shard, Duration::ZERO)
        {
            self.trunks.last_ending += 1;
            let key = self.trunks.last_ending;
            self.trunks.running.insert(transaction, Errand::Unregister(key));
            self.trunks.ending.insert(key, register);
        }
    }

    fn cancel_errand(&mut self, errand: &Errand) {
        let found = self.trunks.running.iter().find(|(_, running)| *running == errand);
        if let Some(transaction) = found.map(|(transaction, _)| *transaction) {
            self.trunks.running.remove(&transaction);
            self.shard.transactions.terminate(transaction);
        }
    }

    /// The stream to a trunk is gone: what was registered over it is registered again.
    pub(super) fn lose_trunk_flow(&mut self, now: Instant, flow: Flow) {
        let config = &self.shard.config;
        let is_over_it = |kept: &&mut Kept| {
            kept.trunk.addresses.contains(&flow.remote)
                && flow_to(config, &kept.trunk, flow.remote).is_some_and(|own| {
                    own.transport == flow.transport && own.local.ip() == flow.local.ip()
                })
        };
        let kept = self.shard.trunks.iter_mut().filter(is_over_it);
        for registration in kept.filter_map(|kept| kept.registration.as_mut()) {
            registration.lose_flow(now);
        }
        self.trunks.due = self.shard.trunks.poll_timeout();
    }

    /// Sends what is due and ends what is overdue.
    pub(super) fn handle_trunk_timeout(&mut self, now: Instant) {
        if self.trunks.due.is_none_or(|due| now < due) {
            return;
        }
        for id in self.shard.trunks.due(now) {
            self.pursue_trunk(now, &id);
        }
    }

    fn pursue_trunk(&mut self, now: Instant, id: &TrunkId) {
        self.pursue_keep_alive(now, id);
        self.pursue_registration(now, id);
        self.pursue_probe(now, id);
        self.trunks.due = self.shard.trunks.poll_timeout();
        self.shard.tell_trunk(id);
    }

    fn pursue_registration(&mut self, now: Instant, id: &TrunkId) {
        let Some(kept) = self.shard.trunks.get_mut(id) else { return };
        let Some(registration) = &mut kept.registration else { return };
        registration.handle_timeout(now);
        let Some(asked) = registration.take_due(now) else { return };
        let sent = self
            .trunks
            .registers
            .get_mut(id)
            .and_then(|register| register.send(now, &mut self.shard, asked));
        match sent {
            Some(transaction) => {
                self.trunks.running.insert(transaction, Errand::Register(id.clone()));
            }
            None => {
                let lacks_interface =
                    self.shard.trunks.get(id).is_some_and(|kept| kept.trunk.addresses.is_empty());
                let why = match lacks_interface {
                    true => "the edge has no interface that reaches it",
                    false => "the shard has its most transactions",
                };
                let fault = Fault { code: None, why };
                self.fail_registration(now, id, fault, None, false);
            }
        }
    }

    fn pursue_probe(&mut self, now: Instant, id: &TrunkId) {
        let chance = self.shard.entropy.number();
        let is_overdue = |kept: &Kept| kept.probe.as_ref().is_some_and(|it| it.is_overdue(now));
        if self.shard.trunks.get(id).is_some_and(is_overdue) {
            self.cancel_errand(&Errand::Probe(id.clone()));
            self.conclude_probe(id, false);
        }
        let Some(kept) = self.shard.trunks.get_mut(id) else { return };
        if !kept.probe.as_mut().is_some_and(|probe| probe.take_due(now, chance)) {
            return;
        }
        let trunk = kept.trunk.clone();
        let at = self.trunks.probed.get(id).copied().unwrap_or_default();
        // Without room it is overdue later, as if nothing had come.
        if let Some(transaction) = send_options(now, &mut self.shard, &trunk, at) {
            self.trunks.running.insert(transaction, Errand::Probe(id.clone()));
        }
    }

    /// Takes what became of a transaction that no call owns.
    pub(super) fn handle_trunk_output(
        &mut self,
        now: Instant,
        id: TransactionId,
        output: &transaction::Output,
        fault: FlowFault,
    ) {
        use transaction::Output as From;
        let result = match output {
            From::Transmit(_) | From::Request(_) | From::Terminated => return,
            From::Response(response) if response.status_code.code() < 200 => return,
            From::Response(response) => Ok(response),
            From::Timeout => Err("no response"),
            From::TransportError => Err(fault.detail()),
        };
        match self.trunks.running.remove(&id) {
            None => {}
            Some(Errand::Register(trunk)) => {
                self.take_registered(now, &trunk, result);
                self.pursue_trunk(now, &trunk);
            }
            Some(Errand::Probe(trunk)) => {
                // RFC 3261 §21.4.9, §21.5.4: whoever else answers is there.
                let is_there =
                    result.is_ok_and(|response| !matches!(response.status_code.code(), 408 | 503));
                self.conclude_probe(&trunk, is_there);
                self.pursue_trunk(now, &trunk);
            }
            Some(Errand::Unregister(key)) => {
                let again = self.trunks.ending.get_mut(&key).and_then(|register| {
                    register.answer_challenge(now, &mut self.shard, result.ok()?)
                });
                match again {
                    Some(again) => drop(self.trunks.running.insert(again, Errand::Unregister(key))),
                    None => drop(self.trunks.ending.remove(&key)),
                }
            }
        }
    }

    fn take_registered(
        &mut self,
        now: Instant,
        id: &TrunkId,
        result: Result<&Response, &'static str>,
    ) {
        let chance = self.shard.entropy.number();
        let Some(register) = self.trunks.registers.get_mut(id) else { return };
        let response = match result {
            Ok(response) => response,
            Err(why) => {
                let has_other = register.try_next_address();
                let fault = Fault { code: None, why };
                return self.fail_registration(now, id, fault, None, has_other);
            }
        };
        match register.read(&self.shard.config, response) {
            Answer::Granted(time) => {
                register.stay_here();
                if let Some(registration) = self.registration_mut(id) {
                    registration.accept(now, time, chance);
                }
                self.agree_to_keep_alive(now, id, response);
            }
            Answer::Challenge => match register.answer_challenge(now, &mut self.shard, response) {
                Some(again) => {
                    self.trunks.running.insert(again, Errand::Register(id.clone()));
                }
                None => {
                    let code = Some(response.status_code.code());
                    let fault = Fault { code, why: "the credentials are not taken" };
                    self.fail_registration(now, id, fault, None, false);
                }
            },
            Answer::TooBrief(least) => {
                let longer = self.registration_mut(id).map(|one| one.lengthen(now, least));
                if longer == Some(false) {
                    let fault = Fault { code: Some(423), why: "no time suits the registrar" };
                    self.fail_registration(now, id, fault, None, false);
                }
            }
            Answer::Refused(why) => {
                let code = response.status_code.code();
                let has_other = (500..600).contains(&code) && register.try_next_address();
                let retry_after =
                    response.retry_after().map(|seconds| Duration::from_secs(seconds.into()));
                let fault = Fault { code: Some(code), why };
                self.fail_registration(now, id, fault, retry_after, has_other);
            }
        }
    }

    fn fail_registration(
        &mut self,
        now: Instant,
        id: &TrunkId,
        fault: Fault,
        retry_after: Option<Duration>,
        has_other_address: bool,
    ) {
        let chance = self.shard.entropy.number();
        if let Some(registration) = self.registration_mut(id) {
            registration.fail(now, fault, retry_after, has_other_address, chance);
        }
    }

    fn registration_mut(&mut self, id: &TrunkId) -> Option<&mut Registration> {
        self.shard.trunks.get_mut(id)?.registration.as_mut()
    }

    /// A probe that failed goes to the trunk's next address.
    fn conclude_probe(&mut self, id: &TrunkId, is_there: bool) {
        let kept = self.shard.trunks.get_mut(id);
        if let Some(probe) = kept.and_then(|kept| kept.probe.as_mut()) {
            probe.conclude(is_there);
        }
        if !is_there {
            *self.trunks.probed.entry(id.clone()).or_default() += 1;
        }
    }

    /// Whether answers to a request that no call owns may come from here, besides where it went.
    pub(super) fn is_errand_answered_from(&self, id: TransactionId, source: IpAddr) -> bool {
        let source = source.to_canonical();
        let trunk = match self.trunks.running.get(&id) {
            Some(Errand::Register(trunk) | Errand::Probe(trunk)) => trunk,
            Some(Errand::Unregister(_)) | None => return false,
        };
        self.shard.trunks.get(trunk).is_some_and(|kept| {
            kept.trunk.signal_from.iter().any(|network| network.contains(&source))
        })
    }
}

/// Whether one REGISTER replaces the other's binding (RFC 3261 §10.2).
fn is_same_binding(one: &KeptTrunk, other: &KeptTrunk) -> bool {
    let user = |trunk: &KeptTrunk| {
        trunk.credentials.as_ref().map(|credentials| credentials.username.clone())
    };
    one.register.is_some() == other.register.is_some()
        && one.transport == other.transport
        && one.interface == other.interface
        && one.domain == other.domain
        && user(one) == user(other)
}

/// Sends a request outside any call to one of a trunk's addresses.
fn send(
    now: Instant,
    shard: &mut Resources,
    trunk: &KeptTrunk,
    at: usize,
    request: message::Request,
) -> Option<TransactionId> {
    let flow = flow_at(&shard.config, trunk, at)?;
    shard.remember_trunk(flow.remote.ip(), &trunk.signal_from);
    shard.start_request(now, request, flow, None).ok()
}

/// The way to one of a trunk's addresses.
fn flow_at(config: &EdgeConfig, trunk: &KeptTrunk, at: usize) -> Option<Flow> {
    flow_to(config, trunk, *trunk.addresses.get(at % trunk.addresses.len().max(1))?)
}

fn flow_to(config: &EdgeConfig, trunk: &KeptTrunk, remote: SocketAddr) -> Option<Flow> {
    let interface = config.interface(trunk.interface.as_deref(), trunk.transport, remote.ip());
    Some(config.flow(interface.ok()?, trunk.transport, remote))
}

fn send_options(
    now: Instant,
    shard: &mut Resources,
    trunk: &KeptTrunk,
    at: usize,
) -> Option<TransactionId> {
    let parameter = request::transport_parameter(trunk.transport);
    let flow = flow_at(&shard.config, trunk, at)?;
    let public = shard.config.public(flow);
    let (call_id, tag) = (shard.entropy.token(), shard.entropy.token());
    let via = request::hop(shard, flow);
    let options = message::request(&RequestParts {
        method: Method::Options,
        target: &format!("sip:{}{parameter}", trunk.domain),
        routes: &[],
        via: &via,
        from: &format!("<sip:{public}>;tag={tag}"),
        to: &format!("<sip:{}>", trunk.domain),
        call_id: &call_id,
        cseq: 1,
        contact: Some(&format!("<sip:{public}{parameter}>")),
        extra: vec![
            message::header("Accept", request::SDP),
            message::header("User-Agent", shard.config.user_agent.as_str()),
        ],
        body: None,
    });
    send(now, shard, trunk, at, options)
}
