//! What carries SIP besides the datagram engine: streams. TCP is here; another stream transport needs only its own way to accept and
//! connect, and `stream::Streams::serve` for the rest.

mod stream;

pub use stream::{StreamConfig, StreamEvent, Streams};
