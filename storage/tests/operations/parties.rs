//! Third parties, supervisors and recordings of running calls, and how the parties stand.

use crate::*;
use call_words::{LegKind, PartyRole, PartyState, RecordingState, Word};

fn participant() -> NewParty {
    NewParty {
        party: None,
        leg: LegKind::Participant,
        number: Some("+912227782183".into()),
        crm_username: None,
        trunk: Some("t1".into()),
        request: None,
    }
}

#[track_caller]
fn add(storage: &Storage, call_id: &str, new: NewParty) -> String {
    match storage.add_party(&call_id.into(), new).unwrap() {
        AddOutcome::Added { party, .. } => party,
        other => panic!("{other:?}"),
    }
}

fn shown(party: &str, role: PartyRole, state: PartyState) -> Party {
    Party {
        party: party.into(),
        role,
        state,
        muted: false,
        number: None,
        crm_username: None,
        joining: None,
        supervisor_role: None,
        reason: (state == PartyState::Left).then(|| "busy".into()),
    }
}

/// Tells how a participant stands beside agent and customer.
#[track_caller]
fn tell(
    storage: &Storage,
    sequence: u32,
    party: &str,
    state: PartyState,
    sip_code: Option<u16>,
) -> Call {
    let parties = vec![
        shown("agent", PartyRole::Agent, PartyState::Talking),
        shown("customer", PartyRole::Customer, PartyState::OnHold),
        shown(party, PartyRole::Participant, state),
    ];
    let conversation = Some(Conversation { parties, recording: RecordingState::Off });
    let entry = TimelineEntry {
        sequence,
        at_ms: NOW + 1_000 * u64::from(sequence),
        leg: Some(LegKind::Participant),
        party: Some(party.into()),
        kind: "step".into(),
        sip_code,
        trunk: None,
        detail: None,
    };
    let progress = Progress { conversation, ..Progress::default() };
    match storage.apply_milestone(&"c1".into(), &entry, &progress).unwrap() {
        MilestoneOutcome::Applied(applied) => applied.call,
        other => panic!("{other:?}"),
    }
}

// A3, within the call
#[test]
fn an_idempotency_key_names_one_party() {
    let opened = Opened::fresh();
    let storage = &opened.storage;
    create(storage, new_call("c1", NOW));
    create(storage, new_call("c2", NOW));
    let request = |key: &str, fingerprint: &str| PartyRequest {
        idempotency_key: key.into(),
        fingerprint: fingerprint.into(),
    };
    let with = |key: &str, fingerprint: &str| NewParty {
        request: Some(request(key, fingerprint)),
        ..participant()
    };
    assert_eq!(add(storage, "c1", with("k1", "f1")), "participant-1");
    let again = |key: &str, fingerprint: &str| match storage
        .add_party(&"c1".into(), with(key, fingerprint))
        .unwrap()
    {
        AddOutcome::Earlier { earlier, call } => (earlier, call.others.len()),
        other => panic!("{other:?}"),
    };
    assert_eq!(again("k1", "f1"), (EarlierParty::Same("participant-1".into()), 1));
    assert_eq!(again("k1", "f2"), (EarlierParty::Clash("participant-1".into()), 1));
    assert_eq!(add(storage, "c1", with("k2", "f1")), "participant-2");
    assert_eq!(
        add(storage, "c2", with("k1", "f2")),
        "participant-1",
        "another call's keys are its own"
    );
    // One that was never dialled leaves nothing.
    storage.drop_party(&"c1".into(), "participant-2").unwrap().unwrap();
    assert_eq!(add(storage, "c1", with("k2", "f2")), "participant-3");
    // Afterwards the record still tells.
    tell(storage, 1, "participant-1", PartyState::Left, Some(486));
    let told = OtherEnd {
        party: "participant-1".into(),
        leg: LegKind::Participant,
        answer_ms: None,
        end_ms: NOW,
        reason: "busy".into(),
        sip_code: Some(486),
    };
    let end = FinalCall { others: Some(vec![told]), ..FinalCall::failed("system", NOW) };
    storage.finish_call(&"c1".into(), end).unwrap();
    let call = storage.call(&"c1".into()).unwrap().unwrap();
    assert_eq!(
        call.earlier_party(&request("k1", "f1")),
        Some(EarlierParty::Same("participant-1".into()))
    );
    assert_eq!(call.earlier_party(&request("k2", "f2")), None);
}

