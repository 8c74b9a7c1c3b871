//! Three and more parties: who hears whom, switches between relay and mix with every sample
//! counted, keys, who speaks.

use super::*;
use crate::g711;
use crate::tone::{self, level};

const THIRD: &str = "192.0.2.3:7000";
const SUPERVISOR: &str = "192.0.2.4:7100";
const ADDRESSES: [&str; 4] = [AGENT, CUSTOMER, THIRD, SUPERVISOR];
const FREQUENCIES: [f64; 4] = [400.0, 700.0, 1100.0, 1600.0];
/// Parties by their places in the arrays.
const A: usize = 0;
const C: usize = 1;
const T: usize = 2;
const S: usize = 3;

/// What one party says.
#[derive(Clone, Copy, PartialEq)]
enum Voice {
    Nothing,
    Tone,
    /// Samples of which each neighbourhood is unlike any other, in steps that two together still
    /// stay apart.
    Numbers,
}

/// Four parties that talk at an even pace, and all that each of them is sent.
struct Room {
    rig: Rig,
    legs: [LegId; 4],
    talkers: [Talker; 4],
    voices: [Voice; 4],
    /// Samples spoken.
    spoken: [u32; 4],
    heard: [Vec<Heard>; 4],
}

fn number_byte(n: u32) -> u8 {
    (n.wrapping_mul(2_654_435_761) >> 24) as u8
}

fn sample_of(byte: u8) -> i16 {
    g711::decode_table(Law::Pcmu)[usize::from(byte)]
}

impl Room {
    fn new() -> Room {
        let mut rig = Rig::new();
        let legs = ADDRESSES.map(|address| rig.open(address));
        let talkers = [0x1111, 0x2222, 0x3333, 0x4444].map(Talker::new);
        let mut room = Room {
            rig,
            legs,
            talkers,
            voices: [Voice::Nothing; 4],
            spoken: [0; 4],
            heard: Default::default(),
        };
        room.rig.outputs();
        room
    }

    /// Who hears whom, by places.
    fn hear(&mut self, hearer: usize, sources: &[usize]) {
        let sources: Vec<LegId> = sources.iter().map(|source| self.legs[*source]).collect();
        self.rig.relay.set_hearing(self.rig.now, self.legs[hearer], &sources);
        self.collect();
    }

    fn talk_in_twos(&mut self) {
        self.hear(A, &[C]);
        self.hear(C, &[A]);
    }

    fn confer(&mut self) {
        self.hear(A, &[C, T]);
        self.hear(C, &[A, T]);
        self.hear(T, &[A, C]);
    }

    fn say(&mut self, party: usize) -> Forward {
        let n = self.spoken[party];
        let tone = tone::Tone::steady(FREQUENCIES[party], 6000.0);
        let payload: Vec<u8> = (n..n + 160)
            .map(|n| match self.voices[party] {
                Voice::Numbers => number_byte(n),
                _ => g711::encode(Law::Pcmu, tone.sample(n.into())),
            })
            .collect();
        self.spoken[party] += 160;
        let datagram = packet(self.talkers[party].header(AUDIO), &payload);
        self.send(party, &datagram)
    }

    fn send(&mut self, party: usize, datagram: &[u8]) -> Forward {
        let (forward, buffer) =
            self.rig.forward_on(SocketId(self.legs[party].index * 2), ADDRESSES[party], datagram);
        if let Forward::To { socket, remote, start, len } = forward {
            self.take(heard(socket, remote, &buffer[start..start + len]));
        }
        forward
    }

    fn take(&mut self, heard: Heard) {
        let party =
            self.legs.iter().position(|leg| SocketId(leg.index * 2) == heard.socket).unwrap();
        assert_eq!(heard.remote, address(ADDRESSES[party]));
        self.heard[party].push(heard);
    }

    fn collect(&mut self) {
        for heard in rtp_among(&self.rig.outputs()) {
            self.take(heard);
        }
    }

    /// Rounds of 20 ms: each who has a voice speaks once.
    fn pass(&mut self, rounds: u32) {
        for _ in 0..rounds {
            for party in [A, C, T, S] {
                if self.voices[party] != Voice::Nothing {
                    self.say(party);
                }
            }
            for heard in rtp_among(&self.rig.pass_ms(20)) {
                self.take(heard);
            }
        }
    }

