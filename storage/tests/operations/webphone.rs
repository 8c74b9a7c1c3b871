//! Softphones: one call at a time, sessions once per launch, what is remembered of an agent.

use crate::*;
use call_words::{AccountId, CallType, LegKind};

fn launched(call_id: &str, customer: &str, start_ms: u64) -> NewCall {
    NewCall {
        call_type: CallType::Browser,
        agent_number: None,
        agent_number_e164: None,
        crm_username: Some("agent.017".into()),
        customer_number_e164: customer.into(),
        ..new_call(call_id, start_ms)
    }
}

fn server(call_id: &str, customer: &str, start_ms: u64) -> NewCall {
    NewCall { call_type: CallType::Server, ..launched(call_id, customer, start_ms) }
}

fn session(id: &str, expires_ms: u64) -> WebphoneSession {
    WebphoneSession {
        id: id.into(),
        account_id: ACCOUNT.into(),
        crm_username: "agent.017".into(),
        secret_hash: KeyHash([1; 32]),
        to_number: "98765 43210".into(),
        to_number_e164: "+919876543210".into(),
        from_number: "+918047000000".into(),
        created_ms: NOW,
        expires_ms,
        call_id: None,
        is_closed: false,
        key_hash: Some(KeyHash([1; 32])),
        uuid: None,
    }
}

const ONE: &str = "+919876543210";
const OTHER: &str = "+919876543219";

