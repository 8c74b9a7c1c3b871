//! What carries SIP besides the datagram engine: TCP streams to and from trunks, and WebSockets
//! from browsers. Another stream transport needs only its own way to accept and connect, and
//! `stream::Streams::serve` for the rest. Each connection works in its turns (`pace`).

mod certificate;
mod failures;
mod lanes;
mod pace;
mod rate;
mod slots;
mod stream;
mod tls;
mod upgrade;
mod websocket;

pub use certificate::{Certificate, CertificateError, CertificateSource, web_acceptor};
pub use lanes::Lane;
pub use pace::Pace;
pub use stream::{StreamConfig, StreamCounters, StreamLimits, Streams, shard_of_connection};
pub use tls::{Tls, TlsSource};
pub use upgrade::Security;
pub use websocket::{WebSocketConfig, WebSocketCounters, WebSocketLimits, WebSockets};

use futures_lite::future;
use glommio::timer::Timer;
use sip_core::flow::{Flow, FlowFault};
use std::cell::Cell;
use std::time::Duration;

/// What a stream brings.
#[derive(Debug, Clone, Copy)]
pub enum StreamEvent<'a> {
    /// One whole message.
    Message { flow: Flow, bytes: &'a [u8] },
    /// The flow is gone, and what was sent on it lately may not have arrived.
    Failed { flow: Flow, fault: FlowFault },
    /// A WebSocket has been open for a while: who has no business on it by now is to be sent away.
    Settled { flow: Flow },
}

/// What the future gives, or `None` when it takes longer than `limit`.
async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    future::or(async { Some(future.await) }, async {
        Timer::new(limit).await;
        None
    })
    .await
}

fn count(counter: &Cell<u64>) {
    counter.set(counter.get() + 1);
}
