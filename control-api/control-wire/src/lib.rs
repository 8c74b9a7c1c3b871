//! The messages of the control link between `sip-edge` (one connection per shard) and `control-api`
//! (the listener). Owns shapes, limits and framing; knows no socket. Each frame is a big-endian
//! `u32` byte length followed by one JSON object.
//!
//! Order on a connection: the edge sends [`FromEdge::Hello`] (see [`Hello::split`]), control-api
//! answers [`ToEdge::Welcome`] or [`ToEdge::Refused`] (and closes). Commands and events carry ids
//! that count up per connection peer; each is acknowledged by id once it took effect (an event:
//! once it is durable). What is not acknowledged is sent again after a reconnect, so both sides
//! treat a repeated message as already done: a call is known by its `call_id`, a milestone by
//! (`call_id`, `sequence`), a verb by its `control_id`.

mod control;
mod destination;
mod frame;
mod greeting;
mod ladder;
mod message;
mod trunk;

pub use control::{
    Control, ControlRefusal, Conversation, NewParticipant, NewSupervisor, Party, Speaking, Verb,
};
pub use destination::{AgentTarget, Destination, DigestCredentials, Route, SkippedTrunk};
pub use frame::{FrameDecoder, FrameError, MAX_FRAME_LEN, encode};
pub use ladder::{Ladder, Rung};
pub use message::{
    Attempt, Command, Ended, Event, FarMedia, Folder, Folders, FromEdge, Hello, HelloMore,
    LegMedia, Milestone, Mos, OtherParty, Pause, PlaceCall, Presence, RecordingResult,
    RecordingWritten, ShardStatus, SoftphoneGrant, SoftphoneService, ToEdge,
};
pub use trunk::{KeptTrunk, Registration, RegistrationFault, TrunkState};

/// Version of the link's messages. A peer with another major version is refused.
pub const VERSION: u16 = 4;
