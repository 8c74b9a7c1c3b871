//! SIP over TCP and TLS by one interface, to trunks and from them.

use super::{Shard, on};
use crate::transport::{Pace, StreamConfig, Streams, Tls};
use anyhow::Context;
use call_words::TransportKind;
use sip_core::flow::Transport;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};

/// The streams of one interface.
pub struct InterfaceStreams {
    tcp: Streams,
    tls: Streams,
    /// Whom those that are called must prove to be.
    names: Rc<Tls>,
    local: SocketAddr,
    local_tls: SocketAddr,
}

impl InterfaceStreams {
    pub fn new(
        config: StreamConfig,
        tls_port: u16,
        tls: Tls,
        pace: &Pace,
        shard: &Weak<RefCell<Shard>>,
    ) -> Self {
        let (names, local) = (Rc::new(tls), config.local);
        let local_tls = SocketAddr::new(local.ip(), tls_port);
        let open = |config, tls: Option<Rc<Tls>>| {
            let shard = shard.clone();
            Streams::new(config, tls, pace.clone(), move |event| {
                on(&shard, |shard| shard.stream_event(event))
            })
        };
        Self {
            tcp: open(config, None),
            tls: open(StreamConfig { local: local_tls, ..config }, Some(names.clone())),
            names,
            local,
            local_tls,
        }
    }

    /// Takes connections from now on; over TLS only with a certificate.
    pub fn listen(&self) -> anyhow::Result<()> {
        let bound = |address| format!("TCP {address} cannot be bound");
        self.tcp.listen().with_context(|| bound(self.local))?;
        if self.names.is_certified() {
            self.tls.listen().with_context(|| bound(self.local_tls))?;
        }
        Ok(())
    }

    /// Those of a transport: TLS, or else TCP.
    pub fn of(&self, transport: Transport) -> &Streams {
        if transport == Transport::Tls { &self.tls } else { &self.tcp }
    }

    /// A trunk of this host is called at this address.
    pub fn know(&self, address: SocketAddr, transport: TransportKind, host: &str) {
        self.tcp.know_trunk(address.ip());
        if transport == TransportKind::Tls {
            self.tls.know_trunk(address.ip());
            self.know_name(address, host);
        }
    }

    /// What the certificate must name of whom we connect to there.
    pub fn know_name(&self, address: SocketAddr, host: &str) {
        self.names.know(address, host);
    }
}
