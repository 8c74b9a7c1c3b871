//! The audio codecs that this system relays and the RTP payload type numbers that stand for them (RFC 3551 §6).
//! Sample conversion is not here.

/// A 7-bit RTP payload type number (RFC 3550 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PayloadType(u8);

impl PayloadType {
    /// Wraps a number below 128.
    pub const fn new(number: u8) -> Option<Self> {
        if number < 128 { Some(Self(number)) } else { None }
    }

    /// The number on the wire.
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// An audio codec at 8 kHz, one channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
}

impl Codec {
    /// The encoding name of `a=rtpmap`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
        }
    }

    /// The static payload type of RFC 3551 §6.
    pub const fn payload_type(self) -> PayloadType {
        match self {
            Self::Pcmu => PayloadType(0),
            Self::Pcma => PayloadType(8),
        }
    }

    /// The codec that a static payload type stands for when no `a=rtpmap` says otherwise.
    pub const fn of_static(payload_type: PayloadType) -> Option<Self> {
        match payload_type.number() {
            0 => Some(Self::Pcmu),
            8 => Some(Self::Pcma),
            _ => None,
        }
    }
}
