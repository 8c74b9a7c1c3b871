//! Accounts: name, region, limits, recording, timers, retention, trunks. Their callback, numbers,
//! agents and keys are beside this file.

use super::callback::CallbackView;
use super::desk::{Admin, blocking, conflict, unknown};
use super::field::{self, Refusals};
use crate::agent::grant;
use crate::call::change::disposition_text;
use crate::clock::now_ms;
use crate::http::extract::{JsonBody, PathParams, QueryParams};
use crate::problem::{Problem, ProblemDetails};
use crate::{hold_audio, retention};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use call_words::{AccountId, RecordingLayout, TrunkId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use storage::{Account, Belongings, ReferPolicy, Region, RemoveOutcome};
use utoipa::{IntoParams, ToSchema};

/// Dispositions that the softphone's picker offers at most.
const MAX_DISPOSITIONS: usize = 24;

/// An account as it is set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AccountView {
    #[schema(example = "demo")]
    pub id: String,
    pub name: String,
    /// ISO 3166-1 country whose national numbers are accepted.
    #[schema(example = "IN")]
    pub region: String,
    /// ISO 3166-1 countries whose numbers are dialled; empty means that of the region only.
    #[serde(default)]
    pub countries: Vec<String>,
    pub limits: LimitsView,
    /// Whether calls are recorded unless the request says otherwise.
    pub record: bool,
    /// Seconds for which the agent's phone rings.
    pub agent_ring_s: u64,
    /// Whether an agent's phone is asked to press 1 before the customer is dialled, unless the
    /// request says otherwise.
    #[serde(default)]
    pub agent_confirm: bool,
    /// Seconds for which the customer's phone rings.
    pub customer_ring_s: u64,
    /// Seconds after which a call is ended.
    pub max_duration_s: u64,
    /// Seconds without media from a party after which a call is ended.
    pub no_media_s: u64,
    pub retention: RetentionView,
    /// Trunk ids in the order in which they are tried.
    pub trunks: Vec<String>,
    /// Origins whose pages may embed the softphone; empty means any.
    #[serde(default)]
    pub frame_ancestors: Vec<String>,
    /// What the channels of recordings hold; the agent's is the first.
    #[serde(default)]
    pub recording_layout: RecordingLayout,
    /// What becomes of a REFER from an agent's phone.
    #[serde(default)]
    pub refer: Refer,
    /// Events that are pushed to the callback as they happen: their words, or the heads of them,
    /// such as `participant`.
    #[serde(default)]
    pub progress_events: Vec<String>,
    /// What the softphone's picker offers as the outcome of a call, in this order.
    #[serde(default)]
    pub dispositions: Vec<String>,
    /// Whether softphones are offered Opus, which makes up for lost packets.
    #[serde(default)]
    pub opus: bool,
    /// File that parties on hold hear; null for the bundled tone.
    #[serde(default)]
    pub hold_audio: Option<String>,
    /// Where results are pushed; null if they are only stored.
    pub callback: Option<CallbackView>,
}

/// What becomes of a REFER from an agent's phone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Refer {
    #[default]
    Refuse,
    /// A blind transfer, admitted like one that is asked for by REST.
    Transfer,
}

impl From<ReferPolicy> for Refer {
    fn from(policy: ReferPolicy) -> Self {
        match policy {
            ReferPolicy::Refuse => Self::Refuse,
            ReferPolicy::Transfer => Self::Transfer,
        }
    }
}

impl From<Refer> for ReferPolicy {
    fn from(refer: Refer) -> Self {
        match refer {
            Refer::Refuse => Self::Refuse,
            Refer::Transfer => Self::Transfer,
        }
    }
}

/// How much an account may do at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LimitsView {
    pub max_concurrent_calls: u32,
    pub calls_per_second: u32,
    /// Minutes of talk in a day (UTC) from which on no call is placed; 0 means any number.
    #[serde(default)]
    pub minutes_per_day: u32,
}

/// How many days are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RetentionView {
    pub record_days: u32,
    pub recording_days: u32,
}

