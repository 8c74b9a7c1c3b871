//! The real edge with the real relay on a virtual clock: scripts that read as the RFC, and seeded
//! random peers on a bad network (ARCHITECTURE §3.6).

#[path = "../../../../media-core/tests/instructions/callgrind.rs"]
mod callgrind;
#[path = "../../../../media-core/tests/softphone/client.rs"]
#[expect(dead_code, reason = "media-core's own tests need more of it")]
mod client;
mod confirmation;
mod control;
mod crash;
mod dialogs;
mod ended;
mod holds;
mod hostile;
mod identities;
mod instructions;
mod interleavings;
mod keys;
mod ladders;
mod large;
mod liberal;
mod limits;
mod memory;
mod model;
mod network;
mod offers;
mod page;
mod peer;
mod plan;
mod random;
mod reached;
mod reasons;
mod redirects;
mod reference;
mod referrals;
mod reliable;
mod returning;
mod rig;
mod scripts;
mod secure;
mod session;
mod softphone;
mod softphones;
mod stage;
mod steps;
mod strangers;
mod talk;
mod timers;
mod trunks;
mod world;
