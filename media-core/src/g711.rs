//! G.711: µ-law and A-law bytes to and from 16-bit linear samples at 8 kHz (ITU-T G.711). Tables
//! are made at compile time.

use crate::codec::Law;

/// The byte of digital silence.
pub const fn silence(law: Law) -> u8 {
    match law {
        Law::Pcmu => 0xff,
        Law::Pcma => 0xd5,
    }
}

/// The linear sample of each of the 256 bytes.
pub const fn decode_table(law: Law) -> &'static [i16; 256] {
    match law {
        Law::Pcmu => &PCMU_DECODE,
        Law::Pcma => &PCMA_DECODE,
    }
}

/// The byte nearest to a linear sample.
pub const fn encode(law: Law, sample: i16) -> u8 {
    match law {
        Law::Pcmu => encode_pcmu(sample),
        Law::Pcma => encode_pcma(sample),
    }
}

/// Rewrites samples from one law into the other, in place.
pub fn transcode(payload: &mut [u8], from: Law, to: Law) {
    let table = match (from, to) {
        (Law::Pcmu, Law::Pcma) => &PCMU_TO_PCMA,
        (Law::Pcma, Law::Pcmu) => &PCMA_TO_PCMU,
        (Law::Pcmu, Law::Pcmu) | (Law::Pcma, Law::Pcma) => return,
    };
    for byte in payload {
        *byte = table[*byte as usize];
    }
}

/// Encodes samples by table, as many as there are bytes for.
pub fn encode_all(law: Law, samples: &[i16], bytes: &mut [u8]) {
    match law {
        // The steps of µ-law lie at multiples of 4 on both sides of 0, those of A-law at multiples
        // of 16 below and above.
        Law::Pcmu => {
            for (byte, sample) in bytes.iter_mut().zip(samples) {
                *byte = PCMU_ENCODE
                    [(((*sample + ((*sample >> 15) & 3)) >> 2) as u16 & 0x3fff) as usize];
            }
        }
        Law::Pcma => {
            for (byte, sample) in bytes.iter_mut().zip(samples) {
                *byte = PCMA_ENCODE[((*sample >> 4) as u16 & 0x0fff) as usize];
            }
        }
    }
}

/// The byte of each quarter of a sample, by its 14 bits.
static PCMU_ENCODE: [u8; 0x4000] = {
    let mut table = [0; 0x4000];
    let mut bits = 0;
    while bits < 0x4000 {
        table[bits] = encode_pcmu(((bits as u16) << 2) as i16);
        bits += 1;
    }
    table
};

/// The byte of each sixteenth of a sample, by its 12 bits.
static PCMA_ENCODE: [u8; 0x1000] = {
    let mut table = [0; 0x1000];
    let mut bits = 0;
    while bits < 0x1000 {
        table[bits] = encode_pcma(((bits as u16) << 4) as i16);
        bits += 1;
    }
    table
};

static PCMU_DECODE: [i16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = decode_pcmu(byte as u8);
        byte += 1;
    }
    table
};

static PCMA_DECODE: [i16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = decode_pcma(byte as u8);
        byte += 1;
    }
    table
};

static PCMU_TO_PCMA: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = encode_pcma(PCMU_DECODE[byte]);
        byte += 1;
    }
    table
};

static PCMA_TO_PCMU: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = encode_pcmu(PCMA_DECODE[byte]);
        byte += 1;
    }
    table
};

const PCMU_BIAS: i32 = 0x84;
const PCMU_CLIP: i32 = 32635;

const fn decode_pcmu(byte: u8) -> i16 {
    let bits = !byte;
    let exponent = (bits >> 4) & 7;
    let magnitude = (((((bits & 0x0f) as i32) << 3) + PCMU_BIAS) << exponent) - PCMU_BIAS;
    if bits & 0x80 != 0 { -magnitude as i16 } else { magnitude as i16 }
}

