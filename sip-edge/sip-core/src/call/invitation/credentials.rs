//! The credentials of one INVITE and of the requests in its dialogs (RFC 3261 §22.2): what answered
//! a challenge once is sent along from then on, with the next count of its nonce.

use super::request;
use crate::call::shard::Resources;
use crate::command::Credentials;
use crate::digest::Challenge;
use crate::message::{Request, Response};

/// Credentials for a trunk and the challenge that they answer.
pub struct Authority {
    credentials: Option<Credentials>,
    /// The last challenge, and how many requests have answered it.
    challenge: Option<(Challenge, u32)>,
}

impl Authority {
    pub fn new(credentials: Option<Credentials>) -> Authority {
        Authority { credentials, challenge: None }
    }

    /// The same if it was asked for; else nothing is needed.
    pub fn take_challenged(&mut self) -> Option<Authority> {
        let challenge = self.challenge.take()?;
        Some(Authority { credentials: self.credentials.take(), challenge: Some(challenge) })
    }

    /// Takes the challenge of a 401 or 407 and says whether only a nonce was too old; `None` if it
    /// cannot be answered.
    pub fn take(&mut self, response: &Response) -> Option<bool> {
        self.credentials.as_ref()?;
        let challenge = Challenge::from_response(response).ok()?;
        let is_stale = challenge.is_stale();
        self.challenge = Some((challenge, 0));
        Some(is_stale)
    }

    /// Adds the credentials for the last challenge, if there was one.
    pub fn sign(&mut self, shard: &mut Resources, request: &mut Request) {
        self.sign_ahead(shard, request);
        if let Some((_, count)) = &mut self.challenge {
            *count += 1;
        }
    }

    /// Adds them to a request that the next process sends should this one die.
    pub fn sign_ahead(&self, shard: &mut Resources, request: &mut Request) {
        if let (Some(credentials), Some((challenge, count))) = (&self.credentials, &self.challenge)
        {
            let header = request::authorization(shard, credentials, challenge, count + 1, request);
            request.headers.push(header);
        }
    }
}
