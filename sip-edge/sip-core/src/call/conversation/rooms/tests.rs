//! Scenes, and what each leg hears in them. `A` the agent, `C` the customer, `1` and `2` third
//! parties, `s` and `t` supervisors.

use super::*;
use crate::outcome::Slot;

fn leg(name: char) -> LegName {
    let slot = |index| Slot::new(index).unwrap();
    match name {
        'A' => LegName::Agent,
        'C' => LegName::Customer,
        '1' => LegName::Participant(slot(0)),
        '2' => LegName::Participant(slot(1)),
        's' => LegName::Supervisor(slot(2)),
        _ => LegName::Supervisor(slot(3)),
    }
}

/// Rooms are written `conversation/consultation/hold/apart`; `!` before a name mutes it, `?` lets
/// it be away, `~` lets it hold by itself.
fn scene(rooms: &str, watchers: &[(char, SupervisorRole)], ringing: Ringing) -> Scene {
    let mut seats = Vec::new();
    for (names, room) in
        rooms.split('/').zip([Room::Conversation, Room::Consultation, Room::Hold, Room::Apart])
    {
        let (mut voice, mut presence) = (Voice::On, Presence::Here);
        for name in names.chars() {
            match name {
                '!' => voice = Voice::Muted,
                '?' => presence = Presence::Away,
                '~' => presence = Presence::Holding,
                name => {
                    seats.push(Seat { leg: leg(name), room, voice, presence });
                    (voice, presence) = (Voice::On, Presence::Here);
                }
            }
        }
    }
    let watchers = watchers
        .iter()
        .map(|(name, role)| Watcher { leg: leg(*name), role: *role, voice: Voice::On })
        .collect();
    Scene { seats, watchers, ringing }
}

/// `expected` lists for each leg `name<sources`, with `+h` for hold audio, `+r` for ringback and
/// `+s` for silence.
#[track_caller]
fn check(scene: &Scene, expected: &str) {
    let name = |wanted: LegName| "AC12st".chars().find(|each| leg(*each) == wanted).unwrap();
    let mut found: Vec<String> = scene
        .ears()
        .iter()
        .map(|ears| {
            let mut sources: Vec<char> = ears.sources.iter().map(|each| name(*each)).collect();
            sources.sort_unstable();
            let background = match ears.background {
                None => "",
                Some(Background::Hold) => "+h",
                Some(Background::Ringback) => "+r",
                Some(Background::Silence) => "+s",
            };
            format!("{}<{}{background}", name(ears.leg), sources.into_iter().collect::<String>())
        })
        .collect();
    let mut expected: Vec<String> = expected.split(' ').map(str::to_owned).collect();
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
}

#[test]
fn parties_hear_their_room() {
    let nobody = Ringing::Nobody;
    check(&scene("AC", &[], nobody), "A<C C<A");
    check(&scene("A!C", &[], nobody), "A<+s C<A");
    check(&scene("A//C", &[], nobody), "A<+h C<+h");
    check(&scene("A1//C", &[], nobody), "A<1 1<A C<+h");
    check(&scene("AC12", &[], nobody), "A<12C C<12A 1<2AC 2<1AC");
    check(&scene("!AC1", &[], nobody), "A<1C C<1 1<C");
    check(&scene("C1", &[], nobody), "C<1 1<C");
}

#[test]
fn a_lost_agent_leaves_the_customer_waiting() {
    check(&scene("?AC", &[], Ringing::Nobody), "A<C C<A+h");
    check(&scene("?AC1", &[], Ringing::Nobody), "A<1C C<1A 1<AC");
}

#[test]
fn who_is_held_by_all_others_hears_hold_audio() {
    check(&scene("~AC", &[], Ringing::Nobody), "A<C C<A+h");
    check(&scene("A~C", &[], Ringing::Nobody), "A<C+h C<A");
    check(&scene("~A~C", &[], Ringing::Nobody), "A<C+h C<A+h");
    check(&scene("AC~1", &[], Ringing::Nobody), "A<1C C<1A 1<AC");
    check(&scene("C/A~1", &[], Ringing::Nobody), "A<1+h 1<A C<+h");
}

#[test]
fn a_consultation_is_private() {
    check(&scene("C/A", &[], Ringing::Consultation), "A<+r C<+h");
    check(&scene("C/A1", &[], Ringing::Consultation), "A<1+r 1<A C<+h");
    check(&scene("C/A1", &[], Ringing::Nobody), "A<1 1<A C<+h");
    check(&scene("C1/A2", &[], Ringing::Nobody), "A<2 2<A C<1 1<C");
    // Swapped: the third party waits.
    check(&scene("AC/1", &[], Ringing::Nobody), "A<C C<A 1<+h");
    check(&scene("A/1/C", &[], Ringing::Nobody), "A<+h 1<+h C<+h");
}

#[test]
fn a_blind_transfer_rings_for_all_who_wait() {
    check(&scene("C///A", &[], Ringing::Transfer), "A<+r C<+r");
    check(&scene("C1///A", &[], Ringing::Transfer), "A<+r C<1 1<C");
    check(&scene("//C/A", &[], Ringing::Transfer), "A<+r C<+h");
}

#[test]
fn supervisors_hear_what_the_agent_hears() {
    use SupervisorRole::{Barge, Listen, Whisper};
    let nobody = Ringing::Nobody;
    check(&scene("AC", &[('s', Listen)], nobody), "A<C C<A s<AC");
    check(&scene("AC", &[('s', Whisper)], nobody), "A<Cs C<A s<AC");
    check(&scene("AC1", &[('s', Barge)], nobody), "A<1Cs C<1As 1<ACs s<1AC");
    // They follow the agent, and leave the others alone.
    check(&scene("C/A1", &[('s', Barge)], nobody), "A<1s 1<As C<+h s<1A");
    check(&scene("C/A1", &[('s', Whisper)], nobody), "A<1s 1<A C<+h s<1A");
    check(&scene("C///A", &[('s', Barge)], Ringing::Transfer), "A<s+r C<+r s<A");
    check(&scene("!AC", &[('s', Listen)], nobody), "A<C C<+s s<C");
    // The conversation goes on without the agent.
    check(&scene("C1", &[('s', Listen), ('t', Barge)], nobody), "C<1t 1<Ct s<1Ct t<1C");
    check(&scene("C1", &[('s', Whisper)], nobody), "C<1 1<C s<1C");
    check(&scene("AC", &[('s', Listen), ('t', Whisper)], nobody), "A<Ct C<A s<ACt t<AC");
}

#[test]
fn on_hold_is_who_is_kept_alone() {
    let held = |rooms: &str, ringing, names: &str| {
        let scene = scene(rooms, &[], ringing);
        let found: String = "AC12".chars().filter(|name| scene.is_on_hold(leg(*name))).collect();
        assert_eq!(found, names, "{rooms}");
    };
    held("AC", Ringing::Nobody, "");
    held("?AC", Ringing::Nobody, "");
    held("A//C", Ringing::Nobody, "C");
    held("C/A", Ringing::Consultation, "C");
    held("C/A1", Ringing::Nobody, "C");
    held("C1/A2", Ringing::Nobody, "");
    held("AC/1", Ringing::Nobody, "1");
    held("C///A", Ringing::Transfer, "");
    held("//C/A", Ringing::Transfer, "C");
}
