//! SIP without any I/O: messages, transactions, dialogs and the calls of a back-to-back user agent
//! (RFC 3261). `edge` is the conductor of a shard and stands on top; `command`, `control`, `event`
//! and `counters` say what is asked of it and told by it; a `call` works on what its shard shares
//! (`call/shard.rs`). Every other module is a leaf that knows no sibling's state.

mod call;
pub mod command;
pub mod control;
pub mod counters;
pub mod dialog;
pub mod digest;
pub mod edge;
mod entropy;
pub mod event;
pub mod flow;
pub mod message;
pub mod outcome;
pub mod placement;
pub mod registrar;
pub mod remains;
pub mod transaction;
pub mod trunk;
