//! G.722 at 64 kbit/s, of which the lower band alone is made and heard: one byte is one sample at
//! 8 kHz (ITU-T G.722 §3 and §4, blocks by their names there). Everybody who does not speak G.722
//! has no more; those who do are relayed with both bands.

/// Six-bit quantiser of the encoder: decision levels (G.722 table 4), by magnitude.
const LEVELS: [i32; 30] = [
    0, 35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940,
    1023, 1121, 1219, 1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919,
];
/// Six-bit inverse quantiser (G.722 table 5), by code word.
const SIX_BITS: [i32; 64] = [
    -136, -136, -136, -136, -24808, -21904, -19008, -16704, -14984, -13512, -12280, -11192, -10232,
    -9360, -8576, -7856, -7192, -6576, -6000, -5456, -4944, -4464, -4008, -3576, -3168, -2776,
    -2400, -2032, -1688, -1360, -1040, -728, 24808, 21904, 19008, 16704, 14984, 13512, 12280,
    11192, 10232, 9360, 8576, 7856, 7192, 6576, 6000, 5456, 4944, 4464, 4008, 3576, 3168, 2776,
    2400, 2032, 1688, 1360, 1040, 728, 432, 136, -432, -136,
];
/// Four-bit inverse quantiser (G.722 table 8), by the code word's upper bits: what both sides
/// adapt by.
const FOUR_BITS: [i32; 16] = [
    0, -20456, -12896, -8968, -6288, -4240, -2584, -1200, 20456, 12896, 8968, 6288, 4240, 2584,
    1200, 0,
];
/// Logarithmic multipliers (G.722 table 9), by the code word's upper bits.
const MULTIPLIERS: [i32; 16] =
    [-60, 3042, 1198, 538, 334, 172, 58, -30, 3042, 1198, 538, 334, 172, 58, -30, -60];
/// Inverse of the logarithm (G.722 table 11).
const INVERSE_LOG: [i32; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834,
    2896, 2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];
/// The upper band's code word of a value next to zero: its receiver falls silent on it.
const SILENT_UPPER: u8 = 0b11 << 6;

/// The predictor and step size of the lower band, which both sides adapt alike.
#[derive(Debug, Clone)]
struct Band {
    /// Predicted signal, and what the zeros give to it.
    s: i32,
    sz: i32,
    /// Reconstructed and partially reconstructed signal, the newest first.
    r: [i32; 2],
    p: [i32; 2],
    /// Of the poles.
    a: [i32; 2],
    /// Quantised differences, the newest first, and the coefficients of the zeros.
    d: [i32; 6],
    b: [i32; 6],
    /// Logarithm of the step size, and the step size.
    nb: i32,
    det: i32,
}

impl Default for Band {
    fn default() -> Band {
        // G.722 table 12: the reset of the lower band.
        Band { s: 0, sz: 0, r: [0; 2], p: [0; 2], a: [0; 2], d: [0; 6], b: [0; 6], nb: 0, det: 32 }
    }
}

impl Band {
    /// Adapts to the next code word, of which the upper four bits count.
    fn adapt(&mut self, code: u8) {
        let upper = usize::from(code >> 2);
        let difference = (self.det * FOUR_BITS[upper]) >> 15;
        // LOGSCL, SCALEL.
        self.nb = (((self.nb * 127) >> 7) + MULTIPLIERS[upper]).clamp(0, 18_432);
        let mantissa = INVERSE_LOG[(self.nb >> 6) as usize & 31];
        let shift = 8 - (self.nb >> 11);
        self.det = (if shift < 0 { mantissa << -shift } else { mantissa >> shift }) << 2;
        self.predict(difference);
    }

    fn predict(&mut self, difference: i32) {
        // RECONS, PARREC.
        let r = saturate(self.s + difference);
        let p = saturate(self.sz + difference);
        // UPPOL2.
        let agrees = |before: i32| (p < 0) == (before < 0);
        let slope = saturate(self.a[0] << 2);
        let slope = (if agrees(self.p[0]) { -slope } else { slope }).min(32_767);
        let second = (slope >> 7) + if agrees(self.p[1]) { 128 } else { -128 };
        let second = (second + ((self.a[1] * 32_512) >> 15)).clamp(-12_288, 12_288);
        // UPPOL1.
        let first = if agrees(self.p[0]) { 192 } else { -192 };
        let first = saturate(first + ((self.a[0] * 32_640) >> 15));
        let limit = saturate(15_360 - second);
        let first = first.clamp(-limit, limit);
        // UPZERO.
        let step = if difference == 0 { 0 } else { 128 };
        for (b, d) in self.b.iter_mut().zip(&self.d) {
            let step = if (*d < 0) == (difference < 0) { step } else { -step };
            *b = saturate(step + ((*b * 32_640) >> 15));
        }
        // DELAYA.
        self.d.rotate_right(1);
        self.d[0] = difference;
        (self.r, self.p, self.a) = ([r, self.r[0]], [p, self.p[0]], [first, second]);
        // FILTEP, FILTEZ, PREDIC.
        let product = |coefficient: i32, value: i32| (coefficient * saturate(2 * value)) >> 15;
        let poles = saturate(product(first, r) + product(second, self.r[1]));
        let zeros = self.b.iter().zip(&self.d).map(|(b, d)| product(*b, *d)).sum();
        self.sz = saturate(zeros);
        self.s = saturate(poles + self.sz);
    }
}

/// Hears the lower band of one stream.
#[derive(Debug, Clone, Default)]
pub(crate) struct Decoder(Band);

impl Decoder {
    /// The sample of the next byte, whose upper two bits are of the upper band.
    pub fn decode(&mut self, byte: u8) -> i16 {
        let code = byte & 0x3f;
        let band = &mut self.0;
        // INVQBL, LIMIT: 15 bits.
        let reconstructed = band.s + ((band.det * SIX_BITS[usize::from(code)]) >> 15);
        let sample = reconstructed.clamp(-16_384, 16_383);
        band.adapt(code);
        (sample << 1) as i16
    }
}

/// Makes one stream, its upper band silent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Encoder(Band);

impl Encoder {
    /// The byte of the next sample.
    pub fn encode(&mut self, sample: i16) -> u8 {
        let band = &mut self.0;
        // SUBTRA, QUANTL.
        let difference = saturate(i32::from(sample >> 1) - band.s);
        let magnitude = if difference < 0 { -(difference + 1) } else { difference };
        let det = band.det;
        let above = LEVELS[1..].partition_point(|level| (level * det) >> 12 <= magnitude) as u8;
        // G.722 table 4: the outermost negative intervals share a code word with none.
        let code = match (difference < 0, above) {
            (true, 0..=1) => 63 - above,
            (true, _) => 33 - above,
            (false, _) => 61 - above,
        };
        band.adapt(code);
        SILENT_UPPER | code
    }
}

/// Keeps a value within 16 bits.
fn saturate(value: i32) -> i32 {
    value.clamp(i16::MIN.into(), i16::MAX.into())
}

#[cfg(test)]
mod tests;
