//! `[[interfaces]]`: further addresses by which trunks are reached, beside those of `[sip]`.

use super::{Config, ConfigError};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Most of them: each shard binds all ports of `[media]` on each.
const MAX_COUNT: usize = 7;

/// One further interface. Its ports are those of `[sip]`, `[sip.tls]` and `[media]`: each of its
/// media ports costs what those of the default one cost.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct InterfaceConfig {
    /// What trunks name in `interface`. 1 to 64 of `a-z A-Z 0-9 _ -`, no other interface's.
    pub name: String,
    /// Address of this machine that its SIP sockets are bound to; not a wildcard, and no other
    /// interface's. Connections that are opened leave from it, too.
    pub bind_address: IpAddr,
    /// Address that peers reach it at, of the same IP version; `bind_address` unless set.
    pub public_address: Option<IpAddr>,
    /// Address that its media sockets are bound to, no other interface's; `bind_address` unless
    /// set.
    pub media_bind_address: Option<IpAddr>,
    /// Address that peers send media to, of the same IP version as the one before; that one if it
    /// is set, else `public_address`.
    pub media_public_address: Option<IpAddr>,
}

/// All addresses of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Where the file says it.
    pub key: String,
    /// Empty: the default one.
    pub name: String,
    pub bind: IpAddr,
    pub public: IpAddr,
    pub media_bind: IpAddr,
    pub media_public: IpAddr,
}

impl InterfaceConfig {
    fn addresses(&self, place: usize) -> Interface {
        let public = self.public_address.unwrap_or(self.bind_address);
        Interface {
            key: format!("interfaces[{place}]"),
            name: self.name.clone(),
            bind: self.bind_address,
            public,
            media_bind: self.media_bind_address.unwrap_or(self.bind_address),
            media_public: self.media_public_address.or(self.media_bind_address).unwrap_or(public),
        }
    }
}

impl Config {
    /// The interfaces, the default one, which is `[sip]`'s, first.
    pub fn interfaces(&self) -> Vec<Interface> {
        let (bind, public) = (self.sip.bind_address, self.sip.public_address);
        let default = Interface {
            key: "sip".into(),
            name: String::new(),
            bind,
            public,
            media_bind: bind,
            media_public: public,
        };
        let further = self.interfaces.iter().enumerate();
        std::iter::once(default).chain(further.map(|(place, one)| one.addresses(place))).collect()
    }

    pub(super) fn check_interfaces(&self) -> Result<(), ConfigError> {
        let all = self.interfaces();
        let fail =
            |key: String, problem: &str| Err(ConfigError::Key { key, problem: problem.to_owned() });
        if self.interfaces.len() > MAX_COUNT {
            return fail("interfaces".into(), "at most 7 are allowed");
        }
        for (place, one) in all.iter().enumerate().skip(1) {
            let before = &all[..place];
            let is_plain =
                one.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
            // A media address that is not set is the signalling's.
            let given = &self.interfaces[place - 1];
            let media_bind = if given.media_bind_address.is_some() {
                "media_bind_address"
            } else {
                "bind_address"
            };
            let rules = [
                (
                    "name",
                    (1..=64).contains(&one.name.len()) && is_plain,
                    "1 to 64 of a-z, A-Z, 0-9, `_` and `-` are allowed",
                ),
                (
                    "name",
                    before.iter().all(|other| other.name != one.name),
                    "another interface has this name",
                ),
                (
                    "bind_address",
                    !one.bind.is_unspecified(),
                    "an address of this machine is needed, not a wildcard",
                ),
                (
                    "bind_address",
                    before.iter().all(|other| other.bind != one.bind),
                    "another interface, or `sip.bind_address`, has this address",
                ),
                (
                    "public_address",
                    !one.public.is_unspecified(),
                    "the address that peers see is needed, not a wildcard",
                ),
                (
                    "public_address",
                    one.public.is_ipv4() == one.bind.is_ipv4(),
                    "the same IP version as its `bind_address` is needed",
                ),
                (
                    "media_bind_address",
                    !one.media_bind.is_unspecified(),
                    "an address of this machine is needed, not a wildcard",
                ),
                (
                    media_bind,
                    before.iter().all(|other| other.media_bind != one.media_bind),
                    "the media of another interface, or of `sip.bind_address`, have this address",
                ),
                (
                    "media_public_address",
                    !one.media_public.is_unspecified(),
                    "the address that peers see is needed, not a wildcard",
                ),
                (
                    "media_public_address",
                    one.media_public.is_ipv4() == one.media_bind.is_ipv4(),
                    "the same IP version as its `media_bind_address` is needed",
                ),
            ];
            if let Some((field, _, problem)) = rules.into_iter().find(|(_, holds, _)| !holds) {
                return fail(format!("{}.{field}", one.key), problem);
            }
        }
        Ok(())
    }
}
