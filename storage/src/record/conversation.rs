//! How the parties of a running call stand, as the edge told it last, and what came of third
//! parties and supervisors.

use call_words::{
    Joining, LegKind, PartyRole, PartyState, Reason, RecordingState, SupervisorRole, TrunkId, Word,
};
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

/// Who is in a call, and how its recording stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversation {
    /// The agent, the customer, then the others in the order in which they came.
    pub parties: Vec<Party>,
    pub recording: RecordingState,
}

impl Conversation {
    /// The party of this name.
    pub fn party(&self, name: &str) -> Option<&Party> {
        self.parties.iter().find(|party| party.party == name)
    }
}

/// One party of a running call.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// `agent`, `customer`, or the name that it was added with.
    pub party: String,
    pub role: PartyRole,
    pub state: PartyState,
    pub muted: bool,
    /// E.164; `None` for a softphone.
    pub number: Option<String>,
    /// Of a softphone.
    pub crm_username: Option<String>,
    /// Of a participant.
    pub joining: Option<Joining>,
    /// Of a supervisor.
    pub supervisor_role: Option<SupervisorRole>,
    /// Why it left, once it did.
    pub reason: Option<Word<Reason>>,
}

/// A third party or a supervisor of a call: noted before it is dialled, and kept with the call's
/// record.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherParty {
    /// Unique in the call.
    pub party: String,
    /// `Participant` or `Supervisor`.
    pub leg: LegKind,
    /// E.164; `None` for a softphone.
    pub number: Option<String>,
    /// Of a softphone.
    pub crm_username: Option<String>,
    /// Trunk whose line it holds until it leaves.
    pub trunk: Option<TrunkId>,
    pub answer_ms: Option<u64>,
    pub end_ms: Option<u64>,
    /// Why it left.
    pub reason: Option<Word<Reason>>,
    pub sip_code: Option<u16>,
    /// The request that asked for it, if that is to be known again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<PartyRequest>,
}

/// A request for a party with an Idempotency-Key (A3), which names the same party for as long as
/// the call is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartyRequest {
    pub idempotency_key: String,
    /// Hash of what makes two requests the same.
    pub fingerprint: String,
}

/// The party that an Idempotency-Key names already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EarlierParty {
    /// The same request came before.
    Same(String),
    /// Another request had this key.
    Clash(String),
}

impl OtherParty {
    /// Takes over how a conversation shows it at a time.
    pub(crate) fn follow(&mut self, shown: &Party, at_ms: u64) {
        if shown.state.is_answered() {
            self.answer_ms.get_or_insert(at_ms);
        }
        if shown.state == PartyState::Left {
            self.end_ms.get_or_insert(at_ms);
            self.reason = shown.reason.clone().or(self.reason.take());
        }
    }
}

/// What an edge says at a call's end of one of its other parties.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherEnd {
    pub party: String,
    pub leg: LegKind,
    pub answer_ms: Option<u64>,
    pub end_ms: u64,
    pub reason: Word<Reason>,
    pub sip_code: Option<u16>,
}
