//! What Opus on one leg costs a packet of 20 ms beyond a plain relay: to G.711, from it, and both;
//! to a softphone that loses nothing, and to one that tells of loss and is sent copies. What comes
//! from a softphone is such as browsers make of speech. Times are CPU time of the thread.

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use benches::{Talk, remote, thread_cpu_time};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use media_core::codec::{Codec, Format};
use media_core::g711;
use media_core::relay::{Forward, LegId, Relay, RemoteMedia, SocketId, TAIL_ROOM};
use media_core::rtp::{Header, Ssrc};

const FRAME: usize = 160;
/// Packets of speech, which are repeated: 30 s.
const SPEECH_PACKETS: usize = 1_500;

/// µ-law that has pitch, two formants that move, hiss and pauses, as speech has.
fn speech() -> Vec<u8> {
    let mut state = 1u32;
    let mut noise = move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from((state >> 8) as i32 - (1 << 23)) / f64::from(1 << 23)
    };
    let (mut phase, mut formants) = (0.0, [[0.0f64; 2]; 2]);
    let sample = |n: usize| {
        let time = n as f64 / 8_000.0;
        phase += (120.0 + 30.0 * (2.1 * time).sin()) / 8_000.0;
        let is_pulse = phase >= 1.0;
        phase = f64::fract(phase);
        let is_speech = time % 0.9 < 0.6;
        let is_voiced = time % 0.3 < 0.22;
        let mut value = match (is_speech, is_voiced) {
            (false, _) => 0.0,
            (true, true) => f64::from(u8::from(is_pulse)) * 2_400.0,
            (true, false) => noise() * 225.0,
        };
        let centres = [400.0 + 250.0 * (5.0 * time).sin(), 1_500.0 + 500.0 * (3.3 * time).sin()];
        for (formant, centre) in formants.iter_mut().zip(centres) {
            let omega = std::f64::consts::TAU * centre / 8_000.0;
            let next = 1.92 * omega.cos() * formant[0] - 0.9216 * formant[1] + value;
            *formant = [next, formant[0]];
            value = next * 0.3;
        }
        g711::encode(media_core::codec::Law::Pcmu, (value / 0.3 + 10.0 * noise()) as i16)
    };
    (0..SPEECH_PACKETS * FRAME).map(sample).collect()
}

/// Which of encoding and decoding counts.
type Choice = fn([Duration; 2]) -> Duration;

/// A softphone of Opus and a carrier of µ-law that talk.
struct Call {
    relay: Relay,
    now: Instant,
    legs: [LegId; 2],
    peers: [SocketAddr; 2],
    headers: [Header; 2],
    speech: Vec<u8>,
    /// The same in Opus, by prediction and with copies.
    said: Vec<Vec<u8>>,
    /// Of what the softphone hears.
    ssrc: [u8; 4],
    buffer: [u8; 2_048],
}

impl Call {
    fn new() -> Call {
        let Talk { mut relay, now, .. } = Talk::new(2);
        let peers: [SocketAddr; 2] =
            ["10.0.0.1:4000", "10.0.0.2:4000"].map(|peer| peer.parse().expect("an address"));
        let legs = peers.map(|peer| {
            let leg = relay.open_leg(now).expect("a pair for each leg");
            relay.set_remote(now, leg, remote(peer, None));
            leg
        });
        assert!(relay.admit_opus(legs[0]));
        let narrow = remote(peers[0], None);
        let (mut received, audio) = (narrow.received, Codec::Opus.payload_type());
        received.add(audio, Format::Audio(Codec::Opus));
        relay.set_remote(
            now,
            legs[0],
            RemoteMedia { codec: Codec::Opus, audio, received, ..narrow },
        );
        relay.set_hearing(now, legs[0], &[legs[1]]);
        relay.set_hearing(now, legs[1], &[legs[0]]);
        let header = |codec: Codec| Header {
            payload_type: codec.payload_type(),
            marker: false,
            sequence: 0,
            timestamp: 0,
            ssrc: Ssrc(7),
        };
        let headers = [header(Codec::Opus), header(Codec::Pcmu)];
        let (speech, said) = (speech(), Vec::new());
        Call { relay, now, legs, peers, headers, speech, said, ssrc: [0; 4], buffer: [0; 2_048] }
    }

