//! What the machine must offer before the process starts, each lack with the setting that asks for
//! it. `--check-config` and a start refuse the same; only ports that are in use are left to the
//! start, for the process that is being replaced may hold them.

use crate::config::{Config, TlsMode};
use crate::http::tls::Security;
use crate::metrics::Metrics;
use crate::secret::{self, MasterKey};
use crate::{callback, server};
use rustix::fs::{Access, access};
use std::fmt::Display;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

/// Longest path of a Unix socket (unix(7)).
const SOCKET_PATH_LEN: usize = 107;

/// All that is missing, one line each; nothing is made.
pub fn check(config: &Config) -> Vec<String> {
    let mut lacks = Vec::new();
    let mut note = |key: &str, lack: Result<(), String>| {
        lacks.extend(lack.err().map(|lack| format!("{key}: {lack}")))
    };
    for (listen, tls_key, listener, tls) in [
        ("public.listen", "public.tls", config.public.listen, &config.public.tls),
        ("admin.listen", "admin.tls", config.admin.listen, &config.admin.tls),
    ] {
        note(listen, address(listener));
        let security = Security::new(tls, server::host(config), &Metrics::default());
        note(tls_key, security.map(drop).map_err(text));
    }
    note("storage.folder", folder(&config.storage.folder));
    note("recordings.folder", folder(&config.recordings.folder));
    note("hold_audio.folder", folder(&config.hold_audio.folder));
    note("link.socket", socket(&config.link.socket));
    note(
        "storage.secret_key_file",
        file(&config.storage.secret_key_file, |path| MasterKey::load_or_create(path).map(drop)),
    );
    note(
        "admin.token_file",
        file(&config.admin.token_file, |path| secret::load_or_create_admin_token(path).map(drop)),
    );
    note("callback", callback::check(&callback::Settings::of(config)).map_err(text));
    if config.public.tls.mode != TlsMode::Plain && config.public.url.starts_with("http://") {
        note(
            "public.url",
            Err(format!(
                "{:?} although public.tls.mode is not \"plain\"; allowed is https://",
                config.public.url
            )),
        );
    }
    lacks
}

fn text(error: impl Display) -> String {
    error.to_string()
}

fn address(listener: SocketAddr) -> Result<(), String> {
    match TcpListener::bind(listener) {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            Err(format!("{listener}: {error}"))
        }
        _ => Ok(()),
    }
}

/// Whether a folder can be written, or made.
fn folder(path: &Path) -> Result<(), String> {
    let absolute =
        std::path::absolute(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let nearest = absolute.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(&absolute);
    let refused = |reason: String| Err(format!("{}: {reason}", nearest.display()));
    if !nearest.is_dir() {
        return refused("is no folder".into());
    }
    access(nearest, Access::WRITE_OK | Access::EXEC_OK)
        .or_else(|error| refused(format!("cannot be written: {error}")))
}

fn socket(path: &Path) -> Result<(), String> {
    let len = path.as_os_str().len().max(path.with_extension("binding").as_os_str().len());
    if len > SOCKET_PATH_LEN || path.file_name().is_none() {
        return Err(format!(
            "{}: allowed is the path of a file, of at most 100 bytes",
            path.display()
        ));
    }
    folder(path.parent().unwrap_or(Path::new(".")))
}

/// Whether a file with a secret can be read, or made.
fn file<E: Display>(path: &Path, read: impl Fn(&Path) -> Result<(), E>) -> Result<(), String> {
    if path.exists() {
        return read(path).map_err(text);
    }
    folder(path.parent().unwrap_or(Path::new(".")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A configuration whose files are all in a folder that exists.
    fn sound(folder: &Path) -> Config {
        let text = format!(
            "[public]\nlisten = \"127.0.0.1:0\"\n[admin]\nlisten = \"127.0.0.1:0\"\ntoken_file = \
                \"{0}/new/token\"\n\
             [storage]\nfolder = \"{0}/db\"\nsecret_key_file = \"{0}/key\"\n[recordings]\nfolder \
             = \"{0}/r\"\n\
             [hold_audio]\nfolder = \"{0}/h\"\n[link]\nsocket = \"{0}/s\"\n",
            folder.display()
        );
        Config::parse(&text).unwrap()
    }

    #[track_caller]
    fn check_lack(change: impl FnOnce(&mut Config, &Path), parts: &[&str]) {
        let folder = tempfile::tempdir().unwrap();
        let mut config = sound(folder.path());
        assert_eq!(check(&config), [""; 0]);
        change(&mut config, folder.path());
        let lacks = check(&config);
        assert_eq!(lacks.len(), 1, "{lacks:?}");
        for part in parts {
            assert!(lacks[0].contains(part), "{lacks:?} lacks {part:?}");
        }
        assert!(
            !folder.path().join("new").exists() && !folder.path().join("db").exists(),
            "nothing is made"
        );
    }

    #[test]
    fn what_a_start_would_refuse_is_told_with_its_setting() {
        let file = |folder: &Path, name: &str, text: &str, mode: u32| {
            let path = folder.join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        let tls = |folder: &Path| crate::config::Tls {
            mode: TlsMode::Files,
            certificate: Some(folder.join("none.pem")),
            private_key: Some(folder.join("none.key")),
        };
        check_lack(
            |config, folder| config.admin.tls = tls(folder),
            &["admin.tls: ", "none.pem", "No such file"],
        );
        check_lack(
            |config, folder| {
                config.public.url = "https://api.example".into();
                config.public.tls = tls(folder);
                config.public.tls.certificate = Some(file(folder, "none.pem", "no PEM", 0o600));
            },
            &["public.tls: ", "none.pem"],
        );
        check_lack(
            |config, folder| config.callback.extra_roots = Some(folder.join("roots")),
            &["callback.extra_roots", "No such"],
        );
        check_lack(
            |config, folder| config.callback.extra_roots = Some(file(folder, "roots", "", 0o600)),
            &["callback.extra_roots", "no PEM certificate"],
        );
        check_lack(
            |config, _| config.public.tls.mode = TlsMode::SelfSigned,
            &["public.url", "https://"],
        );
        check_lack(
            |config, _| config.admin.listen = ([192, 0, 2, 1], 0).into(),
            &["admin.listen: 192.0.2.1:0"],
        );
        check_lack(
            |config, folder| config.storage.secret_key_file = file(folder, "k", "00", 0o600),
            &["secret_key_file", "64"],
        );
        check_lack(
            |config, folder| config.admin.token_file = file(folder, "t", "cda_x", 0o644),
            &["token_file", "mode 644"],
        );
        check_lack(
            |config, folder| config.recordings.folder = file(folder, "r", "", 0o600),
            &["recordings.folder", "no folder"],
        );
        check_lack(
            |config, folder| config.hold_audio.folder = file(folder, "h", "", 0o600),
            &["hold_audio.folder", "no folder"],
        );
        check_lack(
            |config, folder| config.storage.folder = file(folder, "no", "", 0o600).join("db"),
            &["storage.folder", "/no: is no folder"],
        );
        check_lack(
            |config, folder| config.link.socket = folder.join("s".repeat(120)),
            &["link.socket", "100 bytes"],
        );
    }
}
