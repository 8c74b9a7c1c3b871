//! What is asked of running calls, noted before it is asked: third parties and supervisors with the
//! lines that they hold, and the name of a recording that starts in the middle. What the edge makes
//! of it comes as milestones.

use crate::error::Result;
use crate::record::*;
use crate::store::{Durability, Storage};
use call_words::{CallId, LegKind, RecordingName, TrunkId};

/// Third parties and supervisors of one call over all its time.
pub const OTHERS_CAP: usize = 64;

/// A third party or supervisor that is to be dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewParty {
    /// `None` for a name of our own.
    pub party: Option<String>,
    pub leg: LegKind,
    /// E.164; `None` for a softphone.
    pub number: Option<String>,
    pub crm_username: Option<String>,
    /// Trunk whose line it holds.
    pub trunk: Option<TrunkId>,
    pub request: Option<PartyRequest>,
}

/// What became of a party that is to be dialled.
#[derive(Debug, Clone, PartialEq)]
pub enum AddOutcome {
    Added {
        party: String,
        call: Call,
    },
    /// Its request's Idempotency-Key is known; nobody is to be dialled.
    Earlier {
        earlier: EarlierParty,
        call: Call,
    },
    /// The call had `OTHERS_CAP` of them.
    TooMany,
    /// The call has a party of this name.
    NameTaken,
    /// The call has ended, or is unknown.
    Ended,
}

impl Storage {
    /// Notes a party that is about to be dialled, under a name that no other of the call has or
    /// had, unless its request came before.
    pub fn add_party(&self, call_id: &CallId, new: NewParty) -> Result<AddOutcome> {
        let mut outcome = AddOutcome::Ended;
        let changed = self.change_live_call(call_id, Durability::Logged, |call| {
            if let Some(earlier) =
                new.request.as_ref().and_then(|request| call.earlier_party(request))
            {
                outcome = AddOutcome::Earlier { earlier, call: call.clone() };
                return;
            }
            if call.others.len() >= OTHERS_CAP {
                outcome = AddOutcome::TooMany;
                return;
            }
            call.party_count += 1;
            let kind = if new.leg == LegKind::Supervisor { "supervisor" } else { "participant" };
            let party = new.party.unwrap_or_else(|| format!("{kind}-{}", call.party_count));
            if ["agent", "customer"].contains(&party.as_str()) || call.other(&party).is_some() {
                outcome = AddOutcome::NameTaken;
                return;
            }
            call.others.push(OtherParty {
                party: party.clone(),
                leg: new.leg,
                number: new.number,
                crm_username: new.crm_username,
                trunk: new.trunk,
                answer_ms: None,
                end_ms: None,
                reason: None,
                sip_code: None,
                request: new.request,
            });
            outcome = AddOutcome::Added { party, call: call.clone() };
        })?;
        Ok(if changed.is_some() { outcome } else { AddOutcome::Ended })
    }

    /// Forgets a party that was never dialled. `None` if the call is unknown or has ended.
    pub fn drop_party(&self, call_id: &CallId, party: &str) -> Result<Option<Call>> {
        self.change_live_call(call_id, Durability::Logged, |call| {
            call.others.retain(|other| {
                other.party != party || other.answer_ms.is_some() || other.end_ms.is_some()
            });
        })
    }

    /// Keeps a name for a recording that is about to start, unless the call has one. `None` if the
    /// call is unknown or has ended.
    pub fn reserve_recording(
        &self,
        call_id: &CallId,
        file_name: &RecordingName,
    ) -> Result<Option<Call>> {
        self.change_live_call(call_id, Durability::Logged, |call| {
            call.recording_file.get_or_insert_with(|| file_name.to_owned());
        })
    }
}
