//! `GET /CRM_API/webphone/launch`: the link that a CRM's Dial button opens. Checks what it asks for
//! and renders a page with a token; it has no effect at all, whoever opens it how often (A4).
//! Everything starts when the page uses its token.

use super::page;
use super::ticket::Ticket;
use crate::app::App;
use crate::call::party;
use crate::clock::now_ms;
use crate::http::auth::{self, Client};
use crate::problem::{Problem, ProblemDetails};
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use call_words::AccountId;
use serde::Serialize;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use storage::{Account, Agent, ApiKey, KeyClass, Storage};

const CRM_USERNAME: &str = "crm_username";
const API_KEY: &str = "api_key";
const TO_NUMBER: &str = "to_number";
const FROM_NUMBER: &str = "from_number";
const UUID: &str = "uuid";
/// The guide's four, without which there is no call.
const REQUIRED: [&str; 4] = [CRM_USERNAME, API_KEY, TO_NUMBER, FROM_NUMBER];
/// Headers by which browsers tell that nobody may ever look at what they fetch.
const PREFETCH_HEADERS: [&str; 3] = ["sec-purpose", "purpose", "x-moz"];
/// Longest value that a page shows of a link.
const MAX_SHOWN_CHARS: usize = 200;
/// Longest key that is looked up.
const MAX_KEY_LEN: usize = 256;

/// Opens the browser softphone and calls a customer.
///
/// The link of the CRM's Dial button, opened by an agent's browser. The page brings the agent's
/// softphone online and places the call; this request itself has no effect. A raw `+` in the query
/// is a space: a number that begins with it is still read as international.
#[utoipa::path(
    get, path = "/CRM_API/webphone/launch", tag = "softphone",
    params(
        ("crm_username" = String, Query, description = "The agent's ID as registered, exact and \
            case-sensitive"),
        ("api_key" = String, Query, description = "The account's browser key"),
        ("to_number" = String, Query, description = "The customer's number as the CRM holds it"),
        ("from_number" = String, Query, description = "Caller ID: one of the account's assigned \
            numbers"),
        ("uuid" = Option<String>, Query, description = "The CRM's own id of the call, 1 to 128 \
            characters, echoed in its record and callback; `call_id` unless given"),
    ),
    responses(
        (status = 200, description = "The softphone's page", body = String,
            content_type = "text/html"),
        (status = 400, description = "A parameter is missing, empty, repeated or not UTF-8",
            content((String = "text/html"), (ProblemDetails = "application/problem+json"))),
        (status = 401, description = "Unknown or expired key",
            content((String = "text/html"), (ProblemDetails = "application/problem+json"))),
        (status = 403, description = "Not a browser key, or a `from_number` that is not assigned",
            content((String = "text/html"), (ProblemDetails = "application/problem+json"))),
        (status = 422, description = "A number that is not dialled, or an agent that is not \
            registered", content((String = "text/html"),
                (ProblemDetails = "application/problem+json"))),
        (status = 429, description = "Opened too often with this key or by this agent",
            content((String = "text/html"), (ProblemDetails = "application/problem+json")),
            headers(("Retry-After" = u64, description = "Seconds"))),
        (status = 503, description = "A prefetch, which is not served",
            content((String = "text/html"), (ProblemDetails = "application/problem+json")),
            headers(("Retry-After" = u64, description = "Seconds"))),
    ),
)]
pub async fn launch(
    State(app): State<Arc<App>>,
    Client(client): Client,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let query = query.unwrap_or_default();
    match open(&app, client, &headers, &query).await {
        Ok((account, launch)) => {
            app.metrics.launched("opened");
            page::shell(&app, &headers, &account.frame_ancestors, Some(&launch))
        }
        Err(problem) => {
            app.metrics.launched(&problem.body.code);
            page::refuse(&headers, problem, &arrived(&query))
        }
    }
}

