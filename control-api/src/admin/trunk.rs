//! Trunks: the SIP peers that calls are placed through. Encryption is asked for; plaintext needs
//! consent and carries a warning (A14, S42).

use super::desk::{Admin, blocking, conflict, unknown};
use super::field::{self, Context, Refusals};
use crate::http::extract::{JsonBody, PathParams};
use crate::link::{TrunkStanding, is_registered};
use crate::problem::{Problem, ProblemDetails};
use crate::resolver;
use crate::secret::{Purpose, Secret};
use crate::view::time::timestamp;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use call_words::{DtmfMode, ForwardingHeader, MediaProfile, TransportKind, TrunkId};
use control_wire::TrunkState;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use storage::{NumberFormat, Trunk};
use utoipa::ToSchema;

/// Networks in one setting: each route of a call carries them over the control link.
const MAX_NETWORKS: usize = 64;

/// A trunk as it is set; the password is never told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrunkView {
    #[schema(example = "carrier-a")]
    pub id: String,
    pub host: String,
    pub port: u16,
    pub transport: TransportKind,
    pub media: MediaProfile,
    pub allow_plaintext: bool,
    pub number_format: NumberForm,
    pub username: Option<String>,
    pub has_password: bool,
    pub max_calls: u32,
    pub signal_from: Vec<String>,
    pub media_from: Vec<String>,
    pub register_s: u32,
    pub probe_interval_s: u32,
    pub priority: u16,
    pub weight: u16,
    pub prefixes: Vec<String>,
    pub max_calls_per_s: u32,
    pub follows_redirects: bool,
    pub srv: bool,
    pub hides_caller: bool,
    pub trusted: bool,
    pub forwarding: ForwardingHeader,
    pub dtmf: DtmfMode,
    pub comfort_noise: bool,
    pub interface: Option<String>,
    /// What an operator should know of this trunk.
    pub warnings: Vec<String>,
    /// How it stands with each connected shard that registers with it, probes it, or avoids it.
    #[serde(default)]
    pub state: Vec<TrunkStateView>,
}

/// How a trunk stands with one shard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TrunkStateView {
    pub edge: String,
    pub shard: u16,
    /// Whether the carrier has taken the shard's registration; null if it asks for none.
    pub registered: Option<bool>,
    #[schema(example = "2026-07-03T10:00:00Z")]
    pub registered_until: Option<String>,
    /// Status of the answer to the last registration that failed since one held.
    pub sip_code: Option<u16>,
    /// Why it failed, in words.
    pub detail: Option<String>,
    /// Whether it answers OPTIONS; null if none are sent, or if that is not known yet.
    pub reachable: Option<bool>,
    /// Whether its last calls came to nothing, so that others are tried before it.
    pub breaker_open: bool,
    /// Whether the edge has no such `interface`, or one of another IP version than its addresses.
    #[serde(default)]
    pub lacks_interface: bool,
}

impl From<TrunkStanding> for TrunkStateView {
    fn from(standing: TrunkStanding) -> Self {
        let TrunkState { registration, reachable, breaker_open, lacks_interface, .. } =
            standing.state;
        let fault = registration.as_ref().and_then(|one| one.fault.clone());
        Self {
            edge: standing.edge.to_string(),
            shard: standing.shard,
            registered: registration.as_ref().map(is_registered),
            registered_until: registration.and_then(|one| one.until_ms).map(timestamp),
            sip_code: fault.as_ref().and_then(|fault| fault.sip_code),
            detail: fault.map(|fault| fault.detail),
            reachable,
            breaker_open,
            lacks_interface,
        }
    }
}

impl TrunkView {
    /// The trunk with how it stands now.
    fn with_state(admin: &Admin, trunk: &Trunk) -> Self {
        let standings = admin.app.link.trunk_standings(&trunk.id);
        Self { state: standings.into_iter().map(Into::into).collect(), ..Self::from(trunk) }
    }
}

