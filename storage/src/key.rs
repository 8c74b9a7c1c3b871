//! Keys: text of any content as a two-byte length and its bytes, so that one part never runs into
//! the next and an account's keys share a prefix that no other account has; numbers big-endian, so
//! that byte order is their order.

/// Builds a key part by part.
#[derive(Default)]
pub(crate) struct Key(Vec<u8>);

impl Key {
    pub(crate) fn of(text: impl AsRef<str>) -> Self {
        Self::default().text(text)
    }

    pub(crate) fn text(mut self, text: impl AsRef<str>) -> Self {
        let text = text.as_ref();
        // Longer text is cut: no caller sends as much, and the cut still gives one well-formed key.
        let bytes = &text.as_bytes()[..text.len().min(usize::from(u16::MAX))];
        self.0.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    /// Ascending.
    pub(crate) fn number(mut self, number: u64) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    /// Descending: greater numbers sort first.
    pub(crate) fn newest(self, at_ms: u64) -> Self {
        self.number(!at_ms)
    }

    pub(crate) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// The end of the key, as is: its length is the key's.
    pub(crate) fn rest(mut self, text: impl AsRef<str>) -> Self {
        self.0.extend_from_slice(text.as_ref().as_bytes());
        self
    }

    pub(crate) fn bytes(self) -> Vec<u8> {
        self.0
    }
}

/// Reads a key part by part.
pub(crate) struct KeyReader<'a>(pub(crate) &'a [u8]);

impl<'a> KeyReader<'a> {
    pub(crate) fn text(&mut self) -> Option<&'a str> {
        let (len, rest) = self.0.split_at_checked(2)?;
        let (text, rest) =
            rest.split_at_checked(usize::from(u16::from_be_bytes([len[0], len[1]])))?;
        self.0 = rest;
        std::str::from_utf8(text).ok()
    }

    pub(crate) fn number(&mut self) -> Option<u64> {
        let (number, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*number))
    }

    pub(crate) fn newest(&mut self) -> Option<u64> {
        self.number().map(|number| !number)
    }

    pub(crate) fn rest(self) -> Option<&'a str> {
        std::str::from_utf8(self.0).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_prefixes() {
        let key = |account: &str, at: u64| Key::of(account).newest(at).rest("c").bytes();
        assert!(key("a", 2) < key("a", 1), "newest first");
        assert!(!key("ab", 1).starts_with(&Key::of("a").bytes()), "an account's prefix is its own");
        assert!(Key::of("x").number(1).bytes() < Key::of("x").number(256).bytes());
    }

    #[test]
    fn reads_what_it_built() {
        let bytes = Key::of("a\0é").newest(7).number(9).rest("end").bytes();
        let mut reader = KeyReader(&bytes);
        assert_eq!(reader.text(), Some("a\0é"));
        assert_eq!(reader.newest(), Some(7));
        assert_eq!(reader.number(), Some(9));
        assert_eq!(reader.rest(), Some("end"));
        assert_eq!(KeyReader(&[0, 9, 1]).text(), None);
    }
}
