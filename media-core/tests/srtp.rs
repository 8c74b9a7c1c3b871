//! SRTP contexts against `webrtc-srtp` as the reference engine: rollover, loss, reordering, replay;
//! and hostile packets.

use media_core::srtp::{
    Inbound, Keys, MAX_STREAM_COUNT, Mki, Outbound, RTCP_TAIL_LEN, RTP_TAIL_LEN, SrtpError, Suite,
};
use webrtc_srtp::context::Context;
use webrtc_srtp::protection_profile::ProtectionProfile;

/// A seeded xorshift sequence.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

fn keys(suite: Suite) -> (Keys, Vec<u8>) {
    let material: Vec<u8> = (1..=suite.material_len() as u8).collect();
    (Keys::new(suite, &material).unwrap(), material)
}

fn reference(suite: Suite) -> Context {
    let (_, material) = keys(suite);
    let (key, salt) = material.split_at(suite.key_len());
    Context::new(key, salt, profile(suite), None, None).unwrap()
}

fn profile(suite: Suite) -> ProtectionProfile {
    match suite {
        Suite::AeadAes128Gcm => ProtectionProfile::AeadAes128Gcm,
        Suite::AeadAes256Gcm => ProtectionProfile::AeadAes256Gcm,
        Suite::AesCm128HmacSha1_80 => ProtectionProfile::Aes128CmHmacSha1_80,
        Suite::AesCm128HmacSha1_32 => ProtectionProfile::Aes128CmHmacSha1_32,
    }
}

fn rtp(sequence: u16, ssrc: u32, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend(sequence.to_be_bytes());
    packet.extend(u32::from(sequence).wrapping_mul(160).to_be_bytes());
    packet.extend(ssrc.to_be_bytes());
    packet.extend(payload);
    packet
}

/// A receiver report with `filler` as profile-specific extension; its length field is exact.
fn rtcp(ssrc: u32, filler: &[u8; 8]) -> Vec<u8> {
    let mut packet = vec![0x80, 201, 0, 3];
    packet.extend(ssrc.to_be_bytes());
    packet.extend(filler);
    packet
}

/// Runs a packet through `work` in a buffer with `tail` bytes of room.
fn in_place(
    packet: &[u8],
    tail: usize,
    work: impl FnOnce(&mut [u8], usize) -> Result<usize, SrtpError>,
) -> Result<Vec<u8>, SrtpError> {
    let mut buffer = packet.to_vec();
    buffer.resize(packet.len() + tail, 0xee);
    let len = work(&mut buffer, packet.len())?;
    buffer.truncate(len);
    Ok(buffer)
}

fn protect(context: &mut Outbound, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    in_place(packet, RTP_TAIL_LEN, |buffer, len| context.protect_rtp(buffer, len))
}

fn unprotect(context: &mut Inbound, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    in_place(packet, 0, |buffer, len| context.unprotect_rtp(buffer, len))
}

fn protect_rtcp(context: &mut Outbound, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    in_place(packet, RTCP_TAIL_LEN, |buffer, len| context.protect_rtcp(buffer, len))
}

fn unprotect_rtcp(context: &mut Inbound, packet: &[u8]) -> Result<Vec<u8>, SrtpError> {
    in_place(packet, 0, |buffer, len| context.unprotect_rtcp(buffer, len))
}

/// Packet indices of a lossy stream over several rollovers, in order of sending.
fn lossy_stream(random: &mut Random) -> Vec<u64> {
    let mut index = 65_400;
    let mut sent = Vec::new();
    while index < 6 * 65_536 {
        sent.push(index);
        index += if random.below(50) == 0 { 1 + random.below(5_000) } else { 1 + random.below(3) };
    }
    sent
}

/// Delivery order: neighbours within 20 packets change places. The first stays first, since it
/// fixes the rollover period.
fn reordered<T>(mut packets: Vec<T>, random: &mut Random) -> Vec<T> {
    for at in 1..packets.len() {
        if random.below(4) == 0 {
            let other = (at + random.below(20) as usize).min(packets.len() - 1);
            packets.swap(at, other);
        }
    }
    packets
}