/// Makes the second call after the first and tells what became of it.
#[track_caller]
fn check(first: NewCall, end: Option<FinalCall>, second: NewCall, expected: &str) {
    let opened = Opened::fresh();
    let first_id = first.call_id.clone();
    create(&opened.storage, first);
    if let Some(end) = end {
        opened.storage.finish_call(&first_id, end).unwrap();
    }
    let opened = opened.reopen();
    let word = match opened.storage.create_call(second, None).unwrap() {
        CreateOutcome::Created { .. } => "created",
        CreateOutcome::InTheWay(InTheWay::InCall(call)) if call.call_id == first_id => "in call",
        CreateOutcome::InTheWay(InTheWay::DoubleClick(call)) if call.call_id == first_id => {
            "double click"
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(word, expected);
}

// A4
#[test]
fn a_softphone_has_one_call_at_a_time() {
    let ended = |reason: &str, failed_leg| {
        Some(FinalCall { failed_leg, ..FinalCall::failed(reason, NOW + 1_000) })
    };
    check(launched("a", ONE, NOW), None, launched("b", ONE, NOW + 4_999), "double click");
    check(launched("a", ONE, NOW), None, launched("b", ONE, NOW + 5_000), "in call");
    check(launched("a", ONE, NOW), None, launched("b", OTHER, NOW + 1), "in call");
    check(launched("a", ONE, NOW), None, server("b", ONE, NOW + 1), "in call");
    check(server("a", ONE, NOW), None, launched("b", OTHER, NOW + 9_000), "in call");
    // Whatever became of the first, a click after its end is a new attempt.
    check(
        launched("a", ONE, NOW),
        ended("system", None),
        launched("b", ONE, NOW + 1_001),
        "created",
    );
    check(
        launched("a", ONE, NOW),
        ended("busy", Some(LegKind::Customer)),
        launched("b", ONE, NOW + 4_999),
        "created",
    );
    check(launched("a", ONE, NOW), ended("system", None), server("b", ONE, NOW + 1_001), "created");
    check(
        launched("a", ONE, NOW),
        ended("agent_media", Some(LegKind::Agent)),
        launched("b", ONE, NOW + 1_001),
        "created",
    );
    let of_another = NewCall { crm_username: Some("Agent.017".into()), ..launched("b", ONE, NOW) };
    check(launched("a", ONE, NOW), None, of_another, "created");
    // Phones know no such rule.
    check(new_call("a", NOW), None, new_call("b", NOW), "created");
}

// A3, B06: a link's uuid is the CRM's record, which is dialled again and again.
#[test]
fn a_links_uuid_is_echoed_and_refuses_nothing() {
    let opened = Opened::fresh();
    let named = |call_id: &str, start_ms| NewCall {
        uuid: Some("crm-42".into()),
        fingerprint: call_id.into(),
        ..launched(call_id, ONE, start_ms)
    };
    assert_eq!(create(&opened.storage, named("a", NOW)).uuid, "crm-42");
    opened.storage.finish_call(&"a".into(), FinalCall::failed("busy", NOW + 500)).unwrap();
    assert_eq!(create(&opened.storage, named("b", NOW + 1_000)).uuid, "crm-42");
    // A backend's request of the same name is known again by its own call only.
    let asked = |call_id: &str| NewCall {
        uuid: Some("crm-42".into()),
        fingerprint: "f".into(),
        ..new_call(call_id, NOW + 2_000)
    };
    create(&opened.storage, asked("c"));
    let again = opened.storage.create_call(asked("d"), None).unwrap();
    assert!(matches!(again, CreateOutcome::Existing(call) if call.call_id == "c"));
}

// B07
#[test]
fn sessions_end_with_what_they_hang_on() {
    let opened = Opened::fresh();
    let storage = &opened.storage;
    let of = |id: &str, crm_username: &str, key: u8| WebphoneSession {
        crm_username: crm_username.into(),
        key_hash: Some(KeyHash([key; 32])),
        ..session(id, NOW + 1_000)
    };
    let old = WebphoneSession { key_hash: None, ..of("old", "agent.019", 1) };
    for session in [
        of("a", "agent.017", 1),
        of("b", "agent.017", 1),
        of("c", "agent.018", 1),
        of("d", "agent.018", 2),
        old,
    ] {
        assert!(storage.create_session(&session).unwrap());
    }
    assert!(
        !storage.session("old").unwrap().unwrap().is_open(NOW),
        "nobody knows with which key it ends"
    );
    let agents = |told: std::collections::BTreeSet<(AccountId, String)>| {
        told.into_iter().map(|(_, agent)| agent).collect::<Vec<_>>()
    };
    let of_key = |session: &WebphoneSession| session.key_hash == Some(KeyHash([1; 32]));
    assert_eq!(agents(storage.close_sessions(NOW, of_key).unwrap()), ["agent.017", "agent.018"]);
    assert!(storage.close_sessions(NOW, of_key).unwrap().is_empty(), "told once");
    let opened = opened.reopen();
    let open =
        ["a", "b", "c", "d"].map(|id| opened.storage.session(id).unwrap().unwrap().is_open(NOW));
    assert_eq!(open, [false, false, false, true]);
    assert!(opened.storage.close_sessions(NOW + 1_000, |_| true).unwrap().is_empty(), "expired");
}

#[test]
fn clicks_at_the_same_moment_make_one_call() {
    let opened = Opened::fresh();
    let created = std::thread::scope(|scope| {
        let tasks: Vec<_> = (0..8)
            .map(|n| {
                let storage = opened.storage.clone();
                let customer = if n % 2 == 0 { ONE } else { OTHER };
                let new = launched(&n.to_string(), customer, NOW);
                scope.spawn(move || {
                    matches!(storage.create_call(new, None).unwrap(), CreateOutcome::Created { .. })
                })
            })
            .collect();
        tasks.into_iter().filter_map(|task| task.join().unwrap().then_some(())).count()
    });
    assert_eq!(created, 1);
    assert_eq!(opened.storage.live_calls().unwrap().len(), 1);
}

#[test]
fn a_launch_makes_one_session_which_outlives_the_process() {
    let opened = Opened::fresh();
    assert!(opened.storage.create_session(&session("s1", NOW + 1_000)).unwrap());
    assert!(!opened.storage.create_session(&session("s1", NOW + 9_000)).unwrap());
    create(&opened.storage, launched("c1", ONE, NOW));
    opened.storage.bind_session("s1", &"c1".into()).unwrap().unwrap();
    assert_eq!(opened.storage.bind_session("s2", &"c1".into()).unwrap(), None);
    let opened = opened.reopen();
    let stored = opened.storage.session("s1").unwrap().unwrap();
    assert_eq!(
        stored,
        WebphoneSession { call_id: Some("c1".into()), ..session("s1", NOW + 1_000) }
    );
    assert_eq!(
        opened.storage.call(&"c1".into()).unwrap().unwrap().session_id.as_deref(),
        Some("s1")
    );
    opened.storage.close_session("s1").unwrap();
    assert!(opened.storage.session("s1").unwrap().unwrap().is_closed);
    assert!(
        !opened.storage.create_session(&session("s1", NOW + 9_000)).unwrap(),
        "closed, but used"
    );

    assert_eq!(opened.storage.expire(NOW + 999, 10).unwrap().session_count, 0);
    assert_eq!(opened.storage.expire(NOW + 1_000, 10).unwrap().session_count, 1);
    assert_eq!(opened.storage.session("s1").unwrap(), None);
    assert_eq!(opened.storage.expire(NOW + 1_000, 10).unwrap().session_count, 0);
}

#[test]
fn what_is_remembered_of_an_agent_goes_with_it() {
    let opened = Opened::fresh();
    let storage = &opened.storage;
    let seen = |softphone: &mut Softphone| softphone.last_seen_ms = Some(NOW);
    storage.change_softphone(&ACCOUNT.into(), "agent.017", seen).unwrap();
    assert_eq!(
        storage.softphone(&ACCOUNT.into(), "agent.017").unwrap(),
        Softphone::default(),
        "not registered"
    );
    let agent = Agent {
        account_id: ACCOUNT.into(),
        crm_username: "agent.017".into(),
        display_name: "Asha".into(),
    };
    storage.put_agent(&agent).unwrap();
    storage.change_softphone(&ACCOUNT.into(), "agent.017", seen).unwrap();
    storage
        .change_softphone(&ACCOUNT.into(), "agent.017", |softphone| {
            softphone.microphone = Some("denied".into())
        })
        .unwrap();
    let remembered = Softphone {
        last_seen_ms: Some(NOW),
        microphone: Some("denied".into()),
        ..Softphone::default()
    };
    assert_eq!(storage.softphone(&ACCOUNT.into(), "agent.017").unwrap(), remembered);
    storage.delete_agent(&ACCOUNT.into(), "agent.017").unwrap();
    storage.put_agent(&agent).unwrap();
    assert_eq!(storage.softphone(&ACCOUNT.into(), "agent.017").unwrap(), Softphone::default());
}

#[test]
fn the_agent_may_be_away_for_a_while() {
    let opened = Opened::fresh();
    let storage = &opened.storage;
    create(storage, launched("c1", ONE, NOW));
    let apply = |sequence, agent_away| {
        let entry = TimelineEntry {
            sequence,
            at_ms: NOW,
            leg: Some(LegKind::Agent),
            party: None,
            kind: "step".into(),
            sip_code: None,
            trunk: None,
            detail: None,
        };
        match storage
            .apply_milestone(&"c1".into(), &entry, &Progress { agent_away, ..Progress::default() })
            .unwrap()
        {
            MilestoneOutcome::Applied(applied) => applied.call.agent_away,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        [apply(1, None), apply(2, Some(true)), apply(3, None), apply(4, Some(false))],
        [false, true, true, false]
    );
    apply(5, Some(true));
    let ended = finish(storage, "c1", NOW + 60_000, None).call;
    assert!(!ended.agent_away);
}
