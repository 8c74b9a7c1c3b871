//! The callback outbox.

use crate::*;
use call_words::{AccountId, CallId, JobState};

const E1: &str = "demo https://a.example";
const E2: &str = "demo https://b.example";

fn ended(storage: &Storage, call_id: &str, end_ms: u64, endpoint: &str) {
    create(storage, new_call(call_id, NOW));
    finish(storage, call_id, end_ms, Some(endpoint));
}

fn attempt(job: &CallbackJob, delivered: bool) -> DeliveryAttempt {
    DeliveryAttempt {
        at_ms: job.next_ms,
        cycle: job.cycle,
        attempt: job.attempt_count + 1,
        url: job.target.url.clone(),
        http_status: Some(if delivered { 200 } else { 500 }),
        error: None,
        duration_ms: 3,
        delivered,
        sequence: job.sequence,
    }
}

fn due_ids(storage: &Storage, endpoint: &str, now_ms: u64) -> (Vec<CallId>, Option<u64>) {
    let due = storage.due_callbacks(&endpoint.into(), 0, now_ms, 100, |_| false).unwrap();
    (due.jobs.into_iter().map(|job| job.call_id).collect(), due.next_ms)
}

// A23
#[test]
fn endpoints_have_their_own_queues_in_order_of_time() {
    let opened = Opened::fresh();
    let storage = &opened.storage;
    assert_eq!(storage.pending_endpoints().unwrap(), [""; 0]);
    ended(storage, "c1", NOW + 20_000, E1);
    ended(storage, "c2", NOW + 10_000, E1);
    ended(storage, "c3", NOW + 30_000, E2);
    let mut endpoints = storage.pending_endpoints().unwrap();
    endpoints.sort();
    assert_eq!(endpoints, [E1, E2]);
    assert_eq!(due_ids(storage, E1, NOW + 9_999), (vec![], Some(NOW + 10_000)));
    assert_eq!(due_ids(storage, E1, NOW + 10_000), (vec!["c2".into()], Some(NOW + 20_000)));
    assert_eq!(due_ids(storage, E1, NOW + 20_000), (vec!["c2".into(), "c1".into()], None));
    let due =
        storage.due_callbacks(&E1.into(), 0, NOW + 20_000, 1, |call_id| call_id == "c2").unwrap();
    assert_eq!((due.jobs[0].call_id.as_str(), due.next_ms), ("c1", None));
    let due = storage.due_callbacks(&E1.into(), 0, NOW + 20_000, 1, |_| false).unwrap();
    assert_eq!((due.jobs.len(), due.next_ms), (1, Some(NOW + 20_000)));
    // What was due before is not looked at again.
    let from = |from_ms| {
        let due = storage.due_callbacks(&E1.into(), from_ms, NOW + 30_000, 9, |_| false).unwrap();
        due.jobs.into_iter().map(|job| job.call_id).collect::<Vec<_>>()
    };
    assert_eq!(from(NOW + 10_000), ["c2", "c1"]);
    assert_eq!(from(NOW + 10_001), ["c1"]);
    assert_eq!(from(NOW + 20_001), [""; 0]);
}

// S26
#[test]
fn attempts_are_logged_with_what_follows_and_survive_a_restart() {
    let opened = Opened::fresh();
    ended(&opened.storage, "c1", NOW, E1);
    let job = opened.storage.callback_job("c1").unwrap().unwrap();
    let retry = NextStep::Retry { at_ms: NOW + 1_000 };
    let after =
        opened.storage.record_delivery("c1", &attempt(&job, false), retry).unwrap().unwrap();
    assert_eq!(
        (after.attempt_count, after.next_ms, after.state),
        (1, NOW + 1_000, JobState::Pending)
    );
    assert_eq!(
        opened.storage.record_delivery("c1", &attempt(&job, false), NextStep::Exhausted).unwrap(),
        None,
        "recorded before"
    );

    let opened = opened.reopen();
    let storage = &opened.storage;
    assert_eq!(due_ids(storage, E1, NOW + 999), (vec![], Some(NOW + 1_000)));
    let job = storage.callback_job("c1").unwrap().unwrap();
    assert_eq!(job, after);
    let done =
        storage.record_delivery("c1", &attempt(&job, true), NextStep::Delivered).unwrap().unwrap();
    assert_eq!(done.state, JobState::Delivered);
    assert_eq!(storage.pending_endpoints().unwrap(), [""; 0]);
    let log: Vec<_> = storage
        .deliveries(&"c1".into())
        .unwrap()
        .into_iter()
        .map(|entry| (entry.attempt, entry.http_status))
        .collect();
    assert_eq!(log, [(1, Some(500)), (2, Some(200))]);
    assert_eq!(
        storage.record_delivery("c9", &attempt(&job, true), NextStep::Delivered).unwrap(),
        None
    );
}

