//! The registry alone: what is sent when, without a socket.

use super::*;
use call_words::AgentName;
use control_wire::{AgentTarget, Destination, PlaceCall, Presence};

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
    let destination = Destination { ring_ms: 1, routes: Vec::new(), skipped: Vec::new() };
    PlaceCall {
        call_id: call_id.into(),
        account_id: "a".into(),
        agent: AgentTarget::Phone(destination.clone()),
        customer: destination,
        max_duration_ms: 1,
        no_media_ms: 1,
        recording: None,
        recording_layout: call_words::RecordingLayout::Stereo,
        hold_audio: None,
        accepts_refer: false,
        agent_confirm: false,
        keep_ladder: false,
    }
}

/// What waits in the queue: `+` and the call for a placed one, `-` and the call for a hang-up.
fn sent(queue: &mut mpsc::Receiver<ToEdge>) -> Vec<String> {
    let mut texts = Vec::new();
    while let Ok(ToEdge::Command { command, .. }) = queue.try_recv() {
        texts.push(match command {
            Command::PlaceCall(place) => format!("+{}", place.call_id),
            Command::HangUp { call_id } => format!("-{call_id}"),
            Command::Control(control) => format!("{} {}", control.call_id, control.control_id),
            Command::GrantSoftphone(grant) => format!("grant {}", grant.agent),
            Command::RevokeSoftphone { agent } => format!("revoke {agent}"),
            Command::KeepTrunks(trunks) => format!("keep {}", trunks.len()),
            Command::TellLadder { call_id }
            | Command::StartCapture { call_id, .. }
            | Command::StopCapture { call_id } => format!("watch {call_id}"),
        });
    }
    texts
}

#[test]
fn a_hang_up_never_overtakes_its_call() {
    let link = Link::default();
    let mut queue = connect(&link, 1);
    let placement = link.reserve(&"c".into()).unwrap();
    assert!(link.hang_up(&"c".into()));
    assert_eq!(sent(&mut queue), [""; 0]);
    placement.send(place_call("c")).unwrap();
    assert_eq!(sent(&mut queue), ["+c", "-c"]);
    assert!(link.hang_up(&"c".into()), "asked for already");
    assert_eq!(sent(&mut queue), [""; 0]);
}

#[test]
fn a_call_is_not_placed_on_a_shard_that_restarted_meanwhile() {
    let link = Link::default();
    let _queue = connect(&link, 1);
    let placement = link.reserve(&"c".into()).unwrap();
    let mut queue = connect(&link, 2);
    assert_eq!(placement.send(place_call("c")), Err(ShardGone));
    assert_eq!(sent(&mut queue), [""; 0]);
    assert!(!link.hang_up(&"c".into()), "the place was given back");
}

#[test]
fn a_call_waits_for_a_shard_that_is_away_for_a_moment() {
    let link = Link::default();
    drop(connect(&link, 1));
    let placement = link.reserve(&"c".into()).unwrap();
    placement.send(place_call("c")).unwrap();
    assert!(link.is_on_its_way(&id(), &"c".into()));
    let mut queue = connect(&link, 1);
    assert_eq!(sent(&mut queue), ["+c"]);
}

