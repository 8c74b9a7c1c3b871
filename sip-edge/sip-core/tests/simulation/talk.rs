//! Calls that are under way, for the scripts of mid-call control: a rig with its parties by name,
//! brought to a state step by step.

use crate::rig::{AGENT, CUSTOMER, Callee, Rig, SUPERVISOR, SUPERVISOR_MEDIA, THIRD, THIRD_MEDIA};
use crate::session::{self, address};
use call_words::{Joining, PartyState, RefusalCode, SupervisorRole};
use sip_core::command::{AgentTarget, Destination, PlaceCall};
use sip_core::control::{Conversation, Digits, NewParticipant, NewSupervisor, Verb};
use sip_core::message::{Method, Request, SipMessage, View};
use std::time::Duration;

pub struct Talk {
    pub rig: Rig,
    pub agent: Callee,
    pub customer: Callee,
    pub third: Option<Callee>,
    pub supervisor: Option<Callee>,
    control_count: u32,
}

/// How far a call has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// The customer rings.
    Before,
    Two,
    Held,
    /// A consultation's third party rings.
    ConsultRinging,
    Consulting,
    Swapped,
    JoinRinging,
    ThreeWay,
    TransferRinging,
    AgentGone,
}

impl Talk {
    pub fn bridged() -> Talk {
        Talk::bridged_as(Rig::plain_call())
    }

    pub fn bridged_as(call: PlaceCall) -> Talk {
        let mut rig = Rig::new();
        rig.place(call);
        let agent = rig.answer_invite(AGENT, "agent", crate::rig::AGENT_MEDIA);
        rig.expect_request(Method::Ack, AGENT);
        let customer = rig.answer_invite(CUSTOMER, "customer", crate::rig::CUSTOMER_MEDIA);
        rig.expect_request(Method::Ack, CUSTOMER);
        Talk::of(rig, agent, customer)
    }

    /// A call whose agent and customer stand so.
    pub fn of(rig: Rig, agent: Callee, customer: Callee) -> Talk {
        Talk { rig, agent, customer, third: None, supervisor: None, control_count: 0 }
    }

    /// A call in this state; trunks have taken what was offered to them.
    pub fn at(state: State) -> Talk {
        if state == State::Before {
            let (mut rig, agent) = Rig::agent_answered();
            let invite = rig.expect_request(Method::Invite, CUSTOMER);
            rig.reply(&invite, 180, "customer");
            let customer = rig.callee(CUSTOMER, "customer", &invite);
            return Talk::of(rig, agent, customer);
        }
        let mut talk = Talk::bridged();
        match state {
            State::Before | State::Two => {}
            State::Held => talk.done(Verb::Hold),
            State::ConsultRinging => drop(talk.ring(Joining::Consult)),
            State::Consulting => talk.answer(Joining::Consult),
            State::Swapped => {
                talk.answer(Joining::Consult);
                talk.done(Verb::Swap);
            }
            State::JoinRinging => drop(talk.ring(Joining::Join)),
            State::ThreeWay => talk.answer(Joining::Join),
            State::TransferRinging => drop(talk.ring(Joining::Transfer)),
            State::AgentGone => talk.answer(Joining::Transfer),
        }
        talk.settle();
        talk
    }

    /// Asks; each request has an id of its own.
    pub fn ask(&mut self, verb: Verb) -> Result<(), RefusalCode> {
        self.control_count += 1;
        let id = self.control_count.to_string();
        self.ask_as(&id, verb)
    }

    pub fn ask_as(&mut self, id: &str, verb: Verb) -> Result<(), RefusalCode> {
        let answer = self.rig.edge.control(self.rig.now, &"call-1".into(), id, verb);
        self.rig.drain();
        answer
    }

    #[track_caller]
    pub fn done(&mut self, verb: Verb) {
        assert_eq!(self.ask(verb), Ok(()));
    }

    /// Adds the third party and lets it ring.
    #[track_caller]
    pub fn ring(&mut self, joining: Joining) -> Request {
        self.done(add("third", joining));
        self.take_reinvites();
        let invite = self.rig.expect_request(Method::Invite, THIRD);
        self.rig.reply(&invite, 180, "third");
        self.third = Some(self.rig.callee(THIRD, "third", &invite));
        invite
    }

    #[track_caller]
    pub fn answer(&mut self, joining: Joining) {
        let invite = self.ring(joining);
        self.rig.reply_with_sdp(&invite, 200, "third", THIRD_MEDIA);
        self.settle();
    }

