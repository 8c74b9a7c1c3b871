//! Networks of a test's own (RFC 5737 addresses, leading nowhere else): the test and all that it
//! starts are in one namespace, a browser is in another behind a switch, and the wire between them
//! can be pulled, dead, or lead into another network.

use crate::eventually;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use tokio::net::{TcpListener, TcpStream};

/// Set inside the test's namespace.
const INSIDE: &str = "DIALER_TEST_NAMESPACE";
/// Of the test's side; the browser reaches it from both networks.
pub const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1));

/// Runs the body in a namespace of its own, by running the test of this name again; fails on a
/// system without them, unless `DIALER_SKIP_NAMESPACES` is set.
pub fn in_a_namespace(test: &str, body: impl Future<Output = ()>) {
    if std::env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        return runtime.block_on(body);
    }
    let is_root = std::fs::metadata("/proc/self").expect("/proc").uid() == 0;
    let unshare = || {
        let mut command = Command::new("unshare");
        command.arg("--net").args((!is_root).then_some("--map-root-user"));
        command
    };
    if !unshare().arg("true").status().is_ok_and(|status| status.success()) {
        let is_left_out = std::env::var_os("DIALER_SKIP_NAMESPACES").is_some();
        assert!(
            is_left_out,
            "this system gives no network namespace; DIALER_SKIP_NAMESPACES=1 leaves out what \
                needs one"
        );
        return eprintln!("left out: no network namespace");
    }
    // The switch keeps its own address when the browser's port leaves it.
    let script = format!(
        "ip link set lo up && ip link add switch address 02:00:00:00:00:01 type bridge && ip addr \
            add {ADDRESS}/24 dev switch && \
         ip addr add 203.0.113.1/24 dev switch && ip link set switch up && ip link add port type \
         veth peer name wire && \
         ip link set port master switch up && exec \"$0\" --exact {test} --nocapture"
    );
    let own = std::env::current_exe().expect("this test");
    let status =
        unshare().args(["sh", "-c", &script]).arg(own).env(INSIDE, "1").status().expect("unshare");
    assert!(status.success(), "in the namespace: {status}");
}

/// Lends this port of loopback to the browser's side, at `ADDRESS`.
pub async fn lend(port: u16) {
    let listener = TcpListener::bind((ADDRESS, port)).await.expect("a port");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut inner = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
                tokio::io::copy_bidirectional(&mut stream, &mut inner).await
            });
        }
    });
}

/// A command for the browser's side: `program` in a namespace of its own, to which the wire leads.
pub(crate) fn behind_the_wire(program: &str) -> Command {
    let script = "ip link set lo up && nsenter --net=/proc/$PPID/ns/net ip link set wire netns $$ \
        && \
                  ip addr add 198.51.100.2/24 dev wire && ip link set wire up && ip route add \
                  default via 198.51.100.1 && \
                  exec \"$0\" \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", script, program]);
    command
}

/// The wire of a program that runs behind it.
#[derive(Debug, Clone, Copy)]
pub struct Wire {
    pid: u32,
}

impl Wire {
    /// Waits until the program that `behind_the_wire` starts has left the test's namespace.
    pub(crate) async fn of(pid: u32) -> Wire {
        let namespace = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/net")).ok();
        eventually("a second namespace", async || {
            (namespace(&pid.to_string()) != namespace("self")).then_some(())
        })
        .await;
        Wire { pid }
    }

    /// Pulls the plug: the browser's side loses its link, its address and its routes.
    pub fn pull(self) {
        self.there("ip addr flush dev wire && ip link set wire down");
    }

    /// Plugs in where another network is, with another address.
    pub fn plug_into_another(self) {
        self.there(
            "ip addr add 203.0.113.2/24 dev wire && ip link set wire up && ip route add \
            default via 203.0.113.1",
        );
    }

    /// Gives the browser's side yet another address there, as its link stays up.
    pub fn readdress(self) {
        self.there(
            "ip addr flush dev wire && ip addr add 203.0.113.3/24 dev wire && ip route add \
            default via 203.0.113.1",
        );
    }

    /// Nothing arrives any more in either direction; neither side is told.
    pub fn die(self) {
        run("ip", &["link", "set", "port", "nomaster"]);
    }

    /// Everything arrives again.
    pub fn revive(self) {
        run("ip", &["link", "set", "port", "master", "switch"]);
    }

    fn there(self, script: &str) {
        run("nsenter", &[&format!("--net=/proc/{}/ns/net", self.pid), "sh", "-c", script]);
    }

    /// A pipe to a port of the browser's side, which may not listen yet.
    pub(crate) fn pipe(self, port: u16) -> std::io::Result<tokio::process::Child> {
        let script = format!(
            "until {{ exec 3<>/dev/tcp/127.0.0.1/{port}; }} 2>/dev/null; do sleep 0.05; done; cat \
                <&3 & exec cat >&3"
        );
        let mut command = tokio::process::Command::new("nsenter");
        command.arg(format!("--net=/proc/{}/ns/net", self.pid)).args(["bash", "-c", &script]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()
    }
}

fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program)
        .args(arguments)
        .status()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(status.success(), "{program} {arguments:?}: {status}");
}
