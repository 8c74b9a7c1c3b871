//! The edge's configuration file (TOML): each key with its meaning, unit, default and cost.
//! `sip-edge.example.toml` holds the defaults. Checks what can be told from the file alone; what
//! the machine offers is `preflight`'s to say.

mod hep;
mod interfaces;
mod softphone;

pub use hep::HepConfig;
pub use interfaces::{Interface, InterfaceConfig};
pub use softphone::{SoftphoneConfig, SoftphonePlan};

use crate::transport::{CertificateSource, TlsSource};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The whole file. Every key may be left out.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Name of this edge on the control link, unique per control-api. 1 to 64 of
    /// `a-z A-Z 0-9 . _ -`.
    pub name: String,
    /// Shards, one pinned core each; 0 takes every core that the process may use. A shard costs
    /// about 20 MB.
    pub shards: u16,
    /// Longest time in seconds that running calls may go on after SIGTERM before they are hung up.
    /// 0 to 86,400.
    pub drain_limit_s: u32,
    pub sip: SipConfig,
    /// Beside the default one, which is `[sip]`'s; up to 7.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<InterfaceConfig>,
    pub media: MediaConfig,
    pub softphone: SoftphoneConfig,
    pub limits: LimitsConfig,
    pub recordings: RecordingsConfig,
    pub hold_audio: HoldAudioConfig,
    pub link: LinkConfig,
    pub hep: HepConfig,
    pub log: LogConfig,
}

/// `[sip]`: where peers reach the signalling.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct SipConfig {
    /// Address of this machine that SIP and media sockets of the default interface are bound to,
    /// which all trunks have that name none. Not a wildcard: replies
    /// must leave from where requests came.
    pub bind_address: IpAddr,
    /// Address that peers reach this machine at, written into Via, Contact and SDP; differs from
    /// `bind_address` behind a 1:1 NAT.
    pub public_address: IpAddr,
    /// UDP and TCP port of shard 0; shard `n` has `port + n`. 1 to 65,535, or 0 with one shard: the
    /// system chooses.
    pub port: u16,
    /// Whether all shards share `port`, and `tls.port`, for carriers that know one SIP port of a
    /// peer. A message that does not reach the shard of its call is handed over, within 1 ms.
    pub one_port: bool,
    pub tls: TlsConfig,
}

impl SipConfig {
    /// The ports that so many shards have from this one on.
    fn ports(&self, first: u16, shard_count: u16) -> Range<u32> {
        let count = if self.one_port { 1 } else { shard_count };
        u32::from(first)..u32::from(first) + u32::from(count)
    }

    /// How far a shard's port lies behind the first.
    fn port_offset(&self, shard: u16) -> u16 {
        if self.one_port || self.port == 0 { 0 } else { shard }
    }
}

/// `[sip.tls]`: SIP over TLS, to trunks and from them.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TlsConfig {
    /// TCP port of shard 0; shard `n` has `port + n`. 1 to 65,535.
    pub port: u16,
    /// PEM file with the certificate chain, the own one first: shown to trunks that connect and to
    /// those that ask for it. Read again within 10 s after a change. Empty: connections are only
    /// opened, none is taken.
    pub certificate: PathBuf,
    /// PEM file with the certificate's key.
    pub private_key: PathBuf,
    /// PEM file of roots that trunks' certificates may hang on besides the system's. Empty: none.
    pub extra_roots: PathBuf,
}

impl TlsConfig {
    /// What is shown and whom is believed.
    pub fn source(&self) -> TlsSource {
        let given = |path: &PathBuf| Some(path.clone()).filter(|path| !path.as_os_str().is_empty());
        TlsSource {
            certificate: given(&self.certificate).map(|certificate| CertificateSource::Files {
                certificate,
                private_key: self.private_key.clone(),
            }),
            extra_roots: given(&self.extra_roots),
        }
    }
}

