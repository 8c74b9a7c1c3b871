//! The log of events, and the progress callbacks that go with it.

use crate::*;
use call_words::{CallState, EventWord, JobState};
use std::sync::Barrier;

const DAY: u64 = 24 * 3_600_000;
const E1: &str = "demo https://a.example";
const E1_PROGRESS: &str = "demo https://a.example progress";

fn entry(sequence: u32, kind: &str) -> TimelineEntry {
    TimelineEntry {
        sequence,
        at_ms: NOW + u64::from(sequence),
        leg: None,
        party: None,
        kind: kind.into(),
        sip_code: None,
        trunk: None,
        detail: None,
    }
}

fn told(word: EventWord) -> Progress {
    Progress { event: Some(StepEvent::Always(word)), ..Progress::default() }
}

fn words(events: &[EventRecord]) -> Vec<(u64, &str, u32)> {
    events.iter().map(|event| (event.number, event.event.as_str(), event.sequence)).collect()
}

#[test]
fn numbers_rise_within_an_account_and_go_on_after_a_restart() {
    let opened = Opened::fresh();
    let storage = &opened.storage;
    storage.put_account(&Account::new("other", "Other")).unwrap();
    create(storage, new_call("c1", NOW));
    create(storage, NewCall { account_id: "other".into(), ..new_call("o1", NOW) });
    let second = create(storage, new_call("c2", NOW));
    storage.apply_milestone(&"c1".into(), &entry(1, "muted"), &told(EventWord::Muted)).unwrap();
    storage.apply_milestone(&"c1".into(), &entry(1, "muted"), &told(EventWord::Muted)).unwrap();
    storage.apply_milestone(&"c1".into(), &entry(2, "trying"), &Progress::default()).unwrap();
    finish(storage, "c2", NOW + 60, None);
    let events = storage.events(&ACCOUNT.into(), 0, 100).unwrap();
    let expected = [(1, "initiated", 1), (2, "initiated", 1), (3, "muted", 2), (4, "ended", 2)];
    assert_eq!(words(&events), expected);
    assert_eq!(words(&storage.events(&ACCOUNT.into(), 2, 1).unwrap()), expected[2..3]);
    assert_eq!(words(&storage.call_events(&second, 0, 100).unwrap()), [expected[1], expected[3]]);
    assert_eq!(words(&storage.call_events(&second, 2, 100).unwrap()), [expected[3]]);
    assert_eq!(storage.event_range(&"other".into()).unwrap(), EventRange { last: 1, cut_until: 0 });
    assert_eq!(storage.events(&"nobody".into(), 0, 100).unwrap(), []);

    let opened = opened.reopen();
    assert_eq!(words(&opened.storage.events(&ACCOUNT.into(), 0, 100).unwrap()), expected);
    opened
        .storage
        .apply_milestone(&"c1".into(), &entry(3, "held"), &told(EventWord::Held))
        .unwrap();
    assert_eq!(words(&opened.storage.events(&ACCOUNT.into(), 4, 100).unwrap()), [(5, "held", 3)]);
}

#[test]
fn a_word_for_a_move_is_told_once() {
    let opened = Opened::fresh();
    create(&opened.storage, new_call("c1", NOW));
    let ringing = Progress {
        event: Some(StepEvent::IfMoved(EventWord::Ringing)),
        ..Progress::to(CallState::CustomerRinging)
    };
    for sequence in 1..4 {
        opened
            .storage
            .apply_milestone(&"c1".into(), &entry(sequence, "ringing"), &ringing)
            .unwrap();
    }
    assert_eq!(
        words(&opened.storage.events(&ACCOUNT.into(), 1, 100).unwrap()),
        [(2, "ringing", 2)]
    );
}

#[test]
fn the_log_is_cut_by_age_and_its_numbers_are_not_given_again() {
    let opened = Opened::fresh();
    let storage = &opened.storage;
    create(storage, new_call("c1", NOW));
    create(storage, new_call("c2", NOW + DAY));
    let expired = storage.expire(NOW + DAY, 100).unwrap();
    assert_eq!((expired.event_count, expired.more), (1, false));
    assert_eq!(words(&storage.events(&ACCOUNT.into(), 0, 100).unwrap()), [(2, "initiated", 1)]);
    assert_eq!(storage.event_range(&ACCOUNT.into()).unwrap(), EventRange { last: 2, cut_until: 1 });
    assert_eq!(storage.expire(NOW + 2 * DAY, 100).unwrap().event_count, 1);
    let opened = opened.reopen();
    assert_eq!(
        opened.storage.event_range(&ACCOUNT.into()).unwrap(),
        EventRange { last: 2, cut_until: 2 }
    );
    create(&opened.storage, new_call("c3", NOW + 2 * DAY));
    assert_eq!(
        words(&opened.storage.events(&ACCOUNT.into(), 0, 100).unwrap()),
        [(3, "initiated", 1)]
    );
}

#[test]
fn the_log_is_cut_by_count() {
    let opened = Opened::fresh();
    let storage = &opened.storage;
    create(storage, new_call("c1", NOW));
    for sequence in 1..=EVENT_CAP as u32 + 4 {
        storage
            .apply_milestone(&"c1".into(), &entry(sequence, "muted"), &told(EventWord::Muted))
            .unwrap();
    }
    let turn = storage.expire(NOW + 1, 3).unwrap();
    assert_eq!((turn.event_count, turn.more), (3, true));
    assert_eq!(storage.expire(NOW + 1, 100).unwrap().event_count, 2);
    assert_eq!(storage.events(&ACCOUNT.into(), 0, 1).unwrap()[0].number, 6);
    assert_eq!(storage.expire(NOW + 1, 100).unwrap().event_count, 0);
    // Beyond the timeline's cap steps still count, each once.
    let last = EVENT_CAP as u32 + 4;
    assert_eq!(
        storage
            .apply_milestone(&"c1".into(), &entry(last, "muted"), &told(EventWord::Muted))
            .unwrap(),
        MilestoneOutcome::Duplicate
    );
    assert_eq!(storage.timeline(&"c1".into()).unwrap().len(), TIMELINE_CAP as usize + 1);
}