    /// A call in which the softphone has told of so much loss, in 1/256.
    fn with_loss(fraction_lost: u8) -> Call {
        let mut copied = Call::new();
        copied.tell_loss(26);
        let said = (0..SPEECH_PACKETS).map(|at| copied.hear(at).0).collect();
        let mut call = Call { said, ..Call::new() };
        call.tell_loss(fraction_lost);
        call
    }

    /// A receiver report of the softphone's (RFC 3550 §6.4.2).
    fn tell_loss(&mut self, fraction_lost: u8) {
        self.hear(0);
        let ours = self.ssrc;
        let mut report = [0; 32];
        report[..4].copy_from_slice(&[0x81, 201, 0, 7]);
        report[8..12].copy_from_slice(&ours);
        report[12] = fraction_lost;
        self.buffer[..32].copy_from_slice(&report);
        let socket = SocketId(self.legs[0].index * 2);
        let buffer = &mut self.buffer[..1_568 + TAIL_ROOM];
        let forward = self.relay.forward(self.now, socket, self.peers[0], buffer, 32);
        assert_eq!(forward, Forward::Local);
    }

    /// What the softphone hears of a packet of the carrier's speech, and how long that took.
    fn hear(&mut self, at: usize) -> (Vec<u8>, Duration) {
        let start = at * FRAME;
        let mut payload = [0; FRAME];
        payload.copy_from_slice(&self.speech[start..start + FRAME]);
        let (range, encoding) = self.say(1, &payload);
        self.ssrc.copy_from_slice(&self.buffer[range.start - 4..range.start]);
        (self.buffer[range].to_vec(), encoding)
    }

    /// Forwards a packet of this party; where what goes out lies, and how long that took.
    fn say(&mut self, party: usize, payload: &[u8]) -> (std::ops::Range<usize>, Duration) {
        let header = &mut self.headers[party];
        header.sequence = header.sequence.wrapping_add(1);
        let step = if party == 0 { 960 } else { 160 };
        header.timestamp = header.timestamp.wrapping_add(step);
        let len = header.write(payload, &mut self.buffer).expect("room");
        let socket = SocketId(self.legs[party].index * 2);
        let buffer = &mut self.buffer[..1_568 + TAIL_ROOM];
        let start = thread_cpu_time();
        let forward =
            black_box(self.relay.forward(self.now, socket, self.peers[party], buffer, len));
        let elapsed = thread_cpu_time() - start;
        let Forward::To { start, len, .. } = forward else { panic!("{forward:?}") };
        (start + 12..start + len, elapsed)
    }

    /// The time of so many packets: what the carrier says, and the same of the softphone.
    fn time(&mut self, count: u64) -> [Duration; 2] {
        let mut elapsed = [Duration::ZERO; 2];
        for at in 0..count {
            let at = at as usize % SPEECH_PACKETS;
            let (_, encoding) = self.hear(at);
            let packet = self.said[at].clone();
            let (_, decoding) = self.say(0, &packet);
            elapsed = [elapsed[0] + encoding, elapsed[1] + decoding];
            self.now += Duration::from_millis(20);
        }
        elapsed
    }
}

fn transcode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("opus_per_packet");
    group.sample_size(20).throughput(Throughput::Elements(1));
    let both: Choice = |[encoding, decoding]| encoding + decoding;
    let ways: [(&str, u8, Choice); 5] = [
        ("g711_to_opus", 0, |[encoding, _]| encoding),
        ("g711_to_opus_with_copies", 26, |[encoding, _]| encoding),
        ("opus_to_g711", 0, |[_, decoding]| decoding),
        ("both", 0, both),
        ("both_with_copies", 26, both),
    ];
    for (name, fraction_lost, way) in ways {
        let mut call = Call::with_loss(fraction_lost);
        group.bench_function(name, |bencher| bencher.iter_custom(|count| way(call.time(count))));
    }
    group.finish();
}

criterion_group!(benches, transcode);
criterion_main!(benches);
