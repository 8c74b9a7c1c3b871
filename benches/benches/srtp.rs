//! SRTP of one 172-byte RTP packet (20 ms of G.711): the in-place engine against `webrtc-srtp`,
//! replay protection on in both. Times are CPU time of the thread, so that other work on the
//! machine disturbs less.

use std::hint::black_box;
use std::time::Duration;

use benches::thread_cpu_time;
use criterion::{Criterion, criterion_group, criterion_main};
use media_core::srtp::{Inbound, Keys, Outbound, RTP_TAIL_LEN, Suite};
use webrtc_srtp::context::Context;
use webrtc_srtp::option::{srtcp_replay_protection, srtp_replay_protection};
use webrtc_srtp::protection_profile::ProtectionProfile;

const PACKET_LEN: usize = 172;
/// Packets between two clock readings; each pass has fresh contexts, so that no sequence number
/// repeats.
const PASS_LEN: usize = 512;

/// A packet with room for its protection.
type Roomy = [u8; PACKET_LEN + RTP_TAIL_LEN];

fn material(suite: Suite) -> Vec<u8> {
    (0..suite.material_len() as u8).collect()
}

fn keys(suite: Suite) -> Keys {
    Keys::new(suite, &material(suite)).expect("the material has the suite's length")
}

fn reference(suite: Suite) -> Context {
    let profile = match suite {
        Suite::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
        Suite::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
        Suite::AesCm128HmacSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
        Suite::AesCm128HmacSha1_32 => ProtectionProfile::Aes128CmHmacSha1_32,
    };
    let material = material(suite);
    let (key, salt) = material.split_at(suite.key_len());
    let window = (Some(srtp_replay_protection(128)), Some(srtcp_replay_protection(128)));
    Context::new(key, salt, profile, window.0, window.1)
        .expect("key and salt have the profile's lengths")
}

fn plain_packets() -> Vec<Vec<u8>> {
    let packet = |sequence: u16| {
        let mut packet = vec![0x55; PACKET_LEN];
        packet[..12].copy_from_slice(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0xde, 0xca, 0xfb, 0xad]);
        packet[2..4].copy_from_slice(&sequence.to_be_bytes());
        packet
    };
    (0..PASS_LEN as u16).map(packet).collect()
}

fn sealed_packets(suite: Suite) -> Vec<Vec<u8>> {
    let mut context = Outbound::new(&keys(suite));
    let seal = |mut packet: Vec<u8>| {
        packet.resize(PACKET_LEN + RTP_TAIL_LEN, 0);
        let len = context.protect_rtp(&mut packet, PACKET_LEN).expect("the packet is sound");
        packet.truncate(len);
        packet
    };
    plain_packets().into_iter().map(seal).collect()
}

/// Times `work` over `count` packets; `prepare` makes what one pass needs and is not timed.
fn timed<S>(
    count: u64,
    mut prepare: impl FnMut() -> S,
    mut work: impl FnMut(&mut S, usize),
) -> Duration {
    let mut total = Duration::ZERO;
    let mut left = count as usize;
    while left > 0 {
        let mut state = prepare();
        let pass_len = left.min(PASS_LEN);
        let start = thread_cpu_time();
        (0..pass_len).for_each(|at| work(&mut state, at));
        total += thread_cpu_time() - start;
        left -= pass_len;
    }
    total
}

fn srtp(criterion: &mut Criterion) {
    for suite in [Suite::AesCm128HmacSha1_80, Suite::AeadAes128Gcm] {
        let (plain, sealed) = (plain_packets(), sealed_packets(suite));
        let roomy = |packets: &[Vec<u8>]| -> Vec<Roomy> {
            let fill = |packet: &Vec<u8>| {
                std::array::from_fn(|at| packet.get(at).copied().unwrap_or_default())
            };
            packets.iter().map(fill).collect()
        };
        let sealed_len = sealed[0].len();
        let mut group = criterion.benchmark_group(suite.name());
        group.bench_function("protect, in place", |bencher| {
            let prepare = || (Outbound::new(&keys(suite)), roomy(&plain));
            let protect = |(context, buffers): &mut (Outbound, Vec<Roomy>), at: usize| {
                black_box(
                    context.protect_rtp(&mut buffers[at], PACKET_LEN).expect("the packet is sound"),
                );
            };
            bencher.iter_custom(|count| timed(count, prepare, protect));
        });
        group.bench_function("protect, webrtc-srtp", |bencher| {
            let protect = |context: &mut Context, at: usize| {
                black_box(context.encrypt_rtp(&plain[at]).expect("the packet is sound"));
            };
            bencher.iter_custom(|count| timed(count, || reference(suite), protect));
        });
        group.bench_function("unprotect, in place", |bencher| {
            let prepare = || (Inbound::new(&keys(suite)), roomy(&sealed));
            let unprotect = |(context, buffers): &mut (Inbound, Vec<Roomy>), at: usize| {
                black_box(
                    context
                        .unprotect_rtp(&mut buffers[at], sealed_len)
                        .expect("the packet is authentic"),
                );
            };
            bencher.iter_custom(|count| timed(count, prepare, unprotect));
        });
        group.bench_function("unprotect, webrtc-srtp", |bencher| {
            let unprotect = |context: &mut Context, at: usize| {
                black_box(context.decrypt_rtp(&sealed[at]).expect("the packet is authentic"));
            };
            bencher.iter_custom(|count| timed(count, || reference(suite), unprotect));
        });
        group.finish();
    }
}

criterion_group!(benches, srtp);
criterion_main!(benches);