/// How the trunk wants numbers written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NumberForm {
    /// `+919876543210`
    E164Plus,
    /// `919876543210`
    E164,
    /// `09876543210` for numbers of the account's region, `00…` for others.
    National0,
    /// The text, then the digits of E.164 without `+`.
    Prefix(String),
}

/// A form from a flag: one of the words, or `prefix:77`.
fn number_form(text: &str) -> Result<NumberForm, String> {
    match text.strip_prefix("prefix:") {
        Some(prefix) => Ok(NumberForm::Prefix(prefix.to_owned())),
        None => field::word(text)
            .map_err(|_| "allowed are e164-plus, e164, national0 and prefix:TEXT".to_owned()),
    }
}

impl From<NumberForm> for NumberFormat {
    fn from(form: NumberForm) -> Self {
        match form {
            NumberForm::E164Plus => NumberFormat::E164Plus,
            NumberForm::E164 => NumberFormat::E164,
            NumberForm::National0 => NumberFormat::National0,
            NumberForm::Prefix(prefix) => NumberFormat::Prefix(prefix),
        }
    }
}

impl From<&NumberFormat> for NumberForm {
    fn from(format: &NumberFormat) -> Self {
        match format {
            NumberFormat::E164Plus => NumberForm::E164Plus,
            NumberFormat::E164 => NumberForm::E164,
            NumberFormat::National0 => NumberForm::National0,
            NumberFormat::Prefix(prefix) => NumberForm::Prefix(prefix.clone()),
        }
    }
}

impl From<&Trunk> for TrunkView {
    fn from(trunk: &Trunk) -> Self {
        Self {
            id: trunk.id.to_string(),
            host: trunk.host.clone(),
            port: trunk.port,
            transport: trunk.transport,
            media: trunk.media,
            allow_plaintext: trunk.allow_plaintext,
            number_format: NumberForm::from(&trunk.number_format),
            username: trunk.username.clone(),
            has_password: trunk.password.is_some(),
            max_calls: trunk.max_calls,
            signal_from: trunk.signal_from.clone(),
            media_from: trunk.media_from.clone(),
            register_s: trunk.register_s.unwrap_or(0),
            probe_interval_s: trunk.probe_interval_s.unwrap_or(0),
            priority: trunk.priority,
            weight: trunk.weight,
            prefixes: trunk.prefixes.clone(),
            max_calls_per_s: trunk.max_calls_per_s.unwrap_or(0),
            follows_redirects: trunk.follows_redirects,
            srv: trunk.srv,
            hides_caller: trunk.hides_caller,
            trusted: trunk.trusted,
            forwarding: trunk.forwarding,
            dtmf: trunk.dtmf,
            comfort_noise: trunk.comfort_noise,
            interface: trunk.interface.clone(),
            warnings: plaintext_warnings(trunk),
            state: Vec::new(),
        }
    }
}

/// What travels unprotected on the trunk.
fn plaintext_warnings(trunk: &Trunk) -> Vec<String> {
    let mut warnings = Vec::new();
    if trunk.transport != TransportKind::Tls {
        warnings
            .push("SIP is not encrypted: anyone on the path can read who calls whom".to_owned());
        if trunk.media != MediaProfile::Rtp {
            warnings.push(
                "the keys of SRTP travel in SIP that is not encrypted: anyone on the path can \
                    decrypt the audio"
                    .to_owned(),
            );
        }
    }
    let audio = match trunk.media {
        MediaProfile::SdesSrtp => None,
        MediaProfile::Rtp => Some("audio is not encrypted: anyone on the path can listen"),
        MediaProfile::Osrtp => Some(
            "audio is encrypted only where the carrier answers with keys: else anyone on the \
                path can listen",
        ),
    };
    warnings.extend(audio.map(str::to_owned));
    warnings
}

