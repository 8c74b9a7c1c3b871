//! Calls: creation rules, milestones, the end, listings.

use crate::*;
use call_words::{CallState, CallType, LegKind};

/// What a request says about its identity.
struct Request {
    uuid: Option<&'static str>,
    key: Option<&'static str>,
    body: &'static str,
    at_ms: u64,
}

fn request(
    uuid: Option<&'static str>,
    key: Option<&'static str>,
    body: &'static str,
    at_ms: u64,
) -> Request {
    Request { uuid, key, body, at_ms }
}

/// Sends a first request, ends its call if asked, then a second; tells what became of the second.
#[track_caller]
fn check(first: Request, ended: bool, second: Request, expected: &str) {
    let opened = Opened::fresh();
    let new = |call_id: &str, request: Request| NewCall {
        uuid: request.uuid.map(Into::into),
        idempotency_key: request.key.map(Into::into),
        fingerprint: request.body.into(),
        ..new_call(call_id, request.at_ms)
    };
    create(&opened.storage, new("first", first));
    if ended {
        finish(&opened.storage, "first", NOW + 5_000, None);
    }
    let second = new("second", second);
    let foreseen = opened.storage.earlier_call(&second).unwrap();
    let outcome = opened.storage.create_call(second, None).unwrap();
    match &outcome {
        CreateOutcome::Created { .. } => assert_eq!(foreseen, None),
        _ => assert_eq!(foreseen.as_ref(), Some(&outcome)),
    }
    let word = match outcome {
        CreateOutcome::Created { call, .. } => format!("created {}", call.call_id),
        CreateOutcome::Existing(call) => format!("existing {}", call.call_id),
        CreateOutcome::UuidClash { call_id } => format!("uuid of {call_id}"),
        CreateOutcome::IdempotencyClash { call_id } => format!("key of {call_id}"),
        other @ (CreateOutcome::InTheWay(_) | CreateOutcome::UnknownAccount) => panic!("{other:?}"),
    };
    assert_eq!(word, expected);
}

// A3
#[test]
fn the_uuid_rule() {
    let uuid = |body, at_ms| request(Some("lead 7"), None, body, at_ms);
    check(uuid("a", NOW), false, uuid("a", NOW + 3_600_000), "existing first");
    check(uuid("a", NOW), false, uuid("b", NOW + 3_600_000), "uuid of first");
    check(uuid("a", NOW), true, uuid("a", NOW + 59_999), "existing first");
    check(uuid("a", NOW), true, uuid("b", NOW + 59_999), "uuid of first");
    check(uuid("a", NOW), true, uuid("a", NOW + 60_000), "created second");
    check(uuid("a", NOW), true, uuid("b", NOW + 60_000), "created second");
    check(uuid("a", NOW), false, request(Some("lead 8"), None, "a", NOW), "created second");
    check(request(None, None, "a", NOW), false, request(None, None, "a", NOW), "created second");
}

// A3
#[test]
fn the_idempotency_key_rule() {
    let key = |body, at_ms| request(None, Some("k"), body, at_ms);
    let day = 24 * 3_600_000;
    check(key("a", NOW), true, key("a", NOW + day - 1), "existing first");
    check(key("a", NOW), true, key("b", NOW + day - 1), "key of first");
    check(key("a", NOW), true, key("b", NOW + day), "created second");
    check(key("a", NOW), false, request(None, Some("K"), "a", NOW), "created second");
    check(key("a", NOW), false, request(None, None, "a", NOW), "created second");
    // The key is looked at before the uuid.
    let both = |body, at_ms| request(Some("u"), Some("k"), body, at_ms);
    check(both("a", NOW), true, both("a", NOW + 120_000), "existing first");
}

#[test]
fn one_account_does_not_see_anothers_uuids_and_keys() {
    let opened = Opened::fresh();
    opened.storage.put_account(&Account::new("demo2", "Another")).unwrap();
    let new = |call_id: &str, account: &str| NewCall {
        account_id: account.into(),
        uuid: Some("u".into()),
        idempotency_key: Some("k".into()),
        ..new_call(call_id, NOW)
    };
    create(&opened.storage, new("c1", "demo"));
    create(&opened.storage, new("c2", "demo2"));
}

