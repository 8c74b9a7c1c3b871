//! Recordings as the API gives them out: stereo WAV, and which tones each channel holds.

use media_core::tone;

/// Peak of the tones that parties send.
pub const AMPLITUDE: f64 = 10_000.0;

/// A decoded recording.
pub struct Wav {
    pub agent: Vec<i16>,
    pub customer: Vec<i16>,
    /// Empty in a recording of two channels.
    pub third: Vec<i16>,
}

impl Wav {
    /// Reads a RIFF file of two or three channels of 16 bits at 8 kHz; anything else is an error
    /// that says why.
    pub fn parse(bytes: &[u8]) -> Result<Wav, String> {
        let number = |at: usize, len: usize| -> Result<u64, String> {
            let bytes = bytes
                .get(at..at + len)
                .ok_or_else(|| format!("it ends before byte {}", at + len))?;
            Ok(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
        };
        let is = |at: usize, word: &[u8]| bytes.get(at..at + word.len()) == Some(word);
        if !is(0, b"RIFF") || !is(8, b"WAVEfmt ") || !is(36, b"data") {
            return Err("it is no RIFF file with fmt and data".into());
        }
        let shape = (number(20, 2)?, number(22, 2)?, number(24, 4)?, number(34, 2)?);
        let channel_count = shape.1 as usize;
        if !matches!(shape, (1, 2 | 3, 8000, 16)) {
            return Err(format!("format, channels, rate and bits are {shape:?}"));
        }
        let (riff_len, data_len) = (number(4, 4)? as usize, number(40, 4)? as usize);
        if riff_len + 8 != bytes.len() || data_len + 44 != bytes.len() {
            return Err(format!(
                "it says {riff_len} and {data_len}, and has {} bytes",
                bytes.len()
            ));
        }
        let samples: Vec<i16> = bytes[44..]
            .chunks_exact(2)
            .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
            .collect();
        let channel =
            |offset: usize| samples.iter().skip(offset).step_by(channel_count).copied().collect();
        let third = if channel_count == 3 { channel(2) } else { Vec::new() };
        Ok(Wav { agent: channel(0), customer: channel(1), third })
    }

    /// Its length in seconds.
    pub fn duration_s(&self) -> f64 {
        self.agent.len() as f64 / 8000.0
    }
}

/// Milliseconds, in pieces of 20, in which a tone of this frequency is heard at no less than half
/// its strength.
pub fn heard_ms(samples: &[i16], frequency: f64) -> usize {
    samples
        .chunks_exact(160)
        .filter(|piece| tone::level(piece, frequency) > AMPLITUDE / 2.0)
        .count()
        * 20
}

/// Whether no tone of this frequency is heard, be it short and not quite weak (another tone's begin
/// has a twentieth of its strength at every frequency) or weak and long.
pub fn is_absent(samples: &[i16], frequency: f64) -> bool {
    let (loudest, whole) = levels(samples, frequency);
    loudest < AMPLITUDE / 10.0 && whole < AMPLITUDE / 50.0
}

/// Fails unless `is_absent`.
#[track_caller]
pub fn assert_absent(samples: &[i16], frequency: f64) {
    let (loudest, whole) = levels(samples, frequency);
    assert!(
        is_absent(samples, frequency),
        "{frequency} Hz: {loudest:.0} in 20 ms, {whole:.0} all along"
    );
}

/// Level of a tone in the loudest 20 ms, and over all.
fn levels(samples: &[i16], frequency: f64) -> (f64, f64) {
    let loudest =
        samples.chunks_exact(160).map(|piece| tone::level(piece, frequency)).fold(0.0, f64::max);
    (loudest, tone::level(samples, frequency))
}

/// A tone of this frequency in Hz and this peak as a WAV file of one channel at 8 kHz.
pub fn tone_file(frequency: f64, amplitude: f64, length_s: usize) -> Vec<u8> {
    let tone = tone::Tone::steady(frequency, amplitude);
    let samples = (0..length_s as u64 * 8000).flat_map(|at| tone.sample(at).to_le_bytes());
    let data_len = length_s as u32 * 16_000;
    let mut file = b"RIFF".to_vec();
    file.extend((36 + data_len).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    file.extend([8000_u32, 16_000].into_iter().flat_map(u32::to_le_bytes));
    file.extend(b"\x02\0\x10\0data");
    file.extend(data_len.to_le_bytes());
    file.extend(samples);
    file
}
