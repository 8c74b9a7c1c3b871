//! A call from its acceptance to its final record, its timeline, and what the uuid, idempotency and
//! recording lookups keep.

use super::{Conversation, EarlierParty, OtherEnd, OtherParty, PartyRequest};
use call_words::{
    AccountId, AttemptResult, CallId, CallState, CallStatus, CallType, Direction, EdgeName,
    HangupBy, LegKind, MediaFault, MilestoneKind, Reason, RecordingName, TrunkId, Word,
};
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

/// The shard that holds a call.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Owner {
    pub edge: EdgeName,
    pub shard: u16,
    /// Changes with each start of the edge process.
    pub epoch: u64,
}

/// One conversation.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    pub call_id: CallId,
    pub account_id: AccountId,
    /// The caller's own id, echoed unchanged; equals `call_id` if none was given (A3).
    pub uuid: String,
    pub call_type: CallType,
    pub direction: Direction,
    /// As received.
    pub customer_number: String,
    pub customer_number_e164: String,
    /// As received; `None` for an agent with a softphone.
    pub agent_number: Option<String>,
    pub agent_number_e164: Option<String>,
    pub crm_username: Option<String>,
    /// Caller ID, E.164.
    pub from_number: String,
    pub disposition: String,
    /// Whether recording was asked for.
    pub record: bool,
    /// Name of the recording's file, reserved with the call; `None` if not recorded.
    pub recording_file: Option<RecordingName>,
    /// Hash of the request's body, compared by the uuid and Idempotency-Key rules.
    pub fingerprint: String,
    pub state: CallState,
    pub owner: Option<Owner>,
    /// The API asked for its end; kept so that an edge that was away is told again.
    pub hang_up_requested: bool,
    /// Request accepted (A12).
    pub start_ms: u64,
    /// Customer's ACK.
    pub answer_ms: Option<u64>,
    pub end_ms: Option<u64>,
    pub status: Option<CallStatus>,
    /// Why it ended as it did.
    pub reason: Option<Word<Reason>>,
    pub failed_leg: Option<LegKind>,
    pub sip_code: Option<u16>,
    pub hangup_by: Option<HangupBy>,
    /// Talk time in seconds; 0 unless `ANSWER`.
    pub duration_s: u64,
    pub attempts: Vec<Attempt>,
    pub recording: Option<RecordingResult>,
    pub agent_media: Option<LegMedia>,
    pub customer_media: Option<LegMedia>,
    /// More about `reason`, such as `microphone_denied`. Since version 2, as all below.
    #[serde(default)]
    pub reason_detail: Option<Word<MediaFault>>,
    /// Trunk whose line the call holds: the first that it is offered to.
    #[serde(default)]
    pub trunk: Option<TrunkId>,
    /// The agent's softphone was lost and the customer waits for it.
    #[serde(default)]
    pub agent_away: bool,
    /// The webphone session whose page carries the call.
    #[serde(default)]
    pub session_id: Option<String>,
    /// How the parties stand, as the edge told it last; `None` before the bridge and after the end.
    /// Since version 3, as all below.
    #[serde(default)]
    pub conversation: Option<Conversation>,
    /// Third parties and supervisors, in the order in which they were added.
    #[serde(default)]
    pub others: Vec<OtherParty>,
    /// Names that were given to other parties; none is given twice.
    #[serde(default)]
    pub party_count: u32,
    /// Events that were noted of the call.
    #[serde(default)]
    pub event_count: u32,
    /// What of the recording was written; `None` if nothing was to be, or if that was not known at
    /// the call's end. Since version 4.
    #[serde(default)]
    pub recording_written: Option<RecordingWritten>,
    /// Whether `from_number` is withheld from who is called. Since version 6.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hide_caller: bool,
}

impl Call {
    /// Whether the call has not ended.
    pub fn is_live(&self) -> bool {
        self.state != CallState::Ended
    }

    /// Milliseconds for which the customer and the third parties of an ended call were connected,
    /// together.
    pub fn talk_ms(&self) -> u64 {
        let third = |other: &OtherParty| {
            other.end_ms.unwrap_or(0).saturating_sub(other.answer_ms.unwrap_or(u64::MAX))
        };
        self.duration_s * 1000
            + self
                .others
                .iter()
                .filter(|other| other.leg == LegKind::Participant)
                .map(third)
                .sum::<u64>()
    }

    /// The third party or supervisor of this name.
    pub fn other(&self, party: &str) -> Option<&OtherParty> {
        self.others.iter().find(|other| other.party == party)
    }

