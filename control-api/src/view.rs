//! Shapes of calls as they are shown: by the API, in callbacks, in streams, to the softphone's
//! page. They know the records and nothing else.

pub mod call;
pub mod conversation;
pub mod event;
pub mod quality;
pub mod time;
