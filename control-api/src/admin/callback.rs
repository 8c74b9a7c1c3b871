//! An account's callback: target, the customer's own header, signing secret. Delivery is `callback`'s.

use super::field::{self, Context, Refusals};
use super::{Admin, blocking};
use crate::problem::{JsonBody, PathParams, Problem, ProblemDetails};
use crate::secret::{self, Purpose, Secret};
use axum::{Json, extract::State, http::StatusCode};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use storage::{AuthHeader, CallbackSettings};
use utoipa::ToSchema;

/// A callback as it is set; neither the header's value nor the signing secret is ever told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CallbackView {
    pub url: String,
    /// Name of the customer's own header; its value is not told.
    pub auth_header: Option<String>,
    /// Retries after the first attempt.
    pub max_retries: u32,
}

impl From<&CallbackSettings> for CallbackView {
    fn from(callback: &CallbackSettings) -> Self {
        Self {
            url: callback.url.clone(),
            auth_header: callback.auth_header.as_ref().map(|header| header.name.clone()),
            max_retries: callback.max_retries,
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

/// Settings of a callback; those left out keep their value, or get the default when the callback is new.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CallbackInput {
    /// `https://` and a public host. Needed when the callback is new.
    pub url: Option<String>,
    /// The customer's own header, sent unchanged with each attempt. Default none.
    pub auth_header: Option<AuthHeaderInput>,
    /// `whsec_` and base64 of 24 to 64 bytes. Default: one is made and told once.
    #[schema(value_type = Option<String>)]
    pub signing_secret: Option<Secret>,
    /// 0–3. Default 3.
    pub max_retries: Option<u32>,
}

#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AuthHeaderInput {
    #[schema(example = "Authorization")]
    pub name: String,
    #[schema(value_type = String)]
    pub value: Secret,
}

impl CallbackInput {
    /// The callback with these settings over the present one, and the signing secret if it was made here.
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
            refusals.take("url", field::callback_url(url, context.allow_private_targets));
        }
        let url = self.url.or_else(|| present.as_ref().map(|present| present.url.clone()));
        let mut max_retries = present.as_ref().map_or(3, |present| present.max_retries);
        refusals.number("max_retries", self.max_retries, 0..=3, &mut max_retries);
        let (known_header, known_secret) = present.map(|present| (present.auth_header, present.signing_secret)).unzip();
        let auth_header = match self.auth_header {
            Some(given) => Some(given.sealed(known_header.flatten(), context, refusals)),
            None => known_header.flatten(),
        };
        let (signing_secret, made) = match (self.signing_secret, known_secret) {
            (Some(given), known) => {
                refusals.take("signing_secret", check_signing_secret(&given));
                (context.reseal(Purpose::SigningSecret, &given, known), None)
            }
            (None, Some(known)) => (known, None),
            (None, None) => {
                let made = secret::mint_signing_secret();
                (context.secrets.seal(Purpose::SigningSecret, &made), Some(made))
            }
        };
        Some((CallbackSettings { url: url?, auth_header, signing_secret, max_retries }, made))
    }
}

impl AuthHeaderInput {
    fn sealed(self, known: Option<AuthHeader>, context: Context<'_>, refusals: &mut Refusals) -> AuthHeader {
        refusals.within("auth_header", |refusals| {
            refusals.take("name", field::header_name(&self.name));
            refusals.take("value", field::header_value(self.value.expose()));
        });
        let value = context.reseal(Purpose::CallbackHeader, &self.value, known.map(|known| known.value));
        AuthHeader { name: self.name, value }
    }
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

pub(super) fn no_callback(account: &str) -> Problem {
    Problem::not_found(format!("the account {account:?} has no callback"))
}

/// Reads an account's callback.
#[utoipa::path(get, path = "/admin/accounts/{account}/callback", tag = "callback", params(("account" = String, Path)),
    responses((status = 200, body = CallbackView), (status = 404, body = ProblemDetails)))]
pub async fn read(
    State(admin): State<Arc<Admin>>,
    PathParams(account): PathParams<String>,
) -> Result<Json<CallbackView>, Problem> {
    let found = blocking(&admin, move |admin| admin.account(&account)?.callback.ok_or_else(|| no_callback(&account))).await?;
    Ok(Json(CallbackView::from(&found)))
}

/// Sets an account's callback, or changes the settings that are given. A new callback's signing secret is told in this answer only.
#[utoipa::path(put, path = "/admin/accounts/{account}/callback", tag = "callback", params(("account" = String, Path)),
    request_body = CallbackInput, responses((status = 200, body = CallbackAnswer), (status = 404, body = ProblemDetails),
    (status = 422, body = ProblemDetails)))]
pub async fn set(
    State(admin): State<Arc<Admin>>,
    PathParams(account): PathParams<String>,
    JsonBody(input): JsonBody<CallbackInput>,
) -> Result<Json<CallbackAnswer>, Problem> {
    blocking(&admin, move |admin| {
        let _held = admin.change();
        let mut account = admin.account(&account)?;
        let mut refusals = Refusals::default();
        let merged = input.over(account.callback.take(), admin.context(), &mut refusals);
        refusals.finish()?;
        let (callback, made) = merged.expect("a callback without a URL is refused");
        let answer =
            CallbackAnswer { callback: CallbackView::from(&callback), signing_secret: made.map(|made| made.expose().into()) };
        account.callback = Some(callback);
        admin.app.store.put_account(&account)?;
        Ok(Json(answer))
    })
    .await
}

/// Removes an account's callback: results are then only stored.
#[utoipa::path(delete, path = "/admin/accounts/{account}/callback", tag = "callback", params(("account" = String, Path)),
    responses((status = 204), (status = 404, body = ProblemDetails)))]
pub async fn remove(State(admin): State<Arc<Admin>>, PathParams(account): PathParams<String>) -> Result<StatusCode, Problem> {
    blocking(&admin, move |admin| {
        let _held = admin.change();
        let mut account = admin.account(&account)?;
        account.callback.take().ok_or_else(|| no_callback(&account.id))?;
        admin.app.store.put_account(&account)?;
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}

/// Makes a new signing secret, which signs from the next attempt on.
#[utoipa::path(post, path = "/admin/accounts/{account}/callback/signing-secret", tag = "callback",
    params(("account" = String, Path)), responses((status = 200, body = CallbackAnswer), (status = 404, body = ProblemDetails)))]
pub async fn renew_signing_secret(
    State(admin): State<Arc<Admin>>,
    PathParams(account): PathParams<String>,
) -> Result<Json<CallbackAnswer>, Problem> {
    blocking(&admin, move |admin| {
        let _held = admin.change();
        let mut account = admin.account(&account)?;
        let callback = account.callback.as_mut().ok_or_else(|| no_callback(&account.id))?;
        let made = secret::mint_signing_secret();
        callback.signing_secret = admin.app.master_key.seal(Purpose::SigningSecret, &made);
        let answer = CallbackAnswer { callback: CallbackView::from(&*callback), signing_secret: Some(made.expose().into()) };
        admin.app.store.put_account(&account)?;
        Ok(Json(answer))
    })
    .await
}