    /// Forgets what was heard and passes some time.
    fn listen(&mut self, rounds: u32) {
        self.pass(10);
        self.heard = Default::default();
        self.pass(rounds);
    }

    fn samples(&self, party: usize) -> Vec<i16> {
        let audio = self.heard[party]
            .iter()
            .filter(|heard| heard.packet.header.payload_type == number(AUDIO));
        audio.flat_map(|heard| &heard.payload).map(|byte| sample_of(*byte)).collect()
    }

    /// Whose tones a party hears.
    fn tones(&self, party: usize) -> Vec<usize> {
        let samples = self.samples(party);
        [A, C, T, S]
            .into_iter()
            .filter(|other| level(&samples, FREQUENCIES[*other]) > 3000.0)
            .collect()
    }

    /// One SSRC, each sequence number once and in order, and timestamps that go on with the
    /// payloads, but for gaps in which nothing was sent.
    #[track_caller]
    fn check_stream(&self, party: usize) {
        for pair in self.heard[party].windows(2) {
            let (before, after) = (pair[0].packet.header, pair[1].packet.header);
            assert_eq!(
                (after.ssrc, after.sequence),
                (before.ssrc, before.sequence.wrapping_add(1))
            );
            let step = after.timestamp.wrapping_sub(before.timestamp) as usize;
            assert!(
                step >= pair[0].payload.len() && step < 1600,
                "{step} after {} samples",
                pair[0].payload.len()
            );
        }
    }
}

#[test]
fn each_hears_all_others_and_never_itself() {
    let mut room = Room::new();
    room.voices = [Voice::Tone, Voice::Tone, Voice::Tone, Voice::Nothing];
    room.confer();
    room.listen(50);
    assert_eq!(
        [A, C, T, S].map(|party| room.tones(party)),
        [vec![C, T], vec![A, T], vec![A, C], vec![]]
    );
    for party in [A, C, T] {
        assert_eq!(room.heard[party].len(), 50);
        room.check_stream(party);
        let own = level(&room.samples(party), FREQUENCIES[party]);
        assert!(own < 100.0, "its own voice at {own}");
    }
    assert_eq!(room.say(A), Forward::Local);
}

#[test]
fn loud_voices_together_are_limited() {
    let mut room = Room::new();
    room.confer();
    for _ in 0..20 {
        for party in [C, T] {
            let datagram = packet(room.talkers[party].header(AUDIO), &[0x80; 160]);
            room.send(party, &datagram);
        }
        room.pass(1);
    }
    assert!(room.samples(A).iter().skip(320).all(|sample| *sample == 32_124));
}

#[test]
fn a_listener_whispers_to_one_and_barges_in_to_all() {
    let mut room = Room::new();
    room.voices = [Voice::Tone; 4];
    room.talk_in_twos();
    // Listening leaves the two as they are: in place.
    room.hear(S, &[A, C]);
    assert!(matches!(room.say(A), Forward::To { .. }) && matches!(room.say(C), Forward::To { .. }));
    room.listen(30);
    assert_eq!([A, C, S].map(|party| room.tones(party)), [vec![C], vec![A], vec![A, C]]);
    room.hear(A, &[C, S]);
    room.listen(30);
    assert_eq!([A, C, S].map(|party| room.tones(party)), [vec![C, S], vec![A], vec![A, C]]);
    assert_eq!(room.say(S), Forward::Local);
    assert!(
        matches!(room.say(A), Forward::To { .. }),
        "the customer hears the agent in place still"
    );
    room.hear(C, &[A, S]);
    room.listen(30);
    assert_eq!([A, C, S].map(|party| room.tones(party)), [vec![C, S], vec![A, S], vec![A, C]]);
    room.rig.relay.close_leg(room.rig.now, room.legs[S]);
    room.voices[S] = Voice::Nothing;
    room.rig.outputs();
    room.listen(30);
    assert_eq!([A, C, S].map(|party| room.tones(party)), [vec![C], vec![A], vec![]]);
    assert!(matches!(room.say(A), Forward::To { .. }) && matches!(room.say(C), Forward::To { .. }));
    assert!(room.rig.relay.mixes.iter().all(Vec::is_empty));
}

