//! The way to a registrar over UDP is kept open by STUN on the SIP socket (RFC 5626 §4.4.2, §8), if
//! the registrar's answer has agreed to it; what is lost is registered over again.

use super::Edge;
use crate::counters::Counter;
use crate::event::Output;
use crate::flow::{Flow, Transport};
use crate::message::Response;
use crate::trunk::keep_alive::{Due, KeepAlive};
use call_words::TrunkId;
use media_core::stun;
use std::time::Instant;

impl Edge {
    /// Takes what the answer to a REGISTER says of it.
    pub(super) fn agree_to_keep_alive(&mut self, now: Instant, id: &TrunkId, response: &Response) {
        let register = self.trunks.registers.get(id);
        let told = register.and_then(|register| register.keep_interval(response));
        let Some(kept) = self.shard.trunks.get_mut(id) else { return };
        let former = kept.keep_alive.take();
        kept.keep_alive = told.map(|told| {
            let chance = self.shard.entropy.number();
            match former {
                Some(former) => former.renewed(now, told, chance),
                None => KeepAlive::new(now, told, chance),
            }
        });
    }

    pub(super) fn pursue_keep_alive(&mut self, now: Instant, id: &TrunkId) {
        let Some(kept) = self.shard.trunks.get_mut(id) else { return };
        if kept.registration.as_ref().is_none_or(|one| !one.is_registered()) {
            kept.keep_alive = None;
        }
        let Some(keep_alive) = &mut kept.keep_alive else { return };
        let entropy = &mut self.shard.entropy;
        let (chance, fresh) = (entropy.number(), entropy.stun_transaction());
        match keep_alive.take_due(now, chance, fresh) {
            Some(Due::Send(transaction)) => {
                let register = self.trunks.registers.get(id);
                let config = &self.shard.config;
                if let Some(flow) = register.and_then(|register| register.flow(config)) {
                    let bytes = stun::binding_request(transaction);
                    self.shard.output.push_back(Output::Sip { flow, bytes: bytes[..].into() });
                }
            }
            Some(Due::Lost) => {
                self.shard.counters.count(Counter::FlowError);
                self.lose_way(now, id);
            }
            None => {}
        }
    }

    /// Takes the answer to a Binding request of ours; whether it was one.
    pub(in crate::edge) fn take_keep_alive(
        &mut self,
        now: Instant,
        flow: Flow,
        bytes: &[u8],
    ) -> bool {
        let answer = stun::answered(bytes).filter(|_| flow.transport == Transport::Udp);
        let Some(transaction) = answer else { return false };
        let chance = self.shard.entropy.number();
        let answered = self.shard.trunks.iter_mut().find_map(|kept| {
            let source = flow.remote.ip();
            let is_named = kept.trunk.addresses.iter().any(|address| address.ip() == source);
            let keep_alive = kept.keep_alive.as_mut().filter(|_| is_named)?;
            keep_alive.awaited().filter(|awaited| *awaited == transaction)?;
            let is_moved = keep_alive.take_answer(now, stun::mapped_address(bytes)?, chance);
            Some((kept.trunk.trunk.clone(), is_moved))
        });
        if let Some((id, true)) = &answered {
            self.lose_way(now, id);
        }
        self.trunks.due = self.shard.trunks.poll_timeout();
        answered.is_some()
    }

    fn lose_way(&mut self, now: Instant, id: &TrunkId) {
        if let Some(registration) = self.registration_mut(id) {
            registration.lose_flow(now);
        }
    }
}
