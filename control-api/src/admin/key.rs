//! API keys of an account: made and told once, rotated with an overlap, bound to networks, revoked
//! (S06, S40). A key has a name within its account; each rotation adds a generation, and the id is
//! `account.name.generation`.

use super::desk::{Admin, blocking, conflict};
use super::field::{self, Refusals};
use crate::agent::grant;
use crate::clock::now_ms;
use crate::http::extract::{JsonBody, PathParams};
use crate::problem::{Problem, ProblemDetails};
use crate::secret::{self, MIN_KEY_CHARS, Secret};
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use call_words::AccountId;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use storage::{ApiKey, KeyClass};
use utoipa::ToSchema;

/// Longest time for which an old key works beside its successor: 30 days.
const MAX_OVERLAP_S: u64 = 30 * 86_400;
/// Overlap of a rotation that names none: one day.
const DEFAULT_OVERLAP_S: u64 = 86_400;

/// What a key opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The launch link only; it is seen in browsers.
    Browser,
    /// The server-to-server API; it never leaves the customer's backend.
    Server,
}

impl From<Class> for KeyClass {
    fn from(class: Class) -> Self {
        match class {
            Class::Browser => KeyClass::Browser,
            Class::Server => KeyClass::Server,
        }
    }
}

/// A key without its clear text, of which only the hash is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KeyView {
    #[schema(example = "demo.backend.1")]
    pub id: String,
    #[schema(example = "backend")]
    pub name: String,
    pub class: Class,
    /// First characters of the clear key.
    #[schema(example = "cds_Yk3f0a")]
    pub prefix: String,
    /// Unix milliseconds.
    pub created_ms: u64,
    /// Unix milliseconds from which on the key is refused; null if it has no end.
    pub expires_ms: Option<u64>,
    /// Networks from which the key may be used; empty means any.
    pub cidrs: Vec<String>,
    /// Whether the key may add supervisors to calls.
    #[serde(default)]
    pub supervise: bool,
}

impl From<&ApiKey> for KeyView {
    fn from(key: &ApiKey) -> Self {
        Self {
            id: key.id.to_string(),
            name: name_of(key).to_owned(),
            class: if key.class == KeyClass::Browser { Class::Browser } else { Class::Server },
            prefix: key.prefix.clone(),
            created_ms: key.created_ms,
            expires_ms: key.expires_ms,
            cidrs: key.cidrs.clone(),
            supervise: key.may_supervise,
        }
    }
}

/// A key that was just made.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct NewKey {
    #[serde(flatten)]
    pub key: KeyView,
    /// The key itself, told only in this answer.
    pub clear_key: String,
}

/// A key that is to be made.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyInput {
    /// Names the key within its account.
    #[schema(example = "backend")]
    pub name: String,
    pub class: Class,
    /// Networks from which the key may be used; allowed for server keys only. Default: any.
    pub cidrs: Option<Vec<String>>,
    /// Whether the key may add supervisors to calls; allowed for server keys only. Default false.
    pub supervise: Option<bool>,
    /// The key itself, at least 24 characters. Default: one of 256 random bits is made.
    #[schema(value_type = Option<String>)]
    pub value: Option<Secret>,
}

/// What can be changed of a key; what is left out stays.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyChange {
    /// Networks from which the key may be used; empty means any.
    pub cidrs: Option<Vec<String>>,
    /// Whether the key may add supervisors to calls.
    pub supervise: Option<bool>,
}

/// How a key is replaced by a new one.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rotation {
    /// Seconds for which the old key still works, 0–2592000. Default 86400.
    pub overlap_s: Option<u64>,
}

/// The name inside a key's id.
pub fn name_of(key: &ApiKey) -> &str {
    key.id.as_str().split('.').nth(1).unwrap_or(key.id.as_str())
}

fn generation_of(key: &ApiKey) -> u64 {
    key.id.as_str().rsplit('.').next().and_then(|generation| generation.parse().ok()).unwrap_or(0)
}

/// The newest generation of a name.
pub fn newest<'a>(keys: &'a [ApiKey], name: &str) -> Option<&'a ApiKey> {
    keys.iter().filter(|key| name_of(key) == name).max_by_key(|key| generation_of(key))
}

impl KeyInput {
    /// The key's first generation and its clear text.
    pub fn first(&self, account: &AccountId, refusals: &mut Refusals) -> (ApiKey, Secret) {
        refusals.take("name", field::id(&self.name));
        let class = KeyClass::from(self.class);
        if let Some(value) = &self.value {
            refusals.take("value", check_value(value));
        }
        let clear = self.value.clone().unwrap_or_else(|| secret::mint_key(class));
        let cidrs = self.networks(refusals).unwrap_or_default();
        let key = ApiKey {
            id: format!("{account}.{}.1", self.name).into(),
            account_id: Some(account.clone()),
            class,
            hash: secret::hash(clear.expose()),
            prefix: secret::shown_prefix(&clear),
            created_ms: now_ms(),
            expires_ms: None,
            cidrs,
            may_supervise: permission(self.supervise, class, refusals).unwrap_or(false),
        };
        (key, clear)
    }