/// What arrived of a link, for who has to mend its template; never the key.
fn arrived(query: &str) -> Vec<String> {
    let decoded = |text: &str| auth::percent_decode(text).unwrap_or_else(|| text.to_owned());
    let shown = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decoded(name);
        let value: String = decoded(value).chars().take(MAX_SHOWN_CHARS).collect();
        [CRM_USERNAME, TO_NUMBER, FROM_NUMBER, UUID]
            .contains(&name.as_str())
            .then(|| format!("{name}: {value}"))
    };
    query.split('&').filter_map(shown).take(REQUIRED.len() * 2).collect()
}

/// What the page is told.
#[derive(Debug, Serialize)]
struct Launch {
    token: String,
    agent: AgentName,
    to_number: String,
    to_number_e164: String,
    from_number: String,
    account: String,
    /// By which a reload of the page is embedded where the account allows it.
    account_id: AccountId,
}

/// An agent as its page shows it.
#[derive(Debug, Serialize)]
pub struct AgentName {
    pub crm_username: String,
    /// `None` if the agent has no name besides its ID.
    pub name: Option<String>,
}

impl From<Agent> for AgentName {
    fn from(agent: Agent) -> Self {
        let name = Some(agent.display_name).filter(|name| *name != agent.crm_username);
        Self { crm_username: agent.crm_username, name }
    }
}

async fn open(
    app: &Arc<App>,
    client: Option<IpAddr>,
    headers: &HeaderMap,
    query: &str,
) -> Result<(Account, Launch), Problem> {
    // A page that is shown later from a browser's cache would hold a token whose time is over.
    if is_prefetch(headers) {
        return Err(Problem::unavailable(
            "prefetch",
            "the launch link is not prefetched",
            Duration::from_secs(1),
        ));
    }
    let link = Link::parse(query)?;
    let key = browser_key(app, client, &link.api_key).await?;
    let account_id = key.account_id.clone().unwrap_or_default();
    let limits = &app.config.softphone;
    let uses = |agent: &str| {
        [
            (format!("key {}", key.id), limits.launch_per_minute_per_key),
            (format!("agent {} {agent}", key.id), limits.launch_per_minute_per_agent),
        ]
    };
    let checked = {
        let (account_id, link) = (account_id.clone(), link.clone());
        app.records.visit(move |store| Checked::of(store, &account_id, &link)).await
    };
    // Agents that are not registered share one rate: their names cost no memory.
    let agent = checked.as_ref().map_or("", |checked| checked.agent.crm_username.as_str());
    app.limits.launches.take(&uses(agent), Instant::now()).map_err(|wait| {
        Problem::too_many_requests(
            "rate_limited",
            "the launch link is opened too often with this key or by this agent",
            wait,
        )
    })?;
    let Checked { account, agent, to_number_e164, from_number } = checked?;
    let ticket = Ticket {
        id: uuid::Uuid::new_v4().simple().to_string(),
        key_id: key.id,
        account_id,
        crm_username: agent.crm_username.clone(),
        to_number: link.to_number.clone(),
        to_number_e164: to_number_e164.clone(),
        from_number: from_number.clone(),
        uuid: link.uuid,
        expires_ms: now_ms() + limits.token_s * 1000,
    };
    let launch = Launch {
        token: ticket.seal(&app.secrets.master_key),
        agent: agent.into(),
        to_number: link.to_number,
        to_number_e164,
        from_number,
        account: account.name.clone(),
        account_id: account.id.clone(),
    };
    Ok((account, launch))
}

fn is_prefetch(headers: &HeaderMap) -> bool {
    let values = PREFETCH_HEADERS.iter().flat_map(|name| headers.get_all(*name));
    values.filter_map(|value| value.to_str().ok()).any(|value| {
        let value = value.to_ascii_lowercase();
        value.contains("prefetch") || value.contains("prerender") || value.contains("preview")
    })
}

