//! Against the codes and samples of libg722 1.2, whose 8 kHz mode takes the lower band as well.

use super::*;

/// The high half of a congruential sequence, which is the same everywhere.
fn noise(seed: u32) -> impl Iterator<Item = u16> {
    let step = |state: &u32| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    std::iter::successors(step(&seed), step).map(|state| (state >> 16) as u16)
}

/// FNV-1a.
fn hash(bytes: impl Iterator<Item = u8>) -> u64 {
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

#[test]
fn codes_and_samples_are_those_of_the_reference() {
    let mut encoder = Encoder::default();
    let samples = noise(1).take(16_000).zip(0..).map(|(sample, n)| sample as i16 >> (n / 2_000));
    let codes = samples.map(|sample| encoder.encode(sample));
    assert_eq!(hash(codes), 0xaec7_7e9d_1c9d_1bc5);
    let mut decoder = Decoder::default();
    let codes = noise(7).take(16_000).map(|code| (code >> 8) as u8);
    let samples = codes.flat_map(|code| decoder.decode(code).to_le_bytes());
    assert_eq!(hash(samples), 0xe387_c14e_e5b9_82c2);
}

#[test]
fn what_is_encoded_is_heard() {
    let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
    let tone = |n: u32| (f64::from(n) * 0.4).sin() * 8_000.0;
    let (mut signal, mut error) = (0.0, 0.0);
    for n in 0..8_000 {
        let sample = tone(n);
        let heard = f64::from(decoder.decode(encoder.encode(sample as i16)));
        if n > 200 {
            signal += sample * sample;
            error += (heard - sample) * (heard - sample);
        }
    }
    // 35 dB.
    assert!(signal / error > 3_000.0, "{}", signal / error);
    // Silence after it dies away.
    let quiet: Vec<i16> =
        (0..2_000).map(|_| decoder.decode(encoder.encode(0))).skip(1_900).collect();
    assert!(quiet.iter().all(|sample| sample.abs() < 16), "{quiet:?}");
}
