//! The configuration file: every key with its meaning, unit, default and cost, and the checks on
//! it. Accounts, numbers, keys and trunks are not here: they live in the store and change while the
//! process runs.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why a configuration cannot be used: one line that names the key and what is allowed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {message}")]
pub struct ConfigError {
    file: String,
    message: String,
}

/// The whole file. Each section and key may be left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub public: Public,
    pub admin: Admin,
    pub link: Link,
    pub storage: Storage,
    pub recordings: Recordings,
    pub hold_audio: HoldAudio,
    pub callback: Callback,
    pub calls: Calls,
    pub softphone: Softphone,
    pub log: Log,
}

/// The listener that customers reach.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Public {
    /// Address and port. Default `127.0.0.1:8080`.
    pub listen: SocketAddr,
    /// How customers reach the listener: the head of each recording link. No slash at the end.
    /// Default `http://127.0.0.1:8080`.
    pub url: String,
    /// Most connections at once, 1–1000000. When there are more, the one that has stalled for
    /// longest, of the address that holds most, makes room. Default 4096.
    /// About 30 KB of memory each, up to 100 KB while a recording is downloaded.
    pub max_connections: u32,
    /// Most connections of one address (of one /64 network in IPv6), 1–1000000; a further one takes
    /// the place of the one that has stalled for longest. It does not hold for `trusted_proxies`.
    /// Default 1024: an office of 500 agents behind one address.
    pub max_connections_per_address: u32,
    /// Networks whose `X-Forwarded-For` is believed. Default none.
    pub trusted_proxies: Vec<IpNet>,
    pub tls: Tls,
}

/// The listener of operators: admin API, `/healthz`, `/readyz`, `/metrics`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Admin {
    /// Address and port. Default `127.0.0.1:8081`.
    pub listen: SocketAddr,
    /// File with the admin API's bearer token; written with a fresh one (mode 0600) if it does not
    /// exist. Default `data/admin.token`.
    pub token_file: PathBuf,
    /// Most connections at once, from whatever address, 1–1000000; a further one takes the place of
    /// the one that has stalled for longest. Default 256.
    pub max_connections: u32,
    pub tls: Tls,
}

/// How a listener speaks HTTPS.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// `plain` (no TLS; loopback only), `self_signed` (development: a certificate made at start) or
    /// `files`. Default `plain`.
    pub mode: TlsMode,
    /// PEM chain for `files`, read again when it changes. No default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// PEM private key for `files`. No default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub private_key: Option<PathBuf>,
}

/// Where the public listener's certificate comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TlsMode {
    #[default]
    Plain,
    SelfSigned,
    Files,
}

/// The control link to the edges.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Link {
    /// Unix socket that the edge's shards connect to; made with mode 0600. Default
    /// `data/control.sock`.
    pub socket: PathBuf,
    /// Seconds after which the calls of an edge that stays away are ended, 1–3600. Default 30.
    /// Shorter frees lines sooner after a crash; longer survives longer restarts of this process's
    /// host network.
    pub edge_lost_after_s: u64,
}

/// The database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// Folder of the database. Default `data/db`.
    pub folder: PathBuf,
    /// File with the key that seals trunk passwords and callback headers; written with a fresh one
    /// (mode 0600) if it does not exist. Losing it loses those secrets. Default `data/secret.key`.
    pub secret_key_file: PathBuf,
}

/// The recordings that the edge writes and the public listener serves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recordings {
    /// Folder, the same as the edge's. Default `data/recordings`. One hour of a call takes 115 MB.
    pub folder: PathBuf,
}

/// What parties on hold hear, account by account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HoldAudio {
    /// Folder of the WAV files that the admin API takes, the same as the edge's. Default
    /// `data/hold-audio`. At most 2 MB an account.
    pub folder: PathBuf,
}

