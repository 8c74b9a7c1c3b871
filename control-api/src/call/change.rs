//! What is changed of a call, whoever asks: its end and its disposition.

use super::ending;
use crate::app::App;
use crate::clock::now_ms;
use crate::problem::Problem;
use call_words::CallId;
use std::sync::Arc;
use storage::Call;

/// Longest disposition in characters.
const MAX_DISPOSITION_CHARS: usize = 64;

/// Ends a call in any state.
pub async fn hang_up(app: &Arc<App>, call: &Call) -> Result<(), Problem> {
    if !call.is_live() {
        return Ok(());
    }
    if let Some(call) = app.records.request_hang_up(&call.call_id).await?
        && !app.link.hang_up(&call.call_id)
    {
        // No shard has it, nor will one come back with it.
        ending::end_lost_call(app, &call, Some(now_ms())).await?;
    }
    Ok(())
}

/// Changes a call's disposition, for who may.
pub async fn set_disposition(
    app: &App,
    call_id: CallId,
    disposition: String,
) -> Result<Call, Problem> {
    check_disposition(&disposition)?;
    let changed = app.records.set_disposition(&call_id, disposition).await?;
    let changed = changed.ok_or_else(unknown_call)?;
    app.notices.changed(&changed, None);
    Ok(changed)
}

/// Refuses what is empty, too long or holds control characters, with 422.
pub fn check_disposition(disposition: &str) -> Result<(), Problem> {
    disposition_text(disposition)
        .map_err(|detail| Problem::unprocessable("disposition", "invalid_disposition", detail))
}

/// Why a text is no disposition.
pub fn disposition_text(text: &str) -> Result<(), String> {
    let is_fine = (1..=MAX_DISPOSITION_CHARS).contains(&text.chars().count())
        && !text.chars().any(char::is_control);
    is_fine.then_some(()).ok_or_else(|| {
        format!(
            "allowed are 1 to {MAX_DISPOSITION_CHARS} characters, none of them control characters"
        )
    })
}

/// 404, also for another account's call.
pub fn unknown_call() -> Problem {
    Problem::not_found("there is no such call")
}
