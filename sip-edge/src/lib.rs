//! The edge process: pinned shards, each with its calls, sockets, recordings and its link to
//! control-api. Owns sockets, files, clocks and configuration; what a message or a packet means is
//! decided in `sip-core` and `media-core`.

pub mod config;
pub mod link;
pub mod preflight;
pub mod process;
pub mod shard;
pub mod transport;
