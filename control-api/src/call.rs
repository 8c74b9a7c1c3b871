//! What is done to calls, whoever asks: they are placed, moved on by what the edge tells, changed
//! by verbs, and ended.

pub mod admission;
pub mod asked;
pub mod change;
pub mod ending;
pub mod ladder;
pub mod order;
pub mod party;
pub mod place;
pub mod progress;
pub mod supervisor;
pub mod third_party;
pub mod transfer_request;
mod translate;
pub mod verbs;
