//! What is said on the control link. Times are Unix milliseconds of the sender's clock; durations
//! are named `_ms`.

use crate::control::{Control, ControlRefusal, Conversation, Speaking};
use crate::destination::{AgentTarget, Destination};
use crate::ladder::Ladder;
use crate::trunk::{KeptTrunk, TrunkState};
use call_words::{
    AccountId, AgentName, AttemptResult, CallId, CallStatus, EdgeName, HangupBy, LegKind,
    MediaFault, MilestoneKind, Reason, RecordingLayout, RecordingName, TrunkId, Word,
};
use serde::{Deserialize, Serialize};
use serde_with::skip_serializing_none;

/// From a shard of the edge to control-api.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromEdge {
    /// The first frame of a connection.
    Hello(Hello),
    /// The frames right after a Hello that is too long for one.
    HelloMore(HelloMore),
    /// Something that happened, to be stored and acknowledged.
    Event {
        id: u64,
        event: Event,
    },
    /// The command took effect or had already.
    Ack {
        command_id: u64,
    },
    /// The verb was not done and will not be.
    Refused {
        command_id: u64,
        refusal: ControlRefusal,
    },
    /// State of the shard, sent once a second, not acknowledged.
    Status(ShardStatus),
    /// An agent's softphone came or went. Not acknowledged: `Hello` tells who is there after each
    /// reconnect.
    Presence(Presence),
    Speaking(Speaking),
    /// A trunk stands otherwise than before. Not acknowledged: each [`Command::KeepTrunks`] is
    /// followed by how all of them stand. Never told to who keeps no trunks.
    Trunk(TrunkState),
    /// The SIP messages of a call. Not acknowledged, and lost with the connection. Told of calls
    /// with [`PlaceCall::keep_ladder`] alone.
    Ladder(Box<Ladder>),
}

/// From control-api to a shard of the edge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToEdge {
    Welcome {
        version: u16,
    },
    Refused {
        reason: String,
    },
    Command {
        id: u64,
        command: Command,
    },
    /// The event is durable; the edge may forget it.
    Ack {
        event_id: u64,
    },
}

/// Who connects. Calls of another `epoch` of the same edge and shard no longer exist.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    pub version: u16,
    /// Configured name of the edge, unique per control-api.
    pub edge: EdgeName,
    /// Changes with each start of the edge process.
    pub epoch: u64,
    pub shard: u16,
    /// Calls that are alive or whose `Ended` is not yet acknowledged.
    pub live_calls: Vec<CallId>,
    pub status: ShardStatus,
    /// `None` if the shard takes no softphones.
    pub softphone_service: Option<SoftphoneService>,
    /// Agents (`SoftphoneGrant::agent`) whose softphones are registered with this shard.
    pub softphones: Vec<AgentName>,
    /// `None` from an edge that does not tell them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folders: Option<Folders>,
    /// Whether it takes [`Command::KeepTrunks`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keeps_trunks: bool,
    /// Whether it takes [`Command::TellLadder`] and the commands of captures.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tells_ladders: bool,
    /// Whether a `HelloMore` follows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// More names of a Hello.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HelloMore {
    pub live_calls: Vec<CallId>,
    pub softphones: Vec<AgentName>,
    /// Whether another one follows.
    pub more: bool,
}

/// The folders that both processes work on, as the edge finds them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folders {
    pub recordings: Folder,
    pub hold_audio: Folder,
}

/// A folder by what it is on this machine: the same behind each path, link or mount that leads to
/// it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folder {
    /// For people.
    pub path: String,
    /// Numbers of its device and inode; `None` if it does not exist.
    pub identity: Option<(u64, u64)>,
}

/// How softphones reach a shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SoftphoneService {
    /// Such as `wss://edge.example:8443/`.
    pub url: String,
    /// Domain of the agents' addresses-of-record.
    pub domain: String,
}

/// Whether an agent's softphone is registered, as the shard sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Presence {
    pub agent: AgentName,
    pub online: bool,
}

/// Load and counters of one shard.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ShardStatus {
    pub draining: bool,
    pub call_count: u32,
    /// Most calls that the shard takes (ports and configuration).
    pub call_capacity: u32,
    pub free_port_pairs: u32,
    /// Monotonic counters by name, among them each `DropReason` that occurred.
    pub counters: std::collections::BTreeMap<String, u64>,
}

/// Asked of the edge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    PlaceCall(Box<PlaceCall>),
    /// Ends the call in any state; unknown calls are already ended.
    HangUp {
        call_id: CallId,
    },
    /// Asks something of a running call.
    Control(Box<Control>),
    /// Lets an agent's softphone register. Replaces the agent's former grant; a softphone
    /// registered by that one is cut off once the new one registers.
    GrantSoftphone(SoftphoneGrant),
    /// Ends the agent's grant and cuts its softphone off, at the end of its call if it is in one.
    RevokeSoftphone {
        agent: AgentName,
    },
    /// Registers with these trunks and probes them, and no others from then on. Only for a shard
    /// that says [`Hello::keeps_trunks`].
    KeepTrunks(Vec<KeptTrunk>),
    /// Tells the SIP messages of a call so far, before it is acknowledged. Refused when the shard
    /// has none. Only for a shard that says [`Hello::tells_ladders`].
    TellLadder {
        call_id: CallId,
    },
    /// Captures a call from now on, until it is over: SIP without secrets, what of it was kept
    /// before included, and RTP, in this file (no folder) of the recordings'. Refused beyond the
    /// few that a shard captures at a time. Like `TellLadder`, only for a shard that says
    /// [`Hello::tells_ladders`].
    StartCapture {
        call_id: CallId,
        file_name: String,
        /// Whether RTP is kept with its payload.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        with_audio: bool,
    },
    /// Ends the capture of a call; without one nothing happens.
    StopCapture {
        call_id: CallId,
    },
}