/// Settings of a trunk; those left out keep their value, or get the default when the trunk is new.
/// The one shape of them: of requests, of the file that is applied, and of the CLI's flags.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema, clap::Args)]
#[serde(default, deny_unknown_fields)]
pub struct TrunkSettings {
    /// Host name or address. Needed when the trunk is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long)]
    pub host: Option<String>,
    /// 1–65535. Default 5060; 5061 for `tls`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long)]
    pub port: Option<u16>,
    /// `udp`, `tcp` or `tls`. Needed when the trunk is new.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_parser = field::word::<TransportKind>)]
    pub transport: Option<TransportKind>,
    /// `rtp`, `sdes_srtp` for SRTP with keys in SDP, or `osrtp` for keys that the carrier may
    /// answer or leave (RFC 8643). Default `sdes_srtp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_parser = field::word::<MediaProfile>)]
    pub media: Option<MediaProfile>,
    /// Consent to SIP or audio without encryption. Default false: such a trunk is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long)]
    pub allow_plaintext: Option<bool>,
    /// How the trunk wants numbers written: `e164_plus` (+9198…), `e164` (9198…), `national0`
    /// (098…), or a prefix before E.164's digits. Default `e164_plus`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_parser = number_form)]
    pub number_format: Option<NumberForm>,
    /// For digest challenges; an empty text removes it. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long)]
    pub username: Option<String>,
    /// For digest challenges; an empty text removes it. Default none.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing)]
    #[arg(skip)]
    pub password: Option<Secret>,
    /// 1–100000. Default 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long)]
    pub max_calls: Option<u32>,
    /// Networks (CIDR, up to 64) that the carrier's SIP comes from besides the addresses of `host`.
    /// SIP from elsewhere is not taken; the edge's log warns of it. Default none.
    #[schema(example = json!(["203.0.113.0/24"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long = "signal-from", value_name = "CIDR")]
    pub signal_from: Option<Vec<String>>,
    /// Networks (CIDR, up to 64) that the carrier's audio comes from besides the addresses that its
    /// SDP names; where that names a private address, the one that the INVITE goes to counts, too.
    /// Audio from elsewhere is not taken; the edge's log warns of it. Default none.
    #[schema(example = json!(["198.51.100.0/24"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long = "media-from", value_name = "CIDR")]
    pub media_from: Option<Vec<String>>,
    /// Seconds for which each shard registers with the carrier, 30–86400, with `username` and
    /// `password`; calls go over it only while it is registered. 0 (default): it asks for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long)]
    pub register_s: Option<u32>,
    /// Seconds between two OPTIONS that ask whether the carrier is there, 5–3600; calls pass it by
    /// while it does not answer. 0 (default): none are sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long)]
    pub probe_interval_s: Option<u32>,
    /// The lower is tried first, 0–65535. Default 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long)]
    pub priority: Option<u32>,
    /// Share of the calls among trunks of the same priority, 0–65535. Default 0: where all have 0,
    /// the account's order holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long)]
    pub weight: Option<u32>,
    /// Beginnings of the numbers that it serves (up to 256, E.164); the trunk with the longest that
    /// fits is tried first. Default none: it serves all.
    #[schema(example = json!(["+91", "+971"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long = "prefix", value_name = "E164")]
    pub prefixes: Option<Vec<String>>,
    /// Calls that may start on it in a second, 1–10000; beyond it the next trunk is taken. 0
    /// (default): any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long)]
    pub max_calls_per_s: Option<u32>,
    /// Whether a redirection (300, 301, 302) is followed, to the carrier's own host and to
    /// `signal_from` alone. Default false: the next trunk is tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long)]
    pub follows_redirects: Option<bool>,
    /// Whether the NAPTR and SRV records of `host` say where it is (RFC 3263); `port` counts for
    /// nothing then. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long)]
    pub srv: Option<bool>,
    /// Whether callers are hidden from who is called over it: From is anonymous, with `Privacy: id`
    /// (RFC 3323). Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long)]
    pub hides_caller: Option<bool>,
    /// Whether the carrier is told who a hidden caller is, by P-Asserted-Identity, which it must
    /// not pass on (RFC 3325). Default false: without `hides_caller` it is told anyway.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long)]
    pub trusted: Option<bool>,
    /// How the carrier is told that a call was sent on, by a transfer or a redirection of its own:
    /// `diversion` (RFC 5806), `history_info` (RFC 7044) or `none`, the default.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_parser = field::word::<ForwardingHeader>)]
    pub forwarding: Option<ForwardingHeader>,
    /// How the carrier is told of pressed keys: `rfc4733` by telephone-events if it agrees to them,
    /// else by tones; `info` by INFO; `inband` by tones alone, which are then heard from it during
    /// the talk, too. `auto` (default): telephone-events, else INFO where it is served, else tones.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_parser = field::word::<DtmfMode>)]
    pub dtmf: Option<DtmfMode>,
    /// Whether comfort noise (RFC 3389) is offered and agreed to: of silence that is made here for
    /// the carrier (mixed, transcoded, played) it is told once then, and sent nothing until
    /// something sounds. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long)]
    pub comfort_noise: Option<bool>,
    /// One of the edge's `[[interfaces]]`, by whose addresses it is reached; an empty text removes
    /// it. A call passes it by where the edge has none of this name, or one of another IP version
    /// than the host's. Default none: the addresses of `[sip]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long)]
    pub interface: Option<String>,
}

