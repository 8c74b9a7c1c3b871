//! The two ends of a packet, as captures and collectors write them.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Both plain, so that both are IPv4 if they can be, else both IPv6.
pub fn same_family(one: SocketAddr, other: SocketAddr) -> (SocketAddr, SocketAddr) {
    let plain = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
    let (one, other) = (plain(one), plain(other));
    if one.is_ipv4() == other.is_ipv4() {
        return (one, other);
    }
    let long = |end: SocketAddr| SocketAddr::new(v6(end.ip()).into(), end.port());
    (long(one), long(other))
}

/// The address as one of IPv6.
pub fn v6(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}