#[test]
fn names_are_given_once_and_parties_survive_a_restart_in_each_state() {
    let opened = Opened::fresh();
    create(&opened.storage, new_call("c1", NOW));
    assert_eq!(add(&opened.storage, "c1", participant()), "participant-1");
    opened.storage.drop_party(&"c1".into(), "participant-1").unwrap().unwrap();
    assert_eq!(add(&opened.storage, "c1", participant()), "participant-2");
    assert_eq!(
        add(&opened.storage, "c1", NewParty { leg: LegKind::Supervisor, ..participant() }),
        "supervisor-3"
    );
    for name in ["agent", "customer", "participant-2"] {
        let taken = NewParty { party: Some(name.into()), ..participant() };
        assert_eq!(
            opened.storage.add_party(&"c1".into(), taken).unwrap(),
            AddOutcome::NameTaken,
            "{name}"
        );
    }
    assert_eq!(opened.storage.add_party(&"c9".into(), participant()).unwrap(), AddOutcome::Ended);

    let mut opened = opened;
    let states = [
        PartyState::Dialing,
        PartyState::Ringing,
        PartyState::Consulting,
        PartyState::Talking,
        PartyState::OnHold,
    ];
    for (sequence, state) in (1..).zip(states) {
        let call = tell(&opened.storage, sequence, "participant-2", state, None);
        opened = opened.reopen();
        assert_eq!(opened.storage.call(&"c1".into()).unwrap().unwrap(), call, "{state:?}");
    }
    let call = opened.storage.call(&"c1".into()).unwrap().unwrap();
    assert_eq!(call.other("participant-2").unwrap().answer_ms, Some(NOW + 3_000));
    let parties = call.conversation.unwrap().parties;
    let numbers: Vec<_> = parties.iter().map(|party| party.number.as_deref()).collect();
    assert_eq!(numbers, [Some("+919876543211"), Some("+919876543210"), Some("+912227782183")]);
    // One that was answered is not forgotten for a refusal that comes late.
    let call = opened.storage.drop_party(&"c1".into(), "participant-2").unwrap().unwrap();
    assert!(call.other("participant-2").is_some());
}

#[test]
fn who_left_keeps_the_reason_and_the_end_tells_the_rest() {
    let opened = Opened::fresh();
    let storage = &opened.storage;
    create(storage, new_call("c1", NOW));
    let [first, second] = [(), ()].map(|()| add(storage, "c1", participant()));
    let call = tell(storage, 1, &first, PartyState::Left, Some(486));
    let left = call.other(&first).unwrap();
    assert_eq!((left.answer_ms, left.end_ms), (None, Some(NOW + 1_000)));
    assert_eq!((left.reason.as_ref().map(Word::as_str), left.sip_code), (Some("busy"), Some(486)));
    assert_eq!(call.other(&second).unwrap().end_ms, None);
    let told = OtherEnd {
        party: first.clone(),
        leg: LegKind::Participant,
        answer_ms: None,
        end_ms: NOW + 1_100,
        reason: "busy".into(),
        sip_code: Some(486),
    };
    let end = FinalCall { others: Some(vec![told]), ..answered("c1", NOW + 5_000) };
    let FinishOutcome::Finished(finish) = storage.finish_call(&"c1".into(), end).unwrap() else {
        panic!()
    };
    let others = finish.call.others;
    assert_eq!(others.len(), 1, "who was never dialled is not told of");
    assert_eq!(
        (others[0].number.as_deref(), others[0].end_ms),
        (Some("+912227782183"), Some(NOW + 1_100))
    );
    assert_eq!(finish.call.conversation, None);
    assert_eq!(storage.add_party(&"c1".into(), participant()).unwrap(), AddOutcome::Ended);
}

#[test]
fn a_lost_call_ends_its_other_parties() {
    let opened = Opened::fresh();
    create(&opened.storage, new_call("c1", NOW));
    add(&opened.storage, "c1", participant());
    let end = FinalCall::failed("system", NOW + 9_000);
    let FinishOutcome::Finished(finish) = opened.storage.finish_call(&"c1".into(), end).unwrap()
    else {
        panic!()
    };
    let other = &finish.call.others[0];
    assert_eq!(
        (other.end_ms, other.reason.as_ref().map(Word::as_str)),
        (Some(NOW + 9_000), Some("system"))
    );
}

#[test]
fn a_call_has_a_bounded_number_of_other_parties() {
    let opened = Opened::fresh();
    create(&opened.storage, new_call("c1", NOW));
    for _ in 0..OTHERS_CAP {
        add(&opened.storage, "c1", participant());
    }
    assert_eq!(opened.storage.add_party(&"c1".into(), participant()).unwrap(), AddOutcome::TooMany);
}

#[test]
fn a_recordings_name_is_kept_before_it_starts_and_only_once() {
    let opened = Opened::fresh();
    create(&opened.storage, NewCall { recording_file: None, ..new_call("c1", NOW) });
    let first =
        opened.storage.reserve_recording(&"c1".into(), &"crm_a.wav".into()).unwrap().unwrap();
    assert_eq!((first.recording_file, first.record), (Some("crm_a.wav".into()), false));
    let opened = opened.reopen();
    let second =
        opened.storage.reserve_recording(&"c1".into(), &"crm_b.wav".into()).unwrap().unwrap();
    assert_eq!(second.recording_file, Some("crm_a.wav".into()));
    assert_eq!(
        opened.storage.recording(&"crm_a.wav".into()).unwrap(),
        None,
        "nothing was recorded yet"
    );
    assert_eq!(opened.storage.reserve_recording(&"c9".into(), &"crm_b.wav".into()).unwrap(), None);
}
