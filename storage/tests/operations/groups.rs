//! Writes that share a group: each sees those before it, all are told when all are written, and
//! what others hold still is waited for.

use crate::*;
use call_words::{CallId, CallState};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

fn step(sequence: u32, kind: &str) -> TimelineEntry {
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

/// Leaves an operation to the next group; its outcome comes by the receiver.
fn leave<T: Send + 'static>(
    storage: &Storage,
    operation: impl FnOnce(&mut Group<'_>) -> Result<T> + Send + 'static,
) -> mpsc::Receiver<Result<T>> {
    let (tell, told) = mpsc::channel();
    let _ = storage.submit(operation, move |outcome| drop(tell.send(outcome)));
    told
}

// A3
#[test]
fn operations_of_a_group_see_each_other_and_are_told_when_it_is_written() {
    let opened = Opened::fresh();
    let storage = &opened.storage;
    let new = |call_id: &str, fingerprint: &str| NewCall {
        uuid: Some("u1".into()),
        fingerprint: fingerprint.into(),
        idempotency_key: Some(format!("key of {fingerprint}")),
        ..new_call(call_id, NOW)
    };
    let call_id = || CallId::from("c1");
    let (first, again, other) = (new("c1", "one"), new("c2", "one"), new("c3", "two"));
    let created = leave(storage, move |group| group.create_call(first, None));
    let same = leave(storage, move |group| group.create_call(again, None));
    let clash = leave(storage, move |group| group.create_call(other, None));
    let steps = [(1, "trying"), (2, "bridged"), (2, "bridged")].map(|(sequence, kind)| {
        leave(storage, move |group| {
            let progress = Progress::to(CallState::Bridged);
            group.apply_milestone(&call_id(), &step(sequence, kind), &progress)
        })
    });
    let failed = leave(storage, |_| Err::<(), _>(Error::BadCursor));
    let finished =
        leave(storage, move |group| group.finish_call(&call_id(), answered("c1", NOW + 9_000)));
    let late = leave(storage, move |group| {
        group.apply_milestone(&call_id(), &step(3, "hung_up"), &Progress::default())
    });
    assert!(created.try_recv().is_err(), "told before it was written");
    storage.lead(Duration::ZERO);
    assert!(matches!(created.recv().unwrap().unwrap(), CreateOutcome::Created { .. }));
    assert!(matches!(same.recv().unwrap().unwrap(), CreateOutcome::Existing(_)));
    assert!(matches!(clash.recv().unwrap().unwrap(), CreateOutcome::UuidClash { .. }));
    let outcomes = steps.map(|step| step.recv().unwrap().unwrap());
    let states: Vec<_> = outcomes
        .iter()
        .map(|outcome| match outcome {
            MilestoneOutcome::Applied(applied) => Some(applied.call.answer_ms),
            _ => None,
        })
        .collect();
    assert_eq!(states, [Some(Some(NOW + 1)), Some(Some(NOW + 1)), None]);
    assert!(matches!(failed.recv().unwrap(), Err(Error::BadCursor)), "and it harms no other");
    assert!(matches!(finished.recv().unwrap().unwrap(), FinishOutcome::Finished(_)));
    let MilestoneOutcome::Applied(late) = late.recv().unwrap().unwrap() else { panic!() };
    assert_eq!(late.call.state, CallState::Ended);

    let opened = opened.reopen();
    let call = opened.storage.call(&call_id()).unwrap().unwrap();
    assert_eq!((call.state, call.event_count), (CallState::Ended, 2));
    assert_eq!(opened.storage.timeline(&call_id()).unwrap().len(), 3);
    assert_eq!(opened.storage.call(&"c2".into()).unwrap(), None);
    assert_eq!(opened.storage.live_calls().unwrap(), []);
}

/// Groups and those that hold a call still by themselves, all at once: nobody waits for ever, and
/// what each was told is so.
#[test]
fn groups_and_others_change_the_same_calls() {
    let opened = Opened::fresh();
    let storage = &opened.storage;
    push_to(storage, ACCOUNT, Some("demo https://a.example"));
    let count = 40;
    thread::scope(|scope| {
        for worker in 0..4 {
            scope.spawn(move || {
                for n in 0..count {
                    let call_id = format!("c{worker}-{n}");
                    create(storage, new_call(&call_id, NOW));
                    let id = &call_id.as_str().into();
                    let progress = Progress::to(CallState::Bridged);
                    storage.apply_milestone(id, &step(1, "bridged"), &progress).unwrap();
                    assert!(storage.request_hang_up(id).unwrap().unwrap().answer_ms.is_some());
                    storage.set_disposition(id, "SOLD").unwrap().unwrap();
                    let end = answered(&call_id, NOW + 9_000);
                    let FinishOutcome::Finished(finish) = storage.finish_call(id, end).unwrap()
                    else {
                        panic!("{call_id}")
                    };
                    let call = finish.call;
                    assert!(call.hang_up_requested && call.disposition == "SOLD", "{call_id}");
                }
            });
        }
        // A removal waits for nobody's calls, and nobody waits for it.
        scope.spawn(move || {
            for n in 0..count {
                let account = Account::new(format!("a{n}").as_str(), "Short-lived");
                storage.put_account(&account).unwrap();
                let removed = storage.remove_account(&account.id).unwrap();
                assert!(matches!(removed, RemoveOutcome::Removed(_)));
                assert_eq!(storage.account(&account.id).unwrap(), None);
            }
        });
    });
    assert_eq!(storage.live_calls().unwrap(), []);
    assert_eq!(storage.outbox_depth().unwrap().pending, 4 * count);
    let last = storage.event_range(&ACCOUNT.into()).unwrap().last;
    assert_eq!(last, 2 * 4 * count as u64, "each call begins and ends, and no number is lost");
}

/// What is read without a wait for the disk says so when the disk is needed.
#[test]
fn memory_alone_is_enough_for_what_was_written_lately() {
    let opened = Opened::fresh();
    create(&opened.storage, new_call("c1", NOW));
    let memory = opened.storage.in_memory();
    assert_eq!(memory.call(&"c1".into()).unwrap().unwrap().call_id, "c1");
    assert_eq!(memory.account(&ACCOUNT.into()).unwrap().unwrap().id, ACCOUNT);
    assert!(!memory.has_missed());
}
