//! What is forgotten, when, and what stays.

use crate::onboarding::check_conflict;
use crate::*;
use call_words::JobState;

const DAY: u64 = 24 * 3_600_000;

fn opened(record_days: u32, recording_days: u32) -> Opened {
    let opened = Opened::fresh();
    let retention = Retention { record_days, recording_days };
    opened
        .storage
        .put_account(&Account { retention, ..Account::new(ACCOUNT, "Demo Realty") })
        .unwrap();
    opened
}

// A16
#[test]
fn an_expired_recording_leaves_a_trace_and_its_file_is_named_until_it_is_gone() {
    let opened = opened(30, 10);
    let storage = &opened.storage;
    create(storage, new_call("c1", NOW));
    create(storage, new_call("c2", NOW + DAY));
    finish(storage, "c1", NOW + 60_000, None);
    finish(storage, "c2", NOW + DAY + 60_000, None);
    let events_only = Expired { event_count: 4, ..Expired::default() };
    assert_eq!(storage.expire(NOW + 10 * DAY, 100).unwrap(), events_only);
    let expired = storage.expire(NOW + 10 * DAY + 1, 100).unwrap();
    assert_eq!(
        expired,
        Expired {
            recording_files: vec!["crm_c1.wav".into()],
            recording_count: 1,
            ..Expired::default()
        }
    );
    assert_eq!(
        storage.recording(&"crm_c1.wav".into()).unwrap().unwrap().expired_ms,
        Some(NOW + 10 * DAY + 1)
    );
    assert_eq!(storage.recording(&"crm_c2.wav".into()).unwrap().unwrap().expired_ms, None);
    assert_eq!(storage.recording(&"crm_c3.wav".into()).unwrap(), None);
    assert!(storage.call(&"c1".into()).unwrap().is_some(), "the record outlives its recording");

    let opened = opened.reopen();
    let storage = &opened.storage;
    let again = storage.expire(NOW + 10 * DAY + 2, 100).unwrap();
    assert_eq!(
        (again.recording_files.as_slice(), again.recording_count),
        (&["crm_c1.wav".into()][..], 0)
    );
    storage.confirm_recordings_deleted(&again.recording_files).unwrap();
    assert_eq!(storage.expire(NOW + 10 * DAY + 3, 100).unwrap(), Expired::default());
    let much_later = storage.expire(NOW + 400 * DAY, 100).unwrap();
    assert_eq!(much_later.tombstone_count, 1);
    assert_eq!(storage.recording(&"crm_c1.wav".into()).unwrap(), None);
    assert!(storage.recording(&"crm_c2.wav".into()).unwrap().is_some());
}

#[test]
fn an_expired_record_goes_with_all_that_hangs_on_it() {
    let opened = opened(30, 90);
    let storage = &opened.storage;
    let uuid = Some("u".to_owned());
    create(storage, NewCall { uuid: uuid.clone(), ..new_call("c1", NOW) });
    create(storage, new_call("c2", NOW + 5 * DAY));
    let step = TimelineEntry {
        sequence: 1,
        at_ms: NOW,
        leg: None,
        party: None,
        kind: "trying".into(),
        sip_code: None,
        trunk: None,
        detail: None,
    };
    storage.apply_milestone(&"c1".into(), &step, &Progress::default()).unwrap();
    finish(storage, "c1", NOW + 60_000, Some("demo https://a.example"));
    let expired = storage.expire(NOW + 30 * DAY + 1, 100).unwrap();
    assert_eq!((expired.call_count, expired.more), (1, false));
    assert_eq!(storage.call(&"c1".into()).unwrap(), None);
    assert_eq!(storage.timeline(&"c1".into()).unwrap(), []);
    assert_eq!(storage.callback_job("c1").unwrap(), None);
    assert_eq!(storage.pending_endpoints().unwrap(), [""; 0]);
    let listed = storage.calls(&ACCOUNT.into(), &CallFilter::default(), None, 10).unwrap();
    assert_eq!(listed.calls.iter().map(|call| call.call_id.as_str()).collect::<Vec<_>>(), ["c2"]);
    create(storage, NewCall { uuid, ..new_call("c3", NOW + 31 * DAY) });
}