const fn encode_pcmu(sample: i16) -> u8 {
    let sign = if sample < 0 { 0x80 } else { 0 };
    let mut magnitude = (sample as i32).abs();
    if magnitude > PCMU_CLIP {
        magnitude = PCMU_CLIP;
    }
    magnitude += PCMU_BIAS;
    let exponent = (31 - magnitude.leading_zeros() as i32) - 7;
    let mantissa = (magnitude >> (exponent + 3)) & 0x0f;
    !(sign | ((exponent << 4) as u8) | mantissa as u8)
}

const fn decode_pcma(byte: u8) -> i16 {
    let bits = byte ^ 0x55;
    let exponent = (bits >> 4) & 7;
    let mantissa = (bits & 0x0f) as i32;
    let magnitude = if exponent == 0 {
        (mantissa << 4) + 8
    } else {
        ((mantissa << 4) + 0x108) << (exponent - 1)
    };
    if bits & 0x80 != 0 { magnitude as i16 } else { -magnitude as i16 }
}

const fn encode_pcma(sample: i16) -> u8 {
    // A-law counts negative magnitudes from -1, so that -1 is the smallest negative step.
    let (sign, magnitude) =
        if sample >= 0 { (0x80u8, (sample >> 4) as i32) } else { (0, (!sample >> 4) as i32) };
    // 12-bit magnitude (0..=2047) in units of 16.
    let bits = if magnitude < 16 {
        magnitude as u8
    } else {
        let exponent = 31 - magnitude.leading_zeros() as i32 - 3;
        ((exponent << 4) | ((magnitude >> (exponent - 1)) & 0x0f)) as u8
    };
    (sign | bits) ^ 0x55
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_bytes() {
        #[track_caller]
        fn check(law: Law, byte: u8, sample: i16) {
            assert_eq!(decode_table(law)[byte as usize], sample);
            assert_eq!(encode(law, sample), byte);
        }
        // ITU-T G.711 tables 1a and 2a: the ends and the smallest steps, scaled to 16 bits.
        check(Law::Pcmu, 0xff, 0);
        check(Law::Pcmu, 0x80, 32124);
        check(Law::Pcmu, 0x00, -32124);
        check(Law::Pcmu, 0xfe, 8);
        check(Law::Pcma, 0xd5, 8);
        check(Law::Pcma, 0x55, -8);
        check(Law::Pcma, 0xaa, 32256);
        check(Law::Pcma, 0x2a, -32256);
    }

    #[test]
    fn every_byte_survives_a_round_trip() {
        for law in [Law::Pcmu, Law::Pcma] {
            for byte in 0..=255u8 {
                let sample = decode_table(law)[byte as usize];
                let again = decode_table(law)[encode(law, sample) as usize];
                assert_eq!(sample, again, "{law:?} {byte:#04x}");
            }
        }
    }

    #[test]
    fn tables_encode_as_single_samples_are() {
        let samples: Vec<i16> = (i16::MIN..=i16::MAX).collect();
        for law in [Law::Pcmu, Law::Pcma] {
            let mut bytes = vec![0; samples.len()];
            encode_all(law, &samples, &mut bytes);
            for (sample, byte) in samples.iter().zip(&bytes) {
                let expected = decode_table(law)[encode(law, *sample) as usize];
                assert_eq!(decode_table(law)[*byte as usize], expected, "{law:?} {sample}");
            }
        }
    }

    #[test]
    fn every_sample_is_encoded_within_half_a_step() {
        for law in [Law::Pcmu, Law::Pcma] {
            for sample in i16::MIN..=i16::MAX {
                let error =
                    (sample as i32 - decode_table(law)[encode(law, sample) as usize] as i32).abs();
                assert!(
                    error <= 16 + (sample as i32).abs() / 32,
                    "{law:?} {sample} off by {error}"
                );
            }
        }
    }

    #[test]
    fn transcoding_keeps_the_level() {
        for sample in (i16::MIN..=i16::MAX).step_by(97) {
            let mut payload = [encode(Law::Pcma, sample)];
            transcode(&mut payload, Law::Pcma, Law::Pcmu);
            let error = (sample as i32 - decode_table(Law::Pcmu)[payload[0] as usize] as i32).abs();
            assert!(error <= 32 + (sample as i32).abs() / 16, "{sample} off by {error}");
        }
    }
}
