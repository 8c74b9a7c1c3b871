//! Kamailio as a carrier's proxy: it stays in the way of each dialog by Record-Route, and is
//! reached over UDP, TCP or TLS. As a registrar it asks for a password on REGISTER and INVITE, and
//! takes calls of who is registered alone.

use crate::authority::Identity;
use crate::sipp::is_taken;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// What it wants to hear.
pub const USERNAME: &str = "dialer";
/// The password beside it.
pub const PASSWORD: &str = "s3cret-of-the-trunk";
/// Longest registration that it grants, in seconds.
pub const MAX_EXPIRES_S: u32 = 6;

/// How it is reached; what it passes on to phones and other proxies goes over UDP.
#[derive(Debug, Clone, Copy)]
pub enum Over<'a> {
    Udp,
    Tcp,
    /// With this certificate.
    Tls(&'a Identity),
}

/// Whose calls it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    Registered,
    Everybody,
}

/// Where calls go on to.
#[derive(Debug, Clone, Copy)]
pub enum Next {
    /// The phones or the proxy at this address.
    Host(SocketAddr),
    /// The phone that is registered as [`USERNAME`], over the connection that it came by.
    Phone,
}

/// A running proxy; ended when dropped.
pub struct Kamailio {
    child: Child,
    /// Its configuration and sockets, which live as long as it does.
    _folder: TempDir,
}

impl Kamailio {
    /// Starts it at a free address, and waits until it listens.
    pub async fn start(address: SocketAddr, over: Over<'_>, takes: Takes, next: Next) -> Kamailio {
        let folder = tempfile::tempdir().expect("a folder for the proxy");
        let config = folder.path().join("kamailio.cfg");
        std::fs::write(&config, configuration(address, over, takes, next))
            .expect("its configuration");
        let child = Command::new("kamailio")
            .arg("-f")
            .arg(&config)
            .args(["-DD", "-E", "-m", "32", "-M", "4", "-w"])
            .arg(folder.path())
            .arg("-Y")
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("kamailio (Debian package kamailio)");
        let is_stream = !matches!(over, Over::Udp);
        crate::eventually("a proxy that listens", async || {
            let listens = is_taken(address.port())
                && (!is_stream || std::net::TcpStream::connect(address).is_ok());
            listens.then_some(())
        })
        .await;
        Kamailio { child, _folder: folder }
    }
}

impl Drop for Kamailio {
    fn drop(&mut self) {
        // Killed, it would leave its children behind.
        let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let _ = self.child.wait();
    }
}

fn configuration(address: SocketAddr, over: Over<'_>, takes: Takes, next: Next) -> String {
    let transport = match over {
        Over::Udp => "disable_tcp=yes".to_owned(),
        Over::Tcp => format!("tcp_children=1\nlisten=tcp:{address}"),
        Over::Tls(Identity { certificate, private_key }) => format!(
            r#"enable_tls=yes
tcp_children=1
listen=tls:{address}
loadmodule "tls.so"
modparam("tls", "tls_method", "TLSv1.2+")
modparam("tls", "certificate", "{}")
modparam("tls", "private_key", "{}")"#,
            certificate.display(),
            private_key.display()
        ),
    };
    let admission = match takes {
        Takes::Everybody => String::new(),
        Takes::Registered => format!(
            r#"if (!pv_proxy_authenticate("carrier", "{PASSWORD}", "0")) {{
        auth_challenge("carrier", "0");
        exit;
    }}
    if (!registered("location", "sip:{USERNAME}@carrier")) {{
        sl_send_reply("403", "Register first");
        exit;
    }}
    consume_credentials();"#
        ),
    };
    let onward = match next {
        Next::Host(address) => format!(r#"$du = "sip:{address}";"#),
        Next::Phone => format!(
            r#"$ru = "sip:{USERNAME}@carrier";
    if (!lookup("location")) {{
        sl_send_reply("480", "Not registered");
        exit;
    }}"#
        ),
    };
    format!(
        r#"#!KAMAILIO
debug=0
log_stderror=yes
children=1
auto_aliases=no
listen=udp:{address}
{transport}
loadmodule "sl.so"
loadmodule "tm.so"
loadmodule "rr.so"
loadmodule "pv.so"
loadmodule "siputils.so"
loadmodule "textops.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
modparam("usrloc", "db_mode", 0)
modparam("registrar", "min_expires", 1)
modparam("registrar", "max_expires", {MAX_EXPIRES_S})

request_route {{
    if (is_method("REGISTER")) {{
        if (!pv_www_authenticate("carrier", "{PASSWORD}", "0")) {{
            auth_challenge("carrier", "0");
            exit;
        }}
        save("location");
        exit;
    }}
    if (has_totag()) {{
        if (loose_route() || t_check_trans()) t_relay();
        exit;
    }}
    if (is_method("CANCEL")) {{
        if (t_check_trans()) t_relay();
        exit;
    }}
    {admission}
    record_route();
    {onward}
    t_relay();
}}
"#
    )
}