#[test]
fn both_engines_agree_over_rollover_loss_reordering_and_replay() {
    for suite in Suite::ALL {
        let mut random = Random(0x5eed + suite as u64);
        let (keys, _) = keys(suite);
        let (mut ours, mut theirs) = (Outbound::new(&keys), reference(suite));
        let mut packets = Vec::new();
        for index in lossy_stream(&mut random) {
            let len = random.below(200) as usize;
            let plain = rtp(index as u16, 0xdecafbad, &random.bytes(len));
            let sealed = protect(&mut ours, &plain).unwrap();
            assert_eq!(sealed, theirs.encrypt_rtp(&plain).unwrap(), "{suite:?} {index}");
            packets.push((index, plain, sealed));
        }
        let (mut ours, mut theirs) = (Inbound::new(&keys), reference(suite));
        let (mut newest, mut late_count) = (0, 0);
        for (index, plain, sealed) in reordered(packets, &mut random) {
            newest = index.max(newest);
            if newest - index >= 128 {
                late_count += 1;
                assert_eq!(
                    unprotect(&mut ours, &sealed),
                    Err(SrtpError::TooOld),
                    "{suite:?} {index}"
                );
                continue;
            }
            assert_eq!(theirs.decrypt_rtp(&sealed).unwrap(), plain, "{suite:?} {index}");
            assert_eq!(unprotect(&mut ours, &sealed), Ok(plain), "{suite:?} {index}");
            assert_eq!(
                unprotect(&mut ours, &sealed),
                Err(SrtpError::Replayed),
                "{suite:?} {index}"
            );
        }
        assert!(
            newest > 5 * 65_536 && late_count > 0,
            "{suite:?}: the stream has rollovers and late packets"
        );
    }
}

/// A million packets of random lengths, headers and sources: each is sealed alike, and opened by
/// the other engine.
#[test]
fn a_million_random_packets_cross_both_engines() {
    for suite in Suite::ALL {
        let mut random = Random(0xa11c_e5ed + suite as u64);
        let (keys, _) = keys(suite);
        let (mut sealer, mut opener) = (Outbound::new(&keys), Inbound::new(&keys));
        let (mut their_sealer, mut their_opener) = (reference(suite), reference(suite));
        let mut sequences = [0u16; 4];
        for count in 0..250_000 {
            let source = random.below(4) as usize;
            sequences[source] = sequences[source].wrapping_add(1 + random.below(3) as u16);
            let len = random.below(if count % 64 == 0 { 1_200 } else { 200 }) as usize;
            let mut plain = rtp(sequences[source], 0x1000 + source as u32, &random.bytes(len));
            plain[1] = random.next() as u8;
            plain[4..8].copy_from_slice(&random.bytes(4));
            let sealed = protect(&mut sealer, &plain).unwrap();
            assert_eq!(sealed, their_sealer.encrypt_rtp(&plain).unwrap(), "{suite:?} {count}");
            assert_eq!(their_opener.decrypt_rtp(&sealed).unwrap(), plain, "{suite:?} {count}");
            assert_eq!(unprotect(&mut opener, &sealed), Ok(plain), "{suite:?} {count}");
        }
    }
}

#[test]
fn both_engines_agree_on_headers_with_sources_extension_and_padding() {
    for suite in Suite::ALL {
        let (keys, _) = keys(suite);
        for (count, first) in [0x80, 0x82, 0x90, 0x93, 0xa0, 0xb1].into_iter().enumerate() {
            let mut packet = rtp(count as u16, 1, &[]);
            packet[0] = first;
            packet.extend(std::iter::repeat_n(0x11, 4 * usize::from(first & 0x0f)));
            if first & 0x10 != 0 {
                packet.extend([0xbe, 0xde, 0, 2, 0x10, 1, 0, 0, 0, 0, 0, 0]);
            }
            packet.extend([0x55; 40]);
            if first & 0x20 != 0 {
                packet.extend([0, 0, 0, 4]);
            }
            let sealed = protect(&mut Outbound::new(&keys), &packet).unwrap();
            assert_eq!(
                sealed,
                reference(suite).encrypt_rtp(&packet).unwrap(),
                "{suite:?} {first:x}"
            );
            assert_eq!(
                unprotect(&mut Inbound::new(&keys), &sealed),
                Ok(packet),
                "{suite:?} {first:x}"
            );
        }
    }
}