/// Delivery of call results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Callback {
    /// Development switch: also accept `http://` and private or loopback targets. Default false.
    pub allow_private_targets: bool,
    /// PEM file of certificate authorities to trust besides the system's. No default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra_roots: Option<PathBuf>,
    /// Most deliveries at once to one endpoint, 1–256. Default 16. A socket each.
    pub connections_per_endpoint: usize,
}

/// Limits of calls that hold for every account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Calls {
    /// Milliseconds for a DNS answer about a trunk's host, 100–10000. Default 2000. A `POST /calls`
    /// waits for it at most so long.
    pub dns_timeout_ms: u64,
    /// Most seconds for which a trunk's addresses are kept, 1–3600; DNS may say less. Default 30.
    pub dns_cache_s: u64,
    /// DNS servers for trunks' hosts, each an address with its port. Default none: the system's, as
    /// `/etc/resolv.conf` names them at the start.
    pub dns_servers: Vec<SocketAddr>,
    /// Days for which the SIP messages of a call can be read by operators, 0–365; never longer
    /// than its record. Default 7. 0: none are kept. About 8 KB a plain call, at most 32 KB, less
    /// on the disk.
    pub ladder_days: u64,
    /// Days for which a call's capture stays in the recordings' folder, 1–365. Default 7. At most
    /// 64 MB each.
    pub capture_days: u64,
    /// Whether operators may capture calls with their audio, what is said while a recording is
    /// paused included. Default false.
    pub capture_audio: bool,
}

/// The launch link and the pages that it opens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Softphone {
    /// Seconds for which a launched page's session lasts, 600–86400. Default 43200. A row in the
    /// database each.
    pub session_s: u64,
    /// Seconds in which a launched page has to open its session, 1–300. Default 60. Also the time
    /// that the agent has to bring a page to the front that the browser loaded in the background.
    pub token_s: u64,
    /// Seconds for which a softphone may register without asking again, 30–3600. Default 300.
    /// Shorter cuts removed agents off sooner, and costs a request each time.
    pub credential_s: u64,
    /// Launch links opened a minute by one agent, 1–1000. Default 30.
    pub launch_per_minute_per_agent: u32,
    /// Launch links opened a minute with one key, 1–100000. Default 600.
    pub launch_per_minute_per_key: u32,
}

/// The log, on stderr.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `tracing` filter. Default `info`; `debug` costs a few lines a call.
    pub filter: String,
    /// One JSON object a line instead of text. Default false.
    pub json: bool,
}

impl Default for Public {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            url: "http://127.0.0.1:8080".into(),
            max_connections: 4096,
            max_connections_per_address: 1024,
            trusted_proxies: Vec::new(),
            tls: Tls::default(),
        }
    }
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8081)),
            token_file: "data/admin.token".into(),
            max_connections: 256,
            tls: Tls::default(),
        }
    }
}

impl Default for Link {
    fn default() -> Self {
        Self { socket: "data/control.sock".into(), edge_lost_after_s: 30 }
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self { folder: "data/db".into(), secret_key_file: "data/secret.key".into() }
    }
}

impl Default for Recordings {
    fn default() -> Self {
        Self { folder: "data/recordings".into() }
    }
}

impl Default for HoldAudio {
    fn default() -> Self {
        Self { folder: "data/hold-audio".into() }
    }
}

impl Default for Callback {
    fn default() -> Self {
        Self { allow_private_targets: false, extra_roots: None, connections_per_endpoint: 16 }
    }
}

impl Default for Calls {
    fn default() -> Self {
        Self {
            dns_timeout_ms: 2000,
            dns_cache_s: 30,
            dns_servers: vec![],
            ladder_days: 7,
            capture_days: 7,
            capture_audio: false,
        }
    }
}

