//! What the edge tells the shell: messages to send, recordings to open, and the events of calls.

use crate::command::{InterfaceFault, Refusal};
use crate::control::Conversation;
use crate::flow::Flow;
use crate::outcome::LegName;
use crate::registrar::CloseReason;
use crate::remains::Note;
use crate::trunk::registration::Fault;
use call_words::{
    AgentName, AttemptResult, CallId, CallStatus, HangupBy, MediaFault, MilestoneKind, Reason,
    RecordingName, TrunkId,
};
use media_core::relay::{FarReport, Mos, RecordingId, SocketId};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Something for the shell to do, in order. Drain to `None` after each mutation.
#[derive(Debug)]
pub enum Output {
    /// Send one whole message; a failure comes back through `Edge::handle_flow_error`.
    Sip { flow: Flow, bytes: Arc<[u8]> },
    /// Close a stranger's stream, to which nothing is said.
    CutFlow { flow: Flow },
    /// The relay begins to write this recording: its writes go to `file_name`. The shell answers
    /// `Edge::recording_finished` when the file is final, or `Edge::recording_lost`; and before, if
    /// something cannot be written, `Edge::recording_damaged`.
    OpenRecording { recording: RecordingId, file_name: RecordingName },
    /// Keep this for the next process, should this one die (see `Edge::bid_farewell`).
    Note(Note),
    /// Something of a trunk's call came from where the trunk's may not come from, and was not
    /// taken. It may be the carrier itself, so the operator is to know: told once for each trunk
    /// and kind.
    SourceRefused { trunk: TrunkId, source: IpAddr, kind: SourceKind },
    /// A trunk has no way by the interface that it names, or by the default one if it names none:
    /// told once for each trunk and interface.
    InterfaceLacking { trunk: TrunkId, interface: Option<String>, fault: InterfaceFault },
    /// A SIP message of a call was sent or came.
    Copied(Box<Copied>),
    /// RTCP of a call was sent or came; told while calls are copied and the relay copies it.
    CopiedRtcp(Box<CopiedRtcp>),
    /// Close this flow once what was sent on it is out.
    CloseFlow { flow: Flow, reason: CloseReason },
    /// Something that happened.
    Event(Event),
}

/// A SIP message of a call without its secrets, for who watches from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    pub call_id: CallId,
    /// Whether the edge sent it.
    pub is_sent: bool,
    pub flow: Flow,
    pub bytes: Vec<u8>,
}

impl Copied {
    /// Whence it came and where it went.
    pub fn ends(&self) -> (SocketAddr, SocketAddr) {
        let Flow { local, remote, .. } = self.flow;
        if self.is_sent { (local, remote) } else { (remote, local) }
    }
}

/// RTCP of a call as it stands in the clear, for who watches from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopiedRtcp {
    pub call_id: CallId,
    /// Whether the edge sent it.
    pub is_sent: bool,
    /// The edge's.
    pub socket: SocketId,
    pub remote: SocketAddr,
    pub bytes: Vec<u8>,
}

/// What comes from a trunk's networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SourceKind {
    Signalling,
    Media,
}

impl SourceKind {
    /// The trunk's setting that names its networks.
    pub fn setting(self) -> &'static str {
        match self {
            SourceKind::Signalling => "signal_from",
            SourceKind::Media => "media_from",
        }
    }
}

/// What the shard tells control-api.
#[derive(Debug, Clone)]
pub enum Event {
    Milestone(Milestone),
    Ended(Box<Ended>),
    /// The agent's phone asked by REFER for a blind transfer: to be answered with
    /// `Verb::AddParticipant` for this party, or with `Verb::Cancel`.
    TransferRequested {
        call_id: CallId,
        party: String,
        /// User part of the Refer-To URI.
        target: String,
    },
    /// Who speaks in a conversation of three or more.
    Speaking {
        call_id: CallId,
        parties: Vec<String>,
    },
    /// A trunk stands otherwise than before, or is told of for the first time.
    Trunk(TrunkState),
    /// An agent's softphone came or went.
    Presence {
        agent: AgentName,
        is_online: bool,
    },
    /// The SIP messages of a call: of one that is over, and of one that was asked for.
    Ladder(Ladder),
}

/// The SIP messages of a call's legs as they were sent and came, without their secrets.
#[derive(Debug, Clone)]
pub struct Ladder {
    pub call_id: CallId,
    /// In the order of time.
    pub rungs: Vec<Rung>,
    /// Messages from the middle of a long call that were not kept.
    pub left_out_count: u32,
    /// Whether nothing can follow.
    pub is_whole: bool,
}

/// One SIP message.
#[derive(Debug, Clone)]
pub struct Rung {
    pub at: Instant,
    pub leg: LegName,
    /// Name of the third party or supervisor, if it is one's.
    pub party: Option<String>,
    /// Whether the edge sent it.
    pub is_sent: bool,
    pub flow: Flow,
    pub bytes: Vec<u8>,
}

/// How a trunk stands with this shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrunkState {
    pub trunk: TrunkId,
    /// `None` if it is not registered with.
    pub registration: Option<RegistrationState>,
    /// Whether it answers OPTIONS; `None` if none are sent, or if that is not known yet.
    pub is_reachable: Option<bool>,
    /// Whether its calls came to nothing, so that others are tried before it.
    pub is_avoided: bool,
    /// Whether there is no such interface as it names, or none of its addresses is reached by it.
    pub lacks_interface: bool,
}