impl From<&Account> for AccountView {
    fn from(account: &Account) -> Self {
        Self {
            id: account.id.to_string(),
            name: account.name.clone(),
            region: account.region.to_string(),
            countries: account.countries.iter().map(Region::to_string).collect(),
            limits: LimitsView {
                max_concurrent_calls: account.limits.max_concurrent_calls,
                calls_per_second: account.limits.calls_per_second,
                minutes_per_day: account.minutes_per_day,
            },
            record: account.record_by_default,
            agent_ring_s: account.agent_ring_ms / 1000,
            agent_confirm: account.agent_confirm,
            customer_ring_s: account.customer_ring_ms / 1000,
            max_duration_s: account.max_duration_ms / 1000,
            no_media_s: account.no_media_ms / 1000,
            retention: RetentionView {
                record_days: account.retention.record_days,
                recording_days: account.retention.recording_days,
            },
            trunks: account.trunks.iter().map(TrunkId::to_string).collect(),
            frame_ancestors: account.frame_ancestors.clone(),
            recording_layout: account.recording_layout,
            refer: account.refer.into(),
            progress_events: account.progress_events.clone(),
            dispositions: account.dispositions.clone(),
            opus: account.opus,
            hold_audio: account.hold_audio.clone(),
            callback: account.callback.as_ref().map(CallbackView::from),
        }
    }
}

/// Settings of an account; those left out keep their value, or get the default when the account is
/// new. The one shape of them: of requests, of the file that is applied, and of the CLI's flags.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema, clap::Args)]
#[serde(default, deny_unknown_fields)]
pub struct AccountSettings {
    /// Name for people. Default: the id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long)]
    pub name: Option<String>,
    /// ISO 3166-1 country whose national numbers are accepted. Default `IN`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long)]
    pub region: Option<String>,
    /// ISO 3166-1 countries whose numbers are dialled, such as `IN`; none means that of the region
    /// only. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long = "country", value_name = "COUNTRY")]
    pub countries: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[command(flatten)]
    pub limits: Option<LimitsSettings>,
    /// Whether calls are recorded unless the request says otherwise. Default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long)]
    pub record: Option<bool>,
    /// Seconds for which the agent's phone rings, 1–300. Default 30.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long)]
    pub agent_ring_s: Option<u64>,
    /// Whether an agent's phone is asked to press 1 before the customer is dialled, unless the
    /// request says otherwise. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long)]
    pub agent_confirm: Option<bool>,
    /// Seconds for which the customer's phone rings, 1–300. Default 45.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long)]
    pub customer_ring_s: Option<u64>,
    /// Seconds after which a call is ended, 10–86400. Default 14400.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long)]
    pub max_duration_s: Option<u64>,
    /// Seconds without media from a party after which a call is ended, 2–3600. Default 30.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long)]
    pub no_media_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[command(flatten)]
    pub retention: Option<RetentionSettings>,
    /// Trunks that exist, in the order in which they are tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long = "trunk", value_name = "TRUNK")]
    pub trunks: Option<Vec<String>>,
    /// Origins whose pages may embed the softphone, such as `https://crm.example.com`; none means
    /// any. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long = "frame-ancestor", value_name = "ORIGIN")]
    pub frame_ancestors: Option<Vec<String>>,
    /// What the channels of recordings hold: `stereo` (the customer and all third parties share the
    /// second) or `three_channel` (third parties have the third). Default `stereo`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_parser = field::word::<RecordingLayout>)]
    pub recording_layout: Option<RecordingLayout>,
    /// What becomes of a REFER from an agent's phone: `refuse`, or `transfer` for a blind transfer.
    /// Default `refuse`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long, value_parser = field::word::<Refer>)]
    pub refer: Option<Refer>,
    /// Words of events, or heads of words such as `participant`, that are pushed to the callback as
    /// they happen. Default none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long = "progress-event", value_name = "WORD")]
    pub progress_events: Option<Vec<String>>,
    /// What the softphone's picker offers as the outcome of a call, in this order: up to 24, each
    /// of 1 to 64 characters and named once; agents may still write one of their own. Default
    /// `INTERESTED`, `CALL_BACK`, `NOT_INTERESTED`, `WRONG_NUMBER`, `VOICEMAIL`, `DO_NOT_CALL`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long = "disposition", value_name = "DISPOSITION")]
    pub dispositions: Option<Vec<String>>,
    /// Whether softphones are offered Opus, which makes up for packets that browsers' networks
    /// lose, and is transcoded for everybody else. Default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long)]
    pub opus: Option<bool>,
}

