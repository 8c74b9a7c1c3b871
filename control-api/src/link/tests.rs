//! The registry alone: what is sent when, without a socket.

use super::*;
use control_wire::{AgentTarget, Destination};

fn id() -> ShardId {
    ShardId { edge: "e".into(), shard: 0 }
}

fn status(call_capacity: u32) -> ShardStatus {
    ShardStatus { call_capacity, free_port_pairs: 100, ..ShardStatus::default() }
}

fn connect(link: &Link, epoch: u64) -> mpsc::Receiver<ToEdge> {
    let (outgoing, queue) = mpsc::channel(2);
    let generation = link.connect(&id(), epoch, status(10), outgoing, Instant::now());
    link.open(&id(), generation, Vec::new());
    queue
}

fn place_call(call_id: &str) -> PlaceCall {
    let destination = Destination { ring_ms: 1, routes: Vec::new() };
    PlaceCall {
        call_id: call_id.into(),
        account_id: "a".into(),
        agent: AgentTarget::Phone(destination.clone()),
        customer: destination,
        max_duration_ms: 1,
        no_media_ms: 1,
        recording: None,
    }
}

/// What waits in the queue: `+` and the call for a placed one, `-` and the call for a hang-up.
fn sent(queue: &mut mpsc::Receiver<ToEdge>) -> Vec<String> {
    let mut texts = Vec::new();
    while let Ok(ToEdge::Command { command, .. }) = queue.try_recv() {
        texts.push(match command {
            Command::PlaceCall(place) => format!("+{}", place.call_id),
            Command::HangUp { call_id } => format!("-{call_id}"),
        });
    }
    texts
}

#[test]
fn a_hang_up_never_overtakes_its_call() {
    let link = Link::default();
    let mut queue = connect(&link, 1);
    let placement = link.reserve("c").unwrap();
    assert!(link.hang_up("c"));
    assert_eq!(sent(&mut queue), [""; 0]);
    placement.send(place_call("c")).unwrap();
    assert_eq!(sent(&mut queue), ["+c", "-c"]);
    assert!(link.hang_up("c"), "asked for already");
    assert_eq!(sent(&mut queue), [""; 0]);
}

#[test]
fn a_call_is_not_placed_on_a_shard_that_restarted_meanwhile() {
    let link = Link::default();
    let _queue = connect(&link, 1);
    let placement = link.reserve("c").unwrap();
    let mut queue = connect(&link, 2);
    assert_eq!(placement.send(place_call("c")), Err(ShardGone));
    assert_eq!(sent(&mut queue), [""; 0]);
    assert!(!link.hang_up("c"), "the place was given back");
}

#[test]
fn a_call_waits_for_a_shard_that_is_away_for_a_moment() {
    let link = Link::default();
    drop(connect(&link, 1));
    let placement = link.reserve("c").unwrap();
    placement.send(place_call("c")).unwrap();
    assert!(link.is_on_its_way(&id(), "c"));
    let mut queue = connect(&link, 1);
    assert_eq!(sent(&mut queue), ["+c"]);
}

#[test]
fn commands_beyond_the_queue_follow_in_order() {
    let link = Link::default();
    let mut queue = connect(&link, 1);
    for call_id in ["a", "b", "c", "d", "e"] {
        link.reserve(call_id).unwrap().send(place_call(call_id)).unwrap();
    }
    let mut all = sent(&mut queue);
    while all.len() < 5 {
        link.flush();
        let more = sent(&mut queue);
        assert!(!more.is_empty());
        all.extend(more);
    }
    assert_eq!(all, ["+a", "+b", "+c", "+d", "+e"]);
}

#[test]
fn reservations_count_and_come_back() {
    let link = Link::default();
    let _queue = connect(&link, 1);
    link.update(&id(), status(1));
    let placement = link.reserve("a").unwrap();
    assert_eq!(link.reserve("b").err(), Some(NoShard::Full));
    drop(placement);
    assert!(link.reserve("b").is_ok());
    link.update(&id(), ShardStatus { free_port_pairs: 1, ..status(10) });
    assert_eq!(link.reserve("c").err(), Some(NoShard::Full));
    link.update(&id(), ShardStatus { draining: true, ..status(10) });
    assert_eq!(link.reserve("c").err(), Some(NoShard::Draining));
}

#[test]
fn only_shards_that_stay_away_are_lost() {
    let link = Link::default();
    let now = Instant::now();
    let (outgoing, _queue) = mpsc::channel(2);
    let generation = link.connect(&id(), 1, status(10), outgoing, now);
    link.open(&id(), generation, Vec::new());
    link.touch(&id(), 77);
    link.reserve("c").unwrap().send(place_call("c")).unwrap();
    let wait = Duration::from_secs(30);
    assert_eq!(link.take_lost(wait, now + 10 * wait), []);
    link.disconnect(&id(), generation + 1, now);
    assert_eq!(link.take_lost(wait, now + 10 * wait), [], "an older connection ended");
    link.disconnect(&id(), generation, now);
    assert_eq!(link.take_lost(wait, now + wait / 2), []);
    assert_eq!(link.take_lost(wait, now + wait), [("c".to_owned(), Some(77))]);
    assert!(!link.holds("c") && link.shards().is_empty());
}
