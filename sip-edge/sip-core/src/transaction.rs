//! The four transactions of RFC 3261 §17 with the Accepted states of RFC 6026, each a sans-IO
//! machine, and the table that owns them. They retransmit, absorb retransmissions and time out;
//! they know neither dialogs nor addresses.

mod client_invite;
mod client_non_invite;
mod key;
mod server_invite;
mod server_non_invite;
mod table;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::message::{Request, Response};

pub use client_invite::ClientInvite;
pub use client_non_invite::ClientNonInvite;
pub use key::Key;
pub use server_invite::ServerInvite;
pub use server_non_invite::ServerNonInvite;
pub use table::{Attachment, Counters, Full, Table, TransactionId};

/// Whether the transport delivers by itself: then nothing is retransmitted and nothing waited for
/// (§17.1.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reliability {
    /// TCP, TLS, WebSocket.
    Reliable,
    /// UDP.
    Unreliable,
}

/// The base values of all timers (§17.1.1.1, table 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timers {
    /// Estimate of the round trip.
    pub t1: Duration,
    /// Longest interval between retransmissions other than INVITE's.
    pub t2: Duration,
    /// Longest life of a message in the network.
    pub t4: Duration,
}

impl Default for Timers {
    fn default() -> Self {
        Self {
            t1: Duration::from_millis(500),
            t2: Duration::from_secs(4),
            t4: Duration::from_secs(5),
        }
    }
}

impl Timers {
    /// Timers B, F, H, J, L and M: how long anything is tried.
    pub fn patience(&self) -> Duration {
        self.t1 * 64
    }

    /// Timer D: at least 32 s (§17.1.1.2).
    fn timer_d(&self) -> Duration {
        self.patience().max(Duration::from_secs(32))
    }
}

/// What a client transaction takes.
#[derive(Debug, Clone)]
pub enum ClientInput {
    /// A response from the network.
    Response(Response),
    /// The transport could not send.
    TransportError,
}

/// What a server transaction takes.
#[derive(Debug, Clone)]
pub enum ServerInput {
    /// A request from the network: the retransmission, or the ACK of an INVITE.
    Request(Request),
    /// A response from the user.
    Response(Response),
    /// The transport could not send.
    TransportError,
}

/// What a transaction gives, in order. Drained to `None` after each mutation.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Bytes for the network.
    Transmit(Arc<[u8]>),
    /// To the user of a client transaction.
    Response(Response),
    /// To the user of an INVITE server transaction: an ACK that arrived after a 2xx (RFC 6026
    /// §7.1).
    Request(Request),
    /// To the user: timer B, F or H fired.
    Timeout,
    /// To the user: the transport failed.
    TransportError,
    /// The last output: the transaction is over.
    Terminated,
}

/// The next output of a machine; an empty queue keeps no room, since most machines only wait.
fn take_first(outputs: &mut VecDeque<Output>) -> Option<Output> {
    let first = outputs.pop_front();
    if first.is_none() {
        *outputs = VecDeque::new();
    }
    first
}

#[cfg(test)]
mod tests;
