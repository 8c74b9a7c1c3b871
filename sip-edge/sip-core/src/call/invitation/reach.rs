//! Where the peer of an INVITE is reached, and from where its messages may come.

use crate::dialog::Dialog;
use crate::flow::{Flow, Transport};
use ipnet::IpNet;
use std::net::IpAddr;

/// Whether messages of who was invited over this flow may come from here.
pub fn is_signalled_from(flow: Flow, signal_from: &[IpNet], source: IpAddr) -> bool {
    let source = source.to_canonical();
    source == flow.remote.ip().to_canonical()
        || signal_from.iter().any(|network| network.contains(&source))
}

/// Where requests inside a dialog go: the softphone's flow, whatever its `.invalid` Contact says;
/// the trunk's address if only DNS could tell, or if the peer names a host that is none of the
/// trunk's: nobody has us knock at inner doors.
pub fn toward(dialog: &Dialog, flow: Flow, signal_from: &[IpNet]) -> Flow {
    if flow.transport == Transport::Wss {
        return flow;
    }
    let hop = dialog.next_hop().filter(|hop| hop.is_ipv4() == flow.remote.is_ipv4());
    let remote =
        hop.filter(|hop| is_signalled_from(flow, signal_from, hop.ip())).unwrap_or(flow.remote);
    Flow { remote, ..flow }
}
