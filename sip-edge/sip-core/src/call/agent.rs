//! What is the agent's alone: its softphone, which may be lost and come back, and the key that a
//! person presses on its phone.

pub mod confirmation;
pub mod softphone;