// A1
#[test]
fn redelivery_by_hand_starts_a_new_cycle_with_the_same_body() {
    let opened = Opened::fresh();
    let storage = &opened.storage;
    create(storage, new_call("c1", NOW));
    let requeue = |endpoint: &'static str| {
        push_to(storage, ACCOUNT, Some(endpoint));
        storage.requeue_callback(&"c1".into()).unwrap()
    };
    assert_eq!(requeue(E1), RequeueOutcome::StillLive);
    finish(storage, "c1", NOW + 60_000, Some(E1));
    assert_eq!(requeue(E1), RequeueOutcome::StillPending);
    let job = storage.callback_job("c1").unwrap().unwrap();
    storage.record_delivery("c1", &attempt(&job, false), NextStep::Exhausted).unwrap();
    push_to(storage, ACCOUNT, None);
    assert_eq!(storage.requeue_callback(&"c1".into()).unwrap(), RequeueOutcome::NotConfigured);
    let RequeueOutcome::Queued(again) = requeue(E2) else { panic!("not queued") };
    assert_eq!(
        (again.cycle, again.attempt_count, again.delivery_count, again.next_ms),
        (2, 0, 1, NOW + 60_000)
    );
    assert_eq!((again.body, again.target.endpoint.as_str()), (job.body, E2));
    assert_eq!(due_ids(storage, E2, NOW + 60_000).0, ["c1"]);
    assert_eq!(storage.requeue_callback(&"c9".into()).unwrap(), RequeueOutcome::UnknownCall);
}

#[test]
fn a_callback_that_was_set_up_later_can_be_asked_for() {
    let opened = Opened::fresh();
    create(&opened.storage, new_call("c1", NOW));
    finish(&opened.storage, "c1", NOW + 60_000, None);
    push_to(&opened.storage, ACCOUNT, Some(E1));
    let outcome = opened.storage.requeue_callback(&"c1".into()).unwrap();
    assert!(matches!(outcome,
            RequeueOutcome::Queued(job) if job.cycle == 1 && job.body == "{\"call_id\":\"c1\"}"));
}

#[test]
fn the_log_has_a_cap() {
    let opened = Opened::fresh();
    ended(&opened.storage, "c1", NOW, E1);
    for _ in 0..DELIVERY_LOG_CAP + 3 {
        let job = opened.storage.callback_job("c1").unwrap().unwrap();
        opened
            .storage
            .record_delivery("c1", &attempt(&job, false), NextStep::Retry { at_ms: NOW })
            .unwrap()
            .unwrap();
    }
    let log = opened.storage.deliveries(&"c1".into()).unwrap();
    assert_eq!((log.len(), log[0].attempt), (DELIVERY_LOG_CAP as usize, 4));
}

// B08
#[test]
fn undelivered_results_are_listed_by_account_and_state() {
    let opened = Opened::fresh();
    let storage = &opened.storage;
    for (call_id, account_id, start) in
        [("c1", "demo", 1), ("c2", "demo", 2), ("c3", "demo", 3), ("c4", "b", 4), ("c5", "zz", 5)]
    {
        push_to(storage, account_id, Some(E1));
        create(
            storage,
            NewCall { account_id: account_id.into(), ..new_call(call_id, NOW + start) },
        );
        finish(storage, call_id, NOW + 60_000, Some(E1));
    }
    let ids = |account: Option<&str>, state| -> Vec<CallId> {
        let account = account.map(AccountId::from);
        let (mut ids, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let page = storage.undelivered(account.as_ref(), state, cursor.as_deref(), 2).unwrap();
            assert!(page.jobs.len() <= 2);
            ids.extend(page.jobs.into_iter().map(|job| job.call_id));
            cursor = page.next_cursor;
            if cursor.is_none() {
                return ids;
            }
        }
    };
    let listed = |callback, account: &str| -> Vec<CallId> {
        let filter = CallFilter { callback: Some(callback), ..CallFilter::default() };
        storage
            .calls(&account.into(), &filter, None, 100)
            .unwrap()
            .calls
            .into_iter()
            .map(|call| call.call_id)
            .collect()
    };
    let step = |call_id: &str, delivered, next| {
        let job = storage.callback_job(call_id).unwrap().unwrap();
        storage.record_delivery(call_id, &attempt(&job, delivered), next).unwrap().unwrap()
    };
    assert_eq!(
        ids(None, JobState::Pending),
        ["c4", "c5", "c3", "c2", "c1"],
        "by account, the newest first"
    );
    step("c1", false, NextStep::Exhausted);
    step("c2", true, NextStep::Delivered);
    assert_eq!(
        step("c3", false, NextStep::Retry { at_ms: NOW + 90_000 }).last_error.as_deref(),
        Some("500")
    );
    step("c5", false, NextStep::Exhausted);
    assert_eq!(ids(None, JobState::Exhausted), ["c5", "c1"]);
    assert_eq!(ids(Some("demo"), JobState::Exhausted), ["c1"]);
    assert_eq!(ids(Some("demo"), JobState::Pending), ["c3"]);
    for (state, expected) in
        [(JobState::Exhausted, "c1"), (JobState::Pending, "c3"), (JobState::Delivered, "c2")]
    {
        assert_eq!(listed(state, "demo"), [expected], "{state:?}");
    }
    assert_eq!(storage.outbox_depth().unwrap(), OutboxDepth { pending: 2, exhausted: 2 });
    // Queued again it is listed as such, and once it is delivered nowhere.
    assert!(matches!(storage.requeue_callback(&"c1".into()).unwrap(), RequeueOutcome::Queued(_)));
    assert_eq!(
        (ids(Some("demo"), JobState::Exhausted), ids(Some("demo"), JobState::Pending)),
        (vec![], vec!["c3".into(), "c1".into()])
    );
    assert_eq!(step("c1", true, NextStep::Delivered).last_error, None);
    assert_eq!(ids(Some("demo"), JobState::Pending), ["c3"]);
    for cursor in ["", "x", "1.c1", "x.c1.demo"] {
        assert!(
            matches!(
                storage.undelivered(None, JobState::Pending, Some(cursor), 2),
                Err(Error::BadCursor)
            ),
            "{cursor}"
        );
    }
}
