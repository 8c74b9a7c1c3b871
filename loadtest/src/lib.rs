//! SIP and RTP peers of the edge, for load tests, for the sandbox and for end-to-end tests. Written
//! apart from `sip-core`, so that a mistake in our parser cannot hide itself.

pub mod api;
mod batch;
pub mod capacity;
pub mod carrier;
pub mod children;
pub mod compare;
mod conference;
pub mod floods;
pub mod floor;
pub mod load;
mod numbers;
mod probe;
pub mod profile;
pub mod report;
mod rtpengine;
pub mod sandbox;
mod softphones;
pub mod spread;
mod understudy;
