//! The words in which a call is told, each declared once: from the SIP machine over the control
//! link and the disk to the API and the page. Knows words, not the shapes that hold them; those are
//! the link's, the records' and the API's own.

mod call;
mod id;
mod leg;
mod milestone;
mod party;
mod reason;
mod recording;
mod word;

pub use call::{CallPhase, CallState, CallStatus, CallType, Direction, EventWord, JobState};
pub use id::{AccountId, AgentName, CallId, EdgeName, EndpointId, KeyId, RecordingName, TrunkId};
pub use leg::{
    DtmfMode, ForwardingHeader, HangupBy, LegKind, MediaProfile, MessageWay, SignalTransport,
    TransportKind,
};
pub use milestone::MilestoneKind;
pub use party::{Joining, PartyRole, PartyState, SupervisorRole};
pub use reason::{AttemptResult, MediaFault, Reason, RefusalCode};
pub use recording::{RecordingLayout, RecordingState};
pub use word::{Word, Words};
