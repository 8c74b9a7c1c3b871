//! The onboarding pack of a customer (S09): everything that its CRM's administrator and developer
//! paste, as data and as text.

use super::account::AccountView;
use super::desk::{Admin, blocking};
use super::identity::AgentView;
use super::key::{Class, KeyView};
use crate::callback::RESPONSE_TIMEOUT;
use crate::http::extract::PathParams;
use crate::problem::{Problem, ProblemDetails};
use crate::secret::Secret;
use axum::Json;
use axum::extract::State;
use call_words::AccountId;
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use std::sync::Arc;
use utoipa::ToSchema;

/// What the pack is made of; no secret is in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Pack {
    /// How customers reach the API.
    #[schema(example = "https://api.example.com")]
    pub public_url: String,
    pub account: AccountView,
    /// Caller IDs in E.164.
    pub numbers: Vec<String>,
    pub agents: Vec<AgentView>,
    /// Keys that work now.
    pub keys: Vec<KeyView>,
}

/// Clear keys that were just made and go into the pack's texts.
#[derive(Debug, Default)]
pub struct ClearKeys {
    pub browser: Option<Secret>,
    pub server: Option<Secret>,
}

/// Reads what an account's onboarding pack is made of.
#[utoipa::path(get, path = "/admin/accounts/{account}/pack", tag = "onboarding",
    params(("account" = String, Path)),
    responses((status = 200, body = Pack), (status = 404, body = ProblemDetails)))]
pub async fn read_pack(
    State(admin): State<Arc<Admin>>,
    PathParams(account): PathParams<AccountId>,
) -> Result<Json<Pack>, Problem> {
    blocking(&admin, move |admin| {
        let (store, now_ms) = (&admin.store(), crate::clock::now_ms());
        let keys = store.api_keys(Some(&account))?;
        Ok(Json(Pack {
            public_url: admin.app.config.public.url.clone(),
            account: AccountView::from(&admin.account(&account)?),
            numbers: store.numbers(&account)?.into_iter().map(|number| number.e164).collect(),
            agents: store.agents(&account)?.iter().map(AgentView::from).collect(),
            keys: keys
                .iter()
                .filter(|key| key.expires_ms.is_none_or(|expires| now_ms < expires))
                .map(KeyView::from)
                .collect(),
        }))
    })
    .await
}

impl Pack {
    /// The pack as text, with clear keys where they are known and placeholders where not.
    pub fn text(&self, clear: &ClearKeys) -> String {
        let mut text = format!("Onboarding pack: {} ({})\n", self.account.name, self.account.id);
        self.write_browser_flow(&mut text, clear.browser.as_ref());
        self.write_server_flow(&mut text, clear.server.as_ref());
        self.write_identities(&mut text);
        self.write_callback(&mut text);
        self.write_capacity(&mut text);
        text
    }

    fn caller_id(&self) -> &str {
        self.numbers.first().map_or("YOUR_CALLER_ID", String::as_str)
    }

    fn write_browser_flow(&self, text: &mut String, key: Option<&Secret>) {
        let key = key.map_or("YOUR_BROWSER_KEY", Secret::expose);
        // In a query a raw + is a space.
        let caller_id = self.caller_id().replace('+', "%2B");
        section(text, "1. Browser softphone: the link your Dial button opens");
        line(
            text,
            format_args!(
                "{}/CRM_API/webphone/launch?crm_username={{AGENT_ID}}&api_key={key}&to_number={{CUSTOMER_NUMBER}}&from_number={caller_id}",
                self.public_url
            ),
        );
        line(
            text,
            format_args!("Your CRM puts in {{AGENT_ID}} and {{CUSTOMER_NUMBER}} on each click."),
        );
        self.write_keys(text, Class::Browser, "may be seen in agents' browsers");
    }

    fn write_server_flow(&self, text: &mut String, key: Option<&Secret>) {
        let key = key.map_or("YOUR_SERVER_KEY", Secret::expose);
        section(text, "2. Server to server: one request places a call");
        let body = format!(
            "{{\"from_number\": \"{}\", \"to_number\": \"CUSTOMER_NUMBER\", \
             \"agent_number\": \"AGENT_PHONE_NUMBER\", \"uuid\": \"your-own-call-id\"}}",
            self.caller_id()
        );
        line(text, format_args!("curl -X POST {}/calls \\", self.public_url));
        line(text, format_args!("  -H 'Authorization: Bearer {key}' \\"));
        line(text, format_args!("  -H 'Content-Type: application/json' \\"));
        line(text, format_args!("  -d '{body}'"));
        self.write_keys(text, Class::Server, "must stay in your backend");
    }