#[test]
fn rtcp_crosses_both_engines_reordered_and_once() {
    for suite in Suite::ALL {
        let mut random = Random(0xc0de);
        let (keys, _) = keys(suite);
        let (mut ours, mut theirs) = (Outbound::new(&keys), reference(suite));
        let mut from_us = Vec::new();
        let mut from_them = Vec::new();
        for count in 0..300_u64 {
            let plain = rtcp(77, &count.to_be_bytes());
            let sealed = protect_rtcp(&mut ours, &plain).unwrap();
            assert_ne!(sealed[8..16], plain[8..16], "{suite:?} encrypts");
            from_us.push((plain.clone(), sealed));
            from_them.push((plain.clone(), theirs.encrypt_rtcp(&plain).unwrap()));
        }
        let (mut ours, mut theirs) = (Inbound::new(&keys), reference(suite));
        for (plain, sealed) in reordered(from_us, &mut random) {
            assert_eq!(theirs.decrypt_rtcp(&sealed).unwrap(), plain, "{suite:?}");
        }
        for (plain, sealed) in reordered(from_them, &mut random) {
            assert_eq!(unprotect_rtcp(&mut ours, &sealed), Ok(plain), "{suite:?}");
            assert_eq!(unprotect_rtcp(&mut ours, &sealed), Err(SrtpError::Replayed), "{suite:?}");
        }
    }
}

#[test]
fn every_changed_bit_is_noticed() {
    for suite in Suite::ALL {
        let (keys, _) = keys(suite);
        let media = protect(&mut Outbound::new(&keys), &rtp(100, 9, &[3; 20])).unwrap();
        let control = protect_rtcp(&mut Outbound::new(&keys), &rtcp(9, &[3; 8])).unwrap();
        for bit in 0..media.len() * 8 {
            let mut changed = media.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            unprotect(&mut Inbound::new(&keys), &changed).expect_err("a changed packet is refused");
        }
        for bit in 0..control.len() * 8 {
            let mut changed = control.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            unprotect_rtcp(&mut Inbound::new(&keys), &changed)
                .expect_err("a changed packet is refused");
        }
    }
}

/// A forged packet must not move the window or the rollover counter of its stream.
#[test]
fn forgeries_leave_the_stream_as_it_was() {
    let (keys, _) = keys(Suite::AesCm128HmacSha1_80);
    let (mut outbound, mut inbound) = (Outbound::new(&keys), Inbound::new(&keys));
    let first = protect(&mut outbound, &rtp(10, 1, &[1; 160])).unwrap();
    let second = protect(&mut outbound, &rtp(11, 1, &[2; 160])).unwrap();
    unprotect(&mut inbound, &first).unwrap();
    for sequence in [12_u16, 30_000, 65_000] {
        let mut forged = second.clone();
        forged[2..4].copy_from_slice(&sequence.to_be_bytes());
        unprotect(&mut inbound, &forged).expect_err("the forgery is refused");
    }
    assert_eq!(unprotect(&mut inbound, &second), Ok(rtp(11, 1, &[2; 160])));
}

#[test]
fn packets_behind_the_window_are_too_old() {
    let (keys, _) = keys(Suite::AeadAes128Gcm);
    let (mut outbound, mut inbound) = (Outbound::new(&keys), Inbound::new(&keys));
    let sealed: Vec<_> = (0..200)
        .map(|sequence| protect(&mut outbound, &rtp(sequence, 1, &[0; 10])).unwrap())
        .collect();
    unprotect(&mut inbound, &sealed[199]).unwrap();
    assert_eq!(unprotect(&mut inbound, &sealed[71]), Err(SrtpError::TooOld));
    unprotect(&mut inbound, &sealed[72]).unwrap();
}

#[test]
fn a_sender_never_uses_an_index_twice() {
    let (keys, _) = keys(Suite::AeadAes128Gcm);
    let mut outbound = Outbound::new(&keys);
    protect(&mut outbound, &rtp(5, 1, &[0; 10])).unwrap();
    assert_eq!(protect(&mut outbound, &rtp(5, 1, &[1; 10])), Err(SrtpError::Replayed));
    protect(&mut outbound, &rtp(4, 1, &[0; 10])).unwrap();
    protect(&mut outbound, &rtp(5, 2, &[1; 10])).unwrap();
}