/// How much an account may do at once; what is left out stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema, clap::Args)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsSettings {
    /// Calls at once, 0–100000; 0 stops new calls. Default 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long)]
    pub max_concurrent_calls: Option<u32>,
    /// New calls per second, 0–10000; 0 stops new calls. Default 10.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long)]
    pub calls_per_second: Option<u32>,
    /// Minutes of talk in a day (UTC) from which on no call is placed, 0–1000000; 0 means any
    /// number. Default 30000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long)]
    pub minutes_per_day: Option<u32>,
}

/// How many days are kept; what is left out stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema, clap::Args)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionSettings {
    /// Days for which records are kept, 1–3650. Default 365.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long)]
    pub record_days: Option<u32>,
    /// Days for which recordings are kept, 1–3650. Default 90.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[arg(long)]
    pub recording_days: Option<u32>,
}

impl AccountSettings {
    /// The account with these settings over the present ones; `is_trunk` knows the trunks that
    /// exist.
    pub fn over(
        self,
        mut account: Account,
        is_trunk: impl Fn(&str) -> bool,
        refusals: &mut Refusals,
    ) -> Account {
        if let Some(name) = self.name
            && refusals.take("name", field::text(&name)).is_some()
        {
            account.name = name;
        }
        if let Some(region) = self.region
            && let Some(region) = refusals.take("region", field::region(&region))
        {
            account.region = region;
        }
        if let Some(countries) = self.countries {
            let country = |(at, country): (usize, &String)| {
                refusals.take(&format!("countries[{at}]"), field::region(country))
            };
            account.countries = countries.iter().enumerate().filter_map(country).collect();
        }
        account.record_by_default = self.record.unwrap_or(account.record_by_default);
        account.agent_confirm = self.agent_confirm.unwrap_or(account.agent_confirm);
        account.opus = self.opus.unwrap_or(account.opus);
        refusals.seconds("agent_ring_s", self.agent_ring_s, 1..=300, &mut account.agent_ring_ms);
        refusals.seconds(
            "customer_ring_s",
            self.customer_ring_s,
            1..=300,
            &mut account.customer_ring_ms,
        );
        refusals.seconds(
            "max_duration_s",
            self.max_duration_s,
            10..=86_400,
            &mut account.max_duration_ms,
        );
        refusals.seconds("no_media_s", self.no_media_s, 2..=3_600, &mut account.no_media_ms);
        let given = self.limits.unwrap_or_default();
        refusals.within("limits", |refusals| {
            refusals.number(
                "max_concurrent_calls",
                given.max_concurrent_calls,
                0..=100_000,
                &mut account.limits.max_concurrent_calls,
            );
            refusals.number(
                "calls_per_second",
                given.calls_per_second,
                0..=10_000,
                &mut account.limits.calls_per_second,
            );
            refusals.number(
                "minutes_per_day",
                given.minutes_per_day,
                0..=1_000_000,
                &mut account.minutes_per_day,
            );
        });
        let given = self.retention.unwrap_or_default();
        refusals.within("retention", |refusals| {
            refusals.number(
                "record_days",
                given.record_days,
                1..=3_650,
                &mut account.retention.record_days,
            );
            refusals.number(
                "recording_days",
                given.recording_days,
                1..=3_650,
                &mut account.retention.recording_days,
            );
        });
        if let Some(trunks) = self.trunks {
            for (at, trunk) in trunks.iter().enumerate() {
                if !is_trunk(trunk) {
                    refusals.add(
                        &format!("trunks[{at}]"),
                        format!("{trunk:?} is no trunk; allowed are ids of trunks that exist"),
                    );
                }
            }
            refusals.each_once("trunks", "trunk", &trunks);
            account.trunks = trunks.into_iter().map(TrunkId::from).collect();
        }
        if let Some(origins) = self.frame_ancestors {
            for (at, origin) in origins.iter().enumerate() {
                refusals.take(&format!("frame_ancestors[{at}]"), field::origin(origin));
            }
            account.frame_ancestors = origins;
        }
        account.recording_layout = self.recording_layout.unwrap_or(account.recording_layout);
        account.refer = self.refer.map_or(account.refer, Into::into);
        if let Some(words) = self.progress_events {
            for (at, word) in words.iter().enumerate() {
                refusals.take(&format!("progress_events[{at}]"), field::event(word));
            }
            account.progress_events = words;
        }
        if let Some(dispositions) = self.dispositions {
            if dispositions.len() > MAX_DISPOSITIONS {
                refusals.add(
                    "dispositions",
                    format!("allowed are up to {MAX_DISPOSITIONS} dispositions"),
                );
            }
            for (at, text) in dispositions.iter().enumerate() {
                refusals.take(&format!("dispositions[{at}]"), disposition_text(text));
            }
            refusals.each_once("dispositions", "disposition", &dispositions);
            account.dispositions = dispositions;
        }
        account
    }
}

