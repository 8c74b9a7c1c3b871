//! Why a call ended, why a party left, and why something of a running call was refused.

use crate::word::{Words, words};
use std::fmt;

words! {
    /// Why a call ended as it did (A11), or why a third party or supervisor left it.
    Reason {
        Busy = "busy",
        Declined = "declined",
        NoAnswer = "no_answer",
        Unreachable = "unreachable",
        InvalidNumber = "invalid_number",
        AgentBusy = "agent_busy",
        AgentDeclined = "agent_declined",
        AgentNoAnswer = "agent_no_answer",
        AgentUnreachable = "agent_unreachable",
        AgentNumberInvalid = "agent_number_invalid",
        AgentMedia = "agent_media",
        /// The agent's softphone went away and did not come back in time.
        AgentLost = "agent_lost",
        /// The agent's phone has answered, but nobody pressed `1` in time.
        AgentNotConfirmed = "agent_not_confirmed",
        TrunkTimeout = "trunk_timeout",
        TrunkRejected = "trunk_rejected",
        TrunkFailed = "trunk_failed",
        /// The trunk asks for a registration that it has not granted.
        TrunkUnregistered = "trunk_unregistered",
        /// The trunk does not answer OPTIONS.
        TrunkUnreachable = "trunk_unreachable",
        /// No address of the trunk is known.
        TrunkUnresolved = "trunk_unresolved",
        /// TLS with the trunk did not come about: its certificate does not prove its name, or it
        /// does not take ours.
        TrunkTls = "trunk_tls",
        /// The edge has no such interface as the trunk names, or the trunk's address is of another
        /// IP version.
        TrunkInterface = "trunk_interface",
        Media = "media",
        Canceled = "canceled",
        NoMedia = "no_media",
        MaxDuration = "max_duration",
        /// A leg's dialog is gone without a BYE: a request inside it failed or its session expired.
        DialogLost = "dialog_lost",
        System = "system",
        /// The edge's process was restarted while the call ran.
        EdgeRestarted = "edge_restarted",
        /// No call: its result is pushed to try the callback.
        CallbackTest = "callback_test",
        /// A party's own BYE.
        HungUp = "hung_up",
        /// A party was hung up by the API.
        Removed = "removed",
        /// The agent left the others together.
        Completed = "completed",
        /// A party was there at the call's end.
        Ended = "ended",
    }

    /// What was wrong with an agent's audio: more about `Reason::AgentMedia`.
    MediaFault {
        /// The browser was not allowed to use a microphone.
        MicrophoneDenied = "microphone_denied",
        /// There is no microphone.
        MicrophoneMissing = "microphone_missing",
        /// Another program has the microphone.
        MicrophoneInUse = "microphone_in_use",
        /// The browser has no network for media.
        NoCandidates = "no_candidates",
        /// No connectivity check came through.
        NoPath = "no_path",
        /// Checks came, but DTLS did not succeed.
        NoDtls = "no_dtls",
        /// All stands, but no audio came.
        NoAudio = "no_audio",
    }

    /// Why a verb was not done.
    RefusalCode {
        UnknownCall = "unknown_call",
        NotTalking = "not_talking",
        UnknownParty = "unknown_party",
        TransferRunning = "transfer_running",
        NoConsultation = "no_consultation",
        NotAnswered = "not_answered",
        OnHold = "on_hold",
        NotOnHold = "not_on_hold",
        AgentGone = "agent_gone",
        TooManyParties = "too_many_parties",
        NoCapacity = "no_capacity",
        NoRoute = "no_route",
        AgentUnreachable = "agent_unreachable",
        AgentBusy = "agent_busy",
        NotRecording = "not_recording",
        AlreadyRecording = "already_recording",
        NoDigits = "no_digits",
    }
}

/// What came of one attempt to reach a party.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttemptResult {
    /// The party has answered.
    Answered,
    /// What ended the attempt.
    Failed(Reason),
}

impl Words for AttemptResult {
    const ALL: &'static [Self] = &{
        let mut all = [Self::Answered; Reason::ALL.len() + 1];
        let mut index = 0;
        while index < Reason::ALL.len() {
            all[index + 1] = Self::Failed(Reason::ALL[index]);
            index += 1;
        }
        all
    };

    fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Failed(reason) => reason.as_str(),
        }
    }
}

impl fmt::Display for AttemptResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl RefusalCode {
    /// One line for people, with no number, key or digit.
    pub const fn detail(self) -> &'static str {
        match self {
            Self::UnknownCall => "no such call runs here",
            Self::NotTalking => "agent and customer are not talking yet",
            Self::UnknownParty => {
                "the call has no such party, or it has left, or the name is taken"
            }
            Self::TransferRunning => "another third party has not joined yet",
            Self::NoConsultation => "there is no consultation",
            Self::NotAnswered => "the party has not answered yet",
            Self::OnHold => "the customer is on hold",
            Self::NotOnHold => "the customer is not on hold",
            Self::AgentGone => "the agent has left the call",
            Self::TooManyParties => "the call has its most parties",
            Self::NoCapacity => "the shard has no room for another leg or recording",
            Self::NoRoute => "there is no route",
            Self::AgentUnreachable => "the softphone is not registered with this shard",
            Self::AgentBusy => "the softphone is in a call",
            Self::NotRecording => "the call is not recorded",
            Self::AlreadyRecording => "the call is recorded already",
            Self::NoDigits => "not 1 to 64 digits, or more than the party can take now",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Word;

    #[test]
    fn what_came_of_an_attempt_is_one_word() {
        for (result, word) in [
            (AttemptResult::Answered, "answered"),
            (AttemptResult::Failed(Reason::TrunkTimeout), "trunk_timeout"),
            (AttemptResult::Failed(Reason::Ended), "ended"),
        ] {
            assert_eq!(result.to_string(), word);
            let read: Word<AttemptResult> = serde_json::from_str(&format!("\"{word}\"")).unwrap();
            assert_eq!(read, Word::Known(result));
            assert_eq!(serde_json::to_string(&read).unwrap(), format!("\"{word}\""));
        }
        let later: Word<AttemptResult> = serde_json::from_str("\"of_a_later_release\"").unwrap();
        assert_eq!((later.known(), later.as_str()), (None, "of_a_later_release"));
    }
}
