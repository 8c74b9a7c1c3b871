//! The WAV file that an account's parties on hold hear. What a file has to be is `hold_audio`'s.

use super::account::AccountView;
use super::desk::{Admin, blocking};
use crate::hold_audio::{self, MAX_FILE_LEN};
use crate::http::extract::{PathParams, Uncollected, broken_body, collect};
use crate::problem::{Problem, ProblemDetails};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use call_words::AccountId;
use std::sync::Arc;
use std::time::Duration;
use storage::Account;

/// Time in which a client has to send the whole file.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// Sets what parties on hold hear: mono, 8 or 16 kHz, 16-bit PCM, A-law or µ-law, up to 120 s and 2
/// MB.
#[utoipa::path(operation_id = "set_hold_audio", put, path = "/admin/accounts/{account}/hold-audio",
    tag = "accounts", params(("account" = String, Path)),
    request_body(content(([u8] = "audio/wav"), ([u8] = "application/octet-stream"))),
    responses((status = 200, body = AccountView), (status = 404, body = ProblemDetails),
        (status = 413, body = ProblemDetails),
    (status = 422, body = ProblemDetails)))]
pub async fn set(
    State(admin): State<Arc<Admin>>,
    PathParams(id): PathParams<AccountId>,
    request: Request,
) -> Result<Json<AccountView>, Problem> {
    let file = match tokio::time::timeout(BODY_TIMEOUT, collect(request.into_body(), MAX_FILE_LEN))
        .await
    {
        Ok(Ok(file)) => file,
        Ok(Err(Uncollected::TooLong)) => {
            let detail = format!("the file is longer than {MAX_FILE_LEN} bytes");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", detail));
        }
        Ok(Err(Uncollected::Broken)) => return Err(broken_body()),
        Err(_) => {
            return Err(Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "body_timeout",
                format!("the file did not arrive within {} s", BODY_TIMEOUT.as_secs()),
            ));
        }
    };
    blocking(&admin, move |admin| {
        let account = admin.account(&id)?;
        hold_audio::check(&file).map_err(|refusal| {
            Problem::unprocessable("hold_audio", "invalid_hold_audio", refusal.to_string())
        })?;
        let name = hold_audio::file_name(&account.id, &file);
        hold_audio::write(&admin.app.config.hold_audio.folder, &name, &file)
            .map_err(|error| Problem::internal(&error))?;
        change(admin, &id, Some(name))
    })
    .await
}

/// Has parties on hold hear the bundled tone again.
#[utoipa::path(operation_id = "remove_hold_audio", delete,
    path = "/admin/accounts/{account}/hold-audio", tag = "accounts",
    params(("account" = String, Path)),
    responses((status = 200, body = AccountView), (status = 404, body = ProblemDetails)))]
pub async fn remove(
    State(admin): State<Arc<Admin>>,
    PathParams(id): PathParams<AccountId>,
) -> Result<Json<AccountView>, Problem> {
    blocking(&admin, move |admin| change(admin, &id, None)).await
}

/// Names the file from the next call on; the one before is removed.
fn change(
    admin: &Admin,
    id: &AccountId,
    name: Option<String>,
) -> Result<Json<AccountView>, Problem> {
    let _held = admin.change();
    let before = admin.account(id)?;
    let after = Account { hold_audio: name, ..before.clone() };
    admin.store().put_account(&after)?;
    if let Some(old) = before.hold_audio.filter(|old| after.hold_audio.as_ref() != Some(old)) {
        hold_audio::remove(&admin.app.config.hold_audio.folder, &old);
    }
    Ok(Json(AccountView::from(&after)))
}
