//! The way that a SIP message takes: its transport, both ends and the stream.

use std::net::SocketAddr;

/// What carries SIP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport {
    Udp,
    Tcp,
    /// TLS over TCP (RFC 3261 §26.2.1).
    Tls,
    /// SIP over WebSocket and TLS (RFC 7118): each message is one frame's payload.
    /// `Flow::connection` names the WebSocket.
    Wss,
}

impl Transport {
    /// Whether the transport retransmits by itself (RFC 3261 §17).
    pub fn is_reliable(self) -> bool {
        self != Transport::Udp
    }
}

/// Where a SIP message came from or goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flow {
    pub transport: Transport,
    pub local: SocketAddr,
    pub remote: SocketAddr,
    /// The stream that a message came in on, and on which its responses go back. `None` on an
    /// outgoing message over TCP or TLS: use any open connection to `remote`, or open one. Always
    /// `None` for UDP.
    pub connection: Option<u64>,
}

/// Why a flow is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FlowFault {
    /// It could not be opened, or it broke.
    Broken,
    /// TLS did not come about.
    Tls,
}

impl FlowFault {
    /// One line for people.
    pub const fn detail(self) -> &'static str {
        match self {
            Self::Broken => "transport error",
            Self::Tls => "TLS did not come about",
        }
    }
}
