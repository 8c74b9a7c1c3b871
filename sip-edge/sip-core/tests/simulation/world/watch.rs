//! What the world sees at the edge's boundary, and what must hold there.

use super::{AGENTS, SUPERVISOR, THIRD, World, call_id};
use crate::model::{Dialogs, Input, Invitation, check_outcome, may_hear, note_response};
use crate::page::Page;
use crate::peer::{CONFIRMATION, Phone};
use crate::session::{self, address};
use sip_core::event::Ended;
use sip_core::message::{Method, Request, SipMessage, View};
use sip_core::outcome::LegName;
use sip_core::remains;
use std::net::SocketAddr;
use std::time::Duration;

/// How long it takes at most until a phone is heard at another address.
const REBOUND: Duration = Duration::from_secs(15);

impl World {
    /// Nobody in a consultation or a whisper is heard elsewhere: what goes to the agent and the
    /// customer holds no other's tone.
    pub(super) fn check_privacy(&self, to: SocketAddr, bytes: &[u8]) {
        let Some(phone) =
            self.phones.values().find(|phone| phone.source == to || phone.media == to)
        else {
            return;
        };
        if !matches!(phone.leg, LegName::Agent | LegName::Customer) {
            return;
        }
        let standings = self.calls[phone.number].standings(self.now);
        let Some((_, conversation)) = standings.last() else { return };
        for speaker in [LegName::Agent, LegName::Customer, THIRD, SUPERVISOR] {
            if speaker != phone.leg
                && session::has_tone(bytes, Phone::frequency(speaker)) == Some(true)
            {
                assert!(
                    standings.iter().any(|(_, each)| may_hear(each, phone.leg, speaker)),
                    "seed {}: {:?} of call {} hears {speaker:?}: {conversation:?}",
                    self.seed,
                    phone.leg,
                    phone.number
                );
            }
        }
    }

    /// Notes what a message to the edge means for its call, before the edge has it.
    pub(super) fn note_input(&mut self, message: &SipMessage) {
        let Some(dialogs) = self.dialogs.get_mut(call_id(message)) else { return };
        let (call, leg) = (&mut self.calls[dialogs.call], dialogs.leg);
        let body = match message {
            SipMessage::Request(request) => {
                if request.method == Method::Bye {
                    call.inputs.push((self.now, Input::Bye(leg)));
                }
                if request.body == CONFIRMATION {
                    call.is_confirmed |= leg == LegName::Agent;
                    return;
                }
                &request.body
            }
            SipMessage::Response(response) => {
                note_response(call, leg, &mut dialogs.invitation, self.now, response);
                &response.body
            }
        };
        if !body.is_empty() {
            self.media_addresses.insert(session::media_of(body));
        }
    }

    /// Notes what the edge sends. S11, S17, A9: no INVITE to the customer before the agent's 2xx
    /// was acknowledged, and confirmed if that is asked for.
    pub(super) fn note_request(&mut self, request: &Request) {
        let id = request.call_id().unwrap();
        let user = request.to_addr().unwrap().uri.user.unwrap();
        let leg = match &user[..1] {
            "1" => LegName::Agent,
            "3" => THIRD,
            "4" => SUPERVISOR,
            _ => LegName::Customer,
        };
        let call: usize = user[1..].parse().unwrap();
        match request.method {
            Method::Invite => {
                if leg == LegName::Customer {
                    self.check_no_other_rang(call, id);
                    let is_of_agent = |page: &&Page| page.number == call && page.has_spoken;
                    assert!(
                        !self.calls[call].has_softphone
                            || self.pages.iter().any(|page| is_of_agent(&page)),
                        "seed {}: customer called before the agent's audio",
                        self.seed
                    );
                    let call = &self.calls[call];
                    assert!(
                        call.agent_acked,
                        "seed {}: customer called before the agent's ACK",
                        self.seed
                    );
                    assert!(
                        call.is_confirmed || !call.agent_confirm,
                        "seed {}: customer called unconfirmed",
                        self.seed
                    );
                }
                let invitation = Invitation::default();
                self.dialogs.entry(id.to_owned()).or_insert(Dialogs { call, leg, invitation });
            }
            Method::Ack
                if leg == LegName::Agent && self.dialogs[id].invitation.answered_at.is_some() =>
            {
                self.calls[call].agent_acked = true;
            }
            Method::PRack | Method::Update => {
                self.reached.insert(("sent".to_owned(), request.method.to_string()));
            }
            _ => {}
        }
    }

