//! The API process: REST for customers, admin API and CLI for operators, callbacks, and the link to
//! the edges. Knows no SIP and no media; calls live on the edge, records in `storage`.
//!
//! The files stand in floors, and imports go down: what starts the process (`server`, `preflight`);
//! the doors (`http`, `edge`, `admin`, `cli`); what is done to calls and agents, whoever asks
//! (`call`, `agent`); what they share (`app`, `retention`); and the ground, which knows no `App`.

pub mod admin;
pub mod agent;
pub mod app;
pub mod call;
pub mod callback;
pub mod cli;
pub mod clock;
pub mod config;
pub mod edge;
pub mod hold_audio;
pub mod http;
pub mod idempotency;
pub mod limits;
pub mod link;
pub mod metrics;
pub mod minutes;
pub mod notices;
pub mod number;
pub mod preflight;
pub mod probe;
pub mod problem;
pub mod recording;
pub mod records;
pub mod repeats;
pub mod resolver;
pub mod retention;
pub mod routing;
pub mod secret;
pub mod server;
pub mod speaking;
pub mod streams;
pub mod view;
pub mod watch;