/// `[media]`: the RTP and RTCP ports, cut evenly among the shards, and what is offered.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct MediaConfig {
    /// First port, even, 1,024 or above.
    pub first_port: u16,
    /// Last port, odd. A call uses four ports. Each port is bound at start: one descriptor and
    /// about 3 KB of kernel memory.
    pub last_port: u16,
    /// Time in milliseconds that a port rests after a call, so that late packets reach no other
    /// call. 0 to 60,000.
    pub quarantine_ms: u32,
    /// Whether calls are offered G.722 (HD voice) before G.711. Two that take it are relayed
    /// untouched; with a party that does not, its lower band is transcoded: about 10 µs a packet.
    pub wideband: bool,
}

/// `[limits]`: caps of one shard. What is beyond is refused and counted.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitsConfig {
    /// Most calls per shard, 1 to 5,000; fewer if the ports do not suffice. About 20 KB each while
    /// they live.
    pub max_calls: u16,
    /// Most SIP connections over TCP per shard, 2 to 10,000: one descriptor and up to 320 KB each.
    /// Half of them are kept for those that the edge opens to trunks, and that come from addresses
    /// of trunks it has called.
    pub max_tcp_connections: u16,
    /// Most of them that one other address may have, an IPv6 network of 64 bits being one; its
    /// oldest makes room, silent ones first. 1 to 10,000.
    pub max_tcp_per_address: u16,
    /// Time in seconds without a whole message or ping after which a TCP connection is closed;
    /// others than trunks have at most 30, and no pings. 10 to 86,400.
    pub tcp_idle_s: u32,
}

/// `[recordings]`
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RecordingsConfig {
    /// Folder that recordings are written to and control-api serves, the same as its
    /// `recordings.folder`; made if missing. A recorded call writes 32 KB a second.
    pub folder: PathBuf,
}

/// `[hold_audio]`
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct HoldAudioConfig {
    /// Folder with the WAV files that accounts have for parties on hold, the same as control-api's
    /// `hold_audio.folder`, which makes it. Each file is read once, when a call names it first, and
    /// kept: up to 2 MB. At most 64 per shard; a call without one plays the bundled tone.
    pub folder: PathBuf,
}

/// `[link]`: the way to control-api.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LinkConfig {
    /// Unix socket that control-api listens on, the same as its `link.socket`, at most 107 bytes.
    pub socket: PathBuf,
}

/// `[log]`: written to standard error.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// `text` for people, `json` for machines.
    pub format: LogFormat,
    /// Least severity: `error`, `warn`, `info`, `debug` or `trace`.
    pub level: LogLevel,
}

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    Text,
    Json,
}

/// From which level on lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "edge-1".into(),
            shards: 0,
            drain_limit_s: 300,
            sip: SipConfig::default(),
            interfaces: Vec::new(),
            media: MediaConfig::default(),
            softphone: SoftphoneConfig::default(),
            limits: LimitsConfig::default(),
            recordings: RecordingsConfig::default(),
            hold_audio: HoldAudioConfig::default(),
            link: LinkConfig::default(),
            hep: HepConfig::default(),
            log: LogConfig::default(),
        }
    }
}

impl Default for SipConfig {
    fn default() -> Self {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self {
            bind_address: loopback,
            public_address: loopback,
            port: 5060,
            one_port: false,
            tls: TlsConfig::default(),
        }
    }
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self {
            port: 5061,
            certificate: PathBuf::new(),
            private_key: PathBuf::new(),
            extra_roots: PathBuf::new(),
        }
    }
}

impl Default for MediaConfig {
    fn default() -> Self {
        Self { first_port: 20_000, last_port: 29_999, quarantine_ms: 5_000, wideband: false }
    }
}

impl Default for LimitsConfig {
    fn default() -> Self {
        Self {
            max_calls: 1_000,
            max_tcp_connections: 256,
            max_tcp_per_address: 16,
            tcp_idle_s: 600,
        }
    }
}

impl Default for RecordingsConfig {
    fn default() -> Self {
        Self { folder: "data/recordings".into() }
    }
}

impl Default for HoldAudioConfig {
    fn default() -> Self {
        Self { folder: "data/hold-audio".into() }
    }
}