    /// A11: whose phone rang by one trunk is not called by another.
    fn check_no_other_rang(&self, call: usize, id: &str) {
        let others = self.dialogs.iter().filter(|(other, dialogs)| {
            *other != id && dialogs.call == call && dialogs.leg == LegName::Customer
        });
        for (other, dialogs) in others {
            let is_rung = dialogs.invitation.rang || dialogs.invitation.answered_at.is_some();
            assert!(!is_rung, "seed {}: {id} after {other} of call {call} rang", self.seed);
        }
    }

    pub(super) fn note_end(&mut self, ended: Ended) {
        let number: usize = ended.call_id.as_str().parse().unwrap();
        let call = &mut self.calls[number];
        assert!(call.ended.is_none(), "seed {}: call {number} ended twice", self.seed);
        check_outcome(self.seed, number, call, &ended);
        let reason =
            ended.reason.map_or_else(|| "as it should".to_owned(), |why| format!("{why:?}"));
        self.reached.insert((format!("{:?}", ended.status), reason));
        self.reached.extend(ended.hangup_by.map(|by| ("ended by".to_owned(), format!("{by:?}"))));
        let trunks =
            ended.attempts.iter().map(|attempt| ("tried".to_owned(), attempt.trunk.to_string()));
        self.reached.extend(trunks);
        call.ended = Some(ended);
    }

    pub(super) fn check_invariants(&self) {
        let held = self.edge.held();
        let live = self.edge.call_count();
        assert!(held.leg_count <= 8 * live, "seed {}: {held:?} with {live} calls", self.seed);
        assert!(held.recording_count <= live, "seed {}: {held:?} with {live} calls", self.seed);
        assert!(held.call_count >= live, "seed {}: {held:?} with {live} calls", self.seed);
        assert!(held.call_count > 0 || held.dialog_count == 0, "seed {}: {held:?}", self.seed);
    }

    /// Nothing is held, nothing is noted, and no phone rings or believes to be in a call.
    pub(super) fn check_left(&self) {
        assert_eq!(self.edge.held(), Default::default(), "seed {}: something is left", self.seed);
        assert_eq!(remains::read(&self.journal), [], "seed {}", self.seed);
        for phone in self.phones.values() {
            // A phone whose carrier broke away is beyond our reach.
            assert!(
                self.is_broken || phone.is_idle(),
                "seed {}: {:?} phone of call {} is left",
                self.seed,
                phone.leg,
                phone.number
            );
        }
        for page in &self.pages {
            assert!(
                page.is_idle(),
                "seed {}: page {} of call {} is left",
                self.seed,
                page.tab,
                page.number
            );
        }
    }

    pub(super) fn check_end(&self) {
        self.check_left();
        for (number, call) in self.calls.iter().enumerate() {
            let Some(ended) = &call.ended else { continue };
            let phones = || self.phones.values().filter(|each| each.number == number);
            if phones().any(|phone| phone.plan.is_dead) {
                continue;
            }
            let all_speak = phones().all(|phone| phone.plan.has_media);
            phones().filter(|_| all_speak).for_each(|phone| self.check_heard_anew(phone, ended));
            // Who moves at once is followed some time later.
            if call.has_softphone || phones().any(|phone| phone.rebound_at.is_some()) {
                continue;
            }
            if ended.duration_s >= 3 && !call.is_controlled {
                let heard =
                    |leg| phones().filter(|each| each.leg == leg).any(|each| each.heard > 0);
                assert!(
                    heard(LegName::Agent),
                    "seed {}: agent of call {number} heard nothing",
                    self.seed
                );
                let other_spoke = self.plans[&(address(AGENTS), number)].has_media;
                assert!(
                    !other_spoke || heard(LegName::Customer),
                    "seed {}: customer of call {number} heard nothing",
                    self.seed
                );
            }
        }
    }
    /// A phone that talks on from another address hears there who talks to it.
    fn check_heard_anew(&self, phone: &Phone, ended: &Ended) {
        let Some(at) = phone.rebound_at else { return };
        let time = ended.ended_at.saturating_duration_since(at);
        assert!(
            // Who holds wants to hear nothing.
            time < REBOUND || phone.plan.holds_after.is_some() || phone.heard_anew > 0,
            "seed {}: {:?} of call {} heard nothing at its new address for {time:?}: {ended:?}",
            self.seed,
            phone.leg,
            phone.number
        );
    }
}
