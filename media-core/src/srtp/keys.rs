//! Crypto suites, master keys and their identifiers (RFC 3711 §3.1, §8.2, RFC 4568 §6.2, RFC 7714
//! §14.2).

use std::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

/// The longest master key and salt together, in bytes.
const MAX_MATERIAL_LEN: usize = 44;

/// A crypto suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Suite {
    AeadAes128Gcm,
    AeadAes256Gcm,
    AesCm128HmacSha1_80,
    AesCm128HmacSha1_32,
}

impl Suite {
    /// All suites, the preferred one first.
    pub const ALL: [Self; 4] = [
        Self::AeadAes128Gcm,
        Self::AeadAes256Gcm,
        Self::AesCm128HmacSha1_80,
        Self::AesCm128HmacSha1_32,
    ];

    /// The name in SDES (RFC 4568 §6.2, RFC 7714 §14.2).
    pub const fn name(self) -> &'static str {
        match self {
            Self::AeadAes128Gcm => "AEAD_AES_128_GCM",
            Self::AeadAes256Gcm => "AEAD_AES_256_GCM",
            Self::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AesCm128HmacSha1_32 => "AES_CM_128_HMAC_SHA1_32",
        }
    }

    /// Master key length in bytes.
    pub const fn key_len(self) -> usize {
        match self {
            Self::AeadAes256Gcm => 32,
            Self::AeadAes128Gcm | Self::AesCm128HmacSha1_80 | Self::AesCm128HmacSha1_32 => 16,
        }
    }

    /// Master salt length in bytes.
    pub const fn salt_len(self) -> usize {
        match self {
            Self::AeadAes128Gcm | Self::AeadAes256Gcm => 12,
            Self::AesCm128HmacSha1_80 | Self::AesCm128HmacSha1_32 => 14,
        }
    }

    /// Length of master key and salt together, in bytes: what `Keys::new` takes.
    pub const fn material_len(self) -> usize {
        self.key_len() + self.salt_len()
    }
}

/// A suite with its master key and salt. Debug output shows the suite only; memory is wiped on
/// drop.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Keys {
    #[zeroize(skip)]
    suite: Suite,
    material: [u8; MAX_MATERIAL_LEN],
}

impl Keys {
    /// Takes master key followed by master salt; `None` unless `material` is `suite.material_len()`
    /// bytes long.
    pub fn new(suite: Suite, material: &[u8]) -> Option<Self> {
        if material.len() != suite.material_len() {
            return None;
        }
        let mut keys = Self { suite, material: [0; MAX_MATERIAL_LEN] };
        keys.material[..material.len()].copy_from_slice(material);
        Some(keys)
    }

    /// The transform that they are for.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// Master key followed by master salt.
    pub(crate) fn material(&self) -> &[u8] {
        &self.material[..self.suite.material_len()]
    }

    pub(super) fn master_key(&self) -> &[u8] {
        &self.material[..self.suite.key_len()]
    }

    pub(super) fn master_salt(&self) -> &[u8] {
        &self.material[self.suite.key_len()..self.suite.material_len()]
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Keys").field("suite", &self.suite).finish_non_exhaustive()
    }
}

/// The longest master key identifier that is read, in bytes.
const MAX_MKI_LEN: usize = 16;

/// A master key identifier: bytes that each packet of its key carries (RFC 3711 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mki {
    /// Ends with the identifier.
    bytes: [u8; MAX_MKI_LEN],
    len: u8,
}

impl Mki {
    /// Reads the two numbers of SDES (RFC 4568 §6.1): the identifier and its length in bytes, of
    /// which up to 16 are supported.
    pub fn parse(value: &str, len: &str) -> Option<Self> {
        let (value, len): (u128, u8) = (value.parse().ok()?, len.parse().ok()?);
        let is_short = (1..=MAX_MKI_LEN).contains(&len.into())
            && value.checked_shr(8 * u32::from(len)).unwrap_or(0) == 0;
        is_short.then_some(Self { bytes: value.to_be_bytes(), len })
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[MAX_MKI_LEN - usize::from(self.len)..]
    }
}

/// The keys of both directions. As long as they are unchanged a new negotiation must not restart
/// the SRTP contexts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SrtpKeys {
    /// For packets that we send.
    pub outbound: Keys,
    /// For packets that the peer sends.
    pub inbound: Keys,
    /// Of the inbound key: what the peer's packets may carry.
    pub mki: Option<Mki>,
}