#[test]
fn events_are_read_in_order_while_many_write() {
    let opened = Opened::fresh();
    let storage = &opened.storage;
    let start = Barrier::new(5);
    let seen = std::thread::scope(|scope| {
        for writer in 0..4 {
            let start = &start;
            scope.spawn(move || {
                start.wait();
                for call in 0..25 {
                    create(storage, new_call(&format!("c{writer}-{call}"), NOW));
                }
            });
        }
        start.wait();
        let mut seen: Vec<u64> = Vec::new();
        while seen.len() < 100 {
            let after = seen.last().copied().unwrap_or(0);
            seen.extend(
                storage
                    .events(&ACCOUNT.into(), after, 100)
                    .unwrap()
                    .into_iter()
                    .map(|event| event.number),
            );
        }
        seen
    });
    assert_eq!(seen, (1..=100).collect::<Vec<_>>(), "none is skipped for being written late");
}

#[test]
fn progress_goes_through_the_outbox_beside_the_result() {
    let opened = Opened::fresh();
    let storage = &opened.storage;
    push_to(storage, ACCOUNT, Some(E1));
    let account = storage.account(&ACCOUNT.into()).unwrap().unwrap();
    storage.put_account(&Account { progress_events: vec!["muted".into()], ..account }).unwrap();
    let outcome = storage.create_call(new_call("c1", NOW), None).unwrap();
    let CreateOutcome::Created { queued, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(endpoint(queued), Some(E1_PROGRESS.into()));
    let step = entry(1, "muted");
    let MilestoneOutcome::Applied(applied) =
        storage.apply_milestone(&"c1".into(), &step, &told(EventWord::Muted)).unwrap()
    else {
        panic!()
    };
    assert_eq!(endpoint(applied.queued), Some(E1_PROGRESS.into()));
    let end = answered("c1", NOW + 5_000);
    let FinishOutcome::Finished(finish) = storage.finish_call(&"c1".into(), end).unwrap() else {
        panic!()
    };
    assert_eq!(
        (endpoint(finish.queued), endpoint(finish.progress)),
        (Some(E1.into()), Some(E1_PROGRESS.into()))
    );
    // Each has its own queue and its own name; the result keeps the call's.
    let ids = |endpoint: &str| -> Vec<String> {
        let due = storage.due_callbacks(&endpoint.into(), 0, NOW + 5_000, 100, |_| false).unwrap();
        due.jobs.iter().map(CallbackJob::job_id).collect()
    };
    assert_eq!(ids(E1), ["c1"]);
    assert_eq!(ids(E1_PROGRESS), ["c1.1", "c1.2", "c1.3"]);
    let attempt = |sequence, delivered| DeliveryAttempt {
        at_ms: NOW,
        cycle: 1,
        attempt: 1,
        url: "https://crm.example/calls".into(),
        http_status: None,
        error: Some("timeout".into()),
        duration_ms: 3,
        delivered,
        sequence,
    };
    storage.record_delivery("c1.1", &attempt(Some(1), true), NextStep::Delivered).unwrap().unwrap();
    storage
        .record_delivery("c1.2", &attempt(Some(2), false), NextStep::Exhausted)
        .unwrap()
        .unwrap();
    assert_eq!(ids(E1_PROGRESS), ["c1.3"]);
    assert_eq!(
        storage.callback_job("c1.1").unwrap(),
        None,
        "only the log stays of what was delivered"
    );
    assert_eq!(storage.callback_job("c1.2").unwrap().unwrap().state, JobState::Exhausted);
    storage.record_delivery("c1", &attempt(None, true), NextStep::Delivered).unwrap().unwrap();
    let log: Vec<_> = storage
        .deliveries(&"c1".into())
        .unwrap()
        .into_iter()
        .map(|attempt| attempt.sequence)
        .collect();
    assert_eq!(log, [None, Some(1), Some(2)]);
    // All of it goes with the call.
    storage.expire(NOW + 400 * DAY, 100).unwrap();
    assert_eq!(storage.call(&"c1".into()).unwrap(), None);
    assert_eq!(storage.pending_endpoints().unwrap(), [""; 0]);
    assert_eq!(
        (storage.callback_job("c1.2").unwrap(), storage.deliveries(&"c1".into()).unwrap()),
        (None, vec![])
    );
}

#[test]
fn a_forgotten_calls_events_are_gone() {
    let opened = Opened::fresh();
    let storage = &opened.storage;
    let retention = Retention { record_days: 1, recording_days: 1 };
    storage.put_account(&Account { retention, ..Account::new(ACCOUNT, "Demo Realty") }).unwrap();
    let call = create(storage, new_call("c1", NOW));
    finish(storage, "c1", NOW + DAY, None);
    assert_eq!(storage.expire(NOW + DAY + 1, 100).unwrap().call_count, 1);
    assert_eq!(storage.events(&ACCOUNT.into(), 0, 100).unwrap(), []);
    assert_eq!(storage.call_events(&call, 0, 100).unwrap(), []);
    let opened = opened.reopen();
    assert_eq!(
        opened.storage.event_range(&ACCOUNT.into()).unwrap().last,
        2,
        "their numbers are not given again"
    );
}
