//! What reading a description had to mend or pass over, by name, so that it can be counted. A
//! description of ours is taken all the same.

/// One kind of oddity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Repair {
    /// Lines that do not end in CRLF, or a last one without an end.
    LineEnds,
    /// A line that is none, or of a type that does not exist.
    Line,
    /// The session's own lines: missing, in another order, or an unreadable `v=` or `o=`.
    Session,
    /// A connection line that names no address.
    Connection,
    /// A media line without all its fields or without a port.
    Media,
    /// An attribute that says nothing that can be used, or is not written as it should be.
    Attribute,
    /// What lies beyond the limits.
    Length,
}

impl Repair {
    /// Each kind once.
    pub const ALL: [Repair; 7] = [
        Repair::LineEnds,
        Repair::Line,
        Repair::Session,
        Repair::Connection,
        Repair::Media,
        Repair::Attribute,
        Repair::Length,
    ];

    /// The name of its counter.
    pub fn counter_name(self) -> &'static str {
        match self {
            Repair::LineEnds => "sdp_repaired_line_ends",
            Repair::Line => "sdp_repaired_lines",
            Repair::Session => "sdp_repaired_sessions",
            Repair::Connection => "sdp_repaired_connections",
            Repair::Media => "sdp_repaired_media",
            Repair::Attribute => "sdp_repaired_attributes",
            Repair::Length => "sdp_repaired_lengths",
        }
    }
}

/// The repairs of one description.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Repairs(u8);

impl Repairs {
    /// Each repair once.
    pub fn iter(self) -> impl Iterator<Item = Repair> {
        Repair::ALL.into_iter().filter(move |repair| self.0 & (1 << *repair as u8) != 0)
    }

    pub(super) fn note_if(&mut self, is_odd: bool, repair: Repair) {
        self.0 |= u8::from(is_odd) << repair as u8;
    }
}