#[test]
fn a_live_call_is_never_forgotten() {
    let opened = opened(1, 1);
    create(&opened.storage, new_call("c1", NOW));
    let expired = opened.storage.expire(NOW + 9 * DAY, 100).unwrap();
    assert_eq!(expired.call_count, 0);
    assert!(opened.storage.call(&"c1".into()).unwrap().is_some());
}

#[test]
fn turns_are_bounded() {
    let opened = opened(1, 1);
    for n in 0..5 {
        let call_id = format!("c{n}");
        create(
            &opened.storage,
            NewCall { idempotency_key: Some(call_id.clone()), ..new_call(&call_id, NOW + n) },
        );
        finish(&opened.storage, &call_id, NOW + 60_000, None);
    }
    let later = NOW + 2 * DAY;
    let first = opened.storage.expire(later, 2).unwrap();
    assert_eq!(
        (first.call_count, first.recording_count, first.idempotency_count, first.more),
        (2, 2, 2, true)
    );
    assert_eq!(first.recording_files.len(), 2);
    assert!(
        opened.storage.call(&"c0".into()).unwrap().is_none()
            && opened.storage.call(&"c2".into()).unwrap().is_some(),
        "the oldest go first"
    );
    opened.storage.confirm_recordings_deleted(&first.recording_files).unwrap();
    let second = opened.storage.expire(later, 2).unwrap();
    opened.storage.confirm_recordings_deleted(&second.recording_files).unwrap();
    let third = opened.storage.expire(later, 2).unwrap();
    assert_eq!(
        (third.call_count, third.recording_count, third.idempotency_count, third.event_count),
        (1, 1, 1, 2)
    );
    opened.storage.confirm_recordings_deleted(&third.recording_files).unwrap();
    assert_eq!(opened.storage.expire(later, 2).unwrap(), Expired::default());
}

// B07
#[test]
fn a_removed_accounts_calls_are_forgotten_before_its_id_is_free() {
    let opened = opened(1, 1);
    let storage = &opened.storage;
    for n in 0..5 {
        let call_id = format!("c{n}");
        create(
            storage,
            NewCall {
                uuid: Some(call_id.clone()),
                idempotency_key: Some(call_id.clone()),
                ..new_call(&call_id, NOW + n)
            },
        );
    }
    let in_use = |live_calls, pending_results| {
        let belongings = storage.belongings(&ACCOUNT.into()).unwrap().unwrap();
        assert_eq!(
            (belongings.live_calls, belongings.pending_results),
            (live_calls, pending_results)
        );
        assert_eq!(
            storage.remove_account(&ACCOUNT.into()).unwrap(),
            RemoveOutcome::InUse(belongings)
        );
        assert!(storage.account(&ACCOUNT.into()).unwrap().is_some());
    };
    in_use(5, 0);
    for n in 0..5 {
        finish(storage, &format!("c{n}"), NOW + 60_000, Some("demo https://a.example"));
    }
    in_use(0, 5);
    for n in 0..5 {
        let job = storage.callback_job(&format!("c{n}")).unwrap().unwrap();
        let attempt = DeliveryAttempt {
            at_ms: NOW + 60_000,
            cycle: 1,
            attempt: 1,
            url: job.target.url,
            http_status: Some(500),
            error: None,
            duration_ms: 1,
            delivered: false,
            sequence: None,
        };
        storage.record_delivery(job.call_id.as_str(), &attempt, NextStep::Exhausted).unwrap();
    }
    let had = Belongings { exhausted_results: 5, calls: 5, recordings: 5, ..Belongings::default() };
    assert_eq!(storage.remove_account(&ACCOUNT.into()).unwrap(), RemoveOutcome::Removed(had));
    check_conflict(storage.put_account(&Account::new(ACCOUNT, "Next")), "still being forgotten");
    assert_eq!(
        storage.forget_account(&ACCOUNT.into(), NOW + DAY, 2).unwrap(),
        4,
        "bounded: two calls, two recordings"
    );
    // What was begun goes on with retention, also after a restart.
    let opened = opened.reopen();
    let storage = &opened.storage;
    let mut turns = 0;
    while storage.expire(NOW + DAY, 2).unwrap().more {
        turns += 1;
        assert!(turns < 20, "it ends");
        let files = storage.expire(NOW + DAY, 100).unwrap().recording_files;
        storage.confirm_recordings_deleted(&files).unwrap();
    }
    assert_eq!(storage.forget_account(&ACCOUNT.into(), NOW + DAY, 2).unwrap(), 0);
    storage.put_account(&Account::new(ACCOUNT, "Next")).unwrap();
    assert_eq!(
        storage.calls(&ACCOUNT.into(), &CallFilter::default(), None, 100).unwrap().calls,
        []
    );
    assert_eq!(storage.events(&ACCOUNT.into(), 0, 100).unwrap(), []);
    assert_eq!(storage.undelivered(None, JobState::Exhausted, None, 100).unwrap().jobs, []);
    for n in 0..5 {
        let call_id = format!("c{n}");
        assert_eq!(storage.call(&call_id.as_str().into()).unwrap(), None);
        assert!(
            storage
                .recording(&format!("crm_{call_id}.wav").into())
                .unwrap()
                .unwrap()
                .expired_ms
                .is_some(),
            "its link answers 410"
        );
        // Neither its uuid nor its key is known.
        create(
            storage,
            NewCall {
                uuid: Some(call_id.clone()),
                idempotency_key: Some(call_id.clone()),
                ..new_call(&format!("n{n}"), NOW + n)
            },
        );
    }
}