#[test]
fn commands_beyond_the_queue_follow_in_order() {
    let link = Link::default();
    let mut queue = connect(&link, 1);
    for call_id in ["a", "b", "c", "d", "e"] {
        link.reserve(&call_id.into()).unwrap().send(place_call(call_id)).unwrap();
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
    let placement = link.reserve(&"a".into()).unwrap();
    assert_eq!(link.reserve(&"b".into()).err(), Some(NoShard::Full));
    drop(placement);
    assert!(link.reserve(&"b".into()).is_ok());
    link.update(&id(), ShardStatus { free_port_pairs: 1, ..status(10) });
    assert_eq!(link.reserve(&"c".into()).err(), Some(NoShard::Full));
    link.update(&id(), ShardStatus { draining: true, ..status(10) });
    assert_eq!(link.reserve(&"c".into()).err(), Some(NoShard::Draining));
}

#[test]
fn only_shards_that_stay_away_are_lost() {
    let link = Link::default();
    let now = Instant::now();
    let (outgoing, _queue) = mpsc::channel(2);
    let generation = link.connect(&id(), 1, status(10), outgoing, now);
    link.open(&id(), generation, Vec::new());
    link.touch(&id(), 77);
    link.reserve(&"c".into()).unwrap().send(place_call("c")).unwrap();
    let wait = Duration::from_secs(30);
    assert_eq!(link.take_lost(wait, now + 10 * wait), []);
    link.disconnect(&id(), generation + 1, now);
    assert_eq!(link.take_lost(wait, now + 10 * wait), [], "an older connection ended");
    link.disconnect(&id(), generation, now);
    assert_eq!(link.take_lost(wait, now + wait / 2), []);
    assert_eq!(link.take_lost(wait, now + wait), [("c".into(), Some(77))]);
    assert!(!link.holds(&"c".into()) && link.shards().is_empty());
}

fn grant(agent: &str, expires_at_ms: u64) -> control_wire::SoftphoneGrant {
    control_wire::SoftphoneGrant { agent: agent.into(), password: "p".into(), expires_at_ms }
}

fn service() -> SoftphoneService {
    SoftphoneService { url: "wss://e/".into(), domain: "e.invalid".into() }
}

/// A link with one shard that takes softphones and has these.
fn with_softphones(agents: &[&str]) -> (Link, mpsc::Receiver<ToEdge>, Vec<PresenceChange>) {
    let link = Link::default();
    let queue = connect(&link, 1);
    let agents: Vec<AgentName> = agents.iter().map(|agent| (*agent).into()).collect();
    let changes = link.meet_softphones(&id(), Some(service()), &agents);
    (link, queue, changes)
}

#[test]
fn the_last_word_about_an_agents_leave_is_what_waits() {
    let (link, mut queue, _) = with_softphones(&[]);
    assert_eq!(link.grant_softphone(grant("a", 9), None), Some(service()));
    link.grant_softphone(grant("b", 9), None).unwrap();
    // The queue is full: what follows waits, and only the last word of each agent.
    link.grant_softphone(grant("c", 9), None).unwrap();
    link.revoke_softphone(&"c".into());
    link.revoke_softphone(&"d".into());
    assert_eq!(sent(&mut queue), ["grant a", "grant b"]);
    link.flush();
    assert_eq!(sent(&mut queue), ["revoke c"], "nobody knows d");
    // After a lost connection all that was not acknowledged is said again, in order, once.
    drop(queue);
    link.grant_softphone(grant("a", 10), None).unwrap();
    let mut queue = connect(&link, 1);
    let mut all = sent(&mut queue);
    link.flush();
    all.extend(sent(&mut queue));
    assert_eq!(all, ["grant b", "revoke c", "grant a"]);
}

#[test]
fn softphones_are_counted_once_and_where_they_are() {
    let (link, mut queue, changes) = with_softphones(&["a", "b"]);
    assert_eq!(changes.iter().filter(|change| change.is_online).count(), 2);
    assert_eq!(link.softphone_count(), 2);
    let told = |online| Presence { agent: "a".into(), online };
    assert_eq!(link.set_presence(&id(), told(true)), None, "known");
    let other = ShardId { edge: "e".into(), shard: 1 };
    assert_eq!(link.set_presence(&other, told(false)), None, "not there");
    assert_eq!(link.set_presence(&other, told(true)), None, "still online");
    assert_eq!(sent(&mut queue), ["revoke a"]);
    assert_eq!(link.set_presence(&id(), told(false)), None, "it moved");
    assert!(link.set_presence(&other, told(false)).is_some_and(|change| !change.is_online));
    assert_eq!(link.reserve_with(&"c".into(), &"a".into()).err(), Some(NoShard::AgentOffline));
    assert!(link.reserve_with(&"c".into(), &"b".into()).is_ok());
    link.update(&id(), ShardStatus { draining: true, ..status(10) });
    assert_eq!(link.reserve_with(&"c".into(), &"b".into()).err(), Some(NoShard::Draining));
}

#[test]
fn a_lost_link_takes_its_softphones_away_after_a_grace() {
    let (link, queue, _) = with_softphones(&["a"]);
    let (long, now) = (Duration::from_secs(60), Instant::now());
    link.touch(&id(), 77);
    assert_eq!(link.take_lost_softphones(long, now + long), []);
    link.disconnect(&id(), 1, now);
    drop(queue);
    assert_eq!(link.take_lost_softphones(long, now + Duration::from_secs(4)), []);
    assert!(
        link.reserve_with(&"c".into(), &"a".into()).is_ok(),
        "the call goes out when the link is back"
    );
    let lost = PresenceChange { agent: "a".into(), is_online: false, last_seen_ms: Some(77) };
    assert_eq!(link.take_lost_softphones(long, now + Duration::from_secs(5)), [lost]);
    assert_eq!(link.softphone_count(), 0);
}

#[test]
fn leave_to_register_is_forgotten_when_it_expires() {
    let (link, _queue, _) = with_softphones(&[]);
    link.grant_softphone(grant("a", 100), None).unwrap();
    link.forget_expired_grants(99);
    assert_eq!(link.lock().softphones.granted_count(), 1);
    link.forget_expired_grants(100);
    assert_eq!(link.lock().softphones.granted_count(), 0);
    link.grant_softphone(grant("a", 100), None).unwrap();
    // A shard that restarted has no grant any more.
    let _queue = connect(&link, 2);
    assert_eq!(link.lock().softphones.granted_count(), 0);
}

#[test]
fn a_shard_that_takes_no_softphones_is_asked_to_admit_none() {
    let link = Link::default();
    let mut queue = connect(&link, 1);
    let placement = link.reserve(&"c1".into()).unwrap();
    placement.send(place_call("c1")).unwrap();
    sent(&mut queue);
    assert!(link.grant_softphone(grant("a", 1_000), Some(&"c1".into())).is_none());
    assert_eq!(sent(&mut queue), Vec::<String>::new());
}
