//! Media of a call without any I/O: RTP, RTCP, SRTP, SDP, legs, bridges, tones and recordings.
//! `relay` is the conductor; every other module is a leaf that knows no sibling's state.

pub mod codec;
pub mod drops;
pub mod g711;
pub mod relay;
pub mod sdp;
pub mod srtp;