// A call that is being made either keeps its account or finds none.
#[test]
fn no_call_is_made_of_an_account_that_is_gone() {
    for round in 0..20 {
        let opened = Opened::fresh();
        let storage = &opened.storage;
        let start = std::sync::Barrier::new(5);
        let made = std::thread::scope(|scope| {
            let makers: Vec<_> = (0..4)
                .map(|maker| {
                    let start = &start;
                    scope.spawn(move || {
                        start.wait();
                        (0..5)
                            .filter(|n| {
                                let new = new_call(&format!("c{maker}{n}"), NOW);
                                let outcome = storage.create_call(new, None).unwrap();
                                matches!(outcome, CreateOutcome::Created { .. })
                            })
                            .count()
                    })
                })
                .collect();
            start.wait();
            // Now and then some calls come first.
            std::thread::sleep(std::time::Duration::from_micros(50 * (round % 4)));
            let removed = storage.remove_account(&ACCOUNT.into()).unwrap();
            let made: usize = makers.into_iter().map(|maker| maker.join().unwrap()).sum();
            (matches!(removed, RemoveOutcome::Removed(_)), made)
        });
        let live = storage.live_calls().unwrap().len();
        let is_gone = storage.account(&ACCOUNT.into()).unwrap().is_none();
        assert_eq!(made, if is_gone { (true, 0) } else { (false, 20) });
        assert_eq!(live, made.1);
    }
    // Whatever else the request says, and though it came before.
    let opened = Opened::fresh();
    let storage = &opened.storage;
    let known = NewCall { idempotency_key: Some("k".into()), ..new_call("c1", NOW) };
    create(storage, known.clone());
    finish(storage, "c1", NOW + 60_000, None);
    storage.remove_account(&ACCOUNT.into()).unwrap();
    for new in [
        known,
        NewCall { crm_username: Some("asha".into()), agent_number: None, ..new_call("c2", NOW) },
        NewCall { uuid: Some("u".into()), ..new_call("c3", NOW) },
    ] {
        let outcome = storage.create_call(new, None).unwrap();
        assert_eq!(outcome, CreateOutcome::UnknownAccount);
    }
}

#[test]
fn messages_of_calls_are_forgotten_by_their_start_and_a_few_at_a_time() {
    let Opened { storage, .. } = Opened::fresh();
    let ids = ["c1", "c2", "c3"];
    for (id, day) in ids.into_iter().zip(0..) {
        create(&storage, new_call(id, NOW + day * DAY));
        let call_id = id.into();
        let ladder = Ladder { call_id, rungs: Default::default(), left_out_count: 0, whole: true };
        storage.put_ladder(&ladder).unwrap();
    }
    let kept = || ids.map(|id| storage.ladder(&id.into()).unwrap().is_some());
    assert_eq!((storage.expire_ladders(NOW, 100).unwrap(), kept()), (0, [true; 3]));
    let before = NOW + DAY + 1;
    assert_eq!((storage.expire_ladders(before, 1).unwrap(), kept()), (1, [false, true, true]));
    assert_eq!((storage.expire_ladders(before, 100).unwrap(), kept()), (1, [false, false, true]));
}