impl TrunkSettings {
    /// The trunk with these settings over the present one, if all that it needs is there.
    pub fn over(
        self,
        id: &TrunkId,
        present: Option<Trunk>,
        context: Context<'_>,
        refusals: &mut Refusals,
    ) -> Option<Trunk> {
        let (is_new, known) = (present.is_none(), present.as_ref());
        if let Some(host) = &self.host {
            refusals.take("host", field::host(host));
        } else if is_new {
            refusals
                .add("host", "missing; allowed is a host name or an IP address, without a port");
        }

        if self.transport.is_none() && is_new {
            refusals.add("transport", "missing; allowed are udp, tcp, tls");
        }
        let media = self.media;
        let transport = self.transport.or_else(|| known.map(|known| known.transport));
        let default_port = transport.map_or(5060, resolver::default_port);
        let mut port = known.map_or(default_port, |known| known.port);
        refusals.number("port", self.port, 1..=u16::MAX, &mut port);
        let mut max_calls = known.map_or(1000, |known| known.max_calls);
        refusals.number("max_calls", self.max_calls, 1..=100_000, &mut max_calls);
        let mut networks =
            |setting, given: Option<Vec<String>>, known: Option<&Vec<String>>| match given {
                Some(given) => field::networks(setting, &given, MAX_NETWORKS, refusals),
                None => known.cloned().unwrap_or_default(),
            };
        let signal_from =
            networks("signal_from", self.signal_from, known.map(|known| &known.signal_from));
        let media_from =
            networks("media_from", self.media_from, known.map(|known| &known.media_from));
        let register_s = refusals.number_or_none(
            "register_s",
            self.register_s,
            30..=86_400,
            known.and_then(|known| known.register_s),
        );
        let probe_interval_s = refusals.number_or_none(
            "probe_interval_s",
            self.probe_interval_s,
            5..=3600,
            known.and_then(|known| known.probe_interval_s),
        );
        let max_calls_per_s = refusals.number_or_none(
            "max_calls_per_s",
            self.max_calls_per_s,
            1..=10_000,
            known.and_then(|known| known.max_calls_per_s),
        );
        let mut rank = |setting, given, known: Option<u16>| {
            let mut value = known.map_or(0, u32::from);
            refusals.number(setting, given, 0..=u16::MAX.into(), &mut value);
            u16::try_from(value).expect("the range is that of u16")
        };
        let priority = rank("priority", self.priority, known.map(|known| known.priority));
        let weight = rank("weight", self.weight, known.map(|known| known.weight));
        let prefixes = match &self.prefixes {
            Some(given) => check_prefixes(given, refusals),
            None => known.map(|known| known.prefixes.clone()).unwrap_or_default(),
        };
        if let Some(NumberForm::Prefix(prefix)) = &self.number_format {
            refusals.take("number_format.prefix", check_prefix(prefix));
        }
        if let Some(username) = self.username.as_deref().filter(|username| !username.is_empty()) {
            refusals.take("username", field::text(username));
        }
        if let Some(name) = self.interface.as_deref().filter(|name| !name.is_empty()) {
            refusals.take("interface", field::id(name));
        }
        let interface = self
            .interface
            .or_else(|| known.and_then(|known| known.interface.clone()))
            .filter(|name| !name.is_empty());
        let follows_redirects = self
            .follows_redirects
            .unwrap_or_else(|| known.is_some_and(|known| known.follows_redirects));
        let allow_plaintext = self
            .allow_plaintext
            .unwrap_or_else(|| known.is_some_and(|known| known.allow_plaintext));
        let username = self
            .username
            .or_else(|| known.and_then(|known| known.username.clone()))
            .filter(|text| !text.is_empty());
        let known_password = known.and_then(|known| known.password.clone());
        let password = match self.password {
            Some(given) if given.expose().is_empty() => None,
            Some(given) => Some(context.reseal(Purpose::TrunkPassword, &given, known_password)),
            None => known_password,
        };
        let trunk = Trunk {
            id: id.clone(),
            host: self.host.or_else(|| known.map(|known| known.host.clone()))?,
            port,
            transport: transport?,
            media: media
                .or_else(|| known.map(|known| known.media))
                .unwrap_or(MediaProfile::SdesSrtp),
            allow_plaintext,
            number_format: self
                .number_format
                .map(NumberFormat::from)
                .or_else(|| known.map(|known| known.number_format.clone()))
                .unwrap_or(NumberFormat::E164Plus),
            username,
            password,
            max_calls,
            signal_from,
            media_from,
            register_s,
            probe_interval_s,
            priority,
            weight,
            prefixes,
            max_calls_per_s,
            follows_redirects,
            srv: self.srv.unwrap_or_else(|| known.is_some_and(|known| known.srv)),
            hides_caller: self
                .hides_caller
                .unwrap_or_else(|| known.is_some_and(|known| known.hides_caller)),
            trusted: self.trusted.unwrap_or_else(|| known.is_some_and(|known| known.trusted)),
            forwarding: self
                .forwarding
                .or_else(|| known.map(|known| known.forwarding))
                .unwrap_or_default(),
            comfort_noise: self
                .comfort_noise
                .unwrap_or_else(|| known.is_some_and(|known| known.comfort_noise)),
            dtmf: self.dtmf.or_else(|| known.map(|known| known.dtmf)).unwrap_or_default(),
            interface,
        };
        if trunk.register_s.is_some() && (trunk.username.is_none() || trunk.password.is_none()) {
            refusals.add("register_s", "allowed only with username and password, or as 0");
        }
        if !trunk.allow_plaintext && !plaintext_warnings(&trunk).is_empty() {
            let why = plaintext_warnings(&trunk).join("; ");
            refusals
                .add("allow_plaintext", format!("{why}; allowed only with allow_plaintext = true"));
        }
        Some(trunk)
    }
}

