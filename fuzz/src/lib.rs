//! What is done with any bytes, parser by parser: the targets of the fuzzer (`main`), and of the
//! replay of its corpora and of random changes to them (`tests/replay`). Nothing panics, and what
//! each target says of accepted input holds.

mod link;
mod media;
mod sdp;
mod sip;
mod softphone;

/// A parser's name, by which its corpus is called, and what is done with one input.
pub type Target = (&'static str, fn(&[u8]));

/// All parsers of bytes from a network, and of the control link.
pub const TARGETS: [Target; 7] = [
    ("sip", sip::exercise),
    ("sdp", sdp::exercise),
    ("rtp", media::rtp),
    ("rtcp", media::rtcp),
    ("stun", softphone::stun),
    ("dtls", softphone::dtls),
    ("link", link::exercise),
];

/// Cuts an input into datagrams: each begins with a byte of settings and one with its length, 255
/// for all that is left.
fn datagrams(mut bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    std::iter::from_fn(move || {
        let ([settings, len], rest) = bytes.split_first_chunk()?;
        let len = if *len == u8::MAX { rest.len() } else { rest.len().min(usize::from(*len)) };
        let (datagram, after) = rest.split_at(len);
        bytes = after;
        Some((*settings, datagram))
    })
}
