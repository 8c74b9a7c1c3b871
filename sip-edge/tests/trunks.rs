//! The real process and its trunks, played by scripts: one SIP port for all shards, several
//! interfaces, over TLS too, registrations over TCP, and what strangers get over it.

#[path = "trunks/edge.rs"]
mod edge;
#[path = "trunks/interfaces.rs"]
mod interfaces;
#[path = "trunks/one_port.rs"]
mod one_port;
#[path = "trunks/registration.rs"]
mod registration;
#[path = "trunks/secured.rs"]
mod secured;
