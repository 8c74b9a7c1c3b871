//! The legs of a call: which kinds there are, what carries them, and which of them ended the call.

use crate::word::words;

words! {
    /// A kind of leg.
    LegKind {
        Agent = "agent",
        Customer = "customer",
        /// A third party's.
        Participant = "participant",
        Supervisor = "supervisor",
    }

    /// Who ended the call.
    HangupBy {
        Agent = "agent",
        Customer = "customer",
        /// A third party, with whom the customer was left.
        Participant = "participant",
        Api = "api",
        /// A limit or a fault of ours: longest call, ring timer, drain, no media.
        System = "system",
        /// The carrier or the transport.
        Network = "network",
    }

    /// What carries a trunk's SIP.
    TransportKind {
        Udp = "udp",
        Tcp = "tcp",
        /// TLS over TCP; the peer's certificate must be of the trunk's host.
        Tls = "tls",
    }

    /// What carries a leg's SIP.
    SignalTransport {
        Udp = "udp",
        Tcp = "tcp",
        Tls = "tls",
        /// A softphone's.
        Wss = "wss",
    }

    /// Which way a SIP message went, as the edge sees it.
    MessageWay {
        Sent = "sent",
        Received = "received",
    }

    /// How a trunk is told that a call was sent on to it.
    #[derive(Default)]
    ForwardingHeader {
        #[default]
        None = "none",
        /// RFC 5806.
        Diversion = "diversion",
        /// RFC 7044.
        HistoryInfo = "history_info",
    }

    /// How media is carried on a trunk.
    MediaProfile {
        /// Plain RTP/AVP.
        Rtp = "rtp",
        /// RTP/SAVP with keys in SDP (RFC 4568).
        SdesSrtp = "sdes_srtp",
        /// RTP/AVP with keys in SDP; who answers without them gets plain RTP (RFC 8643).
        Osrtp = "osrtp",
    }

    /// How a trunk is told of pressed keys, and tells them.
    #[derive(Default)]
    DtmfMode {
        /// Telephone-events (RFC 4733) if they are agreed to, else INFO where it is served, else
        /// tones.
        #[default]
        Auto = "auto",
        /// Telephone-events if they are agreed to, else tones.
        Rfc4733 = "rfc4733",
        /// INFO (application/dtmf-relay); tones once it is refused.
        Info = "info",
        /// Tones in the audio, which are heard during the talk, too.
        Inband = "inband",
    }
}

impl DtmfMode {
    /// Whether nothing is set.
    pub fn is_auto(&self) -> bool {
        *self == DtmfMode::Auto
    }
}

impl ForwardingHeader {
    /// Whether nothing is told.
    pub fn is_none(&self) -> bool {
        *self == Self::None
    }
}