fn check_prefix(prefix: &str) -> Result<(), String> {
    let allowed = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'+' | b'*' | b'#');
    if prefix.len() <= 16 && prefix.bytes().all(allowed) {
        Ok(())
    } else {
        Err("allowed are up to 16 of 0-9, +, *, #".into())
    }
}

/// Prefixes in one setting.
const MAX_PREFIXES: usize = 256;

/// Beginnings of numbers in the form that routing compares with.
fn check_prefixes(given: &[String], refusals: &mut Refusals) -> Vec<String> {
    if given.len() > MAX_PREFIXES {
        refusals.add("prefixes", format!("allowed are up to {MAX_PREFIXES} prefixes"));
    }
    let prefix = |text: &String| {
        let digits = text.strip_prefix('+').unwrap_or(text);
        let is_prefix = (1..=15).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0');
        is_prefix.then(|| format!("+{digits}")).ok_or_else(|| {
            format!("{text:?} begins no number; allowed are such as +91, +97150, 1 to 15 digits")
        })
    };
    let prefixes: Vec<String> = given
        .iter()
        .enumerate()
        .filter_map(|(at, text)| refusals.take(&format!("prefixes[{at}]"), prefix(text)))
        .collect();
    refusals.each_once("prefixes", "prefix", &prefixes);
    prefixes
}

