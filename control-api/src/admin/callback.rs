//! An account's callback: target, the customer's own header, signing secret. Delivery is
//! `callback`'s.

use super::desk::{Admin, Confirmation, blocking};
use super::field::{self, Context, Refusals};
use crate::callback::target;
use crate::clock::now_ms;
use crate::http::extract::{JsonBody, PathParams, QueryParams};
use crate::problem::{Problem, ProblemDetails};
use crate::secret::{self, Purpose, Secret};
use crate::view::time::timestamp;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use call_words::AccountId;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use storage::{AuthHeader, CallbackSettings, EarlierSecret, Sealed};
use utoipa::ToSchema;

/// How long a renewed signing secret signs on unless the request says otherwise, and at most.
const DEFAULT_OVERLAP_S: u64 = 24 * 3_600;
const MAX_OVERLAP_S: u64 = 30 * 24 * 3_600;
/// Renewed secrets that sign on at once: one that is renewed by mistake, twice, is still there.
const EARLIER_CAP: usize = 3;

/// A callback as it is set; neither the header's value nor the signing secret is ever told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallbackView {
    pub url: String,
    /// Name of the customer's own header; its value is not told.
    pub auth_header: Option<String>,
    /// Retries after the first attempt.
    pub max_retries: u32,
    /// Until when the signing secret before the present one signs, too; null if the present one
    /// signs alone.
    #[serde(default)]
    #[schema(format = "date-time")]
    pub overlap_until: Option<String>,
}

impl From<&CallbackSettings> for CallbackView {
    fn from(callback: &CallbackSettings) -> Self {
        Self {
            url: callback.url.clone(),
            auth_header: callback.auth_header.as_ref().map(|header| header.name.clone()),
            max_retries: callback.max_retries,
            overlap_until: {
                let untils = callback.earlier_secrets.iter().map(|earlier| earlier.until_ms);
                untils.max().filter(|until_ms| now_ms() < *until_ms).map(timestamp)
            },
        }
    }
}

/// A callback and, when it was just made, its signing secret.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct CallbackAnswer {
    #[serde(flatten)]
    pub callback: CallbackView,
    /// Secret of the Standard Webhooks signature; told only in the answer that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_secret: Option<String>,
}

/// Settings of a callback; those left out keep their value, or get the default when the callback is
/// new.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CallbackInput {
    /// `https://` and a public host. Needed when the callback is new.
    pub url: Option<String>,
    /// The customer's own header, sent unchanged with each attempt. Default none.
    pub auth_header: Option<AuthHeaderInput>,
    /// `whsec_` and base64 of 24 to 64 bytes. Default: one is made and told once. The one before it
    /// signs on for 24 h beside it.
    #[schema(value_type = Option<String>)]
    pub signing_secret: Option<Secret>,
    /// 0–3. Default 3.
    pub max_retries: Option<u32>,
}

/// A header that each delivery carries, so that the endpoint knows its sender.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthHeaderInput {
    #[schema(example = "Authorization")]
    pub name: String,
    #[schema(value_type = String)]
    pub value: Secret,
}

impl CallbackInput {
    /// The callback with these settings over the present one, and the signing secret if it was made
    /// here.
    pub fn over(
        self,
        present: Option<CallbackSettings>,
        context: Context<'_>,
        refusals: &mut Refusals,
    ) -> Option<(CallbackSettings, Option<Secret>)> {
        if self.url.is_none() && present.is_none() {
            refusals.add("url", "missing; allowed is https://host/path");
        }
        if let Some(url) = &self.url {
            refusals.take("url", target::callback_url(url, context.allow_private_targets));
        }
        let url = self.url.or_else(|| present.as_ref().map(|present| present.url.clone()));
        let mut max_retries = present.as_ref().map_or(3, |present| present.max_retries);
        refusals.number("max_retries", self.max_retries, 0..=3, &mut max_retries);
        let mut earlier_secrets =
            present.as_ref().map(|present| present.earlier_secrets.clone()).unwrap_or_default();
        let (known_header, known_secret) =
            present.map(|present| (present.auth_header, present.signing_secret)).unzip();
        let auth_header = match self.auth_header {
            Some(given) => Some(given.sealed(known_header.flatten(), context, refusals)),
            None => known_header.flatten(),
        };
        let (signing_secret, made) = match (self.signing_secret, known_secret) {
            (Some(given), known) => {
                refusals.take("signing_secret", check_signing_secret(&given));
                let sealed = context.reseal(Purpose::SigningSecret, &given, known.clone());
                if let Some(known) = known.filter(|known| *known != sealed) {
                    retire(&mut earlier_secrets, known, now_ms(), DEFAULT_OVERLAP_S);
                }
                (sealed, None)
            }
            (None, Some(known)) => (known, None),
            (None, None) => {
                let made = secret::mint_signing_secret();
                (context.secrets.seal(Purpose::SigningSecret, &made), Some(made))
            }
        };
        Some((
            CallbackSettings {
                url: url?,
                auth_header,
                signing_secret,
                max_retries,
                earlier_secrets,
            },
            made,
        ))
    }
}