    /// The networks that are given, in one spelling.
    pub fn networks(&self, refusals: &mut Refusals) -> Option<Vec<String>> {
        self.cidrs.as_deref().map(|given| networks(given, KeyClass::from(self.class), refusals))
    }
}

fn check_value(value: &Secret) -> Result<(), String> {
    let text = value.expose();
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if (MIN_KEY_CHARS..=200).contains(&text.len()) && text.bytes().all(allowed) {
        Ok(())
    } else {
        Err(format!("allowed are {MIN_KEY_CHARS} to 200 letters, digits and -._~"))
    }
}

fn networks(given: &[String], class: KeyClass, refusals: &mut Refusals) -> Vec<String> {
    if class == KeyClass::Browser && !given.is_empty() {
        refusals.add(
            "cidrs",
            "a browser key is never bound to addresses; allowed for server keys only",
        );
    }
    field::networks("cidrs", given, 256, refusals)
}

/// The permission to supervise, which browser keys never have.
pub fn permission(given: Option<bool>, class: KeyClass, refusals: &mut Refusals) -> Option<bool> {
    if class == KeyClass::Browser && given == Some(true) {
        refusals.add(
            "supervise",
            "a browser key opens the launch link only; allowed for server keys only",
        );
    }
    given
}

fn no_key(account: &AccountId, name: &str) -> Problem {
    Problem::not_found(format!("the account {account:?} has no key {name:?}"))
}

/// Lists an account's keys, expired ones included; never their clear text.
#[utoipa::path(operation_id = "list_keys", get, path = "/admin/accounts/{account}/keys",
    tag = "keys", params(("account" = String, Path)),
    responses((status = 200, body = Vec<KeyView>), (status = 404, body = ProblemDetails)))]
pub async fn list(
    State(admin): State<Arc<Admin>>,
    PathParams(account): PathParams<AccountId>,
) -> Result<Json<Vec<KeyView>>, Problem> {
    let keys = blocking(&admin, move |admin| {
        admin.account(&account)?;
        Ok(admin.store().api_keys(Some(&account))?)
    });
    Ok(Json(keys.await?.iter().map(KeyView::from).collect()))
}

/// Makes a key. The clear key is told in this answer only.
#[utoipa::path(operation_id = "create_key", post, path = "/admin/accounts/{account}/keys",
    tag = "keys", params(("account" = String, Path)),
    request_body = KeyInput, responses((status = 201, body = NewKey),
        (status = 404, body = ProblemDetails),
    (status = 409, body = ProblemDetails), (status = 422, body = ProblemDetails)))]
pub async fn create(
    State(admin): State<Arc<Admin>>,
    PathParams(account): PathParams<AccountId>,
    JsonBody(input): JsonBody<KeyInput>,
) -> Result<(StatusCode, Json<NewKey>), Problem> {
    blocking(&admin, move |admin| {
        let _held = admin.change();
        admin.account(&account)?;
        let mut refusals = Refusals::default();
        let (key, clear) = input.first(&account, &mut refusals);
        refusals.finish()?;
        if newest(&admin.store().api_keys(Some(&account))?, &input.name).is_some() {
            let detail = format!(
                "the account {account:?} has a key {:?}; rotate it, revoke it or take another name",
                input.name
            );
            return Err(Problem::conflict("key_exists", detail));
        }
        admin.store().put_api_key(&key).map_err(conflict)?;
        Ok((
            StatusCode::CREATED,
            Json(NewKey { key: KeyView::from(&key), clear_key: clear.expose().into() }),
        ))
    })
    .await
}

/// Binds every generation of a key to networks, and says what it may do, from the next request on.
/// Named by its id (`demo.crm.1`), one generation alone.
#[utoipa::path(operation_id = "change_key", patch, path = "/admin/accounts/{account}/keys/{name}",
    tag = "keys",
    params(("account" = String, Path), ("name" = String, Path)), request_body = KeyChange,
    responses((status = 200, body = Vec<KeyView>), (status = 404, body = ProblemDetails),
        (status = 422, body = ProblemDetails)))]
pub async fn change(
    State(admin): State<Arc<Admin>>,
    PathParams((account, name)): PathParams<(AccountId, String)>,
    JsonBody(change): JsonBody<KeyChange>,
) -> Result<Json<Vec<KeyView>>, Problem> {
    blocking(&admin, move |admin| {
        let _held = admin.change();
        let mut keys = admin.keys_named(&account, &name)?;
        let mut refusals = Refusals::default();
        let class = keys[0].class;
        let cidrs = change.cidrs.as_deref().map(|given| networks(given, class, &mut refusals));
        let supervise = permission(change.supervise, class, &mut refusals);
        if cidrs.is_none() && supervise.is_none() {
            refusals.add("cidrs", "allowed are cidrs, supervise or both; neither is given");
        }
        refusals.finish()?;
        for key in &mut keys {
            if let Some(cidrs) = &cidrs {
                key.cidrs.clone_from(cidrs);
            }
            key.may_supervise = supervise.unwrap_or(key.may_supervise);
            admin.store().put_api_key(key)?;
        }
        Ok(Json(keys.iter().map(KeyView::from).collect()))
    })
    .await
}