#[test]
fn streams_are_bounded() {
    let (keys, _) = keys(Suite::AesCm128HmacSha1_80);
    let (mut outbound, mut inbound) = (Outbound::new(&keys), Inbound::new(&keys));
    let most = MAX_STREAM_COUNT as u32;
    for ssrc in 0..most {
        protect(&mut outbound, &rtp(1, ssrc, &[0; 10])).unwrap();
    }
    assert_eq!(protect(&mut outbound, &rtp(1, most, &[0; 10])), Err(SrtpError::TooManyStreams));
    assert_eq!(protect_rtcp(&mut outbound, &rtcp(most, &[0; 8])), Err(SrtpError::TooManyStreams));
    for ssrc in 0..100 {
        let sealed = protect(&mut Outbound::new(&keys), &rtp(1, ssrc, &[0; 10])).unwrap();
        unprotect(&mut inbound, &sealed).unwrap();
        assert_eq!(unprotect(&mut inbound, &sealed), Err(SrtpError::Replayed));
    }
}

#[test]
fn room_and_shape_are_checked() {
    let (keys, _) = keys(Suite::AeadAes128Gcm);
    let mut outbound = Outbound::new(&keys);
    let mut inbound = Inbound::new(&keys);
    let mut packet = rtp(1, 1, &[0; 10]);
    let len = packet.len();
    assert_eq!(outbound.protect_rtp(&mut packet, len), Err(SrtpError::NoRoom));
    assert_eq!(outbound.protect_rtp(&mut packet, usize::MAX), Err(SrtpError::NoRoom));
    assert_eq!(outbound.protect_rtcp(&mut packet, len), Err(SrtpError::NoRoom));
    assert_eq!(inbound.unprotect_rtp(&mut packet, len + 1), Err(SrtpError::Malformed));
    assert_eq!(inbound.unprotect_rtcp(&mut packet, len + 1), Err(SrtpError::Malformed));
    assert_eq!(protect(&mut outbound, &[0x80; 11]), Err(SrtpError::Malformed));
    assert_eq!(protect(&mut outbound, &[0x40; 40]), Err(SrtpError::Malformed));
    assert_eq!(protect(&mut outbound, &[0x8f; 40]), Err(SrtpError::Malformed));
    assert_eq!(protect_rtcp(&mut outbound, &[0x80; 7]), Err(SrtpError::Malformed));
}

/// Random bytes, whole packets cut anywhere, and version bits that let more code run.
#[test]
fn hostile_bytes_never_panic_and_never_pass() {
    let mut random = Random(0xbad5eed);
    for suite in Suite::ALL {
        let (keys, _) = keys(suite);
        let mut inbound = Inbound::new(&keys);
        for _ in 0..20_000 {
            let len = random.below(90) as usize;
            let mut packet = random.bytes(len);
            if let Some(first) = packet.first_mut().filter(|_| random.below(4) != 0) {
                *first = *first & 0x3f | 0x80;
            }
            unprotect(&mut inbound, &packet).expect_err("random bytes are not authentic");
            unprotect_rtcp(&mut inbound, &packet).expect_err("random bytes are not authentic");
            let _ = protect(&mut Outbound::new(&keys), &packet);
            let _ = protect_rtcp(&mut Outbound::new(&keys), &packet);
        }
        let media = protect(&mut Outbound::new(&keys), &rtp(1, 1, &[1; 30])).unwrap();
        let control = protect_rtcp(&mut Outbound::new(&keys), &rtcp(1, &[1; 8])).unwrap();
        for len in 0..media.len() {
            unprotect(&mut inbound, &media[..len]).expect_err("a cut packet is not authentic");
        }
        for len in 0..control.len() {
            unprotect_rtcp(&mut inbound, &control[..len])
                .expect_err("a cut packet is not authentic");
        }
    }
}

#[test]
fn keys_have_the_length_of_their_suite_and_stay_out_of_debug_output() {
    for suite in Suite::ALL {
        assert!(Keys::new(suite, &vec![0x42; suite.material_len()]).is_some());
        assert!(Keys::new(suite, &vec![0x42; suite.material_len() - 1]).is_none());
        assert!(Keys::new(suite, &vec![0x42; suite.material_len() + 1]).is_none());
    }
    let keys = Keys::new(Suite::AeadAes128Gcm, &[0x42; 28]).unwrap();
    assert_eq!(format!("{keys:?}"), "Keys { suite: AeadAes128Gcm, .. }");
    for shown in [format!("{:?}", Outbound::new(&keys)), format!("{:?}", Inbound::new(&keys))] {
        assert!(!shown.contains("66"), "{shown}");
    }
}

