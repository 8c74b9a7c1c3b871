//! The audio codecs that this system relays and the RTP payload type numbers that stand for them
//! (RFC 3551 §6). Sample conversion is not here.

/// RTP clock of every codec relayed here but Opus, in ticks per second.
pub const CLOCK_RATE: u32 = 8000;
/// RTP clock of Opus, whatever is sampled (RFC 7587 §4.1).
pub const OPUS_CLOCK_RATE: u32 = 48_000;

/// A 7-bit RTP payload type number (RFC 3550 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PayloadType(u8);

impl PayloadType {
    /// The static number of comfort noise (RFC 3389 §4).
    pub const COMFORT_NOISE: Self = Self(13);

    /// Wraps a number below 128.
    pub const fn new(number: u8) -> Option<Self> {
        if number < 128 { Some(Self(number)) } else { None }
    }

    /// The number on the wire.
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// One of the two laws of G.711, in which audio is mixed, played and recorded here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Law {
    /// µ-law.
    Pcmu,
    /// A-law.
    Pcma,
}

/// An audio codec, one channel; all but Opus have 8 bytes a millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// G.711 µ-law.
    Pcmu,
    /// G.711 A-law.
    Pcma,
    /// G.722 at 64 kbit/s: 16,000 samples a second (RFC 3551 §4.5.2: its clock says 8000).
    G722,
    /// Opus (RFC 6716, RFC 7587), which softphones alone are offered.
    Opus,
}

impl Codec {
    /// The laws, this one first; without one of them, µ-law first.
    pub const fn laws(self) -> [Codec; 2] {
        match self {
            Self::Pcmu | Self::G722 | Self::Opus => [Self::Pcmu, Self::Pcma],
            Self::Pcma => [Self::Pcma, Self::Pcmu],
        }
    }

    /// What is offered with this one in use: it, and what else is taken.
    pub fn and_others(self) -> Vec<Codec> {
        let beyond = self.law().is_none().then_some(self);
        beyond.into_iter().chain(self.laws()).collect()
    }

    /// The law of G.711 that it is, if it is one.
    pub const fn law(self) -> Option<Law> {
        match self {
            Self::Pcmu => Some(Law::Pcmu),
            Self::Pcma => Some(Law::Pcma),
            Self::G722 | Self::Opus => None,
        }
    }

    /// Ticks a second of its timestamps (RFC 3551 §4.5.2, RFC 7587 §4.1).
    pub const fn clock_rate(self) -> u32 {
        match self {
            Self::Pcmu | Self::Pcma | Self::G722 => CLOCK_RATE,
            Self::Opus => OPUS_CLOCK_RATE,
        }
    }

    /// The encoding name of `a=rtpmap`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pcmu => "PCMU",
            Self::Pcma => "PCMA",
            Self::G722 => "G722",
            Self::Opus => "opus",
        }
    }

    /// The static payload type of RFC 3551 §6; of Opus the one under which it is offered.
    pub const fn payload_type(self) -> PayloadType {
        match self {
            Self::Pcmu => PayloadType(0),
            Self::Pcma => PayloadType(8),
            Self::G722 => PayloadType(9),
            Self::Opus => PayloadType(111),
        }
    }
}

/// What a payload type stands for in a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    Audio(Codec),
    /// Key presses (RFC 4733), their durations at 8 kHz.
    TelephoneEvent,
    /// Key presses whose durations are told at the clock of Opus.
    OpusEvent,
    /// What silence sounds like (RFC 3389).
    ComfortNoise,
}

impl Format {
    /// Ticks a second of its timestamps and durations.
    pub const fn clock_rate(self) -> u32 {
        match self {
            Self::Audio(codec) => codec.clock_rate(),
            Self::OpusEvent => OPUS_CLOCK_RATE,
            Self::TelephoneEvent | Self::ComfortNoise => CLOCK_RATE,
        }
    }

    /// Whether it is Opus or goes with it.
    pub const fn is_of_opus(self) -> bool {
        matches!(self, Self::Audio(Codec::Opus) | Self::OpusEvent)
    }

    /// The format that a static payload type stands for when no `a=rtpmap` says otherwise.
    pub const fn of_static(payload_type: PayloadType) -> Option<Self> {
        match payload_type.number() {
            0 => Some(Self::Audio(Codec::Pcmu)),
            8 => Some(Self::Audio(Codec::Pcma)),
            9 => Some(Self::Audio(Codec::G722)),
            13 => Some(Self::ComfortNoise),
            _ => None,
        }
    }
}

/// Most payload types of a session that mean something here: six of an offer, six of an answer, and
/// comfort noise.
const MAX_FORMAT_COUNT: usize = 13;

/// What the payload types of one direction stand for; small, because each packet asks it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FormatMap([Option<(PayloadType, Format)>; MAX_FORMAT_COUNT]);

impl FormatMap {
    /// Adds a payload type, unless it has a meaning already or the map is full.
    pub fn add(&mut self, payload_type: PayloadType, format: Format) {
        let place =
            self.0.iter_mut().find(|place| place.is_none_or(|(known, _)| known == payload_type));
        if let Some(place) = place {
            place.get_or_insert((payload_type, format));
        }
    }

    /// The payload types in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = (PayloadType, Format)> {
        self.0.into_iter().flatten()
    }

    /// What a payload type stands for.
    pub fn format(&self, payload_type: PayloadType) -> Option<Format> {
        let mut places = self.0.iter().flatten();
        places.find(|(known, _)| *known == payload_type).map(|(_, format)| *format)
    }

    /// The first payload type of a format.
    pub fn payload_type(&self, format: Format) -> Option<PayloadType> {
        self.iter().find(|(_, known)| *known == format).map(|(payload_type, _)| payload_type)
    }
}

impl Extend<(PayloadType, Format)> for FormatMap {
    fn extend<T: IntoIterator<Item = (PayloadType, Format)>>(&mut self, formats: T) {
        formats.into_iter().for_each(|(payload_type, format)| self.add(payload_type, format));
    }
}

impl FromIterator<(PayloadType, Format)> for FormatMap {
    fn from_iter<T: IntoIterator<Item = (PayloadType, Format)>>(formats: T) -> Self {
        let mut map = Self::default();
        map.extend(formats);
        map
    }
}
