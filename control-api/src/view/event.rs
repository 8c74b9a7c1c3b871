//! An event of a call as streams and progress callbacks tell it.

use super::conversation::ConversationView;
use super::time::timestamp_ms;
use call_words::LegKind;
use serde::{Deserialize, Serialize};
use storage::EventRecord;
use utoipa::ToSchema;

/// One event of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EventView {
    /// Rises within the account.
    pub id: u64,
    /// Stable word, such as `participant.joined`.
    #[schema(example = "participant.joined")]
    pub event: String,
    #[schema(format = "uuid")]
    pub call_id: String,
    pub uuid: String,
    /// Counts from 1 within the call.
    pub sequence: u32,
    #[schema(example = "2026-07-03T10:00:00.250Z", format = "date-time")]
    pub time: String,
    pub leg: Option<LegKind>,
    /// Name of the participant or supervisor, if it is one's.
    pub party: Option<String>,
    pub sip_code: Option<u16>,
    pub reason: Option<String>,
    /// How the parties stand after it, if it changed that.
    pub conversation: Option<ConversationView>,
}

impl EventView {
    /// The event as clients see it.
    pub fn of(event: &EventRecord) -> Self {
        Self {
            id: event.number,
            event: event.event.to_string(),
            call_id: event.call_id.to_string(),
            uuid: event.uuid.clone(),
            sequence: event.sequence,
            time: timestamp_ms(event.at_ms),
            leg: event.leg,
            party: event.party.clone(),
            sip_code: event.sip_code,
            reason: event.reason.clone(),
            conversation: event.conversation.as_ref().map(ConversationView::from),
        }
    }
}