#[test]
fn two_that_hear_each_other_alone_come_before_one_that_listens() {
    let mut room = Room::new();
    room.voices = [Voice::Tone, Voice::Tone, Voice::Nothing, Voice::Nothing];
    room.hear(S, &[A]);
    room.listen(5);
    assert_eq!((room.heard[S].len(), room.tones(S)), (5, vec![A]));
    room.talk_in_twos();
    assert_eq!(
        room.rig.relay.legs.get(room.legs[A].index, room.legs[A].generation).unwrap().hearer,
        Some(room.legs[C])
    );
    room.listen(30);
    assert_eq!([A, C, S].map(|party| room.tones(party)), [vec![C], vec![A], vec![A]]);
    // Once the customer hears nobody, the listener is relayed in place again.
    room.hear(C, &[]);
    room.hear(S, &[A]);
    assert!(matches!(room.say(A), Forward::To { remote, .. } if remote == address(SUPERVISOR)));
    room.check_stream(S);
}

/// The customer's samples come to the agent once each and in order, through any number of switches.
#[test]
fn switches_between_relay_and_mix_lose_and_repeat_no_sample() {
    for with_listener in [false, true] {
        let mut room = Room::new();
        room.voices = [Voice::Tone, Voice::Numbers, Voice::Nothing, Voice::Nothing];
        room.talk_in_twos();
        if with_listener {
            room.hear(S, &[A, C]);
        }
        room.pass(20);
        for stay in [30, 1, 2, 3, 7, 40] {
            room.hear(A, &[C, T]);
            room.hear(T, &[A, C]);
            room.hear(C, &[A, T]);
            room.pass(stay);
            room.hear(T, &[]);
            room.hear(A, &[C]);
            room.hear(C, &[A]);
            room.pass(stay + 3);
        }
        let heard = room.samples(A);
        let spoken: Vec<i16> = (0..room.spoken[C]).map(|n| sample_of(number_byte(n))).collect();
        assert_eq!(heard.len(), spoken.len(), "listener: {with_listener}");
        let differing = heard.iter().zip(&spoken).position(|(heard, spoken)| heard != spoken);
        assert_eq!(differing, None, "listener: {with_listener}");
        room.check_stream(A);
        room.check_stream(C);
        assert!(level(&room.samples(C)[..1600], FREQUENCIES[A]) > 5900.0);
    }
}

#[test]
fn the_mix_is_at_most_60_ms_behind_the_relay() {
    for phase_ms in [0, 5, 13, 19] {
        let mut room = Room::new();
        room.rig.now += Duration::from_millis(phase_ms);
        room.voices = [Voice::Tone, Voice::Numbers, Voice::Nothing, Voice::Nothing];
        room.talk_in_twos();
        room.pass(10);
        let relayed = room.samples(A).len();
        room.confer();
        room.pass(10);
        let behind = room.spoken[C] as usize - room.samples(A).len();
        assert!(relayed == 1600 && behind <= 3 * 160, "{behind} samples");
    }
}

#[test]
fn a_tone_goes_on_until_a_party_is_heard() {
    let mut room = Room::new();
    room.hear(A, &[C, T]);
    room.rig.relay.play(room.rig.now, room.legs[A], Tone::Ringback);
    room.pass(10);
    assert_eq!(room.heard[A].len(), 10);
    assert!(level(&room.samples(A), 400.0) > 5000.0);
    room.voices[T] = Voice::Tone;
    room.listen(10);
    assert_eq!((room.heard[A].len(), room.tones(A)), (10, vec![T]));
    // Silence of all sends nothing, and what follows is marked.
    room.voices[T] = Voice::Nothing;
    room.listen(10);
    assert_eq!(room.heard[A].len(), 0);
    room.voices[T] = Voice::Tone;
    room.pass(10);
    assert!(room.heard[A][0].packet.header.marker && !room.heard[A][1].packet.header.marker);
}

