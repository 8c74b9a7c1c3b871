//! What is done to agents' softphones: who is online is noted, and leave to register is given and
//! taken. Which shard has them is `link`'s, the pages' API is `http::webphone`.

pub mod grant;
pub mod presence;
