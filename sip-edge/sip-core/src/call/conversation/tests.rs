//! What the conversation asks of its call, by verb and by who comes and goes.

use super::*;
use call_words::{Reason, SupervisorRole};
use rooms::Presence;

#[expect(clippy::disallowed_methods, reason = "an Instant cannot be made otherwise")]
fn now() -> Instant {
    Instant::now()
}

fn told(leg: LegName, kind: MilestoneKind) -> Move {
    Step::of(leg, kind)
}

fn left(leg: LegName, reason: Reason, is_shown: bool) -> Move {
    let kind = MilestoneKind::ParticipantLeft;
    Move::Tell(Step { leg: Some(leg), kind, sip_code: None, reason: Some(reason), is_shown })
}

fn standing(conversation: &Conversation) -> Vec<PartyState> {
    let scene = conversation.scene(|_| Presence::Here);
    conversation.parties(&scene).iter().map(|party| party.state).collect()
}

/// A third party that is dialled, and its leg.
fn with_third(joining: Joining) -> (Conversation, Slot, LegName) {
    let mut conversation = Conversation::new(true);
    let slot = conversation.admit_participant("third").unwrap();
    let leg = LegName::Participant(slot);
    let moves = conversation.add(slot, "third".into(), GuestRole::Participant(joining));
    assert_eq!(moves, [Move::Arrange, told(leg, MilestoneKind::ParticipantAdded)]);
    (conversation, slot, leg)
}

#[test]
fn a_consultation_is_swapped_and_merged() {
    use PartyState::{Consulting, OnHold, Talking};
    let (mut conversation, slot, leg) = with_third(Joining::Consult);
    assert_eq!(conversation.merge(), Err(RefusalCode::NotAnswered));
    assert_eq!(
        conversation.welcome(now(), slot),
        [Move::Arrange, told(leg, MilestoneKind::Consulting)]
    );
    assert_eq!(standing(&conversation), [Consulting, OnHold, Consulting]);
    conversation.swap().unwrap();
    assert_eq!(standing(&conversation), [Talking, Talking, OnHold]);
    assert_eq!(conversation.merge().unwrap(), [Move::Arrange, told(leg, MilestoneKind::Merged)]);
    assert_eq!(standing(&conversation), [Talking; 3]);
    assert_eq!(conversation.swap(), Err(RefusalCode::NoConsultation));
}

#[test]
fn a_transfer_that_was_asked_for_by_refer_releases_the_agent() {
    let mut conversation = Conversation::new(true);
    let party = conversation.take_referral(now(), 7).unwrap();
    assert_eq!(conversation.take_referral(now(), 8), None, "one at a time");
    let slot = conversation.admit_participant(&party).unwrap();
    conversation.add(slot, party, GuestRole::Participant(Joining::Transfer));
    assert_eq!(
        conversation.welcome(now(), slot),
        [
            Move::Notify { cseq: 7, code: 200 },
            Move::Arrange,
            told(LegName::Participant(slot), MilestoneKind::ParticipantJoined),
            Move::ReleaseAgent,
            told(LegName::Agent, MilestoneKind::AgentCompleted),
        ]
    );
    assert_eq!(conversation.hold(), Err(RefusalCode::AgentGone));
    assert_eq!(conversation.take_referral(now(), 9), None);
}

#[test]
fn the_call_ends_with_the_customers_last_company_and_for_no_supervisor() {
    let (mut conversation, slot, leg) = with_third(Joining::Join);
    conversation.welcome(now(), slot);
    let watching = conversation.admit("boss").unwrap();
    conversation.add(watching, "boss".into(), GuestRole::Supervisor(SupervisorRole::Listen));
    conversation.welcome(now(), watching);
    conversation.complete().unwrap();
    let leaving = Leaving { reason: Reason::HungUp, sip_code: None, cause: Some(Cause::Bye(leg)) };
    assert_eq!(
        conversation.dismiss(now(), slot, leaving),
        [Move::Leave(leg), left(leg, Reason::HungUp, false), Move::HangUp(Cause::Bye(leg))]
    );
    assert_eq!(conversation.close(now()), [LegName::Supervisor(watching)]);
    assert_eq!(conversation.close(now()), []);
}

#[test]
fn a_canceled_transfer_brings_the_agent_back() {
    let (mut conversation, _, leg) = with_third(Joining::Transfer);
    assert_eq!(standing(&conversation)[0], PartyState::Consulting);
    assert_eq!(
        conversation.cancel(now()).unwrap(),
        [Move::Leave(leg), Move::Arrange, left(leg, Reason::Canceled, true)]
    );
    assert_eq!(standing(&conversation)[0], PartyState::Talking);
    assert_eq!(conversation.cancel(now()), Err(RefusalCode::NoConsultation));
}
