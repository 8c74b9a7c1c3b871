//! Recordings through the relay: what each party said is on its channel, whoever hears it, and the
//! file is valid every second.

use super::*;
use crate::recording::{BLOCK_LEN, HEADER_LEN, Repair, repair};
use crate::tone::{self, Tone};

const A: Tone = Tone::steady(400.0, 8000.0);
const B: Tone = Tone::steady(1000.0, 8000.0);

#[derive(Default)]
struct Disk {
    bytes: Vec<u8>,
    finished: Option<(u64, Duration)>,
}

impl Disk {
    #[track_caller]
    fn take(&mut self, id: RecordingId, outputs: Vec<Done>) {
        for done in outputs {
            match done {
                Done::Record(recording, offset, bytes) => {
                    assert_eq!((recording, self.finished), (id, None));
                    assert_eq!((offset as usize % BLOCK_LEN, bytes.len() % BLOCK_LEN), (0, 0));
                    let end = offset as usize + bytes.len();
                    self.bytes.resize(self.bytes.len().max(end), 0);
                    self.bytes[offset as usize..end].copy_from_slice(&bytes);
                }
                Done::Finish(recording, len, duration) => {
                    assert_eq!((recording, self.finished), (id, None));
                    self.bytes.truncate(len as usize);
                    assert_eq!(self.bytes.len() as u64, len);
                    self.finished = Some((len, duration));
                }
                _ => {}
            }
        }
    }

    fn channels(&self) -> (Vec<i16>, Vec<i16>) {
        let Repair::Finalise { len, .. } = repair(&self.bytes, self.bytes.len() as u64) else {
            return (vec![], vec![]);
        };
        let frames = self.bytes[HEADER_LEN..len as usize].chunks_exact(4);
        frames.map(|f| (i16::from_le_bytes([f[0], f[1]]), i16::from_le_bytes([f[2], f[3]]))).unzip()
    }
}

fn speak(talker: &mut Talker, tone: &Tone, n: u64) -> Vec<u8> {
    let mut payload = [0; 160];
    tone.fill_encoded(n * 160, Law::Pcmu, &mut payload);
    packet(talker.header(AUDIO), &payload)
}

#[track_caller]
fn check(samples: &[i16], own: f64, other: f64) {
    assert!(samples.len() >= 800, "{} samples", samples.len());
    for window in samples.chunks_exact(800) {
        assert!(tone::level(window, own) > 7500.0 && tone::level(window, other) < 100.0);
    }
}

#[test]
fn each_channel_holds_its_own_party_only() {
    let (mut rig, agent, customer, mut a, mut b) = Rig::talking();
    let id = record(&mut rig.relay, rig.now, agent, customer).unwrap();
    let started = rig.now;
    let mut disk = Disk::default();
    for n in 0..250 {
        rig.hear(agent, AGENT, &speak(&mut a, &A, n));
        rig.hear(customer, CUSTOMER, &speak(&mut b, &B, n));
        let outputs = rig.pass_ms(20);
        disk.take(id, outputs);
        // A killed process loses less than a second.
        let recorded = disk.channels().0.len() as u64 / 8;
        let elapsed = rig.now.duration_since(started).as_millis() as u64;
        assert!(elapsed - recorded < 1000, "{recorded} ms of {elapsed} on disk");
    }
    // The agent falls silent for a second, and presses a key: that is no audio.
    for n in 250..300 {
        rig.forward(agent, AGENT, &packet(a.header(EVENT), &[5, 0x80, 0, 160]));
        rig.hear(customer, CUSTOMER, &speak(&mut b, &B, n));
        let outputs = rig.pass_ms(20);
        disk.take(id, outputs);
    }
    rig.relay.stop_recording(rig.now, id);
    let outputs = rig.outputs();
    disk.take(id, outputs);
    assert_eq!(disk.finished, Some((44 + 48_000 * 4, Duration::from_secs(6))));
    let (left, right) = disk.channels();
    check(&left[..40_000], 400.0, 1000.0);
    assert!(left[40_160..].iter().all(|sample| *sample == 0));
    check(&right, 1000.0, 400.0);
    // Nothing follows.
    let outputs = rig.pass_ms(5000);
    disk.take(id, outputs);
}

