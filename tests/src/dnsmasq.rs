//! dnsmasq as the DNS server that says where a carrier's services are (RFC 3263).

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};

/// A running server; ended when dropped.
pub struct Dnsmasq {
    pub address: SocketAddr,
    child: Child,
}

/// One server of a service, with its priority: the lowest is asked first.
#[derive(Debug, Clone, Copy)]
pub struct Server {
    pub address: SocketAddr,
    pub priority: u16,
}

impl Dnsmasq {
    /// Starts it on a free port of loopback, to know the servers of a service, such as
    /// `_sip._tcp.carrier.test`, and nothing else.
    pub fn start(service: &str, servers: &[Server]) -> Dnsmasq {
        let address =
            loadtest::children::free_address((Ipv4Addr::LOCALHOST, 0).into()).expect("a port");
        let records = servers.iter().enumerate().flat_map(|(n, server)| {
            let (ip, port, priority) =
                (server.address.ip(), server.address.port(), server.priority);
            [
                format!("--srv-host={service},sip{n}.carrier.test,{port},{priority},0"),
                format!("--host-record=sip{n}.carrier.test,{ip}"),
            ]
        });
        let child = Command::new("dnsmasq")
            .args(["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts"])
            .args(["--bind-interfaces", "--no-dhcp-interface=", "--user=", "--pid-file="])
            .arg(format!("--listen-address={}", address.ip()))
            .arg(format!("--port={}", address.port()))
            .args(records)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("dnsmasq: run `make install` first");
        Dnsmasq { address, child }
    }
}

impl Drop for Dnsmasq {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
