//! What an agent asks of the running call by the page's buttons: the same verbs as by REST, on the
//! agent's own live call.

use super::session::OpenSession;
use super::view::PageCall;
use crate::app::App;
use crate::call::asked::Asked;
use crate::call::third_party::{self, NewThird};
use crate::call::verbs;
use crate::http::calls::participants::Flow;
use crate::http::extract::JsonBody;
use crate::problem::Problem;
use axum::Json;
use axum::extract::State;
use call_words::Joining;
use control_wire::Verb;
use serde::Deserialize;
use std::sync::Arc;
use storage::Call;

/// A button.
#[derive(Deserialize)]
#[serde(tag = "verb", rename_all = "snake_case")]
pub enum Button {
    Hold,
    Resume,
    Merge,
    Swap,
    Complete,
    Cancel,
    Mute {
        #[serde(default)]
        party: Option<String>,
    },
    Unmute {
        #[serde(default)]
        party: Option<String>,
    },
    Dtmf {
        digits: String,
        #[serde(default)]
        party: Option<String>,
    },
    Add {
        to_number: String,
        flow: Flow,
    },
    Transfer {
        to_number: String,
    },
    Remove {
        party: String,
    },
    Record {
        action: Recording,
    },
}

/// What a button asks of the recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recording {
    Start,
    Pause,
    Resume,
}

/// Does what a button asks of the agent's live call.
pub async fn press(
    State(app): State<Arc<App>>,
    open: OpenSession,
    JsonBody(button): JsonBody<Button>,
) -> Result<Json<PageCall>, Problem> {
    let call = app.records.live_call_of(&open.agent_id()).await?;
    let call = call.ok_or_else(|| Problem::conflict("ended", "the agent is in no call"))?;
    let call = apply_button(&app, &call, button).await?;
    Ok(Json(PageCall::from(&call)))
}

async fn apply_button(app: &Arc<App>, call: &Call, button: Button) -> Result<Call, Problem> {
    let agent =
        |party: Option<String>| verbs::checked_party(party.unwrap_or_else(|| "agent".to_owned()));
    let verb = match button {
        Button::Hold => Verb::Hold,
        Button::Resume => Verb::Resume,
        Button::Merge => Verb::Merge,
        Button::Swap => Verb::Swap,
        Button::Complete => Verb::Complete,
        Button::Cancel => Verb::Cancel,
        Button::Mute { party } => Verb::Mute { party: agent(party)? },
        Button::Unmute { party } => Verb::Unmute { party: agent(party)? },
        Button::Remove { party } => Verb::Remove { party: verbs::checked_party(party)? },
        Button::Record { action: Recording::Pause } => Verb::PauseRecording,
        Button::Record { action: Recording::Resume } => Verb::ResumeRecording,
        Button::Record { action: Recording::Start } => {
            return verbs::start_recording(app, call).await;
        }
        Button::Dtmf { digits, party } => {
            return verbs::send_digits(
                app,
                call,
                party.unwrap_or_else(|| "customer".to_owned()),
                &digits,
            )
            .await;
        }
        Button::Add { to_number, flow } => return add(app, call, to_number, flow.into()).await,
        Button::Transfer { to_number } => {
            return add(app, call, to_number, Joining::Transfer).await;
        }
    };
    verbs::ask(app, call, verb).await
}

async fn add(
    app: &Arc<App>,
    call: &Call,
    to_number: String,
    joining: Joining,
) -> Result<Call, Problem> {
    let new = NewThird {
        to_number: Some(to_number),
        from_number: None,
        joining,
        named: None,
        request: None,
    };
    third_party::add(app, call, new).await.map(Asked::into_call)
}
