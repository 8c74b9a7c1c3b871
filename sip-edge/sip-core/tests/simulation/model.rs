//! The reference model: it sees what comes to the edge and derives what the end of each call must
//! be (table A11, rows S29 and S30).

use call_words::{CallStatus, HangupBy, PartyState, Reason, SupervisorRole};
use sip_core::control::{Conversation, Party, PartyRole};
use sip_core::event::Ended;
use sip_core::message::{Method, Response, View};
use sip_core::outcome::{self, Failure, LegName, Rang};
use std::time::{Duration, Instant};

/// What the model knows of one INVITE.
#[derive(Default)]
pub struct Invitation {
    pub rang: bool,
    pub answered_at: Option<Instant>,
}

/// What came to the edge for a call.
#[derive(Debug, Clone)]
pub enum Input {
    HangUp,
    Bye(LegName),
    Final {
        leg: LegName,
        code: u16,
        q850: Option<u16>,
        rang: bool,
    },
    Answer,
    FlowError,
    /// A re-INVITE of the edge was refused.
    RefusedOffer,
}

/// One call as the model sees it.
#[derive(Default)]
pub struct Model {
    pub inputs: Vec<(Instant, Input)>,
    /// Sent: the ACK of the agent's 2xx.
    pub agent_acked: bool,
    /// The customer may be called only once the agent has pressed `1`, and whether it has.
    pub agent_confirm: bool,
    pub is_confirmed: bool,
    pub customer_answered_at: Option<Instant>,
    pub ended: Option<Ended>,
    pub sequence: u32,
    /// How the parties stood since when, as it was told.
    pub conversations: Vec<(Instant, Conversation)>,
    /// Verbs were asked of it.
    pub is_controlled: bool,
    /// The edge did not take it.
    pub is_refused: bool,
    /// Its agent has a softphone; when that was lost, taken over or moved, and whether its media
    /// may come too late.
    pub has_softphone: bool,
    pub losses: Vec<Instant>,
    pub may_be_unheard: bool,
    /// How many third parties and supervisors were asked for.
    pub guest_count: u32,
}

impl Model {
    pub fn is_over(&self) -> bool {
        self.is_refused || self.ended.is_some()
    }

    /// How the parties stand. At the instant of a change also how they stood until then: what was
    /// said by that time may go out with it.
    pub fn standings(&self, now: Instant) -> &[(Instant, Conversation)] {
        let former = self.conversations.iter().rposition(|(since, _)| *since < now);
        &self.conversations[former.unwrap_or(0)..]
    }
}

/// Whose dialog a Call-ID is.
pub struct Dialogs {
    pub call: usize,
    pub leg: LegName,
    pub invitation: Invitation,
}

pub fn note_response(
    call: &mut Model,
    leg: LegName,
    invitation: &mut Invitation,
    now: Instant,
    response: &Response,
) {
    let code = response.status_code.code();
    if response.cseq().unwrap().method != Method::Invite {
        return;
    }
    match code {
        180..=189 => invitation.rang = true,
        200..=299 => {
            invitation.answered_at.get_or_insert(now);
            call.inputs.push((now, Input::Answer));
        }
        300.. if invitation.answered_at.is_some() => call.inputs.push((now, Input::RefusedOffer)),
        300.. => call.inputs.push((
            now,
            Input::Final { leg, code, q850: response.q850_cause(), rang: invitation.rang },
        )),
        _ => {}
    }
    if (200..300).contains(&code) && leg == LegName::Customer {
        call.customer_answered_at.get_or_insert(now);
    }
}

