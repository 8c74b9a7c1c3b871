//! SIP without any I/O: messages, transactions, dialogs and the calls of a back-to-back user agent
//! (RFC 3261). `edge` is the conductor; every other module is a leaf that knows no sibling's state.

mod call;
pub mod dialog;
pub mod digest;
pub mod edge;
mod entropy;
pub mod message;
pub mod outcome;
pub mod registrar;
pub mod remains;
pub mod transaction;
