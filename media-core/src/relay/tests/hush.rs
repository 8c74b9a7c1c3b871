//! A leg that takes comfort noise (RFC 3389) is told once of the silence that would be made for it,
//! and sent nothing; what is relayed to it passes as it is.

use super::voices::{G722, OTHER, OWN, Speaker, THIRD, open, talking};
use super::*;
use crate::g711;

/// A peer that is told of silence, in A-law.
fn told(rtp: &str) -> RemoteMedia {
    RemoteMedia { comfort_noise: Some(number(NOISE)), ..alaw(rtp) }
}

fn wide(rtp: &str) -> RemoteMedia {
    let mut received = received(EVENT);
    received.add(number(G722), Format::Audio(Codec::G722));
    RemoteMedia { codec: Codec::G722, audio: number(G722), received, ..remote(rtp) }
}

fn is_noise(heard: &Heard) -> bool {
    heard.packet.header.payload_type == number(NOISE)
}

/// What was heard from the beginning of a silence on: 200 ms less a packet of it as audio, then one
/// packet that tells it.
#[track_caller]
fn check_fall(heard: &[Heard], least_level: u8) {
    let (last, audio) = heard.split_last().expect("something is heard");
    assert_eq!(audio.len(), 9);
    assert!(!audio.iter().any(is_noise) && is_noise(last));
    assert!(last.payload.len() == 1 && last.payload[0] >= least_level, "{:?}", last.payload);
    for pair in heard.windows(2) {
        let [before, after] = [&pair[0], &pair[1]].map(|heard| heard.packet.header);
        assert_eq!(after.sequence, before.sequence.wrapping_add(1));
        assert_eq!(after.timestamp, before.timestamp.wrapping_add(160));
        assert!(!after.marker);
    }
}

/// The first sound after a silence that was told `steps` packets before.
#[track_caller]
fn check_rise(before: &Heard, first: &Heard, steps: u32) {
    let [before, first] = [before, first].map(|heard| heard.packet.header);
    assert!(first.marker);
    assert_eq!(first.payload_type, number(8));
    assert_eq!(first.sequence, before.sequence.wrapping_add(1));
    let expected = before.timestamp.wrapping_add(160 * steps);
    assert!(first.timestamp.wrapping_sub(expected) as i32 <= 160);
}

#[test]
fn transcoded_silence_is_told_once() {
    let (mut rig, [agent, customer]) = talking(wide(AGENT), told(CUSTOMER));
    let mut a = Speaker::new(7, Codec::G722, OWN);
    let mut say = |rig: &mut Rig, frequency: f64, count: usize| {
        let mut heard = Vec::new();
        a.frequency = frequency;
        for _ in 0..count {
            let (forward, buffer) = rig.forward_on(SocketId(agent.index * 2), AGENT, &a.say());
            match forward {
                Forward::To { socket, remote, start, len } => {
                    heard.push(super::heard(socket, remote, &buffer[start..start + len]));
                }
                _ => heard.extend(rtp_among(&rig.outputs())),
            }
            heard.extend(rtp_among(&rig.pass_ms(20)));
        }
        heard
    };
    // The first of a stream has the marker anyway.
    assert_eq!(say(&mut rig, OWN, 20).len(), 20);
    // The filters of G.722 ring a little.
    let silence = say(&mut rig, 0.0, 60);
    let place = silence.iter().position(is_noise).expect("it is told");
    assert_eq!(place, silence.len() - 1, "and then nothing is sent");
    check_fall(&silence[place - 9..], 50);
    let steps = 60 - place as u32;
    let spoken = say(&mut rig, OWN, 10);
    assert_eq!(spoken.len(), 10);
    check_rise(&silence[place], &spoken[0], steps);
    assert!(!spoken[1..].iter().any(|heard| heard.packet.header.marker));
    // Who does not take it is sent all.
    rig.relay.set_remote(rig.now, customer, alaw(CUSTOMER));
    assert_eq!(say(&mut rig, 0.0, 60).len(), 60);
}

#[test]
fn a_mixs_silence_is_told_once_and_nothing_plays_in_it() {
    let mut rig = Rig::new();
    let legs = [alaw(AGENT), alaw(CUSTOMER), told(THIRD)].map(|remote| open(&mut rig, remote));
    for leg in legs {
        let others: Vec<LegId> = legs.into_iter().filter(|other| *other != leg).collect();
        rig.relay.set_hearing(rig.now, leg, &others);
    }
    rig.outputs();
    rig.relay.play_in_lulls(rig.now, legs[2], Tone::Ringback);
    let mut speakers = [Speaker::new(7, Codec::Pcma, OWN), Speaker::new(9, Codec::Pcma, OTHER)];
    let mut say = |rig: &mut Rig, frequencies: [f64; 2], count: usize| {
        let mut heard = Vec::new();
        for _ in 0..count {
            let parties = [(legs[0], AGENT), (legs[1], CUSTOMER)];
            for ((speaker, frequency), (leg, from)) in
                speakers.iter_mut().zip(frequencies).zip(parties)
            {
                speaker.frequency = frequency;
                rig.forward(leg, from, &speaker.say());
            }
            let outputs = rtp_among(&rig.pass_ms(20)).into_iter();
            heard.extend(outputs.filter(|heard| heard.remote == address(THIRD)));
        }
        heard
    };
    assert!(say(&mut rig, [OWN, OTHER], 50).len() > 40);
    let silence = say(&mut rig, [0.0; 2], 100);
    let place = silence.iter().position(is_noise).expect("it is told");
    assert_eq!(place, silence.len() - 1, "and then nothing is sent");
    check_fall(&silence[place - 9..], 60);
    let spoken = say(&mut rig, [OWN, 0.0], 20);
    assert!(spoken[0].packet.header.marker && spoken.len() > 10);
    assert_eq!(
        spoken[0].packet.header.sequence,
        silence[place].packet.header.sequence.wrapping_add(1)
    );
}

#[test]
fn what_is_played_is_left_out_where_it_is_silent() {
    let mut rig = Rig::new();
    let leg = open(&mut rig, told(AGENT));
    rig.outputs();
    rig.relay.play(rig.now, leg, Tone::Silence);
    let silence = rtp_among(&rig.pass_ms(2_000));
    check_fall(&silence, 60);
    rig.relay.play(rig.now, leg, Tone::Ringback);
    let played = rtp_among(&rig.pass_ms(400));
    check_rise(&silence[9], &played[0], 91);
    assert!(played.len() > 10);
}

#[test]
fn what_is_relayed_passes_as_it_is_and_noise_is_passed_on() {
    let (mut rig, [agent, _]) = talking(remote(AGENT), told(CUSTOMER));
    let mut a = Talker::new(7);
    let silent = [0xff; 160];
    for _ in 0..40 {
        let heard = rig.hear(agent, AGENT, &packet(a.header(AUDIO), &silent));
        assert!(heard.payload.iter().all(|byte| *byte == g711::silence(Law::Pcma)));
        rig.pass_ms(20);
    }
    assert_eq!(rig.forward(agent, AGENT, &packet(a.header(NOISE), &[48])), Forward::Local);
    let noise = rtp_among(&rig.pass_ms(2_000));
    assert_eq!((noise.len(), is_noise(&noise[0]), &noise[0].payload[..]), (1, true, &[48][..]));
    a.timestamp = a.timestamp.wrapping_add(100 * 160);
    let first = rig.hear(agent, AGENT, &packet(a.header(AUDIO), &silent));
    check_rise(&noise[0], &first, 100);
}
