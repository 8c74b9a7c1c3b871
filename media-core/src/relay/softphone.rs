//! Softphone legs: they share one socket and are told apart by the peer's address, which a checked
//! STUN request shows. Checks and handshakes are handled here; their RTP and RTCP go the way of
//! every leg's (`forward`).

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::leg::Leg;
use super::{
    Event, Forward, LegId, NoPort, Relay, RemoteMedia, SocketId, SoftphoneRemote, WebRtcConfig,
};
use crate::drops::DropReason;
use crate::dtls::{self, Association, Failed, Fingerprint, Identity, Taken};
use crate::ice::{self, Agent, Mint};
use crate::ports::Ports;
use crate::sdp::SoftphoneLocal;
use crate::sender::Sender;
use crate::srtp::{Inbound, Outbound};
use crate::stun::{self, Refusal};

/// DTLS datagrams that all legs of a shard may send in a tick of 20 ms, and one leg: each may cost
/// about half a millisecond. What is beyond is dropped, and browsers repeat it after 50 ms.
const TICK_BUDGET: u8 = 8;
const LEG_TICK_BUDGET: u8 = 4;
/// Handshakes at a time.
const MAX_HANDSHAKE_COUNT: usize = 128;

/// What is special about a softphone leg.
pub(super) struct Softphone {
    agent: Agent,
    /// Of the peer's certificate, as signalled.
    fingerprint: Option<Fingerprint>,
    handshake: Handshake,
    /// DTLS datagrams taken in the relay's tick `budget_tick`.
    budget_tick: u32,
    spent: u8,
}

/// Where the leg stands with DTLS.
enum Handshake {
    /// The peer has to begin.
    Awaited,
    /// Running, waiting for the signalled fingerprint, or done a short while ago.
    Associated(Box<Association>),
    /// Failed, or done for long.
    Over,
}

impl Softphone {
    /// Where the peer wants its datagrams.
    pub fn selected(&self) -> Option<SocketAddr> {
        self.agent.selected()
    }

    /// Asks for the memory of `selected`.
    pub fn prefetch_selected(&self) {
        self.agent.prefetch_selected();
    }

    fn association(&mut self) -> Option<&mut Association> {
        match &mut self.handshake {
            Handshake::Associated(association) => Some(association),
            Handshake::Awaited | Handshake::Over => None,
        }
    }

    /// Counts a datagram; false if the leg has had its share of this tick.
    fn may_spend(&mut self, tick: u32) -> bool {
        if self.budget_tick != tick {
            self.budget_tick = tick;
            self.spent = 0;
        }
        self.spent = self.spent.saturating_add(1);
        self.spent <= LEG_TICK_BUDGET
    }
}

/// What all softphone legs share.
pub(super) struct Softphones {
    port: u16,
    identity: Identity,
    mint: Mint,
    /// Places of legs beyond the port pairs.
    places: Ports,
    /// The legs of the addresses that were checked.
    sources: HashMap<SocketAddr, LegId, Seeded>,
    /// Legs whose handshake runs.
    handshakes: Vec<LegId>,
    tick: u32,
    /// DTLS datagrams that this tick may still take.
    budget: u8,
}

impl Softphones {
    pub fn new(config: &WebRtcConfig, seed: u64) -> Softphones {
        let capacity = usize::from(config.capacity);
        Softphones {
            identity: Identity::new(&config.secret),
            mint: Mint::new(&config.secret),
            places: Ports::new(config.capacity, Duration::ZERO),
            // One address each, which is what most have; with room for all of them, packets would
            // wait for a sparse table's memory.
            sources: HashMap::with_capacity_and_hasher(capacity, Seeded(seed)),
            handshakes: Vec::with_capacity(MAX_HANDSHAKE_COUNT),
            tick: 0,
            budget: TICK_BUDGET,
            port: config.port,
        }
    }

    /// The leg of a checked address.
    pub fn leg_at(&self, source: SocketAddr) -> Option<LegId> {
        self.sources.get(&source).copied()
    }

