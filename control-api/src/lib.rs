//! The API process: REST for customers, admin API and CLI for operators, callbacks, and the link to
//! the edges. Knows no SIP and no media; calls live on the edge, records in `storage`.

pub mod admin;
pub mod app;
pub mod apply;
pub mod auth;
pub mod callback;
pub mod calls;
pub mod cli;
pub mod config;
pub mod health;
pub mod hold_audio;
pub mod lifecycle;
pub mod limits;
pub mod link;
pub mod listener;
pub mod metrics;
pub mod minutes;
pub mod number;
pub mod onboarding;
pub mod openapi;
pub mod preflight;
pub mod problem;
pub mod recordings;
pub mod retention;
pub mod routing;
pub mod secret;
pub mod server;
pub mod softphone;
pub mod speaking;
pub mod streams;
pub mod tls;
pub mod verbs;
pub mod webphone;
