//! Media of a call without any I/O: RTP, RTCP, SRTP, SDP, legs, mixes, tones and recordings.
//! `relay` is the conductor; every other module is a leaf that knows no sibling's state.

#[cfg(test)]
mod clock;
pub mod codec;
mod demultiplex;
pub mod drops;
pub mod dtls;
mod dtmf;
pub mod g711;
mod g722;
pub mod ice;
mod jitter;
mod latch;
mod opus;
mod ports;
mod prefetch;
mod quality;
mod random;
mod reception;
pub mod recording;
pub mod relay;
mod rtcp;
pub mod rtp;
pub mod sdp;
mod sender;
mod slots;
pub mod srtp;
mod stream_lock;
pub mod stun;
pub mod tone;
pub mod wav;