impl AuthHeaderInput {
    fn sealed(
        self,
        known: Option<AuthHeader>,
        context: Context<'_>,
        refusals: &mut Refusals,
    ) -> AuthHeader {
        refusals.within("auth_header", |refusals| {
            refusals.take("name", field::header_name(&self.name));
            refusals.take("value", field::header_value(self.value.expose()));
        });
        let value =
            context.reseal(Purpose::CallbackHeader, &self.value, known.map(|known| known.value));
        AuthHeader { name: self.name, value }
    }
}

/// Lets a secret that is replaced sign on for the overlap, and those before it no longer than that
/// (B08).
fn retire(earlier: &mut Vec<EarlierSecret>, replaced: Sealed, now_ms: u64, overlap_s: u64) {
    let ends_ms = now_ms + overlap_s * 1000;
    earlier.insert(0, EarlierSecret { secret: replaced, until_ms: ends_ms });
    earlier.retain_mut(|earlier| {
        earlier.until_ms = earlier.until_ms.min(ends_ms);
        now_ms < earlier.until_ms
    });
    earlier.truncate(EARLIER_CAP);
}

/// Standard Webhooks: `whsec_` and the base64 of 24 to 64 random bytes.
fn check_signing_secret(secret: &Secret) -> Result<(), String> {
    use base64::Engine;
    let body = secret.expose().strip_prefix("whsec_");
    let bytes = body.and_then(|body| base64::engine::general_purpose::STANDARD.decode(body).ok());
    match bytes {
        Some(bytes) if (24..=64).contains(&bytes.len()) => Ok(()),
        _ => Err("allowed is whsec_ and the base64 of 24 to 64 bytes".into()),
    }
}

pub(super) fn no_callback(account: &AccountId) -> Problem {
    Problem::not_found(format!("the account {account:?} has no callback"))
}

/// Reads an account's callback.
#[utoipa::path(operation_id = "read_callback", get, path = "/admin/accounts/{account}/callback",
    tag = "callback", params(("account" = String, Path)),
    responses((status = 200, body = CallbackView), (status = 404, body = ProblemDetails)))]
pub async fn read(
    State(admin): State<Arc<Admin>>,
    PathParams(account): PathParams<AccountId>,
) -> Result<Json<CallbackView>, Problem> {
    let found = blocking(&admin, move |admin| {
        admin.account(&account)?.callback.ok_or_else(|| no_callback(&account))
    })
    .await?;
    Ok(Json(CallbackView::from(&found)))
}

/// Sets an account's callback, or changes the settings that are given. A new callback's signing
/// secret is told in this answer only.
#[utoipa::path(operation_id = "set_callback", put, path = "/admin/accounts/{account}/callback",
    tag = "callback", params(("account" = String, Path)),
    request_body = CallbackInput, responses((status = 200, body = CallbackAnswer),
        (status = 404, body = ProblemDetails),
    (status = 422, body = ProblemDetails)))]
pub async fn set(
    State(admin): State<Arc<Admin>>,
    PathParams(account): PathParams<AccountId>,
    JsonBody(input): JsonBody<CallbackInput>,
) -> Result<Json<CallbackAnswer>, Problem> {
    blocking(&admin, move |admin| {
        let _held = admin.change();
        let mut account = admin.account(&account)?;
        let mut refusals = Refusals::default();
        let merged = input.over(account.callback.take(), admin.context(), &mut refusals);
        refusals.finish()?;
        let (callback, made) = merged.expect("a callback without a URL is refused");
        let answer = CallbackAnswer {
            callback: CallbackView::from(&callback),
            signing_secret: made.map(|made| made.expose().into()),
        };
        account.callback = Some(callback);
        admin.store().put_account(&account)?;
        Ok(Json(answer))
    })
    .await
}

/// Removes an account's callback: results are then only stored. Refused while calls are live, whose
/// results nobody would be told, unless it is confirmed; results that wait are still tried.
#[utoipa::path(operation_id = "remove_callback", delete,
    path = "/admin/accounts/{account}/callback", tag = "callback",
    params(("account" = String, Path), Confirmation),
    responses((status = 204), (status = 404, body = ProblemDetails),
        (status = 409, body = ProblemDetails)))]