    #[track_caller]
    pub fn supervise(&mut self, role: SupervisorRole) {
        self.done(supervise("boss", role));
        let invite = self.rig.expect_request(Method::Invite, SUPERVISOR);
        self.rig.reply_with_sdp(&invite, 200, "boss", SUPERVISOR_MEDIA);
        self.rig.expect_request(Method::Ack, SUPERVISOR);
        self.supervisor = Some(self.rig.callee(SUPERVISOR, "boss", &invite));
    }

    /// Answers the re-INVITEs that wait, in the direction that they ask for.
    pub fn take_reinvites(&mut self) {
        let is_reinvite = |message: &SipMessage| {
            let SipMessage::Request(request) = message else { return false };
            request.method == Method::Invite && request.to_tag().is_some()
        };
        while let Some(index) = self.rig.sent.iter().position(|(_, message)| is_reinvite(message)) {
            let Some((flow, SipMessage::Request(invite))) = self.rig.sent.remove(index) else {
                unreachable!()
            };
            self.accept_reinvite(&invite);
            let is_ack = |message: &SipMessage| {
                matches!(message,
                SipMessage::Request(ack) if ack.method == Method::Ack)
            };
            let ack = self
                .rig
                .sent
                .iter()
                .position(|(to, message)| to.remote == flow.remote && is_ack(message));
            self.rig.sent.remove(ack.expect("the 2xx is acknowledged"));
        }
    }

    pub fn accept_reinvite(&mut self, invite: &Request) {
        let text = String::from_utf8(invite.body.clone()).unwrap();
        let direction = if text.contains("a=sendonly") { "recvonly" } else { "sendrecv" };
        let media = match invite.to_addr().unwrap().uri.user {
            Some("3001") => THIRD_MEDIA,
            _ => crate::rig::CUSTOMER_MEDIA,
        };
        let payload_type = session::formats_of(&invite.body)[0];
        let sdp = session::sdp(address(media), payload_type, direction);
        self.rig.reply_with_body(invite, 200, "", &sdp);
    }

    /// Takes what the edge has sent so far: re-INVITEs are answered, BYEs too.
    pub fn settle(&mut self) {
        self.take_reinvites();
        while let Some((_, message)) = self.rig.sent.pop_front() {
            if let SipMessage::Request(request) = message
                && matches!(request.method, Method::Bye | Method::Cancel | Method::Notify)
            {
                self.rig.reply(&request, 200, "");
            }
        }
    }

    /// The parties as they were told last, each `name:state`, muted ones with `!`.
    #[track_caller]
    pub fn parties(&self) -> String {
        described_parties(self.conversation())
    }

    pub fn conversation(&self) -> &Conversation {
        self.rig.told.iter().rev().find_map(|milestone| milestone.conversation.as_deref()).unwrap()
    }
}

/// The parties of a conversation, each `name:state`, muted ones with `!`.
pub fn described_parties(conversation: &Conversation) -> String {
    let words: Vec<String> = conversation
        .parties
        .iter()
        .map(|party| {
            let state = match party.state {
                PartyState::Dialing => "dialing",
                PartyState::Ringing => "ringing",
                PartyState::Talking => "talking",
                PartyState::Consulting => "consulting",
                PartyState::OnHold => "hold",
                PartyState::Away => "away",
                PartyState::Left => party.reason.unwrap().as_str(),
            };
            format!("{}:{state}{}", party.party, if party.is_muted { "!" } else { "" })
        })
        .collect();
    words.join(" ")
}

pub fn add(party: &str, joining: Joining) -> Verb {
    let routes = vec![session::route("carrier", address(THIRD), "3001")];
    let destination = Destination { ring: Duration::from_secs(30), routes, skipped: vec![] };
    Verb::AddParticipant(Box::new(NewParticipant { party: party.into(), destination, joining }))
}

pub fn supervise(party: &str, role: SupervisorRole) -> Verb {
    let routes = vec![session::route("agents", address(SUPERVISOR), "4001")];
    let target =
        AgentTarget::Phone(Destination { ring: Duration::from_secs(30), routes, skipped: vec![] });
    Verb::Supervise(Box::new(NewSupervisor { party: party.into(), target, role }))
}

pub fn digits(party: &str, digits: &str) -> Verb {
    Verb::SendDigits { party: party.into(), digits: Digits(digits.into()) }
}

pub fn remove(party: &str) -> Verb {
    Verb::Remove { party: party.into() }
}
