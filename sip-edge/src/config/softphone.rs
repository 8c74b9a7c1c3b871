//! `[softphone]`: where agents' browsers reach the shards, and how that is protected.

use super::{ConfigError, ShardPlan};
use crate::transport::CertificateSource;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// Signalling over WebSocket and TLS (WSS), media over one UDP port per shard (ICE, DTLS-SRTP).
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct SoftphoneConfig {
    /// Whether agents' browsers may register as softphones.
    pub enabled: bool,
    /// Address that the WSS listener is bound to. Media use `sip.bind_address` and are reached at
    /// `sip.public_address`.
    pub bind_address: IpAddr,
    /// TCP port for WSS of shard 0; shard `n` has `port + n`. 1 to 65,535, or 0 with one shard: the
    /// system chooses.
    pub port: u16,
    /// UDP port for media of shard 0; shard `n` has `media_port + n`. Outside of `[media]`'s ports.
    /// 1,024 to 65,535.
    pub media_port: u16,
    /// Where browsers reach the listener, if not at `sip.public_address` and `port`: an URL in
    /// which `{port}` and `{shard}` stand for the shard's; with several shards it needs one of
    /// them. Empty derives it.
    pub public_url: String,
    /// Domain of the agents' addresses and realm of their credentials. Need not exist in DNS.
    pub domain: String,
    /// PEM file with the certificate chain, the server's own first. Read again within 10 s after a
    /// change.
    pub certificate: PathBuf,
    /// PEM file with the certificate's key.
    pub private_key: PathBuf,
    /// For development: a certificate made at start instead of the files. Browsers warn of it.
    pub self_signed: bool,
    /// For development: `ws://` without TLS, only while `bind_address` is a loopback address.
    pub allow_plaintext_loopback: bool,
    /// Origins that a page with a softphone may have, such as `https://dialer.example`. Empty
    /// allows each: nobody registers without a credential anyway.
    pub allowed_origins: Vec<String>,
    /// Most softphones per shard, 1 to 10,000: two descriptors and about 60 KB each.
    pub max_softphones: u16,
    /// Most connections of one address on which nobody has registered yet, an IPv6 network of 64
    /// bits being one; its oldest makes room, silent ones first. Agents behind one NAT share an
    /// address, for the moment from opening the page to registering. 1 to 10,000.
    pub max_unregistered_per_address: u16,
    /// Most softphones per shard that are offered Opus at a time, 0 to 10,000; calls beyond are
    /// G.711. Each costs 62 KB, and where the other party speaks G.711 about 45 µs a packet and its
    /// answer: 100 of them a quarter of a core. 0 offers it to none.
    pub max_opus: u16,
}

impl Default for SoftphoneConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            bind_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: 8443,
            media_port: 19_000,
            public_url: String::new(),
            domain: "dialer.invalid".into(),
            certificate: "softphone-certificate.pem".into(),
            private_key: "softphone-key.pem".into(),
            self_signed: false,
            allow_plaintext_loopback: false,
            allowed_origins: Vec::new(),
            max_softphones: 1_000,
            max_unregistered_per_address: 64,
            max_opus: 200,
        }
    }
}

