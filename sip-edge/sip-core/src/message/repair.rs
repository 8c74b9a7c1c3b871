//! What reading a message had to mend or pass over, by name, so that it can be counted. Whether a
//! mended message is taken is for who it belongs to: a transaction or dialog of ours takes it, a
//! stranger is refused.

use super::ParseError;

/// One kind of oddity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Repair {
    /// Blanks, junk, letter case or the request URI of the start line.
    StartLine,
    /// Lines that do not end in CRLF, or a head without its empty line.
    LineEnds,
    /// A line that is no header: passed over.
    HeaderLine,
    /// Headers beyond the limit: only those that are needed are kept.
    HeaderCount,
    Via,
    /// From or To.
    Party,
    CallId,
    CSeq,
    MaxForwards,
    Contact,
    /// Route or Record-Route.
    Route,
    /// A header of one value stands twice: the first counts.
    Repeated,
    /// A mandatory header is not there.
    Missing,
    /// Without a length that can be believed the body is all that came.
    ContentLength,
}

impl Repair {
    /// Every repair, in the order in which they are counted.
    pub const ALL: [Repair; 14] = [
        Repair::StartLine,
        Repair::LineEnds,
        Repair::HeaderLine,
        Repair::HeaderCount,
        Repair::Via,
        Repair::Party,
        Repair::CallId,
        Repair::CSeq,
        Repair::MaxForwards,
        Repair::Contact,
        Repair::Route,
        Repair::Repeated,
        Repair::Missing,
        Repair::ContentLength,
    ];

    /// The name of its counter.
    pub fn counter_name(self) -> &'static str {
        match self {
            Repair::StartLine => "sip_repaired_start_lines",
            Repair::LineEnds => "sip_repaired_line_ends",
            Repair::HeaderLine => "sip_repaired_header_lines",
            Repair::HeaderCount => "sip_repaired_header_counts",
            Repair::Via => "sip_repaired_via",
            Repair::Party => "sip_repaired_from_or_to",
            Repair::CallId => "sip_repaired_call_id",
            Repair::CSeq => "sip_repaired_cseq",
            Repair::MaxForwards => "sip_repaired_max_forwards",
            Repair::Contact => "sip_repaired_contact",
            Repair::Route => "sip_repaired_routes",
            Repair::Repeated => "sip_repaired_repeated_headers",
            Repair::Missing => "sip_repaired_missing_headers",
            Repair::ContentLength => "sip_repaired_content_length",
        }
    }
}

/// The repairs of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Repairs(u16);

impl Repairs {
    /// Whether this was mended.
    pub fn has(self, repair: Repair) -> bool {
        self.0 & (1 << repair as u16) != 0
    }

    /// What was mended.
    pub fn iter(self) -> impl Iterator<Item = Repair> {
        Repair::ALL.into_iter().filter(move |repair| self.has(*repair))
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What is noted while a message is read: its repairs, and the first as the error that a stranger
/// gets.
#[derive(Debug, Default)]
pub(super) struct Notes {
    repairs: Repairs,
    refusal: Option<ParseError>,
}

impl Notes {
    pub(super) fn note(&mut self, repair: Repair, error: ParseError) {
        self.repairs.0 |= 1 << repair as u16;
        self.refusal.get_or_insert(error);
    }

    pub(super) fn has_any(&self) -> bool {
        !self.repairs.is_empty()
    }

    pub(super) fn into_parts(self) -> (Repairs, Option<ParseError>) {
        (self.repairs, self.refusal)
    }
}
