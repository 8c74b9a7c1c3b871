//! Files of each kind, and files that are none.

use super::*;
use crate::tone::{Tone, level};

fn file(tag: u16, channel_count: u16, rate: u32, bits: u16, data: &[u8]) -> Vec<u8> {
    let mut file = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0".to_vec();
    file.extend(tag.to_le_bytes());
    file.extend(channel_count.to_le_bytes());
    file.extend(rate.to_le_bytes());
    file.extend([0; 6]);
    file.extend(bits.to_le_bytes());
    file.extend(b"data");
    file.extend((data.len() as u32).to_le_bytes());
    file.extend(data);
    file
}

fn pcm(samples: &[i16]) -> Vec<u8> {
    samples.iter().flat_map(|sample| sample.to_le_bytes()).collect()
}

#[test]
fn each_encoding_is_read() {
    assert_eq!(read(&file(1, 1, 8000, 16, &pcm(&[1, -2, 32_767]))), Ok(vec![1, -2, 32_767]));
    assert_eq!(read(&file(6, 1, 8000, 8, &[0x2a, 0xaa])), Ok(vec![-32_256, 32_256]));
    assert_eq!(read(&file(7, 1, 8000, 8, &[0x00, 0x80, 0xff])), Ok(vec![-32_124, 32_124, 0]));
}

#[test]
fn other_chunks_and_extensible_formats_are_understood() {
    let mut listed = file(1, 1, 8000, 16, &pcm(&[5, 6]));
    listed.splice(12..12, *b"LIST\x03\0\0\0abc\0");
    assert_eq!(read(&listed), Ok(vec![5, 6]));
    let mut extensible = file(0xfffe, 1, 8000, 16, &pcm(&[7]));
    extensible[16] = 40;
    extensible.splice(36..36, [22, 0, 16, 0, 4, 0, 0, 0].into_iter().chain([1, 0]).chain([0; 14]));
    assert_eq!(read(&extensible), Ok(vec![7]));
}

#[test]
fn sixteen_kilohertz_are_halved_without_aliases() {
    #[track_caller]
    fn check(frequency: f64, heard_at: f64, range: std::ops::Range<f64>) {
        let samples: Vec<i16> = (0..16_000)
            .map(|n| {
                ((f64::from(n) * frequency / 16_000.0 * std::f64::consts::TAU).sin() * 8000.0)
                    as i16
            })
            .collect();
        let halved = read(&file(1, 1, 16_000, 16, &pcm(&samples))).unwrap();
        assert_eq!(halved.len(), 8000);
        let heard = level(&halved[400..7600], heard_at);
        assert!(range.contains(&heard), "{frequency} Hz at {heard}");
    }
    check(400.0, 400.0, 7800.0..8200.0);
    check(2000.0, 2000.0, 7500.0..8300.0);
    check(6500.0, 1500.0, 0.0..200.0);
}

#[test]
fn what_is_no_audio_of_ours_is_refused() {
    #[track_caller]
    fn check(bytes: &[u8], expected: WavError) {
        assert_eq!(read(bytes), Err(expected));
    }
    check(b"", WavError::NotWav);
    check(b"OggS and more bytes than a header has", WavError::NotWav);
    check(&file(1, 1, 8000, 16, &[])[..30], WavError::CutShort);
    check(&file(1, 1, 8000, 16, &[])[..36], WavError::CutShort);
    check(&file(1, 1, 8000, 16, &[1]), WavError::Empty);
    check(&file(1, 2, 8000, 16, &[0; 4]), WavError::ChannelCount);
    check(&file(1, 1, 44_100, 16, &[0; 4]), WavError::SampleRate);
    check(&file(1, 1, 8000, 8, &[0; 4]), WavError::Encoding);
    check(&file(3, 1, 8000, 32, &[0; 4]), WavError::Encoding);
    check(&file(7, 1, 8000, 8, &vec![0; 960_001]), WavError::TooLong);
    assert_eq!(
        read(&file(7, 1, 8000, 8, &vec![0; 960_000])).map(|samples| samples.len()),
        Ok(960_000)
    );
}

#[test]
fn no_bytes_panic_and_what_is_read_can_be_written_again() {
    let mut random = crate::random::Random::new(9);
    let whole = file(1, 1, 16_000, 16, &pcm(&[3; 50]));
    let mut read_count = 0;
    for _ in 0..20_000 {
        let mut bytes = whole.clone();
        for _ in 0..random.next_u64() % 4 {
            let at = random.next_u64() as usize % bytes.len();
            bytes[at] = random.next_u64() as u8;
        }
        bytes.truncate(random.next_u64() as usize % (bytes.len() + 1));
        if let Ok(samples) = read(&bytes) {
            assert_eq!(read(&file(1, 1, 8000, 16, &pcm(&samples))), Ok(samples), "{bytes:02x?}");
            read_count += 1;
        }
    }
    assert!((1_000..19_000).contains(&read_count), "both paths are walked: {read_count}");
}

#[test]
fn a_tone_survives() {
    let mut samples = vec![0; 8000];
    Tone::steady(1000.0, 8000.0).fill(0, &mut samples);
    assert!(
        (7900.0..8100.0)
            .contains(&level(&read(&file(1, 1, 8000, 16, &pcm(&samples))).unwrap(), 1000.0))
    );
}