/// The account's browser key (S37–S39).
async fn browser_key(
    app: &Arc<App>,
    client: Option<IpAddr>,
    clear_key: &str,
) -> Result<ApiKey, Problem> {
    let unknown = || {
        auth::guessed(
            app,
            client,
            Problem::unauthorized(Some("invalid_token"), "api_key: unknown or expired"),
        )
    };
    if clear_key.len() > MAX_KEY_LEN {
        return Err(unknown());
    }
    let key = auth::find_key(app, clear_key).await?.ok_or_else(unknown)?;
    match (key.class, &key.account_id) {
        (KeyClass::Browser, Some(_)) => Ok(key),
        // Server keys are refused in every query before it comes here.
        _ => Err(Problem::forbidden(
            "key_class",
            "api_key: this key does not open the launch link; use the account's browser key",
        )),
    }
}

/// What the link asks for, as sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Link {
    crm_username: String,
    api_key: String,
    to_number: String,
    from_number: String,
    /// `None` also if a template left it empty.
    uuid: Option<String>,
}

impl Link {
    /// Reads the parameters in any order, among others.
    fn parse(query: &str) -> Result<Self, Problem> {
        let mut values: [Option<String>; 5] = Default::default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = auth::percent_decode(name).unwrap_or_default();
            let Some(at) = REQUIRED.iter().chain(&[UUID]).position(|known| *known == name) else {
                continue;
            };
            let value = auth::percent_decode(value).ok_or_else(|| {
                Problem::bad_request("malformed_query", format!("{name}: not UTF-8"))
                    .with_field(&name, "must be percent-encoded UTF-8")
            })?;
            if values[at].as_ref().is_some_and(|other| *other != value) {
                let detail = "is given more than once with different values";
                return Err(Problem::bad_request(
                    "repeated_parameter",
                    format!("{name}: {detail}"),
                )
                .with_field(&name, detail));
            }
            values[at] = Some(value);
        }
        let missing: Vec<&str> = REQUIRED
            .into_iter()
            .zip(&values)
            .filter(|(_, value)| value.as_ref().is_none_or(|value| value.trim().is_empty()))
            .map(|(name, _)| name)
            .collect();
        if !missing.is_empty() {
            let problem = Problem::bad_request(
                "missing_parameter",
                format!("the link lacks {}", missing.join(", ")),
            );
            return Err(missing
                .iter()
                .fold(problem, |problem, name| problem.with_field(name, "is missing or empty")));
        }
        let [crm_username, api_key, to_number, from_number, uuid] =
            values.map(Option::unwrap_or_default);
        let uuid = Some(uuid).filter(|uuid| !uuid.is_empty());
        party::check_text(UUID, uuid.as_deref(), party::MAX_UUID_CHARS)?;
        Ok(Self { crm_username, api_key: api_key.trim().to_owned(), to_number, from_number, uuid })
    }
}

/// What the account allows of it.
struct Checked {
    account: Account,
    agent: Agent,
    to_number_e164: String,
    from_number: String,
}

impl Checked {
    fn of(store: &Storage, account_id: &AccountId, link: &Link) -> Result<Self, Problem> {
        let account = store
            .account(account_id)?
            .ok_or_else(|| Problem::forbidden("account", "the key's account was deleted"))?;
        let agent = agent_of(store, account_id, &link.crm_username)?;
        let customer = party::dialled(TO_NUMBER, Some(&link.to_number), &account)?;
        let from_number =
            party::caller_id(store, account_id, Some(&link.from_number), account.region)?;
        Ok(Self {
            account,
            agent,
            to_number_e164: customer.e164.as_str().to_owned(),
            from_number: from_number.as_str().to_owned(),
        })
    }
}