/// How the shard's registration with a trunk stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegistrationState {
    /// Until when the trunk takes our calls; `None` if it does not.
    pub until: Option<Instant>,
    /// Why the last REGISTER came to nothing, if it did.
    pub fault: Option<Fault>,
}

/// One step of a call for its timeline.
#[derive(Debug, Clone)]
pub struct Milestone {
    pub call_id: CallId,
    /// Counts from 1 within the call.
    pub sequence: u32,
    pub at: Instant,
    pub leg: Option<LegName>,
    /// Name of the third party or supervisor, if it is one's.
    pub party: Option<String>,
    pub kind: MilestoneKind,
    pub sip_code: Option<u16>,
    pub trunk: Option<TrunkId>,
    /// One line for people; never holds a number, key or token.
    pub detail: Option<String>,
    /// How the parties stand after it, if it changed that.
    pub conversation: Option<Box<Conversation>>,
}

/// The call is over; told once, after its recording is final, or 2 s later.
#[derive(Debug, Clone)]
pub struct Ended {
    pub call_id: CallId,
    pub status: CallStatus,
    /// `None` for a plain answered call.
    pub reason: Option<Reason>,
    /// With `Reason::AgentMedia` of a softphone.
    pub detail: Option<MediaFault>,
    pub failed_leg: Option<LegName>,
    pub sip_code: Option<u16>,
    pub hangup_by: Option<HangupBy>,
    /// Customer's ACK, if the call was bridged.
    pub answered_at: Option<Instant>,
    pub ended_at: Instant,
    /// `ended_at − answered_at` in whole seconds, rounded down; 0 unless `Answer`.
    pub duration_s: u64,
    pub attempts: Vec<Attempt>,
    pub recording: Option<RecordingResult>,
    /// What of the recording was written; `None` if nothing was to be, or if that is not known yet.
    pub recording_written: Option<RecordingWritten>,
    pub agent_media: Option<LegMedia>,
    pub customer_media: Option<LegMedia>,
    /// The third parties and supervisors, in the order in which they came.
    pub others: Vec<OtherParty>,
}

impl Ended {
    /// The end of a call that `Edge::place_call` refused (`Edge` itself tells nothing of it).
    pub fn refused(call_id: CallId, refusal: Refusal, now: Instant) -> Ended {
        let reason = match refusal {
            Refusal::NoRoute => Reason::TrunkRejected,
            Refusal::AgentUnreachable => Reason::AgentUnreachable,
            Refusal::AgentBusy => Reason::AgentBusy,
            Refusal::Draining
            | Refusal::CallCapacity
            | Refusal::TransactionCapacity
            | Refusal::NoPort => Reason::System,
        };
        Ended {
            call_id,
            status: CallStatus::Failed,
            reason: Some(reason),
            detail: None,
            failed_leg: matches!(refusal, Refusal::AgentUnreachable | Refusal::AgentBusy)
                .then_some(LegName::Agent),
            sip_code: None,
            hangup_by: Some(HangupBy::System),
            answered_at: None,
            ended_at: now,
            duration_s: 0,
            attempts: Vec::new(),
            recording: None,
            recording_written: None,
            agent_media: None,
            customer_media: None,
            others: Vec::new(),
        }
    }
}

/// What came of a third party or a supervisor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherParty {
    pub party: String,
    pub leg: LegName,
    pub answered_at: Option<Instant>,
    pub ended_at: Instant,
    pub reason: Reason,
    pub sip_code: Option<u16>,
}

/// One INVITE that was sent, and what came of it.
#[derive(Debug, Clone)]
pub struct Attempt {
    pub leg: LegName,
    pub trunk: TrunkId,
    pub started_at: Instant,
    pub ended_at: Instant,
    /// Final SIP status, or `None` on a timeout or transport error.
    pub sip_code: Option<u16>,
    /// What came of it.
    pub result: AttemptResult,
}

/// A recording's file, as it is or will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordingResult {
    pub file_name: RecordingName,
    pub duration: Duration,
    pub file_len: u64,
    /// Where it was paused, from the recording's start.
    pub pauses: Vec<Pause>,
}

/// How much of a recording was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordingWritten {
    /// Whether all that was recorded is in the file.
    pub is_whole: bool,
    /// `None` if it is not known yet.
    pub duration: Option<Duration>,
}

/// A recording's final file, as the shell found it on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordedFile {
    /// In bytes.
    pub len: u64,
    /// How long it plays.
    pub duration: Duration,
    pub written: RecordingWritten,
}

/// A silent part of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pause {
    pub from: Duration,
    pub to: Duration,
}

/// What one leg received from its peer, and how (RFC 3550 §6.4.1, Appendix A).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct LegMedia {
    pub received_count: u64,
    pub sent_count: u64,
    pub lost_count: u64,
    pub jitter: Duration,
    pub mos: Option<Mos>,
    pub round_trip: Option<Duration>,
    /// What the peer told of what it gets, if it did.
    pub far: Option<FarReport>,
}
