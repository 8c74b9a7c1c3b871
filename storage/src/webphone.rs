//! Sessions of launched pages, each made once by its launch, and what is remembered of agents'
//! softphones.

use crate::calls::call_lock;
use crate::codec::decode;
use crate::create::agent_key;
use crate::error::Result;
use crate::key::Key;
use crate::record::*;
use crate::store::{Durability, Family, Storage};
use call_words::{AccountId, CallId};
use std::collections::BTreeSet;

impl Storage {
    /// Stores a session, on disk when it returns. False if its launch was used before.
    pub fn create_session(&self, session: &WebphoneSession) -> Result<bool> {
        let _held = self.lock(&[session_lock(&session.id)]);
        if self.session(&session.id)?.is_some() {
            return Ok(false);
        }
        let mut batch = self.batch();
        batch.put(Family::WebphoneSessions, session.id.as_bytes(), session);
        batch.index(
            Family::WebphoneSessionExpiry,
            &Key::default().number(session.expires_ms).rest(&session.id).bytes(),
            b"",
        );
        batch.commit(Durability::Synced)?;
        Ok(true)
    }

    /// A session of the webphone by its id.
    pub fn session(&self, session_id: &str) -> Result<Option<WebphoneSession>> {
        self.load(Family::WebphoneSessions, session_id.as_bytes())
    }

    /// Notes that the session's page carries the call, and no other page does. `None` if there is
    /// no such session.
    pub fn bind_session(
        &self,
        session_id: &str,
        call_id: &CallId,
    ) -> Result<Option<WebphoneSession>> {
        let _held = self.lock(&[session_lock(session_id), call_lock(call_id)]);
        let Some(mut session) = self.session(session_id)? else { return Ok(None) };
        session.call_id = Some(call_id.to_owned());
        let mut batch = self.batch();
        batch.put(Family::WebphoneSessions, session_id.as_bytes(), &session);
        if let Some(mut call) = self.call(call_id)? {
            call.session_id = Some(session_id.to_owned());
            batch.put_call(&call);
        }
        batch.commit(Durability::Logged)?;
        Ok(Some(session))
    }

    /// Ends a session.
    pub fn close_session(&self, session_id: &str) -> Result<()> {
        let _held = self.lock(&[session_lock(session_id)]);
        let Some(session) = self.session(session_id)? else { return Ok(()) };
        let mut batch = self.batch();
        batch.put(
            Family::WebphoneSessions,
            session_id.as_bytes(),
            &WebphoneSession { is_closed: true, ..session },
        );
        batch.commit(Durability::Logged)
    }

    /// Ends the open sessions of which `is_over` holds, on disk when it returns. Tells of whom they
    /// were: account and agent.
    pub fn close_sessions(
        &self,
        now_ms: u64,
        is_over: impl Fn(&WebphoneSession) -> bool,
    ) -> Result<BTreeSet<(AccountId, String)>> {
        let mut over = Vec::new();
        let mut scan = self.scan(Family::WebphoneSessions, b"");
        while let Some((_, value)) = scan.current()? {
            let session: WebphoneSession = decode(value)?;
            scan.advance();
            if session.is_open(now_ms) && is_over(&session) {
                over.push(session.id);
            }
        }
        let names: Vec<_> = over.iter().map(|id| session_lock(id)).collect();
        let _held = self.lock(&names);
        let (mut batch, mut agents) = (self.batch(), BTreeSet::new());
        for id in over {
            if let Some(session) = self.session(&id)? {
                agents.insert((session.account_id.clone(), session.crm_username.clone()));
                batch.put(
                    Family::WebphoneSessions,
                    id.as_bytes(),
                    &WebphoneSession { is_closed: true, ..session },
                );
            }
        }
        batch.commit(Durability::Synced)?;
        Ok(agents)
    }

    /// What is remembered of an agent's softphone; the default if nothing is.
    pub fn softphone(&self, account_id: &AccountId, crm_username: &str) -> Result<Softphone> {
        Ok(self.load(Family::Softphones, &agent_key(account_id, crm_username))?.unwrap_or_default())
    }

    /// Changes what is remembered of an agent's softphone. Nothing is kept of agents that are not
    /// registered.
    pub fn change_softphone(
        &self,
        account_id: &AccountId,
        crm_username: &str,
        change: impl FnOnce(&mut Softphone),
    ) -> Result<()> {
        let key = agent_key(account_id, crm_username);
        let _held = self.lock(&[[b"softphone:", key.as_slice()].concat()]);
        if self.agent(account_id, crm_username)?.is_none() {
            return Ok(());
        }
        let mut softphone = self.softphone(account_id, crm_username)?;
        change(&mut softphone);
        let mut batch = self.batch();
        batch.put(Family::Softphones, &key, &softphone);
        batch.commit(Durability::Logged)
    }
}

fn session_lock(session_id: &str) -> Vec<u8> {
    [b"session:", session_id.as_bytes()].concat()
}