/// The agent of a link. A raw `+` in it, as of an e-mail address, is a space in a query: the ID is
/// looked for in that spelling, too.
fn agent_of(store: &Storage, account_id: &AccountId, crm_username: &str) -> Result<Agent, Problem> {
    let found = party::registered_agent(store, account_id, crm_username);
    match found {
        Err(_) if crm_username.contains(' ') => {
            party::registered_agent(store, account_id, &crm_username.replace(' ', "+")).or(found)
        }
        _ => found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(crm_username: &str, to_number: &str) -> Link {
        Link {
            crm_username: crm_username.into(),
            api_key: "k".into(),
            to_number: to_number.into(),
            from_number: "2".into(),
            uuid: None,
        }
    }

    // S03
    #[test]
    fn parameters_are_read_in_any_order_and_form() {
        for (query, expected) in [
            ("crm_username=a&api_key=k&to_number=1&from_number=2", link("a", "1")),
            ("from_number=2&to_number=1&x=y&&api_key=%20k%20&flag&crm_username=a", link("a", "1")),
            (
                "crm_username=a+b&api_key=k&to_number=+91+98765&from_number=2",
                link("a b", " 91 98765"),
            ),
            (
                "crm_username=a%2Bb&api_key=k&to_number=%2B91%2098765&from_number=2",
                link("a+b", "+91 98765"),
            ),
            (
                "crm_username=%E0%A4%86%E0%A4%B6%E0%A4%BE&api_key=k&to_number=1&from_number=2",
                link("आशा", "1"),
            ),
            ("crm%5Fusername=a&api_key=k&to_number=1&to_number=1&from_number=2", link("a", "1")),
        ] {
            assert_eq!(Link::parse(query).unwrap(), expected, "{query}");
        }
    }

    // B06
    #[test]
    fn the_crms_own_id_comes_along() {
        let query = "crm_username=a&api_key=k&to_number=1&from_number=2&\
                     customer_name=R%C3%A9a&record_url=https%3A%2F%2Fx&note=%0A";
        for (uuid, expected) in [
            ("", None),
            ("&uuid=", None),
            ("&uuid=crm-42", Some("crm-42")),
            ("&uuid=%F0%9F%98%80%20", Some("😀 ")),
        ] {
            let link = Link::parse(&format!("{query}{uuid}")).unwrap();
            assert_eq!(
                link,
                Link { uuid: expected.map(str::to_owned), ..self::link("a", "1") },
                "{uuid}"
            );
        }
        let problem = Link::parse(&format!("{query}&uuid={}", "x".repeat(129))).unwrap_err();
        assert_eq!((problem.body.code.as_str(), problem.status.as_u16()), ("invalid_uuid", 422));
    }

    #[test]
    fn what_is_missing_is_named() {
        for (query, code, fields) in [
            ("", "missing_parameter", &REQUIRED[..]),
            (
                "crm_username=a&api_key=k&to_number=%20&from_number=2",
                "missing_parameter",
                &[TO_NUMBER],
            ),
            (
                "crm_username=&api_key&to_number=1&from_number=2",
                "missing_parameter",
                &[CRM_USERNAME, API_KEY],
            ),
            (
                "CRM_USERNAME=a&api_key=k&to_number=1&from_number=2",
                "missing_parameter",
                &[CRM_USERNAME],
            ),
            (
                "crm_username=%ff&api_key=k&to_number=1&from_number=2",
                "malformed_query",
                &[CRM_USERNAME],
            ),
            (
                "crm_username=a&api_key=k&to_number=1&to_number=3&from_number=2",
                "repeated_parameter",
                &[TO_NUMBER],
            ),
        ] {
            let problem = Link::parse(query).unwrap_err();
            let named: Vec<_> =
                problem.body.errors.iter().map(|error| error.field.as_str()).collect();
            assert_eq!((problem.body.code.as_str(), named.as_slice()), (code, fields), "{query}");
        }
    }

    #[test]
    fn prefetches_are_known_by_their_headers() {
        for (name, value, expected) in [
            ("sec-purpose", "prefetch", true),
            ("sec-purpose", "prefetch;prerender", true),
            ("purpose", "prefetch", true),
            ("purpose", "Preview", true),
            ("x-moz", "prefetch", true),
            ("accept", "prefetch", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            assert_eq!(is_prefetch(&headers), expected, "{name}: {value}");
        }
    }
}