    /// What is known of an earlier request for a party with the same Idempotency-Key.
    pub fn earlier_party(&self, request: &PartyRequest) -> Option<EarlierParty> {
        self.others.iter().find_map(|other| {
            let earlier = other.request.as_ref()?;
            let party = other.party.clone();
            match earlier.idempotency_key == request.idempotency_key {
                true if earlier.fingerprint == request.fingerprint => {
                    Some(EarlierParty::Same(party))
                }
                true => Some(EarlierParty::Clash(party)),
                false => None,
            }
        })
    }
}

/// One INVITE that was sent, and what came of it.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    pub leg: LegKind,
    pub trunk: TrunkId,
    pub start_ms: u64,
    pub end_ms: u64,
    /// Final SIP status, or `None` on a timeout or transport error.
    pub sip_code: Option<u16>,
    /// What came of it.
    pub result: Word<AttemptResult>,
}

/// The file that a recording became.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordingResult {
    pub file_name: RecordingName,
    pub duration_ms: u64,
    pub file_len: u64,
    /// Where it was paused. Since version 3.
    #[serde(default)]
    pub pauses: Vec<Pause>,
}

/// How much of a recording was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingWritten {
    /// Whether all that was recorded is in the file; without a file nothing is.
    pub complete: bool,
    /// `None` if it is not known yet.
    pub written_ms: Option<u64>,
}

/// A silent part of a recording, in milliseconds from its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    pub from_ms: u64,
    pub to_ms: u64,
}

/// What one leg received from and sent to its peer.
#[skip_serializing_none]
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct LegMedia {
    pub received_count: u64,
    pub sent_count: u64,
    pub lost_count: u64,
    pub jitter_ms: f32,
    /// How it sounded. Since version 5, as all below.
    #[serde(default)]
    pub mos: Option<Mos>,
    #[serde(default)]
    pub round_trip_ms: Option<f32>,
    /// What the peer told of what it was sent, if it did.
    #[serde(default)]
    pub far: Option<FarMedia>,
}

/// Mean opinion scores (ITU-T G.107 annex B) of one direction.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Mos {
    pub mean: f32,
    /// Of the worst few seconds.
    pub worst: f32,
}

/// What a peer received, as its RTCP told.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FarMedia {
    pub lost_count: u64,
    pub jitter_ms: f32,
    pub mos: Mos,
}

/// How a call ended; joined with the stored call by `Storage::finish_call`.
#[derive(Debug, Clone, PartialEq)]
pub struct FinalCall {
    pub status: CallStatus,
    pub reason: Option<Word<Reason>>,
    pub failed_leg: Option<LegKind>,
    pub sip_code: Option<u16>,
    pub hangup_by: Option<HangupBy>,
    pub answer_ms: Option<u64>,
    pub end_ms: u64,
    pub duration_s: u64,
    pub attempts: Vec<Attempt>,
    pub recording: Option<RecordingResult>,
    pub recording_written: Option<RecordingWritten>,
    pub agent_media: Option<LegMedia>,
    pub customer_media: Option<LegMedia>,
    /// More about `reason`.
    pub reason_detail: Option<Word<MediaFault>>,
    /// What the edge says of the other parties; `None` if it cannot be asked any more.
    pub others: Option<Vec<OtherEnd>>,
}

impl FinalCall {
    /// A call that failed through no party's doing (A11: capacity, drain, crash recovery).
    pub fn failed(reason: impl Into<Word<Reason>>, end_ms: u64) -> Self {
        Self {
            status: CallStatus::Failed,
            reason: Some(reason.into()),
            failed_leg: None,
            sip_code: None,
            hangup_by: Some(HangupBy::System),
            answer_ms: None,
            end_ms,
            duration_s: 0,
            attempts: Vec::new(),
            recording: None,
            recording_written: None,
            agent_media: None,
            customer_media: None,
            reason_detail: None,
            others: None,
        }
    }
}

/// One step of a call.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TimelineEntry {
    /// Counts from 1 within the call.
    pub sequence: u32,
    pub at_ms: u64,
    pub leg: Option<LegKind>,
    /// Name of the participant or supervisor, if it is one's. Since version 2.
    #[serde(default)]
    pub party: Option<String>,
    pub kind: Word<MilestoneKind>,
    pub sip_code: Option<u16>,
    pub trunk: Option<TrunkId>,
    /// One line for people; never holds a number, key or token.
    pub detail: Option<String>,
}

/// The call that an `Idempotency-Key` created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdempotencyEntry {
    pub call_id: CallId,
    pub fingerprint: String,
    pub created_ms: u64,
}

/// A recording's file, or the trace that it leaves after its retention.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordingEntry {
    pub file_name: RecordingName,
    pub call_id: CallId,
    pub account_id: AccountId,
    pub start_ms: u64,
    /// When the retention ended: the file is gone and its link answers 410.
    pub expired_ms: Option<u64>,
}
