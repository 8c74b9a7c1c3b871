//! SIP and RTP peers of the edge, for load tests, for the sandbox and for end-to-end tests. Written
//! apart from `sip-core`, so that a mistake in our parser cannot hide itself.

mod batch;
pub mod carrier;
pub mod children;
mod conference;
pub mod floods;
pub mod floor;
pub mod load;
mod probe;
mod rtpengine;
pub mod sandbox;
mod softphones;
