//! The SIP messages of a call, for operators: as kept, or, of a call that is not over yet, as its
//! shard tells them now.

use super::desk::{Admin, unknown};
use crate::app::App;
use crate::call::ladder;
use crate::http::extract::PathParams;
use crate::problem::{Problem, ProblemDetails};
use crate::view::time::timestamp_ms;
use axum::Json;
use axum::extract::State;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use call_words::{CallId, LegKind, MessageWay, SignalTransport};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::ToSchema;

/// The SIP messages of a call's legs as they were sent and came. Proofs of passwords, keys of media
/// and digits are blotted out by `*`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct LadderView {
    #[schema(format = "uuid")]
    pub call_id: String,
    /// Whether nothing can follow: some seconds after the call's end, for retransmissions.
    pub whole: bool,
    /// Messages from the middle of a long call that were not kept.
    pub left_out: u32,
    /// In the order of time.
    pub messages: Vec<MessageView>,
}

/// One SIP message.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct MessageView {
    #[schema(example = "2026-07-03T10:00:00.250Z", format = "date-time")]
    pub time: String,
    pub leg: LegKind,
    /// Name of the participant or supervisor, if it is one's.
    pub party: Option<String>,
    /// `sent` by the edge, or `received`.
    pub direction: MessageWay,
    pub transport: SignalTransport,
    /// The edge's own end.
    #[schema(example = "192.0.2.1:5060")]
    pub local: String,
    #[schema(example = "198.51.100.7:5060")]
    pub remote: String,
    /// Its text; what is no UTF-8 is replaced.
    pub message: String,
    /// Its bytes, if they are no UTF-8.
    pub message_base64: Option<String>,
}

impl TryFrom<storage::Ladder> for LadderView {
    type Error = storage::Error;

    fn try_from(ladder: storage::Ladder) -> Result<Self, storage::Error> {
        Ok(Self {
            messages: ladder.read()?.into_iter().map(MessageView::from).collect(),
            call_id: ladder.call_id.into(),
            whole: ladder.whole,
            left_out: ladder.left_out_count,
        })
    }
}

impl From<storage::Rung> for MessageView {
    fn from(rung: storage::Rung) -> Self {
        // Each character is a byte; another one was never written.
        let bytes: Vec<u8> = rung.message.chars().map(|each| each as u8).collect();
        let message = String::from_utf8_lossy(&bytes).into_owned();
        let is_text = message.as_bytes() == bytes;
        Self {
            time: timestamp_ms(rung.at_ms),
            leg: rung.leg,
            party: rung.party,
            direction: rung.way,
            transport: rung.transport,
            local: rung.local.to_string(),
            remote: rung.remote.to_string(),
            message,
            message_base64: (!is_text).then(|| BASE64_STANDARD.encode(&bytes)),
        }
    }
}

/// Reads the SIP messages of a call, live or ended.
#[utoipa::path(get, path = "/admin/calls/{call_id}/ladder", tag = "calls",
    operation_id = "read_ladder",
    params(("call_id" = String, Path)),
    responses((status = 200, body = LadderView, description = "The messages so far"),
    (status = 404, body = ProblemDetails, description = "No such call, or its messages are not \
        kept (`calls.ladder_days`)")))]
pub async fn read(
    State(admin): State<Arc<Admin>>,
    PathParams(call_id): PathParams<CallId>,
) -> Result<Json<LadderView>, Problem> {
    let app: &App = &admin.app;
    let call =
        app.records.call(&call_id).await?.ok_or_else(|| unknown("call", call_id.as_str()))?;
    match ladder::read(app, &call).await? {
        Some(ladder) => Ok(Json(ladder.try_into()?)),
        None => Err(Problem::not_found(format!(
            "no SIP messages of the call {call_id:?} are kept: it sent none, calls.ladder_days is \
                over or 0, or its edge was lost"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(message: &str) -> MessageView {
        let local = "192.0.2.1:5060".parse().unwrap();
        MessageView::from(storage::Rung {
            at_ms: 0,
            leg: LegKind::Agent,
            party: None,
            way: MessageWay::Received,
            transport: SignalTransport::Udp,
            local,
            remote: local,
            message: message.to_owned(),
        })
    }

    #[test]
    fn bytes_are_told_as_they_came() {
        let text = view("BYE sip:J\u{c3}\u{bc}rg SIP/2.0\r\n\r\n");
        assert_eq!(
            (text.message.as_str(), text.message_base64),
            ("BYE sip:Jürg SIP/2.0\r\n\r\n", None)
        );
        let odd = view("J\u{fc}rg");
        assert_eq!(
            (odd.message.as_str(), odd.message_base64.as_deref()),
            ("J\u{fffd}rg", Some("SvxyZw=="))
        );
    }
}