impl Default for LinkConfig {
    fn default() -> Self {
        Self { socket: "data/control.sock".into() }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: LogLevel::Info }
    }
}

/// What is wrong with a configuration file, in one line that names the key and what is allowed.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{path}: {error}")]
    Unreadable { path: String, error: std::io::Error },
    #[error("{0}")]
    Syntax(String),
    #[error("`{key}`: {problem}")]
    Key { key: String, problem: String },
}

impl Config {
    /// Reads and checks a file.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError::Unreadable { path: path.display().to_string(), error })?;
        Self::parse(&text)
    }

    /// Parses and checks the text of a file.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let one_line = |message: &str| message.trim().replace('\n', ", ");
        let document = toml::Deserializer::parse(text).map_err(|error| {
            let line = error.span().map_or(0, |span| text[..span.start].matches('\n').count() + 1);
            ConfigError::Syntax(format!("line {line}: {}", one_line(error.message())))
        })?;
        let config: Config = serde_path_to_error::deserialize(document).map_err(|error| {
            let (key, problem) = (error.path().to_string(), one_line(error.inner().message()));
            // A number that its type cannot hold: what is allowed, instead of the type's name.
            let default = Config::default();
            let rule = default
                .rules()
                .find(|(name, ..)| problem.starts_with("invalid value: integer") && *name == key);
            ConfigError::Key {
                problem: rule.map_or(problem, |(_, _, allowed)| allowed.into()),
                key,
            }
        })?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        match self.rules().find(|(_, holds, _)| !holds) {
            Some((key, _, problem)) => {
                Err(ConfigError::Key { key: key.into(), problem: problem.into() })
            }
            None => self.check_interfaces(),
        }
    }

    /// Each rule: key, whether it holds, what is allowed. The first of a key is its range.
    fn rules(&self) -> impl Iterator<Item = (&'static str, bool, &'static str)> {
        let name_is_plain =
            self.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
        let socket_len = self.link.socket.as_os_str().len();
        let rules = [
            (
                "name",
                (1..=64).contains(&self.name.len()) && name_is_plain,
                "1 to 64 of a-z, A-Z, 0-9, `.`, `_` and `-` are allowed",
            ),
            ("shards", self.shards <= 256, "0 (every core) to 256 are allowed"),
            ("drain_limit_s", self.drain_limit_s <= 86_400, "0 to 86400 are allowed"),
            (
                "sip.bind_address",
                !self.sip.bind_address.is_unspecified(),
                "an address of this machine is needed, not a wildcard",
            ),
            (
                "sip.public_address",
                !self.sip.public_address.is_unspecified(),
                "the address that peers see is needed, not a wildcard",
            ),
            (
                "sip.public_address",
                self.sip.public_address.is_ipv4() == self.sip.bind_address.is_ipv4(),
                "the same IP version as `sip.bind_address` is needed",
            ),
            (
                "sip.port",
                self.sip.port != 0 || self.shards == 1,
                "1 to 65535 are allowed; 0 only with `shards = 1`",
            ),
            (
                "sip.port",
                self.sip.ports(self.sip.port, self.shards.max(1)).end <= 65_536,
                "with one port per shard the last would be above 65535",
            ),
            ("sip.tls.port", self.sip.tls.port != 0, "1 to 65535 are allowed"),
            (
                "sip.tls.private_key",
                self.sip.tls.certificate.as_os_str().is_empty()
                    == self.sip.tls.private_key.as_os_str().is_empty(),
                "a PEM file is needed beside `sip.tls.certificate`, and only there",
            ),
            (
                "media.first_port",
                self.media.first_port.is_multiple_of(2) && self.media.first_port >= 1024,
                "an even port from 1024 to 65532 is allowed",
            ),
            (
                "media.last_port",
                self.media.last_port % 2 == 1 && self.media.last_port > self.media.first_port,
                "an odd port above `media.first_port` is allowed",
            ),
            ("media.quarantine_ms", self.media.quarantine_ms <= 60_000, "0 to 60000 are allowed"),
            (
                "limits.max_calls",
                (1..=5_000).contains(&self.limits.max_calls),
                "1 to 5000 are allowed",
            ),
            (
                "limits.max_tcp_connections",
                (2..=10_000).contains(&self.limits.max_tcp_connections),
                "2 to 10000 are allowed",
            ),
            (
                "limits.max_tcp_per_address",
                (1..=10_000).contains(&self.limits.max_tcp_per_address),
                "1 to 10000 are allowed",
            ),
            (
                "limits.tcp_idle_s",
                (10..=86_400).contains(&self.limits.tcp_idle_s),
                "10 to 86400 are allowed",
            ),
            (
                "recordings.folder",
                !self.recordings.folder.as_os_str().is_empty(),
                "a folder is needed",
            ),
            (
                "hold_audio.folder",
                !self.hold_audio.folder.as_os_str().is_empty(),
                "a folder is needed",
            ),
            ("link.socket", (1..=107).contains(&socket_len), "a path of 1 to 107 bytes is allowed"),
        ];
        rules.into_iter().chain(self.softphone.rules(self.shards)).chain(self.hep.rules())
    }

    /// SIP over TCP: the idle limit.
    pub fn tcp_idle(&self) -> Duration {
        Duration::from_secs(self.limits.tcp_idle_s.into())
    }
}

