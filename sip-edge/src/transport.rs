//! What carries SIP besides the datagram engine: TCP streams to and from trunks, and WebSockets from browsers. Another stream transport
//! needs only its own way to accept and connect, and `stream::Streams::serve` for the rest.

mod certificate;
mod stream;
mod upgrade;
mod websocket;

pub use certificate::{Certificate, CertificateError, CertificateSource};
pub use stream::{StreamConfig, StreamEvent, Streams};
pub use upgrade::Security;
pub use websocket::{WebSocketConfig, WebSocketCounters, WebSocketLimits, WebSockets};