    fn write_keys(&self, text: &mut String, class: Class, care: &str) {
        let mut keys = self.keys.iter().filter(|key| key.class == class).peekable();
        if keys.peek().is_none() {
            line(text, format_args!("Key: none yet; this kind of key {care}."));
        }
        for key in keys {
            let networks =
                if key.cidrs.is_empty() { "any address".to_owned() } else { key.cidrs.join(", ") };
            line(
                text,
                format_args!(
                    "Key {}: begins with {}, from {networks}; {care}.",
                    key.name, key.prefix
                ),
            );
        }
    }

    fn write_identities(&self, text: &mut String) {
        section(text, "3. Caller IDs (from_number)");
        list(text, self.numbers.iter().map(String::as_str), "none assigned yet");
        section(text, "4. Agent IDs (crm_username, exact and case-sensitive)");
        list(
            text,
            self.agents.iter().map(|agent| agent.crm_username.as_str()),
            "none registered yet",
        );
    }

    fn write_callback(&self, text: &mut String) {
        section(text, "5. Call results");
        let Some(callback) = &self.account.callback else {
            line(
                text,
                format_args!(
                    "No callback URL is set: results are stored and read by GET {}/calls.",
                    self.public_url
                ),
            );
            return;
        };
        let header = callback.auth_header.as_deref().unwrap_or("none");
        line(text, format_args!("POST {}", callback.url));
        let limit_s = RESPONSE_TIMEOUT.as_secs();
        line(text, format_args!("Your own header: {header}. Answer any 2xx within {limit_s} s."));
        line(
            text,
            format_args!(
                "Retries: {} with waits of 1 s, 2 s, 4 s; the uuid stays the same: de-duplicate \
                    on it.",
                callback.max_retries
            ),
        );
        line(
            text,
            format_args!(
                "To verify a delivery (Standard Webhooks), with the whsec_ secret you were given:"
            ),
        );
        line(text, format_args!("  key = base64_decode(secret without \"whsec_\")"));
        line(
            text,
            format_args!(
                "  expected = base64(HMAC-SHA256(key, webhook-id + \".\" + webhook-timestamp + \
                    \".\" + body))"
            ),
        );
        line(
            text,
            format_args!(
                "  webhook-signature must contain \"v1,\" + expected; refuse timestamps older \
                    than 5 minutes."
            ),
        );
    }

    fn write_capacity(&self, text: &mut String) {
        let account = &self.account;
        section(text, "6. Capacity and recording");
        line(
            text,
            format_args!(
                "{} calls at once, {} new calls per second; above that 429 with Retry-After.",
                account.limits.max_concurrent_calls, account.limits.calls_per_second
            ),
        );
        let countries = if account.countries.is_empty() {
            account.region.clone()
        } else {
            account.countries.join(", ")
        };
        line(text, format_args!("Countries that are dialled: {countries}."));
        if account.limits.minutes_per_day > 0 {
            line(
                text,
                format_args!("{} minutes of talk a day (UTC).", account.limits.minutes_per_day),
            );
        }
        let record = if account.record { "on" } else { "off" };
        let (records, recordings) =
            (account.retention.record_days, account.retention.recording_days);
        line(
            text,
            format_args!(
                "Recording is {record}; recordings are kept {recordings} days, records {records} \
                    days."
            ),
        );
    }
}

fn section(text: &mut String, title: &str) {
    line(text, format_args!(""));
    line(text, format_args!("{title}"));
}

fn list<'a>(text: &mut String, items: impl Iterator<Item = &'a str>, otherwise: &str) {
    let mut items = items.peekable();
    if items.peek().is_none() {
        line(text, format_args!("{otherwise}"));
    }
    for item in items {
        line(text, format_args!("{item}"));
    }
}

fn line(text: &mut String, content: std::fmt::Arguments<'_>) {
    writeln!(text, "{content}").expect("writing to a String cannot fail");
}