/// Lists all accounts.
#[utoipa::path(operation_id = "list_accounts", get, path = "/admin/accounts", tag = "accounts",
    responses((status = 200, body = Vec<AccountView>)))]
pub async fn list(State(admin): State<Arc<Admin>>) -> Result<Json<Vec<AccountView>>, Problem> {
    let accounts = blocking(&admin, |admin| Ok(admin.store().accounts()?)).await?;
    Ok(Json(accounts.iter().map(AccountView::from).collect()))
}

/// Reads one account.
#[utoipa::path(operation_id = "read_account", get, path = "/admin/accounts/{account}",
    tag = "accounts", params(("account" = String, Path)),
    responses((status = 200, body = AccountView), (status = 404, body = ProblemDetails)))]
pub async fn read(
    State(admin): State<Arc<Admin>>,
    PathParams(id): PathParams<AccountId>,
) -> Result<Json<AccountView>, Problem> {
    let account = blocking(&admin, move |admin| admin.account(&id)).await?;
    Ok(Json(AccountView::from(&account)))
}

/// Creates an account, or changes the settings that are given.
#[utoipa::path(operation_id = "set_account", put, path = "/admin/accounts/{account}",
    tag = "accounts", params(("account" = String, Path)),
    request_body = AccountSettings, responses((status = 200, body = AccountView,
        description = "changed"),
    (status = 201, body = AccountView, description = "created"),
    (status = 422, body = ProblemDetails)))]
pub async fn set(
    State(admin): State<Arc<Admin>>,
    PathParams(id): PathParams<AccountId>,
    JsonBody(settings): JsonBody<AccountSettings>,
) -> Result<(StatusCode, Json<AccountView>), Problem> {
    blocking(&admin, move |admin| {
        let _held = admin.change();
        let mut refusals = Refusals::default();
        refusals.take("account", field::id(id.as_str()));
        let known = admin.store().account(&id)?;
        let status = if known.is_some() { StatusCode::OK } else { StatusCode::CREATED };
        let trunks = admin.store().trunks()?;
        let present = known.unwrap_or_else(|| Account::new(id.clone(), id.as_str()));
        let account = settings.over(
            present,
            |trunk| trunks.iter().any(|known| known.id == trunk),
            &mut refusals,
        );
        refusals.finish()?;
        admin.store().put_account(&account).map_err(conflict)?;
        Ok((status, Json(AccountView::from(&account))))
    })
    .await
}

/// How an account is removed.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct RemovalMode {
    /// Remove it with all that it has. Default false: refused.
    pub confirm: bool,
    /// Only say what it has. Default false.
    pub dry_run: bool,
}