#[test]
fn ringback_is_not_recorded_and_a_held_party_still_is() {
    let (mut rig, agent, customer, _, mut b) = Rig::talking();
    let id = record(&mut rig.relay, rig.now, agent, customer).unwrap();
    rig.relay.play(rig.now, agent, crate::relay::Tone::Ringback);
    // The customer speaks while the agent does not listen.
    rig.relay.set_remote(
        rig.now,
        agent,
        RemoteMedia { direction: Direction::RecvOnly, ..remote(AGENT) },
    );
    let mut disk = Disk::default();
    for n in 0..50 {
        rig.dropped(customer, CUSTOMER, &speak(&mut b, &B, n), DropReason::NotSending);
        let outputs = rig.pass_ms(20);
        disk.take(id, outputs);
    }
    rig.relay.close_leg(rig.now, agent);
    rig.relay.stop_recording(rig.now, id);
    let outputs = rig.outputs();
    disk.take(id, outputs);
    let (left, right) = disk.channels();
    assert!(left.iter().all(|sample| *sample == 0));
    check(&right, 1000.0, 400.0);
}

#[test]
fn a_codec_that_changes_goes_on_in_the_same_file() {
    [true, false].into_iter().for_each(check_change_of_codec);
}

#[track_caller]
fn check_change_of_codec(is_agreed: bool) {
    let (mut rig, agent, customer, mut a, _) = Rig::talking();
    let id = record(&mut rig.relay, rig.now, agent, customer).unwrap();
    let mut disk = Disk::default();
    for n in 0..25 {
        rig.hear(agent, AGENT, &speak(&mut a, &A, n));
        rig.now += Duration::from_millis(20);
    }
    // Told by a new agreement, or by the packets alone.
    if is_agreed {
        rig.relay.set_remote(rig.now, agent, alaw(AGENT));
    }
    for n in 25..50u64 {
        let mut payload = [0; 160];
        B.fill_encoded(n * 160, Law::Pcma, &mut payload);
        rig.hear(agent, AGENT, &packet(a.header(8), &payload));
        rig.now += Duration::from_millis(20);
    }
    rig.relay.stop_recording(rig.now, id);
    let outputs = rig.outputs();
    disk.take(id, outputs);
    let left = disk.channels().0;
    assert_eq!(left.len(), 50 * 160);
    let (before, after) = left.split_at(25 * 160);
    check(before, 400.0, 1000.0);
    check(after, 1000.0, 400.0);
}

#[test]
fn legs_come_into_the_recording_and_leave_it_and_a_pause_is_silent() {
    let (mut rig, agent, customer, mut a, mut b) = Rig::talking();
    let id = rig.relay.start_recording(rig.now, Layout::Stereo).unwrap();
    rig.relay.record_leg(rig.now, id, agent, Some(Channel::Agent));
    let mut disk = Disk::default();
    for n in 0..200 {
        match n {
            50 => rig.relay.record_leg(rig.now, id, customer, Some(Channel::Third)),
            100 => rig.relay.pause_recording(rig.now, id),
            125 => rig.relay.resume_recording(rig.now, id),
            150 => rig.relay.record_leg(rig.now, id, customer, None),
            _ => {}
        }
        rig.hear(agent, AGENT, &speak(&mut a, &A, n));
        rig.hear(customer, CUSTOMER, &speak(&mut b, &B, n));
        let outputs = rig.pass_ms(20);
        disk.take(id, outputs);
    }
    // A track in another recording ends the one here.
    let other = rig.relay.start_recording(rig.now, Layout::ThreeChannel).unwrap();
    rig.relay.record_leg(rig.now, other, agent, Some(Channel::Agent));
    rig.hear(agent, AGENT, &speak(&mut a, &A, 0));
    rig.relay.stop_recording(rig.now, other);
    rig.outputs();
    rig.now += Duration::from_millis(20);
    rig.relay.stop_recording(rig.now, id);
    let outputs = rig.outputs();
    disk.take(id, outputs);
    let (left, right) = disk.channels();
    assert_eq!(left.len(), 32_160);
    check(&left[..16_000], 400.0, 1000.0);
    check(&left[20_000..32_000], 400.0, 1000.0);
    check(&right[8000..16_000], 1000.0, 400.0);
    check(&right[20_000..24_000], 1000.0, 400.0);
    let silent = [
        &left[16_000..20_000],
        &left[32_000..],
        &right[..8000],
        &right[16_000..20_000],
        &right[24_000..],
    ];
    assert!(silent.iter().all(|samples| samples.iter().all(|sample| sample.abs() <= 8)));
}
