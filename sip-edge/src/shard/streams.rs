//! SIP over TCP and TLS by one interface, to trunks and from them.

use super::{Shard, on};
use crate::transport::{Pace, StreamConfig, Streams, Tls};
use anyhow::Context;
use call_words::TransportKind;
use sip_core::flow::Transport;
use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::{Rc, Weak};

/// The streams of one interface.
pub struct InterfaceStreams {
    tcp: Streams,
    tls: Streams,
    local: SocketAddr,
    local_tls: SocketAddr,
}

impl InterfaceStreams {
    pub fn new(
        config: StreamConfig,
        tls_port: u16,
        tls: Rc<Tls>,
        pace: &Pace,
        shard: &Weak<RefCell<Shard>>,
    ) -> Self {
        let local = config.local;
        let local_tls = SocketAddr::new(local.ip(), tls_port);
        let open = |config, tls: Option<Rc<Tls>>| {
            let shard = shard.clone();
            Streams::new(config, tls, pace.clone(), move |event| {
                on(&shard, |shard| shard.stream_event(event))
            })
        };
        Self {
            tcp: open(config, None),
            tls: open(StreamConfig { local: local_tls, ..config }, Some(tls)),
            local,
            local_tls,
        }
    }

    /// Takes connections from now on; over TLS only with a certificate.
    pub fn listen(&self, is_certified: bool) -> anyhow::Result<()> {
        let bound = |address| format!("TCP {address} cannot be bound");
        self.tcp.listen().with_context(|| bound(self.local))?;
        if is_certified {
            self.tls.listen().with_context(|| bound(self.local_tls))?;
        }
        Ok(())
    }

    /// Those of a transport: TLS, or else TCP.
    pub fn of(&self, transport: Transport) -> &Streams {
        if transport == Transport::Tls { &self.tls } else { &self.tcp }
    }

    /// A trunk is called at this address.
    pub fn know(&self, address: IpAddr, transport: TransportKind) {
        self.tcp.know_trunk(address);
        if transport == TransportKind::Tls {
            self.tls.know_trunk(address);
        }
    }
}