/// Puts an identifier where RFC 3711 §3.1 and §3.4 and RFC 7714 have it: before the tag of
/// HMAC-SHA1, else at the end.
fn with_mki(suite: Suite, packet: &[u8], is_rtcp: bool, mki: &[u8]) -> Vec<u8> {
    let tag_len = match suite {
        Suite::AeadAes128Gcm | Suite::AeadAes256Gcm => 0,
        Suite::AesCm128HmacSha1_32 if !is_rtcp => 4,
        Suite::AesCm128HmacSha1_80 | Suite::AesCm128HmacSha1_32 => 10,
    };
    let (packet, tag) = packet.split_at(packet.len() - tag_len);
    [packet, mki, tag].concat()
}

#[test]
fn packets_may_carry_their_keys_identifier() {
    for suite in Suite::ALL {
        for (value, len, mki) in
            [("1", "1", &[1u8][..]), ("1", "4", &[0, 0, 0, 1]), ("515", "2", &[2, 3])]
        {
            let (keys, _) = keys(suite);
            let mut outbound = Outbound::new(&keys);
            let mut inbound = Inbound::with_mki(&keys, Mki::parse(value, len));
            for n in 0..300u16 {
                let plain = rtp(n, 7, &[n as u8; 160]);
                let mut sealed = [&plain[..], &[0; RTP_TAIL_LEN]].concat();
                let len = outbound.protect_rtp(&mut sealed, plain.len()).unwrap();
                let mut packet = with_mki(suite, &sealed[..len], false, mki);
                let len = packet.len();
                let len = inbound.unprotect_rtp(&mut packet, len).unwrap();
                assert_eq!(&packet[..len], plain, "{suite:?}");
                let plain = rtcp(7, &[n as u8; 8]);
                let mut sealed = [&plain[..], &[0; RTCP_TAIL_LEN]].concat();
                let len = outbound.protect_rtcp(&mut sealed, plain.len()).unwrap();
                let mut packet = with_mki(suite, &sealed[..len], true, mki);
                let len = packet.len();
                let len = inbound.unprotect_rtcp(&mut packet, len).unwrap();
                assert_eq!(&packet[..len], plain, "{suite:?}");
            }
        }
    }
}

/// Some name an identifier and send none; another one than the named is somebody else's packet.
#[test]
fn packets_may_lack_the_identifier_that_was_named() {
    for suite in Suite::ALL {
        let (keys, _) = keys(suite);
        let mut outbound = Outbound::new(&keys);
        let mut seal = |n| {
            let plain = rtp(n, 7, &[n as u8; 160]);
            let mut sealed = [&plain[..], &[0; RTP_TAIL_LEN]].concat();
            let len = outbound.protect_rtp(&mut sealed, plain.len()).unwrap();
            sealed.truncate(len);
            sealed
        };
        let mut inbound = Inbound::with_mki(&keys, Mki::parse("1", "4"));
        let mut foreign = with_mki(suite, &seal(0), false, &[0, 0, 0, 2]);
        let len = foreign.len();
        assert_eq!(inbound.unprotect_rtp(&mut foreign, len), Err(SrtpError::AuthenticationFailed));
        for n in 1..600u16 {
            let mut packet = seal(n);
            let len = packet.len();
            assert_eq!(inbound.unprotect_rtp(&mut packet, len), Ok(172), "{suite:?} {n}");
        }
    }
}

#[test]
fn identifiers_have_their_length() {
    for (value, len) in [
        ("1", "0"),
        ("256", "1"),
        ("1", "17"),
        ("1", "128"),
        ("-1", "4"),
        ("x", "4"),
        ("1", ""),
        ("", "1"),
    ] {
        assert_eq!(Mki::parse(value, len), None, "{value}:{len}");
    }
    assert!(
        Mki::parse("255", "1").is_some()
            && Mki::parse("340282366920938463463374607431768211455", "16").is_some()
    );
}

/// A change of keys: other material of the same suite.
fn other_keys(suite: Suite) -> (Keys, Vec<u8>) {
    let material: Vec<u8> = (101..=100 + suite.material_len() as u8).collect();
    (Keys::new(suite, &material).unwrap(), material)
}

#[track_caller]
fn check_open(inbound: &mut Inbound, sealed: &[u8], expected: Result<&[u8], SrtpError>) {
    assert_eq!(unprotect(inbound, sealed).as_deref().map_err(|error| *error), expected);
}