/// Makes the key's next generation; the present one works on for the overlap. The clear key is told
/// in this answer only.
#[utoipa::path(operation_id = "rotate_key", post,
    path = "/admin/accounts/{account}/keys/{name}/rotate", tag = "keys",
    params(("account" = String, Path), ("name" = String, Path)), request_body = Rotation,
    responses((status = 201, body = NewKey), (status = 404, body = ProblemDetails),
        (status = 422, body = ProblemDetails)))]
pub async fn rotate(
    State(admin): State<Arc<Admin>>,
    PathParams((account, name)): PathParams<(AccountId, String)>,
    JsonBody(rotation): JsonBody<Rotation>,
) -> Result<(StatusCode, Json<NewKey>), Problem> {
    blocking(&admin, move |admin| {
        let _held = admin.change();
        let name = name_of(&admin.keys_named(&account, &name)?[0]).to_owned();
        let mut keys = admin.keys_named(&account, &name)?;
        let (mut overlap_s, mut refusals) = (DEFAULT_OVERLAP_S, Refusals::default());
        refusals.number("overlap_s", rotation.overlap_s, 0..=MAX_OVERLAP_S, &mut overlap_s);
        refusals.finish()?;
        let now_ms = now_ms();
        let present = newest(&keys, &name).ok_or_else(|| no_key(&account, &name))?;
        let clear = secret::mint_key(present.class);
        let next = ApiKey {
            id: format!("{account}.{name}.{}", generation_of(present) + 1).into(),
            hash: secret::hash(clear.expose()),
            prefix: secret::shown_prefix(&clear),
            created_ms: now_ms,
            expires_ms: None,
            ..present.clone()
        };
        // The successor first: a failure between the writes leaves two keys that work, never none.
        admin.store().put_api_key(&next)?;
        let ends_ms = now_ms + overlap_s * 1000;
        for old in keys
            .iter_mut()
            .filter(|old| old.expires_ms.is_none_or(|expires_ms| expires_ms > ends_ms))
        {
            old.expires_ms = Some(ends_ms);
            admin.store().put_api_key(old)?;
        }
        match overlap_s {
            0 => admin.end_what_was_opened_by(&keys)?,
            // Pages learn of the new end of theirs.
            _ => admin.app.notices.softphones.account_changed(&account),
        }
        Ok((
            StatusCode::CREATED,
            Json(NewKey { key: KeyView::from(&next), clear_key: clear.expose().into() }),
        ))
    })
    .await
}

/// Revokes every generation of a key, from the next request on; named by its id (`demo.crm.1`), one
/// generation alone. Softphone pages and streams of events that it opened end at once; calls in
/// progress are untouched.
#[utoipa::path(operation_id = "revoke_key", delete, path = "/admin/accounts/{account}/keys/{name}",
    tag = "keys",
    params(("account" = String, Path), ("name" = String, Path)),
    responses((status = 204), (status = 404, body = ProblemDetails)))]
pub async fn revoke(
    State(admin): State<Arc<Admin>>,
    PathParams((account, name)): PathParams<(AccountId, String)>,
) -> Result<StatusCode, Problem> {
    blocking(&admin, move |admin| {
        let _held = admin.change();
        let keys = admin.keys_named(&account, &name)?;
        for key in &keys {
            admin.store().delete_api_key(&key.id)?;
        }
        admin.end_what_was_opened_by(&keys)?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

impl Admin {
    /// Ends the pages and the streams of events of keys that work no more.
    fn end_what_was_opened_by(&self, keys: &[ApiKey]) -> Result<(), Problem> {
        grant::end_sessions(&self.app, &[], |session| {
            keys.iter().any(|key| Some(key.hash) == session.key_hash)
        })?;
        keys.iter()
            .filter_map(|key| key.account_id.as_ref())
            .for_each(|account_id| self.app.notices.streams.wake(account_id));
        Ok(())
    }

    /// The generations of a key by its name, at least one, or the one whose id is given.
    fn keys_named(&self, account: &AccountId, name: &str) -> Result<Vec<ApiKey>, Problem> {
        self.account(account)?;
        let mut keys = self.store().api_keys(Some(account))?;
        let is_id = keys.iter().any(|key| key.id == name);
        keys.retain(|key| if is_id { key.id == name } else { name_of(key) == name });
        if keys.is_empty() { Err(no_key(account, name)) } else { Ok(keys) }
    }
}