    /// Lets go of a closed leg.
    pub fn close(&mut self, now: Instant, closed: &Leg, place: u16) {
        self.places.release(now, place);
        self.handshakes.retain(|id| *id != closed.id);
        if let Some(softphone) = &closed.softphone {
            for source in softphone.agent.sources() {
                self.sources.remove(&source);
            }
        }
    }
}

impl Relay {
    /// Opens a leg on the softphones' socket.
    ///
    /// # Errors
    /// All legs are in use, or the shard takes no softphones.
    pub fn open_softphone(&mut self, now: Instant) -> Result<LegId, NoPort> {
        let softphones = self.softphones.as_mut().ok_or(NoPort)?;
        let index = u32::from(self.config.pair_count)
            + u32::from(softphones.places.take(now).ok_or(NoPort)?);
        let sender = Sender::new(&mut self.random);
        let id = self
            .legs
            .insert(index, |generation| Leg::new(now, LegId { index, generation }, sender));
        let leg = id.expect("a free place has no leg");
        leg.softphone = Some(Box::new(Softphone {
            agent: Agent::new(index, &mut softphones.mint),
            fingerprint: None,
            handshake: Handshake::Awaited,
            budget_tick: 0,
            spent: 0,
        }));
        let id = leg.id;
        self.arm(now);
        Ok(id)
    }

    /// What our SDP says of a softphone leg; `None` for any other leg.
    pub fn softphone_local(&self, leg: LegId) -> Option<SoftphoneLocal> {
        let softphones = self.softphones.as_ref()?;
        let agent = &self.legs.get(leg.index, leg.generation)?.softphone.as_ref()?.agent;
        Some(SoftphoneLocal {
            address: SocketAddr::new(self.config.public_addresses[0], softphones.port),
            ice: agent.credentials(),
            next_ice: agent.next_credentials(),
            peer_ufrag: agent.peer_ufrag().map(Box::from),
            fingerprint: softphones.identity.fingerprint(),
        })
    }

    /// When a softphone leg's peer last checked the way to us; `None` for one without consent, and
    /// for any other leg.
    pub fn softphone_checked_at(&self, leg: LegId) -> Option<Instant> {
        self.legs.get(leg.index, leg.generation)?.softphone.as_ref()?.agent.checked_at()
    }

    /// Tells a softphone leg its peer, at first or after a new negotiation. Another ICE name
    /// restarts ICE: the leg then goes by `SoftphoneLocal::next_ice`, and by its old name too until
    /// the peer chose an address by the new one. Another fingerprint begins DTLS anew.
    pub fn set_softphone_remote(&mut self, now: Instant, leg: LegId, remote: SoftphoneRemote) {
        let Some(softphones) = &mut self.softphones else { return };
        let Some(open) = self.legs.get_mut(leg.index, leg.generation) else { return };
        let Some(softphone) = &mut open.softphone else { return };
        softphone.agent.set_peer(&remote.ufrag, leg.index, &mut softphones.mint);
        if softphone
            .fingerprint
            .replace(remote.fingerprint)
            .is_some_and(|before| before != remote.fingerprint)
        {
            softphone.handshake = Handshake::Awaited;
            softphones.handshakes.retain(|id| *id != leg);
            (open.inbound, open.outbound) = (None, None);
        }
        self.set_media(
            now,
            leg,
            RemoteMedia {
                rtp: None,
                rtcp: None,
                rtcp_mux: true,
                codec: remote.codec,
                audio: remote.audio,
                telephone_event: remote.telephone_event,
                comfort_noise: None,
                received: remote.received,
                direction: remote.direction,
                srtp: None,
            },
        );
        self.try_connect(leg);
    }

