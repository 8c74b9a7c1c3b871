//! The door of the edges: their connections, what they tell, and the calls of those that are gone.
//! Who is connected and what waits to be sent is `link`'s.

pub mod connection;
mod events;
pub mod reconcile;
pub mod trunks;