/// A credential by which one agent's softphone may register until it expires.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct SoftphoneGrant {
    /// Opaque name of the agent, unique among all accounts: user part of its address-of-record and
    /// user name of its digest. Letters, digits and `-` only.
    pub agent: AgentName,
    pub password: String,
    pub expires_at_ms: u64,
}

impl std::fmt::Debug for SoftphoneGrant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SoftphoneGrant").field("agent", &self.agent).finish_non_exhaustive()
    }
}

/// A call to place: agent first, then the customer. All that the edge needs is in here.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlaceCall {
    pub call_id: CallId,
    pub account_id: AccountId,
    pub agent: AgentTarget,
    /// Without a route, a softphone is called for the sake of its media alone: it hears the ringing
    /// tone until it hangs up.
    pub customer: Destination,
    /// Longest call from the request, after which the edge hangs up.
    pub max_duration_ms: u64,
    /// Time without any RTP from a leg after which the call ends.
    pub no_media_ms: u64,
    /// File name (no folder) of the recording, or `None` if the call is not recorded from its
    /// start.
    pub recording: Option<RecordingName>,
    pub recording_layout: RecordingLayout,
    /// File name (no folder) of the WAV that a party on hold hears, or `None` for the bundled tone.
    pub hold_audio: Option<String>,
    /// Whether a REFER of the agent's phone becomes an [`Event::TransferRequested`]; else it is
    /// refused.
    pub accepts_refer: bool,
    /// Whether the customer is only dialled once the agent, on a phone, has pressed `1`; a
    /// softphone is never asked.
    pub agent_confirm: bool,
    /// Whether its SIP messages are kept, and told as a [`Ladder`] once nothing can follow.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep_ladder: bool,
}

/// Told by the edge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    Milestone(Milestone),
    Ended(Box<Ended>),
    /// The agent's phone asked by REFER for a blind transfer. Control-api answers it with a
    /// `Verb::AddParticipant` whose party is `party`, or with a `Verb::Cancel` if it may not be.
    TransferRequested {
        call_id: CallId,
        /// Name for the party that is asked for.
        party: String,
        /// User part of the Refer-To URI: a number as the phone wrote it.
        target: String,
    },
}

/// One step of a call for its timeline.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Milestone {
    pub call_id: CallId,
    /// Counts from 1 within the call.
    pub sequence: u32,
    pub at_ms: u64,
    pub leg: Option<LegKind>,
    /// Name of the participant or supervisor, if it is one's.
    pub party: Option<String>,
    /// How the parties stand after it, if it changed that.
    pub conversation: Option<Box<Conversation>>,
    pub kind: Word<MilestoneKind>,
    pub sip_code: Option<u16>,
    pub trunk: Option<TrunkId>,
    /// One line for people; never holds a number, key or token.
    pub detail: Option<String>,
}

/// The call is over; sent once, after its recording is final.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    pub call_id: CallId,
    pub status: CallStatus,
    /// `None` for a plain answered call.
    pub reason: Option<Word<Reason>>,
    pub failed_leg: Option<LegKind>,
    pub sip_code: Option<u16>,
    pub hangup_by: Option<HangupBy>,
    /// Customer's ACK, if the call was bridged.
    pub answered_at_ms: Option<u64>,
    pub ended_at_ms: u64,
    /// `floor(end − customer's answer)` on the edge's monotonic clock, in seconds; 0 unless
    /// `ANSWER`.
    pub duration_s: u64,
    pub attempts: Vec<Attempt>,
    pub recording: Option<RecordingResult>,
    pub agent_media: Option<LegMedia>,
    pub customer_media: Option<LegMedia>,
    /// The third parties and supervisors, in the order in which they came.
    pub others: Vec<OtherParty>,
    /// With `agent_media` of a softphone: how far its way stood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Word<MediaFault>>,
    /// What of the recording was written; `None` if nothing was to be, or if that is not known yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording_written: Option<RecordingWritten>,
}

/// What came of a third party or a supervisor.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OtherParty {
    pub party: String,
    pub leg: LegKind,
    pub answered_at_ms: Option<u64>,
    pub ended_at_ms: u64,
    /// Why it left.
    pub reason: Word<Reason>,
    pub sip_code: Option<u16>,
}

/// One INVITE that was sent, and what came of it.
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    pub leg: LegKind,
    pub trunk: TrunkId,
    pub started_at_ms: u64,
    pub ended_at_ms: u64,
    /// Final SIP status, or `None` on a timeout or transport error.
    pub sip_code: Option<u16>,
    /// What came of it.
    pub result: Word<AttemptResult>,
}

/// The file that a recording became, in the recordings' folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordingResult {
    pub file_name: RecordingName,
    pub duration_ms: u64,
    pub file_len: u64,
    /// Where it was paused, in its own time.
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

/// A part of a recording that is silent because it was paused, in milliseconds from the recording's
/// start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    pub from_ms: u64,
    pub to_ms: u64,
}

/// What one leg received from its peer, and how (RFC 3550 §6.4.1, Appendix A).
#[skip_serializing_none]
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct LegMedia {
    pub received_count: u64,
    pub sent_count: u64,
    pub lost_count: u64,
    pub jitter_ms: f32,
    /// How it sounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mos: Option<Mos>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round_trip_ms: Option<f32>,
    /// What the peer told of what it was sent, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
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