impl Default for Softphone {
    fn default() -> Self {
        Self {
            session_s: 43_200,
            token_s: 60,
            credential_s: 300,
            launch_per_minute_per_agent: 30,
            launch_per_minute_per_key: 600,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { filter: "info".into(), json: false }
    }
}

impl Config {
    /// Reads and checks a file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError {
            file: file.clone(),
            message: format!("cannot be read: {error}"),
        })?;
        Self::parse(&text).map_err(|message| ConfigError { file, message })
    }

    /// Parses and checks a text; the error is one line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let config: Self = toml::from_str(text).map_err(|error| syntax_error(text, &error))?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), String> {
        let url = self.public.url.as_str();
        let parsed = reqwest::Url::parse(url)
            .ok()
            .filter(|parsed| matches!(parsed.scheme(), "http" | "https") && parsed.has_host());
        if url.ends_with('/')
            || parsed.is_none_or(|parsed| parsed.query().is_some() || parsed.fragment().is_some())
        {
            return Err(format!(
                "public.url = {url:?}: allowed is http:// or https://, a host and no slash at the \
                    end"
            ));
        }
        let (public, admin) = (self.public.listen, self.admin.listen);
        let meets = public.ip() == admin.ip()
            || public.ip().is_unspecified()
            || admin.ip().is_unspecified();
        if public.port() == admin.port() && public.port() != 0 && meets {
            return Err(format!(
                "admin.listen = \"{admin}\": allowed is another port than that of public.listen, \
                    \"{public}\""
            ));
        }
        let values = [
            u64::from(self.public.max_connections),
            u64::from(self.public.max_connections_per_address),
            u64::from(self.admin.max_connections),
            self.link.edge_lost_after_s,
            self.callback.connections_per_endpoint as u64,
            self.calls.dns_timeout_ms,
            self.calls.dns_cache_s,
            self.calls.ladder_days,
            self.calls.capture_days,
            self.softphone.session_s,
            self.softphone.token_s,
            self.softphone.credential_s,
            u64::from(self.softphone.launch_per_minute_per_agent),
            u64::from(self.softphone.launch_per_minute_per_key),
        ];
        for ((key, min, max), value) in RANGES.into_iter().zip(values) {
            if !(min..=max).contains(&value) {
                return Err(format!("{key} = {value}: allowed is {min} to {max}"));
            }
        }
        self.log.check()?;
        self.public.tls.check("public", self.public.listen)?;
        self.admin.tls.check("admin", self.admin.listen)
    }

    /// Time after which the calls of an edge that stays away are ended.
    pub fn edge_lost_after(&self) -> Duration {
        Duration::from_secs(self.link.edge_lost_after_s)
    }
}

impl Tls {
    fn check(&self, section: &str, listen: SocketAddr) -> Result<(), String> {
        let files = self.certificate.is_some() && self.private_key.is_some();
        match self.mode {
            TlsMode::Files if !files => Err(format!(
                "{section}.tls.mode = \"files\": needs {section}.tls.certificate and \
                    {section}.tls.private_key"
            )),
            TlsMode::Plain | TlsMode::SelfSigned
                if self.certificate.is_some() || self.private_key.is_some() =>
            {
                Err(format!(
                    "{section}.tls.certificate and private_key: allowed only with \
                        {section}.tls.mode = \"files\""
                ))
            }
            TlsMode::Plain if !listen.ip().is_loopback() => Err(format!(
                "{section}.tls.mode = \"plain\": allowed only when {section}.listen is a loopback \
                    address; use \"files\" or \"self_signed\""
            )),
            _ => Ok(()),
        }
    }
}

/// Each number with its least and its greatest value, in the order in which they are checked.
const RANGES: [(&str, u64, u64); 14] = [
    ("public.max_connections", 1, 1_000_000),
    ("public.max_connections_per_address", 1, 1_000_000),
    ("admin.max_connections", 1, 1_000_000),
    ("link.edge_lost_after_s", 1, 3600),
    ("callback.connections_per_endpoint", 1, 256),
    ("calls.dns_timeout_ms", 100, 10_000),
    ("calls.dns_cache_s", 1, 3600),
    ("calls.ladder_days", 0, 365),
    ("calls.capture_days", 1, 365),
    ("softphone.session_s", 600, 86_400),
    ("softphone.token_s", 1, 300),
    ("softphone.credential_s", 30, 3600),
    ("softphone.launch_per_minute_per_agent", 1, 1_000),
    ("softphone.launch_per_minute_per_key", 1, 100_000),
];