/// Lists all trunks.
#[utoipa::path(operation_id = "list_trunks", get, path = "/admin/trunks", tag = "trunks",
    responses((status = 200, body = Vec<TrunkView>)))]
pub async fn list(State(admin): State<Arc<Admin>>) -> Result<Json<Vec<TrunkView>>, Problem> {
    let trunks = blocking(&admin, |admin| Ok(admin.store().trunks()?)).await?;
    Ok(Json(trunks.iter().map(|trunk| TrunkView::with_state(&admin, trunk)).collect()))
}

/// Reads one trunk.
#[utoipa::path(operation_id = "read_trunk", get, path = "/admin/trunks/{trunk}", tag = "trunks",
    params(("trunk" = String, Path)),
    responses((status = 200, body = TrunkView), (status = 404, body = ProblemDetails)))]
pub async fn read(
    State(admin): State<Arc<Admin>>,
    PathParams(id): PathParams<TrunkId>,
) -> Result<Json<TrunkView>, Problem> {
    let trunk = blocking(&admin, move |admin| {
        admin.store().trunk(&id)?.ok_or_else(|| unknown("trunk", id.as_str()))
    })
    .await?;
    Ok(Json(TrunkView::with_state(&admin, &trunk)))
}

/// Creates a trunk, or changes the settings that are given.
#[utoipa::path(operation_id = "set_trunk", put, path = "/admin/trunks/{trunk}", tag = "trunks",
    params(("trunk" = String, Path)),
    request_body = TrunkSettings, responses((status = 200, body = TrunkView,
        description = "changed"),
    (status = 201, body = TrunkView, description = "created"),
    (status = 422, body = ProblemDetails)))]
pub async fn set(
    State(admin): State<Arc<Admin>>,
    PathParams(id): PathParams<TrunkId>,
    JsonBody(settings): JsonBody<TrunkSettings>,
) -> Result<(StatusCode, Json<TrunkView>), Problem> {
    blocking(&admin, move |admin| {
        let _held = admin.change();
        let mut refusals = Refusals::default();
        refusals.take("trunk", field::id(id.as_str()));
        let known = admin.store().trunk(&id)?;
        let status = if known.is_some() { StatusCode::OK } else { StatusCode::CREATED };
        let trunk = settings.over(&id, known, admin.context(), &mut refusals);
        refusals.finish()?;
        let trunk = trunk.expect("a trunk without host or transport is refused");
        admin.store().put_trunk(&trunk)?;
        admin.app.trunk_changes.notify_one();
        Ok((status, Json(TrunkView::with_state(admin, &trunk))))
    })
    .await
}

/// Removes a trunk that no account uses.
#[utoipa::path(operation_id = "remove_trunk", delete, path = "/admin/trunks/{trunk}",
    tag = "trunks", params(("trunk" = String, Path)),
    responses((status = 204), (status = 404, body = ProblemDetails),
        (status = 409, body = ProblemDetails)))]
pub async fn remove(
    State(admin): State<Arc<Admin>>,
    PathParams(id): PathParams<TrunkId>,
) -> Result<StatusCode, Problem> {
    blocking(&admin, move |admin| {
        let _held = admin.change();
        let removed = admin.store().delete_trunk(&id).map_err(conflict)?;
        admin.app.trunk_changes.notify_one();
        if removed { Ok(StatusCode::NO_CONTENT) } else { Err(unknown("trunk", id.as_str())) }
    })
    .await
}