/// What an account has, which goes with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Removal {
    /// False for a dry run, which removes nothing.
    pub removed: bool,
    /// While there are any, the account stays.
    pub live_calls: usize,
    /// Results that are still being tried. While there are any, the account stays.
    pub pending_results: usize,
    /// Results that were given up and never delivered.
    pub exhausted_results: usize,
    pub calls: usize,
    pub recordings: usize,
    pub numbers: usize,
    pub agents: usize,
    pub keys: usize,
}

impl Removal {
    fn of(had: &Belongings, removed: bool) -> Self {
        let Belongings {
            live_calls,
            pending_results,
            exhausted_results,
            calls,
            recordings,
            numbers,
            agents,
            keys,
        } = *had;
        Self {
            removed,
            live_calls,
            pending_results,
            exhausted_results,
            calls,
            recordings,
            numbers,
            agents,
            keys,
        }
    }

    /// Its parts that are not none, for people.
    pub fn text(&self) -> String {
        let parts = [
            (self.live_calls, "live calls"),
            (self.pending_results, "results that wait"),
            (self.exhausted_results, "results that were never delivered"),
            (self.calls, "calls"),
            (self.recordings, "recordings"),
            (self.numbers, "numbers"),
            (self.agents, "agents"),
            (self.keys, "keys"),
        ];
        let parts: Vec<_> = parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{count} {what}"))
            .collect();
        if parts.is_empty() { "nothing but its settings".into() } else { parts.join(", ") }
    }
}

/// Removes an account with all that it has, calls and recordings too: their links answer 410, and
/// an account that later has its id sees nothing of them. Refused while calls are live or results
/// wait, and unless it is confirmed.
#[utoipa::path(operation_id = "remove_account", delete, path = "/admin/accounts/{account}",
    tag = "accounts", params(("account" = String, Path), RemovalMode),
    responses((status = 200, body = Removal, description = "Removed, or what a dry run found"),
    (status = 404, body = ProblemDetails), (status = 409, body = ProblemDetails)))]
pub async fn remove(
    State(admin): State<Arc<Admin>>,
    PathParams(id): PathParams<AccountId>,
    QueryParams(mode): QueryParams<RemovalMode>,
) -> Result<Json<Removal>, Problem> {
    let removal = blocking(&admin, move |admin| {
        let _held = admin.change();
        let store = &admin.store();
        let account = admin.account(&id)?;
        let had = store.belongings(&id)?.ok_or_else(|| unknown("account", id.as_str()))?;
        let found = Removal::of(&had, false);
        if mode.dry_run {
            return Ok(found);
        }
        let in_use = |had: &Belongings| {
            let detail = format!(
                "{} calls are live and {} results wait to be delivered; end the calls, and wait \
                    until the results are delivered or given up",
                had.live_calls, had.pending_results
            );
            Problem::conflict("in_use", detail)
        };
        if had.live_calls > 0 || had.pending_results > 0 {
            return Err(in_use(&had));
        }
        if !mode.confirm {
            let detail = format!(
                "this removes {}, for ever; repeat it with ?confirm=true (--yes)",
                found.text()
            );
            return Err(Problem::conflict("confirmation_needed", detail));
        }
        let agents = store.agents(&id)?;
        let had = match store.remove_account(&id)? {
            RemoveOutcome::Removed(had) => had,
            RemoveOutcome::InUse(had) => return Err(in_use(&had)),
            RemoveOutcome::Unknown => return Err(unknown("account", id.as_str())),
        };
        if let Some(file_name) = account.hold_audio {
            hold_audio::remove(&admin.app.config.hold_audio.folder, &file_name);
        }
        grant::end_sessions(&admin.app, &agents, |session| session.account_id == id)?;
        admin.app.notices.streams.wake(&id);
        Ok(Removal::of(&had, true))
    })
    .await?;
    // Its calls and files; what is left, should this be cut off, is retention's.
    while removal.removed && retention::expire_once(&admin.app, now_ms()).await? {}
    Ok(Json(removal))
}