/// What one shard is given of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardPlan {
    pub index: u16,
    /// UDP and TCP.
    pub sip: SocketAddr,
    /// SIP over TLS.
    pub sip_tls: SocketAddr,
    pub first_port: u16,
    pub pair_count: u16,
    pub call_capacity: u16,
    /// `None` if no softphones are served.
    pub softphone: Option<SoftphonePlan>,
}

impl ShardPlan {
    /// Cuts the configuration into `shard_count` shards, or says which key leaves a shard without
    /// ports.
    pub fn cut(config: &Config, shard_count: u16) -> Result<Vec<Self>, ConfigError> {
        let pair_count =
            (config.media.last_port - config.media.first_port).div_ceil(2) / shard_count;
        if pair_count < 2 {
            let problem = format!(
                "{shard_count} shards need at least {} ports from `media.first_port` on",
                shard_count * 4
            );
            return Err(ConfigError::Key { key: "media.last_port".into(), problem });
        }
        let sip = config.sip.ports(config.sip.port, shard_count);
        let count = sip.len();
        if sip.end > 65_536 {
            return Err(ConfigError::Key {
                key: "sip.port".into(),
                problem: format!("{count} ports from it on do not exist"),
            });
        }
        if sip.start <= config.media.last_port.into()
            && u32::from(config.media.first_port) < sip.end
        {
            let problem =
                format!("{count} ports from it on meet `media.first_port` to `media.last_port`");
            return Err(ConfigError::Key { key: "sip.port".into(), problem });
        }
        let tls = config.sip.ports(config.sip.tls.port, shard_count);
        let takes_tls = config.sip.tls.source().certificate.is_some();
        let meets_sip = tls.start < sip.end && sip.start < tls.end;
        if takes_tls && (tls.end > 65_536 || meets_sip) {
            let problem = format!("{count} ports from it on do not exist or meet `sip.port`'s");
            return Err(ConfigError::Key { key: "sip.tls.port".into(), problem });
        }
        let softphones = config.softphone.cut(config, shard_count)?;
        let at = |port: u16| SocketAddr::new(config.sip.bind_address, port);
        Ok((0..shard_count)
            .zip(softphones)
            .map(|(index, softphone)| Self {
                index,
                sip: at(config.sip.port + config.sip.port_offset(index)),
                sip_tls: at(config.sip.tls.port.saturating_add(config.sip.port_offset(index))),
                first_port: config.media.first_port + index * pair_count * 2,
                pair_count,
                call_capacity: config.limits.max_calls.min(pair_count / 2),
                softphone,
            })
            .collect())
    }
}

#[cfg(test)]
mod tests;
