//! What onboarding sets: accounts with their limits and callback, numbers, agents, API keys,
//! trunks.

use super::region::Region;
use super::{Sealed, from_hex, to_hex};
use call_words::{
    AccountId, DtmfMode, ForwardingHeader, KeyId, MediaProfile, RecordingLayout, TransportKind,
    TrunkId,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A customer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Account {
    pub id: AccountId,
    pub name: String,
    /// Country whose national numbers are accepted (A8).
    pub region: Region,
    pub limits: Limits,
    /// Whether calls are recorded unless the request says otherwise (A16).
    pub record_by_default: bool,
    /// Ring time of the agent's leg (A20).
    pub agent_ring_ms: u64,
    /// Ring time of the customer's leg (A20).
    pub customer_ring_ms: u64,
    /// Longest call (A20).
    pub max_duration_ms: u64,
    /// Time without media from a leg after which a call ends (A20).
    pub no_media_ms: u64,
    pub retention: Retention,
    /// Where results are pushed; `None` means that they are only stored (A17).
    pub callback: Option<CallbackSettings>,
    /// Trunk ids in the order in which they are tried.
    pub trunks: Vec<TrunkId>,
    /// Origins whose pages may embed the softphone, such as `https://crm.example`; empty means any.
    /// Since version 2.
    #[serde(default)]
    pub frame_ancestors: Vec<String>,
    /// What the channels of recordings hold. Since version 3, as all below.
    #[serde(default)]
    pub recording_layout: RecordingLayout,
    /// File name of what parties on hold hear; `None` for the bundled tone.
    #[serde(default)]
    pub hold_audio: Option<String>,
    /// What becomes of a REFER from an agent's phone.
    #[serde(default)]
    pub refer: ReferPolicy,
    /// Words of the events, or heads of words, that are pushed to the callback as they happen; none
    /// unless set.
    #[serde(default)]
    pub progress_events: Vec<String>,
    /// Whether an agent's phone is asked for a key before the customer is dialled, unless the
    /// request says otherwise (A9). Since version 4.
    #[serde(default)]
    pub agent_confirm: bool,
    /// Countries whose numbers are dialled; empty means the account's region
    /// only (B09). Since version 6, as all below.
    #[serde(default)]
    pub countries: Vec<Region>,
    /// Minutes of talk in a day (UTC) from which on no call is placed; 0 means any number (B09).
    #[serde(default = "default_minutes_per_day")]
    pub minutes_per_day: u32,
    /// What the softphone's picker offers as the outcome of a call, in this order. Since version 7.
    #[serde(default = "default_dispositions")]
    pub dispositions: Vec<String>,
    /// Whether softphones are offered Opus. Since version 8.
    #[serde(default = "default_opus")]
    pub opus: bool,
}

/// Networks of browsers lose packets, which Opus makes up for.
fn default_opus() -> bool {
    true
}

/// What a hundred agents talk at most in five hours.
fn default_minutes_per_day() -> u32 {
    30_000
}

/// The usual outcomes of a call.
fn default_dispositions() -> Vec<String> {
    ["INTERESTED", "CALL_BACK", "NOT_INTERESTED", "WRONG_NUMBER", "VOICEMAIL", "DO_NOT_CALL"]
        .map(str::to_owned)
        .to_vec()
}

/// What becomes of a REFER from an agent's phone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReferPolicy {
    #[default]
    Refuse,
    /// It is a blind transfer, admitted like one that is asked for by REST.
    Transfer,
}

impl Account {
    /// Version of the record, raised with each field that is added.
    pub(crate) const VERSION: u8 = 8;

    /// An account with the product's defaults: India, recorded, 30 s and 45 s of ringing, 4 h, no
    /// callback, no trunk.
    pub fn new(id: impl Into<AccountId>, name: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            region: Region::INDIA,
            limits: Limits::default(),
            record_by_default: true,
            agent_ring_ms: 30_000,
            customer_ring_ms: 45_000,
            max_duration_ms: 4 * 3_600_000,
            no_media_ms: 30_000,
            retention: Retention::default(),
            callback: None,
            trunks: Vec::new(),
            frame_ancestors: Vec::new(),
            recording_layout: RecordingLayout::default(),
            hold_audio: None,
            refer: ReferPolicy::default(),
            progress_events: Vec::new(),
            agent_confirm: false,
            countries: Vec::new(),
            minutes_per_day: default_minutes_per_day(),
            dispositions: default_dispositions(),
            opus: default_opus(),
        }
    }
}

/// What an account may use at once (S44).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    pub max_concurrent_calls: u32,
    pub calls_per_second: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_concurrent_calls: 100, calls_per_second: 10 }
    }
}

/// How long results are kept, in days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    pub record_days: u32,
    pub recording_days: u32,
}

impl Default for Retention {
    fn default() -> Self {
        Self { record_days: 365, recording_days: 90 }
    }
}

/// Where and how the result of each call is pushed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallbackSettings {
    pub url: String,
    /// The customer's own header, sent unchanged on every attempt.
    pub auth_header: Option<AuthHeader>,
    /// Secret of the Standard Webhooks signature, in its `whsec_…` text form before sealing.
    pub signing_secret: Sealed,
    /// Retries after the first attempt; 3 unless set (A1).
    pub max_retries: u32,
    /// Secrets that sign beside it for a while, the newest first (B08). Since version 5 of the
    /// account.
    #[serde(default)]
    pub earlier_secrets: Vec<EarlierSecret>,
}

