//! Kamailio as a carrier that asks for a registration: digest on REGISTER and INVITE, and calls of
//! who is registered go on to a phone, with a Record-Route.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// What it wants to hear.
pub const USERNAME: &str = "dialer";
/// The password beside it.
pub const PASSWORD: &str = "s3cret-of-the-trunk";
/// Longest registration that it grants, in seconds.
pub const MAX_EXPIRES_S: u32 = 6;

/// A running proxy; ended when dropped.
pub struct Kamailio {
    child: Child,
    /// Its configuration and sockets, which live as long as it does.
    _folder: TempDir,
}

impl Kamailio {
    /// Starts it at a free UDP address; calls go on to the phones at `phones`.
    pub fn start(address: SocketAddr, phones: SocketAddr) -> Kamailio {
        let folder = tempfile::tempdir().expect("a folder for the proxy");
        let config = folder.path().join("kamailio.cfg");
        std::fs::write(&config, configuration(address, phones)).expect("its configuration");
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

fn configuration(address: SocketAddr, phones: SocketAddr) -> String {
    format!(
        r#"#!KAMAILIO
debug=0
log_stderror=yes
children=1
auto_aliases=no
disable_tcp=yes
listen=udp:{address}
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
    if (!pv_proxy_authenticate("carrier", "{PASSWORD}", "0")) {{
        auth_challenge("carrier", "0");
        exit;
    }}
    if (!registered("location", "sip:{USERNAME}@carrier")) {{
        sl_send_reply("403", "Register first");
        exit;
    }}
    consume_credentials();
    record_route();
    $du = "sip:{phones}";
    t_relay();
}}
"#
    )
}