#[test]
fn requests_at_the_same_moment_make_one_call() {
    let opened = Opened::fresh();
    let created_count: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|n| {
                let storage = opened.storage.clone();
                let new = NewCall {
                    uuid: Some("u".into()),
                    idempotency_key: Some("k".into()),
                    ..new_call(&n.to_string(), NOW)
                };
                scope.spawn(move || {
                    matches!(storage.create_call(new, None).unwrap(), CreateOutcome::Created { .. })
                })
            })
            .collect();
        threads.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum()
    });
    assert_eq!(created_count, 1);
    assert_eq!(opened.storage.live_calls().unwrap().len(), 1);
}

#[test]
fn a_new_call_is_whole() {
    let opened = Opened::fresh();
    let call = create(&opened.storage, new_call("c1", NOW));
    assert_eq!(call.uuid, "c1");
    assert_eq!((call.state, call.status, call.start_ms), (CallState::Accepted, None, NOW));
    let uuid = " 😀 \"quoted\"\u{0} ";
    create(&opened.storage, NewCall { uuid: Some(uuid.into()), ..new_call("c2", NOW) });
    let opened = opened.reopen();
    assert_eq!(opened.storage.call(&"c1".into()).unwrap(), Some(call));
    assert_eq!(opened.storage.call(&"c2".into()).unwrap().unwrap().uuid, uuid);
}

fn milestone(sequence: u32, kind: &str) -> TimelineEntry {
    TimelineEntry {
        sequence,
        at_ms: NOW + u64::from(sequence),
        leg: Some(LegKind::Agent),
        party: None,
        kind: kind.into(),
        sip_code: None,
        trunk: None,
        detail: None,
    }
}

