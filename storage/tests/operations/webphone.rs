//! Softphones: one call at a time, sessions once per launch, what is remembered of an agent.

use crate::*;

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
        opened.storage.finish_call(&first_id, end, |_| Ok(None), no_progress).unwrap();
    }
    let opened = opened.reopen();
    let word = match opened.storage.create_call(second, no_progress).unwrap() {
        CreateOutcome::Created(_) => "created",
        CreateOutcome::InTheWay(InTheWay::InCall(call)) if call.call_id == first_id => "in call",
        CreateOutcome::InTheWay(InTheWay::DoubleClick(call)) if call.call_id == first_id => "double click",
        other => panic!("{other:?}"),
    };
    assert_eq!(word, expected);
}

// A4
#[test]
fn a_softphone_has_one_call_at_a_time() {
    let ended = |reason: &str, failed_leg| Some(FinalCall { failed_leg, ..FinalCall::failed(reason, NOW + 1_000) });
    check(launched("a", ONE, NOW), None, launched("b", ONE, NOW + 4_999), "double click");
    check(launched("a", ONE, NOW), None, launched("b", ONE, NOW + 5_000), "in call");
    check(launched("a", ONE, NOW), None, launched("b", OTHER, NOW + 1), "in call");
    check(launched("a", ONE, NOW), None, server("b", ONE, NOW + 1), "in call");
    check(server("a", ONE, NOW), None, launched("b", OTHER, NOW + 9_000), "in call");
    check(launched("a", ONE, NOW), ended("system", None), launched("b", ONE, NOW + 4_999), "double click");
    check(launched("a", ONE, NOW), ended("system", None), launched("b", ONE, NOW + 5_000), "created");
    check(launched("a", ONE, NOW), ended("system", None), server("b", ONE, NOW + 1_001), "created");
    // The customer was never rung: the agent may try again at once.
    check(launched("a", ONE, NOW), ended("agent_media", Some(LegName::Agent)), launched("b", ONE, NOW + 1_001), "created");
    let of_another = NewCall { crm_username: Some("Agent.017".into()), ..launched("b", ONE, NOW) };
    check(launched("a", ONE, NOW), None, of_another, "created");
    // Phones know no such rule.
    check(new_call("a", NOW), None, new_call("b", NOW), "created");
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
                scope.spawn(move || matches!(storage.create_call(new, no_progress).unwrap(), CreateOutcome::Created(_)))
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
    opened.storage.bind_session("s1", "c1").unwrap().unwrap();
    assert_eq!(opened.storage.bind_session("s2", "c1").unwrap(), None);
    let opened = opened.reopen();
    let stored = opened.storage.session("s1").unwrap().unwrap();
    assert_eq!(stored, WebphoneSession { call_id: Some("c1".into()), ..session("s1", NOW + 1_000) });
    assert_eq!(opened.storage.call("c1").unwrap().unwrap().session_id.as_deref(), Some("s1"));
    opened.storage.close_session("s1").unwrap();
    assert!(opened.storage.session("s1").unwrap().unwrap().is_closed);
    assert!(!opened.storage.create_session(&session("s1", NOW + 9_000)).unwrap(), "closed, but used");

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
    storage.change_softphone(ACCOUNT, "agent.017", seen).unwrap();
    assert_eq!(storage.softphone(ACCOUNT, "agent.017").unwrap(), Softphone::default(), "not registered");
    let agent = Agent { account_id: ACCOUNT.into(), crm_username: "agent.017".into(), display_name: "Asha".into() };
    storage.put_agent(&agent).unwrap();
    storage.change_softphone(ACCOUNT, "agent.017", seen).unwrap();
    storage.change_softphone(ACCOUNT, "agent.017", |softphone| softphone.microphone = Some("denied".into())).unwrap();
    let remembered = Softphone { last_seen_ms: Some(NOW), microphone: Some("denied".into()), ..Softphone::default() };
    assert_eq!(storage.softphone(ACCOUNT, "agent.017").unwrap(), remembered);
    storage.delete_agent(ACCOUNT, "agent.017").unwrap();
    storage.put_agent(&agent).unwrap();
    assert_eq!(storage.softphone(ACCOUNT, "agent.017").unwrap(), Softphone::default());
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
            leg: Some(LegName::Agent),
            party: None,
            kind: "step".into(),
            sip_code: None,
            trunk: None,
            detail: None,
        };
        match storage.apply_milestone("c1", &entry, &Progress { agent_away, ..Progress::default() }, no_progress).unwrap() {
            MilestoneOutcome::Applied(applied) => applied.call.agent_away,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!([apply(1, None), apply(2, Some(true)), apply(3, None), apply(4, Some(false))], [false, true, true, false]);
    apply(5, Some(true));
    let ended = finish(storage, "c1", NOW + 60_000, None).call;
    assert!(!ended.agent_away);
}
