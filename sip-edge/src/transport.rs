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

/// Acts once the caller has returned. A glommio task alone would not do: it runs at once, up to its first wait.
fn later(act: impl FnOnce() + 'static) {
    glommio::spawn_local(async move {
        futures_lite::future::yield_now().await;
        act();
    })
    .detach();
}