impl Log {
    /// A filter that is well formed may still name nothing: a misspelt level is a target of that
    /// name, and the log stays empty.
    fn check(&self) -> Result<(), String> {
        let refused = |reason: &str| {
            let filter = &self.filter;
            Err(format!(
                "log.filter = {filter:?}: {reason}; allowed are tracing filters such as \"info\" \
                    or \"control_api=debug\""
            ))
        };
        if let Err(error) = tracing_subscriber::EnvFilter::try_new(&self.filter) {
            return refused(&error.to_string());
        }
        const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
        let directives =
            || self.filter.split(',').map(str::trim).filter(|directive| !directive.is_empty());
        let is_level = |word: &str| {
            LEVELS.contains(&word.to_ascii_lowercase().as_str())
                || matches!(word.as_bytes(), [b'0'..=b'5'])
        };
        let is_own = |directive: &str| {
            ["control_api", "storage"].iter().any(|name| directive.starts_with(name))
        };
        if let Some(word) = directives()
            .find(|word| !word.contains(['=', '[', ']']) && !is_level(word) && !is_own(word))
        {
            return refused(&format!("{word:?} is no level"));
        }
        if !directives()
            .any(|directive| is_level(directive) || is_own(directive) || directive.contains('['))
        {
            return refused("it selects nothing of this process");
        }
        Ok(())
    }
}

