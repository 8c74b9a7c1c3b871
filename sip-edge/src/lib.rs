//! sip-edge
