//! The served process from outside: HTTP over real sockets, a fake shard over the real link, real
//! storage in a temporary folder.

mod calls;
mod captures;
mod contract;
mod control;
mod delivery;
mod events;
mod http;
mod keys;
mod ladders;
mod launch;
mod link;
mod listing;
mod operations;
mod participants;
mod presence;
mod recordings;
mod rig;
mod session;
mod softphone;
mod trunks;
mod webphone;
