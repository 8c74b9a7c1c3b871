//! The door of customers, browsers and machines that watch: resources over HTTP, who may use them,
//! and how they are listened for. What a request does to a call is `call`'s.

pub mod auth;
pub mod calls;
pub mod extract;
pub mod health;
pub mod listener;
pub mod openapi;
pub mod recordings;
pub mod sse;
pub mod tls;
pub mod webphone;