    /// Handles STUN: answers a check in place.
    pub(super) fn handle_check(
        &mut self,
        now: Instant,
        source: SocketAddr,
        buffer: &mut [u8],
        len: usize,
    ) -> Result<Forward, DropReason> {
        let softphones = self.softphones.as_mut().ok_or(DropReason::NoLeg)?;
        let request = stun::parse(&buffer[..len]).map_err(|refusal| match refusal {
            Refusal::Malformed => DropReason::StunMalformed,
            Refusal::Unexpected => DropReason::StunUnexpected,
        })?;
        let index = ice::leg_of(&request).ok_or(DropReason::StunUnauthentic)?;
        let (_, leg) = self.legs.at_mut(index).ok_or(DropReason::StunUnauthentic)?;
        let id = leg.id;
        let softphone = leg.softphone.as_mut().ok_or(DropReason::StunUnauthentic)?;
        let transaction = request.transaction;
        let checked = softphone.agent.check(now, &request, source)?;
        if let Some(replaced) = checked.replaced {
            softphones.sources.remove(&replaced);
        }
        if checked.is_new
            && let Some(before) = softphones.sources.insert(source, id)
            && before != id
            && let Some(other) = self.legs.get_mut(before.index, before.generation)
            && let Some(other) = &mut other.softphone
        {
            // A browser's new connection from an address that an older one had.
            other.agent.lose(source);
        }
        if checked.connected {
            self.drops.note(self.queues.event(Event::IceConnected(id)));
        }
        let answer_len =
            stun::write(checked.answer, transaction, source, checked.ours.password(), buffer);
        let len = answer_len.ok_or(DropReason::Oversized)?;
        Ok(Forward::To { socket: SocketId::WEBRTC, remote: source, start: 0, len })
    }

    /// Handles a DTLS datagram from a leg's checked address.
    pub(super) fn handle_handshake(
        &mut self,
        now: Instant,
        leg: LegId,
        datagram: &[u8],
    ) -> Result<Forward, DropReason> {
        let softphones = self.softphones.as_mut().ok_or(DropReason::NoLeg)?;
        let open = self.legs.get_mut(leg.index, leg.generation).ok_or(DropReason::NoLeg)?;
        let softphone = open.softphone.as_mut().ok_or(DropReason::NoLeg)?;
        if matches!(softphone.handshake, Handshake::Over) {
            return Err(DropReason::DtlsOver);
        }
        if !dtls::is_sound(datagram) {
            return Err(DropReason::DtlsInvalid);
        }
        if softphones.budget == 0 || !softphone.may_spend(softphones.tick) {
            return Err(DropReason::DtlsBudget);
        }
        softphones.budget -= 1;
        if matches!(softphone.handshake, Handshake::Awaited) {
            if softphones.handshakes.len() == MAX_HANDSHAKE_COUNT {
                return Err(DropReason::HandshakesFull);
            }
            softphones.handshakes.push(leg);
            softphone.handshake = Handshake::Associated(Box::new(Association::new(
                now,
                &softphones.identity,
                datagram,
            )));
        }
        let remote = softphone.agent.selected();
        let association = softphone.association().ok_or(DropReason::DtlsOver)?;
        let (queues, drops) = (&mut self.queues, &mut self.drops);
        let result = association.handle_datagram(now, datagram, |answer| {
            if let Some(remote) = remote {
                drops.note(queues.transmit(SocketId::WEBRTC, remote, answer));
            }
        });
        self.after_handshake_step(leg, result.map(|_| ()));
        match result {
            Ok(Taken::Handled) => Ok(Forward::Local),
            Ok(Taken::Discarded) => Err(DropReason::DtlsInvalid),
            Err(Failed) => Err(DropReason::DtlsFailed),
        }
    }

    /// Fires the handshakes' timers and opens a new tick's budget.
    pub(super) fn tick_handshakes(&mut self, now: Instant) {
        let Some(softphones) = &mut self.softphones else { return };
        softphones.tick = softphones.tick.wrapping_add(1);
        softphones.budget = TICK_BUDGET;
        let mut at = 0;
        while let Some(id) =
            self.softphones.as_ref().and_then(|softphones| softphones.handshakes.get(at).copied())
        {
            self.fire_handshake(now, id);
            let is_same = |softphones: &Softphones| softphones.handshakes.get(at) == Some(&id);
            at += usize::from(self.softphones.as_ref().is_some_and(is_same));
        }
    }