/// A signing secret that was renewed, which receivers may still have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EarlierSecret {
    pub secret: Sealed,
    /// From then on it signs no more.
    pub until_ms: u64,
}

/// A header whose value is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthHeader {
    pub name: String,
    pub value: Sealed,
}

/// A caller ID that belongs to one account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Number {
    pub e164: String,
    pub account_id: AccountId,
}

/// An agent of an account; `crm_username` is exact and case-sensitive (S05).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    pub account_id: AccountId,
    pub crm_username: String,
    pub display_name: String,
}

/// What a key opens (guide, "Two keys, two sensitivities").
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyClass {
    Browser,
    Server,
    Admin,
}

/// Hash of an API key. Written as hexadecimal.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyHash(pub [u8; 32]);

impl std::fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyHash(..)")
    }
}

impl Serialize for KeyHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&to_hex(&self.0))
    }
}

impl<'de> Deserialize<'de> for KeyHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = from_hex(&text).and_then(|bytes| bytes.try_into().ok());
        bytes.map(KeyHash).ok_or_else(|| serde::de::Error::custom("not 64 hexadecimal digits"))
    }
}

/// An API key, of which only the hash is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    pub id: KeyId,
    /// `None` for an administrator's key.
    pub account_id: Option<AccountId>,
    pub class: KeyClass,
    pub hash: KeyHash,
    /// First characters of the clear key, by which people recognise it.
    pub prefix: String,
    pub created_ms: u64,
    /// From then on the key is refused; set when a successor takes over (S06).
    pub expires_ms: Option<u64>,
    /// Networks from which the key may be used; empty means any (A19).
    pub cidrs: Vec<String>,
    /// Whether the key may add supervisors to calls. Since version 2.
    #[serde(default)]
    pub may_supervise: bool,
}

/// How a trunk wants numbers written (A8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NumberFormat {
    /// `+919876543210`
    E164Plus,
    /// `919876543210`
    E164,
    /// `09876543210` for numbers of the account's region, `00…` for others.
    National0,
    /// The text, then the digits of E.164 without `+`.
    Prefix(String),
}

/// A configured SIP peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trunk {
    pub id: TrunkId,
    /// Host name or address.
    pub host: String,
    pub port: u16,
    pub transport: TransportKind,
    pub media: MediaProfile,
    /// Consent to SIP or media without encryption (A14, S42).
    pub allow_plaintext: bool,
    pub number_format: NumberFormat,
    pub username: Option<String>,
    pub password: Option<Sealed>,
    pub max_calls: u32,
    /// Networks (CIDR) that its signalling comes from besides its host's addresses (B02). Since
    /// version 2, as all below.
    #[serde(default)]
    pub signal_from: Vec<String>,
    /// Networks (CIDR) that its media come from besides the addresses that it names.
    #[serde(default)]
    pub media_from: Vec<String>,
    /// Seconds for which each shard registers with it (RFC 3261 §10); `None` for a trunk that asks
    /// for no registration. Since version 3, as all below.
    #[serde(default)]
    pub register_s: Option<u32>,
    /// Seconds between two OPTIONS that ask whether it is there; `None` for none.
    #[serde(default)]
    pub probe_interval_s: Option<u32>,
    /// The lower is tried first, among those whose prefixes serve a number equally well.
    #[serde(default)]
    pub priority: u16,
    /// Share of the calls among trunks of the same priority (RFC 2782); where all have 0, the
    /// account's order holds.
    #[serde(default)]
    pub weight: u16,
    /// Beginnings of the numbers that it serves, with their `+`; empty means all.
    #[serde(default)]
    pub prefixes: Vec<String>,
    /// Calls that may start on it in a second; `None` for any number.
    #[serde(default)]
    pub max_calls_per_s: Option<u32>,
    /// Whether its 3xx are followed to addresses of its own. Since version 4.
    #[serde(default)]
    pub follows_redirects: bool,
    /// DNS says where it is, by NAPTR and SRV records of its host (RFC 3263); `port` counts for
    /// nothing then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub srv: bool,
    /// Callers are hidden from who is called over it (RFC 3323).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hides_caller: bool,
    /// It is told who a hidden caller is, and keeps that to itself (RFC 3325).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trusted: bool,
    /// How it is told that a call was sent on.
    #[serde(default, skip_serializing_if = "ForwardingHeader::is_none")]
    pub forwarding: ForwardingHeader,
    /// How it is told of pressed keys.
    #[serde(default, skip_serializing_if = "DtmfMode::is_auto")]
    pub dtmf: DtmfMode,
    /// It is told of silence that the edge makes instead of being sent it (RFC 3389).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub comfort_noise: bool,
    /// The interface of an edge that it is reached by; `None` for the default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
}

impl Trunk {
    /// `None` if DNS says it.
    pub fn fixed_port(&self) -> Option<u16> {
        (!self.srv).then_some(self.port)
    }
}
