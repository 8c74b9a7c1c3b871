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

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(ends: [&str; 2], written: [&str; 2]) {
        let [one, other] = ends.map(|end| end.parse().unwrap());
        let [first, second] = written.map(|end| end.parse().unwrap());
        assert_eq!(same_family(one, other), (first, second));
    }

    #[test]
    fn both_ends_are_of_one_family() {
        let (v4, v6) = ("192.0.2.1:1", "[2001:db8::1]:2");
        check([v4, "192.0.2.2:2"], [v4, "192.0.2.2:2"]);
        check([v6, "[2001:db8::2]:3"], [v6, "[2001:db8::2]:3"]);
        check([v4, v6], ["[::ffff:192.0.2.1]:1", v6]);
        check([v6, v4], [v6, "[::ffff:192.0.2.1]:1"]);
        check(["[::ffff:192.0.2.1]:1", "192.0.2.2:2"], [v4, "192.0.2.2:2"]);
    }
}