#[test]
fn nothing_goes_to_a_leg_without_peer_or_on_hold() {
    let mut room = Room::new();
    room.voices = [Voice::Tone; 4];
    room.confer();
    let held = RemoteMedia { direction: Direction::RecvOnly, ..remote(AGENT) };
    room.rig.relay.set_remote(room.rig.now, room.legs[A], held);
    room.listen(10);
    assert_eq!((room.heard[A].len(), room.heard[C].len()), (0, 10));
}

#[test]
fn each_codec_hears_the_others() {
    let mut room = Room::new();
    room.voices = [Voice::Tone, Voice::Tone, Voice::Tone, Voice::Nothing];
    room.rig.relay.set_remote(room.rig.now, room.legs[T], alaw(THIRD));
    room.voices[T] = Voice::Nothing;
    room.confer();
    room.listen(50);
    let bytes = room.heard[T].iter().flat_map(|heard| &heard.payload);
    let samples: Vec<i16> =
        bytes.map(|byte| g711::decode_table(Law::Pcma)[usize::from(*byte)]).collect();
    assert!(level(&samples, FREQUENCIES[A]) > 5500.0 && level(&samples, FREQUENCIES[C]) > 5500.0);
    assert!(room.heard[T].iter().all(|heard| heard.packet.header.payload_type == number(8)));
}

#[test]
fn eight_parties_hear_each_other_and_a_ninth_is_left_out() {
    let mut rig = Rig::with_pairs(9);
    let legs: Vec<LegId> = (0..9).map(|n| rig.open(&format!("192.0.2.10:{}", 5000 + n))).collect();
    rig.outputs();
    for leg in &legs {
        rig.relay.set_hearing(rig.now, *leg, &legs);
    }
    for leg in &legs {
        let open = rig.relay.legs.get(leg.index, leg.generation).unwrap();
        assert!(
            open.hears.as_slice().len() == MAX_PARTIES - 1
                && open.heard_by.as_slice().len() <= MAX_PARTIES
        );
    }
    for leg in &legs {
        rig.relay.close_leg(rig.now, *leg);
    }
    assert!(rig.relay.mixes.iter().all(Vec::is_empty));
    assert_eq!(rig.relay.poll_timeout(), None);
}

#[test]
fn keys_of_a_party_in_a_mix_reach_all_that_hear_it() {
    let mut room = Room::new();
    let without = RemoteMedia { telephone_event: None, ..remote(THIRD) };
    room.rig.relay.set_remote(room.rig.now, room.legs[T], without);
    room.confer();
    room.pass(2);
    let timestamp = room.talkers[C].header(EVENT).timestamp;
    for end in [0, 0x80, 0x80, 0x80] {
        let header = Header { timestamp, ..room.talkers[C].header(EVENT) };
        assert_eq!(room.send(C, &packet(header, &[7, end, 1, 0])), Forward::Local);
    }
    assert_eq!(room.rig.count(DropReason::NoTelephoneEvent), 1);
    room.pass(20);
    let keys: Vec<&Heard> = room.heard[A]
        .iter()
        .filter(|heard| heard.packet.header.payload_type == number(EVENT))
        .collect();
    assert_eq!(keys.len(), 7);
    assert!(
        keys.iter().all(|key| key.payload[0] == 7
            && key.packet.header.timestamp == keys[0].packet.header.timestamp)
    );
    assert_eq!((room.heard[C].len(), room.heard[T].len()), (0, 0));
    let told = room.rig.events();
    assert_eq!(told.iter().filter(|event| matches!(event, Event::TelephoneEvent(..))).count(), 1);
}

