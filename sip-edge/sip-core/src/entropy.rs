//! The shard's random source: a ChaCha stream from the seed that the shell passed in. Branches,
//! tags, Call-IDs and SRTP keys must not be guessed (RFC 3261 §8.1.1.4, §19.3), so the seed must
//! come from the system's generator.

use media_core::srtp::{Keys, Suite};
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// Bytes of a tag, branch or Call-ID.
const TOKEN_LEN: usize = 12;

/// Tags, branches, nonces and ids, from a seed (RFC 3261 §19.3).
pub struct Entropy {
    shard: u16,
    rng: ChaCha12Rng,
}

impl Entropy {
    pub fn new(shard: u16, seed: [u8; 32]) -> Entropy {
        Entropy { shard, rng: ChaCha12Rng::from_seed(seed) }
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.rng.next_u64()
    }

    /// A tag or Call-ID that begins with the shard's number.
    pub fn token(&mut self) -> String {
        let mut bytes = [0; size_of::<u128>()];
        self.rng.fill_bytes(&mut bytes[..TOKEN_LEN]);
        let digits = u128::from_be_bytes(bytes) >> (8 * (bytes.len() - TOKEN_LEN));
        format!("s{}-{digits:0width$x}", self.shard, width = 2 * TOKEN_LEN)
    }

    /// Whether a text has the form of this shard's tags and Call-IDs, whoever made it.
    pub fn is_token(&self, text: &str) -> bool {
        shard_of_token(text.as_bytes()) == Some(self.shard)
    }

    /// A transaction of STUN (RFC 8489 §5) that begins with the shard's number.
    pub fn stun_transaction(&mut self) -> [u8; 12] {
        let mut transaction = [0; 12];
        self.rng.fill_bytes(&mut transaction);
        transaction[..2].copy_from_slice(&self.shard.to_be_bytes());
        transaction
    }

    /// A branch of RFC 3261 §8.1.1.7.
    pub fn branch(&mut self) -> String {
        format!("z9hG4bK{}", self.token())
    }

    /// A new SRTP master key and salt.
    pub fn keys(&mut self, suite: Suite) -> Keys {
        let mut material = vec![0; suite.material_len()];
        self.rng.fill_bytes(&mut material);
        Keys::new(suite, &material).expect("the material has the suite's length")
    }
}

/// The number in a text that has the form of a shard's tags and Call-IDs, whoever made it.
pub fn shard_of_token(text: &[u8]) -> Option<u16> {
    let rest = text.strip_prefix(b"s")?;
    let len = rest.iter().position(|byte| *byte == b'-')?;
    let (number, digits) = (&rest[..len], &rest[len + 1..]);
    let is_plain = number.iter().all(u8::is_ascii_digit) && (len == 1 || !number.starts_with(b"0"));
    let is_token =
        is_plain && digits.len() == 2 * TOKEN_LEN && digits.iter().all(u8::is_ascii_hexdigit);
    std::str::from_utf8(number).ok().filter(|_| is_token)?.parse().ok()
}