/// The end of a call follows from the input at its instant, or from a timer if there was none.
pub fn check_outcome(seed: u64, number: usize, call: &Model, ended: &Ended) {
    let input = call.inputs.iter().find(|(at, _)| *at == ended.ended_at).map(|(_, input)| input);
    let context = format!("seed {seed}: call {number}: {input:?} {ended:?}");
    let is_answered = ended.status == CallStatus::Answer;
    assert_eq!(ended.answered_at.is_some(), is_answered, "{context}");
    // An INVITE whose flow broke may have been answered by a phone that nobody listened to any
    // more.
    let has_broken = call
        .inputs
        .iter()
        .any(|(at, input)| matches!(input, Input::FlowError) && *at <= ended.ended_at);
    match ended.answered_at {
        Some(at) => {
            assert!(has_broken || Some(at) == call.customer_answered_at, "{context}");
            assert_eq!(ended.duration_s, ended.ended_at.duration_since(at).as_secs(), "{context}");
        }
        None => {
            assert_eq!(ended.duration_s, 0, "{context}");
            let early = call.customer_answered_at.is_some_and(|at| at < ended.ended_at);
            assert!(has_broken || !early, "the customer's answer was overlooked: {context}");
        }
    }
    let found = (ended.status, ended.reason, ended.hangup_by);
    match input {
        Some(Input::HangUp) if is_answered => {
            assert_eq!(ended.hangup_by, Some(HangupBy::Api), "{context}")
        }
        Some(Input::HangUp) => {
            assert_eq!(
                found,
                (CallStatus::Canceled, Some(Reason::Canceled), Some(HangupBy::Api)),
                "{context}"
            );
        }
        Some(Input::Bye(leg)) if is_answered => {
            assert_eq!(ended.hangup_by, Some((*leg).into()), "{context}")
        }
        Some(Input::Bye(leg)) => {
            assert_eq!(
                found,
                (CallStatus::Canceled, Some(Reason::Canceled), Some((*leg).into())),
                "{context}"
            );
        }
        // A page says by it that its browser has no network for media.
        Some(Input::Final { leg: LegName::Agent, code: 606, .. }) if call.has_softphone => {
            assert_eq!(ended.reason, Some(Reason::AgentMedia), "{context}");
        }
        Some(Input::Final { leg, code, q850, rang }) => {
            let rang = if *rang { Rang::Yes } else { Rang::No };
            let expected =
                outcome::judge(*leg, Failure::Response { code: *code, q850: *q850 }, rang).outcome;
            assert_eq!(
                (ended.status, ended.reason, ended.failed_leg),
                (expected.status, expected.reason, expected.failed_leg),
                "{context}"
            );
        }
        // An answer ends a call only if its media cannot be used.
        Some(Input::Answer) => assert_eq!(ended.reason, Some(Reason::Media), "{context}"),
        Some(Input::RefusedOffer) => {
            assert_eq!(ended.reason, Some(Reason::DialogLost), "{context}")
        }
        Some(Input::FlowError) => assert_eq!(ended.reason, Some(Reason::TrunkFailed), "{context}"),
        None => {
            use Reason::{
                AgentLost, AgentMedia, AgentNoAnswer, AgentNotConfirmed, AgentUnreachable,
                DialogLost, MaxDuration, NoAnswer, NoMedia, TrunkTimeout,
            };
            let is_by_timer = match ended.reason {
                Some(AgentNotConfirmed) => call.agent_confirm && !is_answered,
                // A10: who was lost had ten seconds to come back.
                Some(AgentLost) => {
                    let waited = ended.ended_at - Duration::from_secs(10);
                    call.losses.iter().any(|at| *at <= waited)
                }
                Some(AgentMedia) if call.has_softphone => {
                    call.may_be_unheard || !call.losses.is_empty()
                }
                Some(
                    AgentMedia | AgentNoAnswer | AgentUnreachable | DialogLost | MaxDuration
                    | NoAnswer | NoMedia | TrunkTimeout,
                ) => true,
                _ => false,
            };
            assert!(is_by_timer, "{context}");
        }
    }
    assert!(
        ended.attempts.iter().all(|attempt| attempt.started_at <= attempt.ended_at),
        "{context}"
    );
}

/// Where a party is, by what was told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    Conversation,
    Consultation,
    Nowhere,
}

fn room(party: &Party) -> Room {
    match (party.role, party.state) {
        (_, PartyState::Talking | PartyState::Away) => Room::Conversation,
        (PartyRole::Participant(_), PartyState::Ringing) | (_, PartyState::Consulting) => {
            Room::Consultation
        }
        (_, PartyState::Dialing | PartyState::Ringing | PartyState::OnHold | PartyState::Left) => {
            Room::Nowhere
        }
    }
}

/// Whether `listener`, the agent or the customer, may hear a party of this kind.
pub fn may_hear(conversation: &Conversation, listener: LegName, speaker: LegName) -> bool {
    let find = |role| conversation.parties.iter().find(|party| party.role == role);
    let (Some(agent), Some(customer)) = (find(PartyRole::Agent), find(PartyRole::Customer)) else {
        return false;
    };
    let place = room(if listener == LegName::Agent { agent } else { customer });
    let watched = if agent.state == PartyState::Left { Room::Conversation } else { room(agent) };
    let is_heard =
        |party: &&Party| !party.is_muted && place == room(party) && place != Room::Nowhere;
    let is_supervising = |party: &&Party| match party.role {
        _ if party.is_muted || party.state != PartyState::Talking => false,
        PartyRole::Supervisor(SupervisorRole::Whisper) => listener == LegName::Agent,
        PartyRole::Supervisor(SupervisorRole::Barge) => {
            listener == LegName::Agent || place == watched
        }
        _ => false,
    };
    match speaker {
        LegName::Agent => is_heard(&agent),
        LegName::Customer => is_heard(&customer),
        LegName::Participant(_) => conversation
            .parties
            .iter()
            .filter(|party| matches!(party.role, PartyRole::Participant(_)))
            .any(|party| is_heard(&party)),
        LegName::Supervisor(_) => conversation.parties.iter().any(|party| is_supervising(&party)),
    }
}