#[test]
fn who_speaks_in_a_mix_of_three_is_told() {
    let mut room = Room::new();
    let speaking = |room: &mut Room| -> Vec<(usize, bool)> {
        let events = room.rig.events().into_iter();
        let place = |leg| room.legs.iter().position(|other| *other == leg).unwrap();
        events
            .filter_map(|event| {
                if let Event::Speaking(leg, speaks) = event {
                    Some((place(leg), speaks))
                } else {
                    None
                }
            })
            .collect()
    };
    room.voices = [Voice::Tone, Voice::Tone, Voice::Nothing, Voice::Nothing];
    room.talk_in_twos();
    room.pass(50);
    assert_eq!(speaking(&mut room), []);
    room.confer();
    room.voices[A] = Voice::Nothing;
    room.pass(5);
    assert_eq!(speaking(&mut room), [], "not before 100 ms");
    room.pass(5);
    assert_eq!(speaking(&mut room), [(C, true)]);
    // Silence, as packets.
    room.voices[C] = Voice::Nothing;
    for _ in 0..24 {
        let datagram = packet(room.talkers[C].header(AUDIO), &[0xff; 160]);
        room.send(C, &datagram);
        room.pass(1);
    }
    assert_eq!(speaking(&mut room), []);
    room.pass(5);
    assert_eq!(speaking(&mut room), [(C, false)]);
    room.voices[T] = Voice::Tone;
    room.pass(20);
    assert_eq!(speaking(&mut room), [(T, true)]);
    room.talk_in_twos();
    room.hear(T, &[]);
    assert_eq!(speaking(&mut room), [(T, false)], "who left the mix speaks no longer");
}

#[test]
fn a_leg_takes_anothers_place_in_a_mix() {
    let mut room = Room::new();
    room.voices = [Voice::Tone, Voice::Tone, Voice::Tone, Voice::Nothing];
    room.confer();
    room.listen(10);
    room.rig.relay.hand_over(room.rig.now, room.legs[A], room.legs[S]);
    room.rig.relay.close_leg(room.rig.now, room.legs[A]);
    room.voices = [Voice::Nothing, Voice::Tone, Voice::Tone, Voice::Tone];
    room.rig.outputs();
    room.listen(30);
    assert_eq!([C, T, S].map(|party| room.tones(party)), [vec![T, S], vec![C, S], vec![C, T]]);
    room.check_stream(C);
}

/// Random changes keep the lists, the buffers and the mixes in step, and leave nothing behind.
#[test]
fn random_changes_keep_all_lists_in_step() {
    let mut random = crate::random::Random::new(3);
    let mut room = Room::new();
    room.voices = [Voice::Tone; 4];
    for step in 0..3000 {
        let choice = random.next_u64();
        let party = (choice % 4) as usize;
        let sources: Vec<usize> =
            [A, C, T, S].into_iter().filter(|source| choice >> (8 + source) & 1 == 1).collect();
        match choice >> 20 & 7 {
            0 => room.pass(1),
            1 => room.rig.relay.play(room.rig.now, room.legs[party], Tone::Hold),
            2 => drop(room.rig.relay.send_digits(room.rig.now, room.legs[party], &[1])),
            _ => room.hear(party, &sources),
        }
        let relay = &room.rig.relay;
        let open = |leg: LegId| relay.legs.get(leg.index, leg.generation).unwrap();
        for leg in room.legs {
            let (hears, heard_by) = (open(leg).hears, open(leg).heard_by);
            assert!(
                hears
                    .as_slice()
                    .iter()
                    .all(|source| *source != leg && open(*source).heard_by.contains(leg)),
                "step {step}"
            );
            assert!(
                heard_by.as_slice().iter().all(|hearer| open(*hearer).hears.contains(leg)),
                "step {step}"
            );
            let in_place = hears.single().filter(|source| open(*source).hearer == Some(leg));
            assert!(
                open(leg).hearer.is_none_or(|hearer| open(hearer).hears.single() == Some(leg)),
                "step {step}"
            );
            assert_eq!(
                open(leg).mix.is_some(),
                in_place.is_none() && !hears.as_slice().is_empty(),
                "step {step}"
            );
            let is_fed = heard_by.as_slice().iter().any(|hearer| open(leg).hearer != Some(*hearer));
            assert_eq!(open(leg).feed.is_some(), is_fed, "step {step}");
            let mix_count = relay.mixes.iter().flatten().filter(|mix| **mix == leg).count();
            assert_eq!(mix_count, usize::from(open(leg).mix.is_some()), "step {step}");
        }
    }
    for party in [A, C, T, S] {
        room.heard[party].windows(2).for_each(|pair| {
            let (before, after) = (pair[0].packet.header, pair[1].packet.header);
            assert_eq!(
                (after.ssrc, after.sequence),
                (before.ssrc, before.sequence.wrapping_add(1))
            );
        });
    }
}
