//! ICE as a lite agent (RFC 8445): names and passwords of our side.

use std::fmt;

use ring::hmac;

/// Characters of ICE names and passwords (RFC 8839 §5.4).
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// Characters of a name: the leg's index, then what makes it differ from the index's other uses (RFC 8445 §5.3: at least 24 bits).
const UFRAG_LEN: usize = 12;
const INDEX_LEN: usize = 4;
/// Characters of a password, six bits each (RFC 8445 §5.3: at least 128 bits).
const PASSWORD_LEN: usize = 24;

/// A name and password of our side. The name begins with the leg's index, so that a check finds its leg without a table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Credentials {
    ufrag: [u8; UFRAG_LEN],
    password: [u8; PASSWORD_LEN],
}

impl Credentials {
    /// The name, which SDP and each check tell.
    pub fn ufrag(&self) -> &str {
        std::str::from_utf8(&self.ufrag).expect("the alphabet is ASCII")
    }

    /// The password, which SDP tells.
    pub fn password(&self) -> &str {
        std::str::from_utf8(&self.password).expect("the alphabet is ASCII")
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Credentials").field("ufrag", &self.ufrag()).finish_non_exhaustive()
    }
}

/// Makes credentials from the shard's secret; no two are equal.
pub(crate) struct Mint {
    key: hmac::Key,
    made: u64,
}

impl Mint {
    pub fn new(secret: &[u8]) -> Mint {
        Mint { key: hmac::Key::new(hmac::HMAC_SHA256, secret), made: 0 }
    }

    /// New credentials for the leg with this index.
    pub fn credentials(&mut self, index: u32) -> Credentials {
        self.made += 1;
        let mut context = hmac::Context::with_key(&self.key);
        context.update(b"ice");
        context.update(&self.made.to_be_bytes());
        let tag = context.sign();
        let mut random = tag.as_ref().iter().map(|byte| ALPHABET[usize::from(byte & 63)]);
        let mut made = Credentials { ufrag: [0; UFRAG_LEN], password: [0; PASSWORD_LEN] };
        for (place, letter) in made.ufrag[..INDEX_LEN].iter_mut().enumerate() {
            *letter = ALPHABET[(index >> (6 * place)) as usize & 63];
        }
        let letters = made.ufrag[INDEX_LEN..].iter_mut().chain(&mut made.password);
        letters.for_each(|letter| *letter = random.next().expect("a tag has 32 bytes"));
        made
    }
}

/// The index with which a name of ours begins; `None` if it has not a name's form.
pub(crate) fn leg_index(ufrag: &[u8]) -> Option<u32> {
    let name: &[u8; UFRAG_LEN] = ufrag.try_into().ok()?;
    name[..INDEX_LEN].iter().rev().try_fold(0, |index, letter| {
        let value = ALPHABET.iter().position(|known| known == letter)?;
        Some(index << 6 | value as u32)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_leg_and_no_credentials_are_equal() {
        let mut mint = Mint::new(b"secret");
        for index in [0, 1, 63, 64, 4_095, 65_535, 131_070] {
            let (first, second) = (mint.credentials(index), mint.credentials(index));
            assert_eq!(leg_index(first.ufrag().as_bytes()), Some(index));
            assert_ne!(first.ufrag(), second.ufrag());
            assert_ne!(first.password(), second.password());
            assert!((first.password().len(), first.ufrag().len()) == (24, 12));
        }
        assert_ne!(Mint::new(b"a").credentials(1).password(), Mint::new(b"b").credentials(1).password());
        assert!(!format!("{:?}", mint.credentials(3)).contains(mint.credentials(3).password()));
        assert_eq!(leg_index(b"short"), None);
        assert_eq!(leg_index(b"AAA:AAAAAAAA"), None);
    }
}
