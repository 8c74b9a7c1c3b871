//! SIP messages (RFC 3261 §7, §19, §20, §25): an own wire parser, TCP framer and printer around
//! `rsip`'s types, borrowed views of the header values that `rsip` does not read, and the builders
//! of requests and responses. Owns no state beyond one stream's bytes; knows no transaction, dialog
//! or address to send to.

mod body;
mod build;
mod framer;
pub(crate) mod grammar;
mod header;
mod parse;
mod print;
mod repair;
mod secrets;
mod uri;
mod via;
mod view;

pub use body::{SDP, session_description};
pub use build::{
    Body, RequestParts, ack_for, cancel_for, over, refusal, request, respond, same_hop, set_body,
    stamp_source, via_value,
};
pub use framer::{Frame, FrameError, Framer};
pub use header::header;
pub use parse::{Read, is_single, parse, read};
pub use print::{print, print_request, print_response, request_len};
pub use repair::{Repair, Repairs};
pub use rsip::message::HasHeaders;
pub use rsip::{Header, Headers, Method, Request, Response, SipMessage, StatusCode};
pub use secrets::mask_secrets;
pub use uri::{NameAddr, Params, Scheme, Uri, opaque_uri};
pub use via::{MAGIC_COOKIE, Via};
pub use view::{CSeq, Reason, SessionExpires, View};

/// What one message may cost (ARCHITECTURE §3.5: every buffer has a cap).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Start line and headers together, in bytes.
    pub head_len: usize,
    /// Header fields, counted after lists are split.
    pub header_count: usize,
    /// Body, in bytes.
    pub body_len: usize,
}

impl Default for Limits {
    fn default() -> Self {
        // A datagram may be as long as UDP carries (RFC 3261 §18.1.1).
        Self { head_len: 65_535, header_count: 128, body_len: 65_535 }
    }
}

/// Why a message was refused; `answer` says what is due for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum ParseError {
    #[error("not SIP")]
    NotSip,
    #[error("malformed request line")]
    RequestLine,
    #[error("malformed status line")]
    StatusLine,
    #[error("unknown SIP version")]
    Version,
    #[error("unknown method")]
    Method,
    #[error("malformed request URI")]
    RequestUri,
    #[error("malformed header line")]
    HeaderLine,
    #[error("malformed header value")]
    HeaderValue,
    #[error("mandatory header missing")]
    MissingHeader,
    #[error("single-valued header repeated")]
    RepeatedHeader,
    #[error("CSeq does not match the request line")]
    CSeqMismatch,
    #[error("Content-Length does not match the body")]
    ContentLength,
    #[error("message above its limits")]
    TooLarge,
}

/// What a refused message gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// A stateless response with this status code, if the message is a request other than ACK.
    Status(u16),
    Drop,
}

impl ParseError {
    /// The answer that is due when the refused message is a request; a refused response is always
    /// dropped (RFC 3261 §8.1.3.2).
    pub fn answer(self) -> Answer {
        match self {
            Self::NotSip | Self::StatusLine => Answer::Drop,
            Self::Version => Answer::Status(505),
            Self::Method => Answer::Status(501),
            Self::TooLarge => Answer::Status(513),
            Self::RequestLine
            | Self::RequestUri
            | Self::HeaderLine
            | Self::HeaderValue
            | Self::MissingHeader
            | Self::RepeatedHeader
            | Self::CSeqMismatch
            | Self::ContentLength => Answer::Status(400),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