impl SoftphoneConfig {
    /// Each rule: key, whether it holds, what is allowed.
    pub(super) fn rules(&self, shards: u16) -> [(&'static str, bool, &'static str); 10] {
        let host_is_plain = |host: &str| {
            host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte))
        };
        let url_is_sound = self.public_url.is_empty()
            || ["wss://", "ws://"].iter().any(|scheme| self.public_url.starts_with(scheme));
        let origin_is_sound = |origin: &String| {
            origin.split_once("://").is_some_and(|(scheme, host)| {
                !scheme.is_empty()
                    && !host.is_empty()
                    && !host.contains('/')
                    && !origin.contains([' ', '*'])
            })
        };
        [
            (
                "softphone.port",
                self.port != 0 || shards == 1,
                "1 to 65535 are allowed; 0 only with `shards = 1`",
            ),
            ("softphone.media_port", self.media_port >= 1024, "1024 to 65535 are allowed"),
            (
                "softphone.public_url",
                url_is_sound,
                "a URL that begins with wss:// is needed, or nothing",
            ),
            (
                "softphone.domain",
                (1..=253).contains(&self.domain.len()) && host_is_plain(&self.domain),
                "a domain name of letters, digits, `.` and `-` is needed",
            ),
            (
                "softphone.allow_plaintext_loopback",
                !self.allow_plaintext_loopback || self.bind_address.is_loopback(),
                "only allowed while `softphone.bind_address` is a loopback address",
            ),
            (
                "softphone.self_signed",
                !(self.self_signed && self.allow_plaintext_loopback),
                "not together with `softphone.allow_plaintext_loopback`",
            ),
            (
                "softphone.allowed_origins",
                self.allowed_origins.iter().all(origin_is_sound),
                "each is a scheme and a host such as https://crm.example, without a path",
            ),
            (
                "softphone.max_softphones",
                (1..=10_000).contains(&self.max_softphones),
                "1 to 10000 are allowed",
            ),
            (
                "softphone.max_unregistered_per_address",
                (1..=10_000).contains(&self.max_unregistered_per_address),
                "1 to 10000 are allowed",
            ),
            ("softphone.max_opus", self.max_opus <= 10_000, "0 to 10000 are allowed"),
        ]
    }

    /// Cuts the ports; which key leaves a shard without one is told.
    pub(super) fn cut(
        &self,
        config: &super::Config,
        shard_count: u16,
    ) -> Result<Vec<Option<SoftphonePlan>>, ConfigError> {
        if !self.enabled {
            return Ok(vec![None; shard_count.into()]);
        }
        let fail = |key: &str, problem: String| Err(ConfigError::Key { key: key.into(), problem });
        for (key, first) in
            [("softphone.port", self.port), ("softphone.media_port", self.media_port)]
        {
            if u32::from(first) + u32::from(shard_count) > 65_536 {
                return fail(key, format!("{shard_count} ports from it on do not exist"));
            }
        }
        let media = u32::from(self.media_port)..u32::from(self.media_port) + u32::from(shard_count);
        let sip = config.sip.ports(config.sip.port, shard_count);
        let rtp = u32::from(config.media.first_port)..u32::from(config.media.last_port) + 1;
        for (name, other) in
            [("`sip.port`", sip.clone()), ("`media.first_port` to `media.last_port`", rtp)]
        {
            if media.start < other.end && other.start < media.end {
                return fail(
                    "softphone.media_port",
                    format!("{shard_count} ports from it on meet {name}"),
                );
            }
        }
        let wss = u32::from(self.port)..u32::from(self.port) + u32::from(shard_count);
        let is_one_address = self.bind_address.is_unspecified()
            || config.interfaces().iter().any(|one| one.bind == self.bind_address);
        if is_one_address && self.port != 0 && wss.start < sip.end && sip.start < wss.end {
            return fail(
                "softphone.port",
                format!("{shard_count} ports from it on meet `sip.port`"),
            );
        }
        let tells_shards_apart = self.public_url.is_empty()
            || ["{port}", "{shard}"].iter().any(|word| self.public_url.contains(word));
        if shard_count > 1 && !tells_shards_apart {
            return fail(
                "softphone.public_url",
                format!("with {shard_count} shards it needs {{port}} or {{shard}}"),
            );
        }
        let at = |first: u16, index: u16| if first == 0 { 0 } else { first + index };
        let plan = |index| SoftphonePlan {
            listener: SocketAddr::new(self.bind_address, at(self.port, index)),
            media: SocketAddr::new(config.sip.bind_address, at(self.media_port, index)),
            capacity: self.max_softphones,
        };
        Ok((0..shard_count).map(|index| Some(plan(index))).collect())
    }

    /// Where the listener's certificate comes from; `None` for plaintext on loopback.
    pub fn certificate_source(&self, public: IpAddr) -> Option<CertificateSource> {
        if self.allow_plaintext_loopback {
            return None;
        }
        Some(if self.self_signed {
            CertificateSource::SelfSigned(vec!["localhost".into(), public.to_string()])
        } else {
            CertificateSource::Files {
                certificate: self.certificate.clone(),
                private_key: self.private_key.clone(),
            }
        })
    }

    /// Where browsers reach a shard whose listener has this port.
    pub fn url(&self, public: IpAddr, plan: &ShardPlan, port: u16) -> String {
        if self.public_url.is_empty() {
            let scheme = if self.allow_plaintext_loopback { "ws" } else { "wss" };
            return format!("{scheme}://{}/", SocketAddr::new(public, port));
        }
        self.public_url
            .replace("{port}", &port.to_string())
            .replace("{shard}", &plan.index.to_string())
    }
}

/// What one shard is given of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SoftphonePlan {
    /// TCP.
    pub listener: SocketAddr,
    /// UDP.
    pub media: SocketAddr,
    pub capacity: u16,
}