#[test]
fn milestones_apply_once_and_move_forward() {
    let opened = Opened::fresh();
    let storage = &opened.storage;
    let owner = Owner { edge: "edge-1".into(), shard: 1, epoch: 42 };
    let assignment = Assignment { owner: owner.clone(), trunk: "t1".into() };
    let outcome = storage.create_call(new_call("c1", NOW), Some(assignment)).unwrap();
    let CreateOutcome::Created { call, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(
        (call.state, call.owner, call.trunk),
        (CallState::Placed, Some(owner), Some("t1".into()))
    );
    let state = |outcome| match outcome {
        MilestoneOutcome::Applied(applied) => applied.call.state,
        other => panic!("{other:?}"),
    };
    let apply = |sequence, kind, state| {
        storage
            .apply_milestone(
                &"c1".into(),
                &milestone(sequence, kind),
                &Progress { state, ..Progress::default() },
            )
            .unwrap()
    };
    assert_eq!(state(apply(2, "ringing", Some(CallState::AgentRinging))), CallState::AgentRinging);
    assert_eq!(apply(2, "ringing", Some(CallState::Bridged)), MilestoneOutcome::Duplicate);
    assert_eq!(state(apply(1, "trying", None)), CallState::AgentRinging);
    assert_eq!(state(apply(10, "bridged", Some(CallState::Bridged))), CallState::Bridged);
    assert_eq!(state(apply(11, "ringing", Some(CallState::AgentRinging))), CallState::Bridged);
    assert_eq!(storage.call(&"c1".into()).unwrap().unwrap().answer_ms, Some(NOW + 10));
    assert_eq!(apply(TIMELINE_CAP + 1, "trying", None), MilestoneOutcome::Full);
    let timeline = storage.timeline(&"c1".into()).unwrap();
    let kinds: Vec<_> = timeline.iter().map(|entry| entry.kind.as_str()).collect();
    assert_eq!(kinds, ["trying", "ringing", "bridged", "ringing"]);
    assert_eq!(
        storage.apply_milestone(&"c2".into(), &milestone(1, "x"), &Progress::default()).unwrap(),
        MilestoneOutcome::UnknownCall
    );
}

#[test]
fn a_call_ends_once() {
    let opened = Opened::fresh();
    let storage = &opened.storage;
    create(storage, new_call("c1", NOW));
    create(storage, new_call("c2", NOW));
    let first = finish(storage, "c1", NOW + 60_000, Some("demo https://crm.example"));
    assert_eq!(endpoint(first.queued), Some("demo https://crm.example".into()));
    assert_eq!((first.call.state, first.call.status), (CallState::Ended, Some(CallStatus::Answer)));
    let again = storage.finish_call(&"c1".into(), FinalCall::failed("system", NOW)).unwrap();
    assert_eq!(again, FinishOutcome::AlreadyFinished(first.call.clone()));
    let unknown = storage.finish_call(&"c3".into(), FinalCall::failed("system", NOW)).unwrap();
    assert_eq!(unknown, FinishOutcome::UnknownCall);
    let live: Vec<_> = storage.live_calls().unwrap().into_iter().map(|call| call.call_id).collect();
    assert_eq!(live, ["c2"]);
    assert_eq!(storage.request_hang_up(&"c1".into()).unwrap(), None);
    assert_eq!(storage.recording(&"crm_c1.wav".into()).unwrap().unwrap().call_id, "c1");

    let opened = opened.reopen();
    assert_eq!(opened.storage.call(&"c1".into()).unwrap(), Some(first.call));
    assert_eq!(opened.storage.callback_job("c1").unwrap().unwrap().body, "{\"call_id\":\"c1\"}");
}

#[test]
fn a_crashed_call_keeps_the_answer_that_its_milestones_told() {
    let opened = Opened::fresh();
    create(&opened.storage, new_call("c1", NOW));
    opened
        .storage
        .apply_milestone(&"c1".into(), &milestone(1, "bridged"), &Progress::to(CallState::Bridged))
        .unwrap();
    let end = FinalCall { status: CallStatus::Answer, ..FinalCall::failed("system", NOW + 9) };
    opened.storage.finish_call(&"c1".into(), end).unwrap();
    assert_eq!(opened.storage.call(&"c1".into()).unwrap().unwrap().answer_ms, Some(NOW + 1));
}

#[test]
fn wishes_are_kept() {
    let opened = Opened::fresh();
    create(&opened.storage, new_call("c1", NOW));
    assert!(opened.storage.request_hang_up(&"c1".into()).unwrap().unwrap().hang_up_requested);
    finish(&opened.storage, "c1", NOW + 60_000, None);
    opened.storage.set_disposition(&"c1".into(), "INTERESTED").unwrap().unwrap();
    assert_eq!(opened.storage.set_disposition(&"c2".into(), "X").unwrap(), None);
    let opened = opened.reopen();
    let call = opened.storage.call(&"c1".into()).unwrap().unwrap();
    assert_eq!((call.disposition.as_str(), call.hang_up_requested), ("INTERESTED", true));
}

fn ids(page: &Page) -> Vec<&str> {
    page.calls.iter().map(|call| call.call_id.as_str()).collect()
}

#[test]
fn pages_run_from_the_newest_to_the_oldest_without_gap_or_repetition() {
    let opened = Opened::fresh();
    for n in 0..7 {
        // Two calls share each moment.
        create(&opened.storage, new_call(&format!("c{n}"), NOW + n / 2));
    }
    opened.storage.put_account(&Account::new("demo2", "Another")).unwrap();
    create(&opened.storage, NewCall { account_id: "demo2".into(), ..new_call("other", NOW) });
    let mut seen = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = opened
            .storage
            .calls(&ACCOUNT.into(), &CallFilter::default(), cursor.as_deref(), 2)
            .unwrap();
        assert!(page.calls.len() <= 2);
        seen.extend(ids(&page).into_iter().map(str::to_owned));
        // A call that comes meanwhile does not move the pages.
        create(&opened.storage, new_call(&format!("late{}", seen.len()), NOW + 100));
        match page.next_cursor {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    assert_eq!(seen, ["c6", "c4", "c5", "c2", "c3", "c0", "c1"]);
    for cursor in ["", "x", "1", "x.c1"] {
        let refused =
            opened.storage.calls(&ACCOUNT.into(), &CallFilter::default(), Some(cursor), 2);
        assert!(matches!(refused, Err(Error::BadCursor)), "{cursor:?}");
    }
}

#[test]
fn filters() {
    let opened = Opened::fresh();
    for n in 0..4 {
        create(&opened.storage, new_call(&format!("c{n}"), NOW + n));
    }
    create(
        &opened.storage,
        NewCall {
            uuid: Some("u".into()),
            crm_username: Some("agent.017".into()),
            ..new_call("c4", NOW + 4)
        },
    );
    finish(&opened.storage, "c1", NOW + 60_000, None);
    opened.storage.set_disposition(&"c2".into(), "SOLD").unwrap();
    #[track_caller]
    fn check(opened: &Opened, filter: CallFilter, expected: &[&str]) {
        assert_eq!(
            ids(&opened.storage.calls(&ACCOUNT.into(), &filter, None, 100).unwrap()),
            expected
        );
    }
    let all = CallFilter::default;
    check(&opened, all(), &["c4", "c3", "c2", "c1", "c0"]);
    check(&opened, CallFilter { live: Some(false), ..all() }, &["c1"]);
    check(&opened, CallFilter { status: Some(CallStatus::Answer), ..all() }, &["c1"]);
    check(&opened, CallFilter { status: Some(CallStatus::Busy), ..all() }, &[]);
    check(&opened, CallFilter { uuid: Some("u".into()), ..all() }, &["c4"]);
    check(&opened, CallFilter { crm_username: Some("agent.017".into()), ..all() }, &["c4"]);
    check(&opened, CallFilter { disposition: Some("SOLD".into()), ..all() }, &["c2"]);
    check(&opened, CallFilter { call_type: Some(CallType::Browser), ..all() }, &[]);
    check(
        &opened,
        CallFilter { from_ms: Some(NOW + 1), until_ms: Some(NOW + 3), ..all() },
        &["c2", "c1"],
    );
    check(&opened, CallFilter { until_ms: Some(0), ..all() }, &[]);
    let older = CallFilter { until_ms: Some(NOW + 4), ..all() };
    let page = opened.storage.calls(&ACCOUNT.into(), &older, None, 2).unwrap();
    assert_eq!(ids(&page), ["c3", "c2"]);
    assert_eq!(
        ids(&opened
            .storage
            .calls(&ACCOUNT.into(), &older, page.next_cursor.as_deref(), 2)
            .unwrap()),
        ["c1", "c0"]
    );
}

// A12: the wall clock is set while calls run.
#[test]
fn a_step_of_the_clock_turns_no_call_around() {
    const HOUR: u64 = 3_600_000;
    #[track_caller]
    fn check(
        status: CallStatus,
        answer_ms: Option<u64>,
        end_ms: u64,
        duration_s: u64,
        expected: (Option<u64>, u64),
    ) {
        let opened = Opened::fresh();
        create(&opened.storage, new_call("c1", NOW));
        let end = FinalCall { status, answer_ms, duration_s, ..FinalCall::failed("x", end_ms) };
        let end = FinalCall { reason: None, ..end };
        opened.storage.finish_call(&"c1".into(), end).unwrap();
        let call = opened.storage.call(&"c1".into()).unwrap().unwrap();
        assert_eq!((call.answer_ms, call.end_ms.unwrap()), expected);
    }
    use CallStatus::{Answer, Busy};
    check(Answer, Some(NOW + 4_000), NOW + 9_700, 5, (Some(NOW + 4_000), NOW + 9_700));
    // Back before the answer, back and on while talking.
    check(Answer, Some(NOW + 4_000 - HOUR), NOW + 9_000 - HOUR, 5, (Some(NOW), NOW + 5_000));
    check(Answer, Some(NOW + 4_000), NOW + 9_000 - HOUR, 5, (Some(NOW + 4_000), NOW + 9_000));
    check(Answer, Some(NOW + 4_000), NOW + 9_000 + 24 * HOUR, 5, (Some(NOW + 4_000), NOW + 9_000));
    check(Busy, None, NOW + 9_000 - HOUR, 0, (None, NOW));
    check(Busy, None, NOW + 9_000, 0, (None, NOW + 9_000));
}
