//! SRTP and SRTCP in place, without allocation (RFC 3711, 7714): one context per direction of a leg.
//! Keys come from SDES or DTLS; addresses, jitter and the RTP meaning of a packet are not known here.

mod keys;

pub use keys::{Keys, Suite};