// RFC 3711 §3.3.1: the rollover counter goes on over a change of keys; what was on its way under
// the old key is heard still, each packet once.
#[test]
fn a_change_of_keys_loses_no_packet_and_keeps_the_rollover_counter() {
    for suite in Suite::ALL {
        let mut outbound = Outbound::new(&keys(suite).0);
        let mut inbound = Inbound::new(&keys(suite).0);
        let plain = |n: u64| rtp(n as u16, 7, &[n as u8; 160]);
        let rollover = 0x1_0000 + 5;
        for n in 0x7f00..rollover - 4 {
            let sealed = protect(&mut outbound, &plain(n)).unwrap();
            check_open(&mut inbound, &sealed, Ok(&plain(n)));
        }
        let late: Vec<_> = (rollover - 4..rollover)
            .map(|n| (n, protect(&mut outbound, &plain(n)).unwrap()))
            .collect();
        let report = protect_rtcp(&mut outbound, &rtcp(7, &[1; 8])).unwrap();
        let (fresh, material) = other_keys(suite);
        outbound.rekey(&fresh);
        inbound.rekey(&fresh, None);
        // The reference engine, its counter about to roll over.
        let (key, salt) = material.split_at(suite.key_len());
        let mut reference = Context::new(key, salt, profile(suite), None, None).unwrap();
        let before = protect(&mut Outbound::new(&fresh), &plain(0xffff)).unwrap();
        reference.decrypt_rtp(&before).unwrap();
        check_open(&mut inbound, &late[0].1, Ok(&plain(late[0].0)));
        check_open(&mut inbound, &late[0].1, Err(SrtpError::AuthenticationFailed));
        for n in rollover..rollover + 249 {
            let sealed = protect(&mut outbound, &plain(n)).unwrap();
            assert_eq!(reference.decrypt_rtp(&sealed).unwrap(), plain(n), "{suite:?}");
            check_open(&mut inbound, &sealed, Ok(&plain(n)));
            check_open(&mut inbound, &sealed, Err(SrtpError::Replayed));
        }
        check_open(&mut inbound, &late[2].1, Ok(&plain(late[2].0)));
        check_open(&mut inbound, &late[1].1, Ok(&plain(late[1].0)));
        assert_eq!(unprotect_rtcp(&mut inbound, &report).unwrap(), rtcp(7, &[1; 8]));
        let last = protect(&mut outbound, &plain(rollover + 249)).unwrap();
        check_open(&mut inbound, &last, Ok(&plain(rollover + 249)));
        assert!(unprotect(&mut inbound, &late[3].1).is_err(), "the old key is given up");
    }
}

/// Some let the counter begin anew with the key.
#[test]
fn a_peer_that_counts_anew_with_its_key_is_understood() {
    for suite in Suite::ALL {
        let mut outbound = Outbound::new(&keys(suite).0);
        let mut inbound = Inbound::new(&keys(suite).0);
        for n in (0x7f00..0x3_0000u64).step_by(0x4000) {
            let sealed = protect(&mut outbound, &rtp(n as u16, 7, &[2; 160])).unwrap();
            unprotect(&mut inbound, &sealed).unwrap();
        }
        let (fresh, _) = other_keys(suite);
        inbound.rekey(&fresh, None);
        let mut outbound = Outbound::new(&fresh);
        for n in 0x4000..0x4200 {
            let sealed = protect(&mut outbound, &rtp(n, 7, &[3; 160])).unwrap();
            check_open(&mut inbound, &sealed, Ok(&rtp(n, 7, &[3; 160])));
            check_open(&mut inbound, &sealed, Err(SrtpError::Replayed));
        }
    }
}

#[test]
fn forgeries_within_a_change_of_keys_change_nothing() {
    let mut random = Random(77);
    for suite in Suite::ALL {
        let mut outbound = Outbound::new(&keys(suite).0);
        let mut inbound = Inbound::new(&keys(suite).0);
        let (fresh, _) = other_keys(suite);
        inbound.rekey(&fresh, Mki::parse("1", "1"));
        for n in 0..200 {
            let mut forged = rtp(n, 7, &random.bytes(160));
            assert_eq!(unprotect(&mut inbound, &forged), Err(SrtpError::AuthenticationFailed));
            forged.truncate(random.below(28) as usize);
            assert!(unprotect(&mut inbound, &forged).is_err());
            let sealed = protect(&mut outbound, &rtp(n, 7, &[4; 160])).unwrap();
            check_open(&mut inbound, &sealed, Ok(&rtp(n, 7, &[4; 160])));
        }
    }
}