    fn fire_handshake(&mut self, now: Instant, leg: LegId) {
        let Some(open) = self.legs.get_mut(leg.index, leg.generation) else { return };
        let Some(softphone) = &mut open.softphone else { return };
        let remote = softphone.agent.selected();
        let Some(association) =
            softphone.association().filter(|association| association.due() <= now)
        else {
            return;
        };
        let (queues, drops) = (&mut self.queues, &mut self.drops);
        let result = association.handle_timeout(now, |repeated| {
            if let Some(remote) = remote {
                drops.note(queues.transmit(SocketId::WEBRTC, remote, repeated));
            }
        });
        self.after_handshake_step(leg, result);
    }

    fn after_handshake_step(&mut self, leg: LegId, result: Result<(), Failed>) {
        match result {
            Ok(()) => self.try_connect(leg),
            Err(Failed) => {
                let has_keys = self
                    .legs
                    .get(leg.index, leg.generation)
                    .is_some_and(|leg| leg.outbound.is_some());
                self.end_handshake(leg);
                // What goes wrong after the keys were taken harms no media.
                if !has_keys {
                    self.drops.note(self.queues.event(Event::DtlsFailed(leg)));
                }
            }
        }
    }

    fn end_handshake(&mut self, leg: LegId) {
        if let Some(softphones) = &mut self.softphones {
            softphones.handshakes.retain(|id| *id != leg);
        }
        let open = self.legs.get_mut(leg.index, leg.generation);
        if let Some(softphone) = open.and_then(|leg| leg.softphone.as_mut()) {
            softphone.handshake = Handshake::Over;
        }
    }

    /// Takes the keys of a finished handshake once the description told whose certificate is right
    /// (RFC 5763 §5).
    fn try_connect(&mut self, leg: LegId) {
        let Some(open) =
            self.legs.get_mut(leg.index, leg.generation).filter(|leg| leg.outbound.is_none())
        else {
            return;
        };
        let Some(softphone) = &mut open.softphone else { return };
        let Some(signalled) = softphone.fingerprint else { return };
        let Some((shown, keys)) =
            softphone.association().and_then(|association| association.outcome())
        else {
            return;
        };
        if shown != signalled {
            self.end_handshake(leg);
            self.drops.note(self.queues.event(Event::DtlsFailed(leg)));
            return;
        }
        let contexts =
            (Box::new(Inbound::new(&keys.inbound)), Box::new(Outbound::new(&keys.outbound)));
        (open.inbound, open.outbound) = (Some(contexts.0), Some(contexts.1));
        if let Some(softphones) = &mut self.softphones {
            softphones.handshakes.retain(|id| *id != leg);
        }
        self.drops.note(self.queues.event(Event::DtlsConnected(leg)));
    }

    /// Looks after a leg's consent and after what is left of its handshake.
    pub(super) fn visit_softphone(&mut self, now: Instant, index: u32) {
        let Some(softphones) = &mut self.softphones else { return };
        let Some((_, leg)) = self.legs.at_mut(index) else { return };
        let Some(softphone) = &mut leg.softphone else { return };
        let forget = |source| {
            softphones.sources.remove(&source);
        };
        if softphone.agent.expire(now, forget) {
            self.drops.note(self.queues.event(Event::ConsentLost(leg.id)));
        }
        if leg.outbound.is_some()
            && softphone.association().is_some_and(|association| association.is_over(now))
        {
            softphone.handshake = Handshake::Over;
        }
    }
}

/// Hashes addresses with a seed, so that nobody can choose addresses that fall together.
#[derive(Clone)]
pub(super) struct Seeded(u64);

impl BuildHasher for Seeded {
    type Hasher = AddressHasher;

    fn build_hasher(&self) -> AddressHasher {
        AddressHasher(self.0)
    }
}

pub(super) struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            // The finisher of SplitMix64.
            let mut mixed = (self.0 ^ u64::from_le_bytes(word)).wrapping_add(0x9e37_79b9_7f4a_7c15);
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            self.0 = mixed ^ (mixed >> 31);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