/// One line: where, which key, and what TOML or serde found wrong with it.
fn syntax_error(text: &str, error: &toml::de::Error) -> String {
    let what = error.message().lines().collect::<Vec<_>>().join(" ");
    let Some(span) = error.span() else { return what };
    let before = &text[..span.start.min(text.len())];
    let line_number = before.matches('\n').count() + 1;
    let line = text.lines().nth(line_number - 1).unwrap_or_default();
    let section = before
        .lines()
        .rev()
        .find(|line| line.trim_start().starts_with('['))
        .unwrap_or_default()
        .trim();
    let section = section.trim_matches(['[', ']']);
    let named = line
        .split_once('=')
        .map(|(key, value)| (format!("{section}.{}", key.trim()), value.trim()));
    if let Some((key, value)) = named
        && let Some((_, min, max)) = RANGES.iter().find(|(known, ..)| *known == key)
    {
        return format!("line {line_number}: {key} = {value}: allowed is {min} to {max}");
    }
    match line.split_once('=') {
        Some((key, _)) if section.is_empty() => {
            format!("line {line_number}: {}: {what}", key.trim())
        }
        Some((key, _)) => format!("line {line_number}: {section}.{}: {what}", key.trim()),
        None => format!("line {line_number}: {}: {what}", line.trim()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../control-api.example.toml");

    #[test]
    fn example_file_equals_the_defaults_and_has_every_key() {
        assert_eq!(Config::parse(EXAMPLE), Ok(Config::default()));
        let keys = |value: &toml::Table| {
            let mut keys = Vec::new();
            flatten("", value, &mut keys);
            keys
        };
        let example: toml::Table = EXAMPLE.parse().unwrap();
        let defaults = toml::Table::try_from(Config::default()).unwrap();
        assert_eq!(keys(&example), keys(&defaults));
    }

    /// S15, S34: both processes work on the same folders, and meet at the same socket.
    #[test]
    fn the_example_files_of_both_processes_fit_each_other() {
        let edge: toml::Table =
            include_str!("../../sip-edge/sip-edge.example.toml").parse().unwrap();
        let own: toml::Table = EXAMPLE.parse().unwrap();
        for (section, key) in
            [("link", "socket"), ("recordings", "folder"), ("hold_audio", "folder")]
        {
            assert_eq!(own[section][key], edge[section][key], "{section}.{key}");
        }
    }

    fn flatten(prefix: &str, table: &toml::Table, keys: &mut Vec<String>) {
        for (key, value) in table {
            match value {
                toml::Value::Table(inner) => flatten(&format!("{prefix}{key}."), inner, keys),
                _ => keys.push(format!("{prefix}{key}")),
            }
        }
        keys.sort();
    }

    #[track_caller]
    fn check_error(text: &str, parts: &[&str]) {
        let error = Config::parse(text).expect_err("the text is wrong");
        assert_eq!(error.lines().count(), 1, "{error}");
        for part in parts {
            assert!(error.contains(part), "{error:?} lacks {part:?}");
        }
    }

    #[test]
    fn errors_are_one_line_that_names_the_key_and_what_is_allowed() {
        check_error(
            "[public]\nlistne = \"127.0.0.1:1\"",
            &["line 2", "listne", "expected one of", "`listen`"],
        );
        check_error("[public]\nlisten = 8080", &["line 2", "public.listen", "invalid type"]);
        check_error("[public]\nlisten = \"localhost\"", &["public.listen"]);
        check_error("[public]\nurl = \"https://x/\"", &["public.url", "no slash"]);
        check_error("[public]\nlisten = \"0.0.0.0:80\"", &["public.tls.mode", "loopback"]);
        check_error("[admin.tls]\nmode = \"files\"", &["admin.tls.certificate"]);
        check_error("[admin.tls]\nmode = \"none\"", &["mode", "`plain`, `self_signed`, `files`"]);
        check_error(
            "[callback]\nconnections_per_endpoint = 0",
            &["callback.connections_per_endpoint", "1 to 256"],
        );
        check_error("[link]\nedge_lost_after_s = 0", &["link.edge_lost_after_s", "1 to 3600"]);
        check_error("[softphone]\nsession_s = 60", &["softphone.session_s", "600 to 86400"]);
        check_error(
            "[softphone]\nlaunch_per_minute_per_key = 0",
            &["softphone.launch_per_minute_per_key", "1 to 100000"],
        );
        check_error("[log]\nfilter = \"a=b=c\"", &["log.filter", "tracing filters"]);
        for filter in ["verbose", "infos", "info,verbose", "", "hyper=debug", "WARNING"] {
            check_error(
                &format!("[log]\nfilter = \"{filter}\""),
                &["log.filter", filter, "tracing filters"],
            );
        }
        for filter in [
            "info",
            "WARN",
            "off",
            "3",
            "control_api",
            "control_api::link=debug,hyper=info",
            "info,[call]=trace",
        ] {
            assert!(Config::parse(&format!("[log]\nfilter = \"{filter}\"")).is_ok(), "{filter}");
        }
        check_error("[public]\nurl = \"https://\"", &["public.url"]);
        check_error("[public]\nurl = \"https://api.example?x\"", &["public.url"]);
        check_error("[admin]\nlisten = \"127.0.0.1:8080\"", &["admin.listen", "another port"]);
        check_error(
            "[public]\nlisten = \"0.0.0.0:8081\"\ntls.mode = \"self_signed\"",
            &["admin.listen", "another port"],
        );
        assert!(Config::parse("[admin]\nlisten = \"127.0.0.2:8080\"").is_ok(), "another address");
        check_error(
            "[public]\nmax_connections = 5000000000",
            &["line 2: public.max_connections = 5000000000", "1 to 1000000"],
        );
        check_error(
            "[calls]\n\ndns_cache_s = -1",
            &["line 3: calls.dns_cache_s = -1: allowed is 1 to 3600"],
        );
        check_error("[calls]\ncapture_days = 0", &["calls.capture_days = 0", "1 to 365"]);
        check_error("[calls]\nladder_days = 366", &["calls.ladder_days = 366", "0 to 365"]);
        check_error("public = [", &["line 1"]);
    }
}
