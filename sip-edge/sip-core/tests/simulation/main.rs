//! The real edge with the real relay on a virtual clock: scripts that read as the RFC, and seeded random peers on a bad network
//! (ARCHITECTURE §3.6).

mod dialogs;
mod hostile;
mod interleavings;
mod model;
mod network;
mod peer;
mod random;
mod rig;
mod scripts;
mod session;
mod world;