pub async fn remove(
    State(admin): State<Arc<Admin>>,
    PathParams(account): PathParams<AccountId>,
    QueryParams(confirmation): QueryParams<Confirmation>,
) -> Result<StatusCode, Problem> {
    blocking(&admin, move |admin| {
        let _held = admin.change();
        let mut account = admin.account(&account)?;
        account.callback.take().ok_or_else(|| no_callback(&account.id))?;
        confirmation.check(
            admin.live_calls(|call| call.account_id == account.id)?,
            "their results would not be pushed",
        )?;
        admin.store().put_account(&account)?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// How a signing secret is renewed.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Renewal {
    /// Seconds for which the present secret signs on beside the new one, 0–2592000; 0 ends it at
    /// once. Default 86400.
    pub overlap_s: Option<u64>,
}

/// Makes a new signing secret, which signs from the next attempt on; the present one signs beside
/// it for the overlap.
#[utoipa::path(post, path = "/admin/accounts/{account}/callback/signing-secret", tag = "callback",
    params(("account" = String, Path)), request_body = Option<Renewal>,
    responses((status = 200, body = CallbackAnswer), (status = 404, body = ProblemDetails),
        (status = 422, body = ProblemDetails)))]
pub async fn renew_signing_secret(
    State(admin): State<Arc<Admin>>,
    PathParams(account): PathParams<AccountId>,
    renewal: Option<JsonBody<Renewal>>,
) -> Result<Json<CallbackAnswer>, Problem> {
    blocking(&admin, move |admin| {
        let _held = admin.change();
        let mut account = admin.account(&account)?;
        let callback = account.callback.as_mut().ok_or_else(|| no_callback(&account.id))?;
        let (mut overlap_s, mut refusals) = (DEFAULT_OVERLAP_S, Refusals::default());
        let given = renewal.and_then(|JsonBody(renewal)| renewal.overlap_s);
        refusals.number("overlap_s", given, 0..=MAX_OVERLAP_S, &mut overlap_s);
        refusals.finish()?;
        let made = secret::mint_signing_secret();
        let sealed = admin.app.secrets.master_key.seal(Purpose::SigningSecret, &made);
        let replaced = std::mem::replace(&mut callback.signing_secret, sealed);
        retire(&mut callback.earlier_secrets, replaced, now_ms(), overlap_s);
        let answer = CallbackAnswer {
            callback: CallbackView::from(&*callback),
            signing_secret: Some(made.expose().into()),
        };
        admin.store().put_account(&account)?;
        Ok(Json(answer))
    })
    .await
}

/// Ends the overlap: from the next attempt on the present signing secret signs alone.
#[utoipa::path(delete, path = "/admin/accounts/{account}/callback/signing-secret/overlap",
    tag = "callback",
    params(("account" = String, Path)), responses((status = 204),
        (status = 404, body = ProblemDetails)))]
pub async fn end_overlap(
    State(admin): State<Arc<Admin>>,
    PathParams(account): PathParams<AccountId>,
) -> Result<StatusCode, Problem> {
    blocking(&admin, move |admin| {
        let _held = admin.change();
        let mut account = admin.account(&account)?;
        account.callback.as_mut().ok_or_else(|| no_callback(&account.id))?.earlier_secrets.clear();
        admin.store().put_account(&account)?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(untils: &[u64], overlap_s: u64, expected: &[(u8, u64)]) {
        let mut earlier: Vec<_> = (1..)
            .zip(untils)
            .map(|(n, until)| EarlierSecret { secret: Sealed(vec![n]), until_ms: *until })
            .collect();
        retire(&mut earlier, Sealed(vec![0]), 1_000, overlap_s);
        let left: Vec<_> =
            earlier.iter().map(|earlier| (earlier.secret.0[0], earlier.until_ms)).collect();
        assert_eq!(left, expected);
    }

    // B08
    #[test]
    fn replaced_secrets_sign_on_for_the_overlap_and_no_longer() {
        check(&[], 10, &[(0, 11_000)]);
        check(&[5_000], 10, &[(0, 11_000), (1, 5_000)]);
        check(&[50_000, 900], 10, &[(0, 11_000), (1, 11_000)]);
        check(&[50_000, 40_000], 0, &[]);
        check(&[50_000, 40_000, 30_000], 10, &[(0, 11_000), (1, 11_000), (2, 11_000)]);
    }
}
