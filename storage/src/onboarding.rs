//! Accounts, numbers, agents, API keys and trunks: set, read, listed, removed. Every change is on
//! disk when it returns.

use crate::create::agent_key;
use crate::error::{Error, Result};
use crate::key::Key;
use crate::outbox::results_prefix;
use crate::record::*;
use crate::store::{Durability, Family, Storage};
use call_words::{AccountId, JobState, KeyId, TrunkId};
use std::sync::Arc;

/// What an account has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Belongings {
    pub live_calls: usize,
    /// Results that are still being tried.
    pub pending_results: usize,
    /// Results that were given up.
    pub exhausted_results: usize,
    /// Live ones among them.
    pub calls: usize,
    pub recordings: usize,
    pub numbers: usize,
    pub agents: usize,
    pub keys: usize,
}

/// What became of something that was to be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoveOutcome {
    /// What it had.
    Removed(Belongings),
    /// Calls are live or results wait; nothing changed.
    InUse(Belongings),
    Unknown,
}

impl Storage {
    /// Creates or replaces an account. Refused while a removed one's calls are still being
    /// forgotten.
    pub fn put_account(&self, account: &Account) -> Result<()> {
        let _held = self.lock_onboarding();
        if self.read(Family::Removals, account.id.as_bytes())?.is_some() {
            return Err(Error::Conflict(
                "an account of this id was removed and its calls are still being forgotten; try \
                    again later",
            ));
        }
        let mut batch = self.batch();
        batch.put(Family::Accounts, account.id.as_bytes(), account);
        batch.commit(Durability::Synced)
    }

    /// An account by its id.
    pub fn account(&self, account_id: &AccountId) -> Result<Option<Account>> {
        Ok(self.known_account(account_id)?.map(Arc::unwrap_or_clone))
    }

    pub(crate) fn known_account(&self, account_id: &AccountId) -> Result<Option<Arc<Account>>> {
        self.setting(Family::Accounts, account_id.as_bytes())
    }

    /// All accounts by id.
    pub fn accounts(&self) -> Result<Vec<Account>> {
        self.load_all(Family::Accounts, b"")
    }

    /// What an account has; `None` if it is unknown.
    pub fn belongings(&self, account_id: &AccountId) -> Result<Option<Belongings>> {
        if self.account(account_id)?.is_none() {
            return Ok(None);
        }
        let results = |state| self.count(Family::Results, &results_prefix(account_id, state));
        let prefix = Key::of(account_id).bytes();
        Ok(Some(Belongings {
            live_calls: self
                .live_calls()?
                .iter()
                .filter(|call| call.account_id == *account_id)
                .count(),
            pending_results: results(JobState::Pending)?,
            exhausted_results: results(JobState::Exhausted)?,
            calls: self.count(Family::AccountCalls, &prefix)?,
            recordings: self.count(Family::AccountRecordings, &prefix)?,
            numbers: self.count(Family::AccountNumbers, &prefix)?,
            agents: self.count(Family::Agents, &prefix)?,
            keys: self.api_keys(Some(account_id))?.len(),
        }))
    }

    /// Removes an account with its numbers, agents and keys. Its calls and recordings are no longer
    /// to be seen, and are forgotten by `forget_account`; until that is done no account can have
    /// its id. Refused while calls are live or results wait.
    pub fn remove_account(&self, account_id: &AccountId) -> Result<RemoveOutcome> {
        let _held = self.lock_onboarding();
        // A call that is being made is live before, or finds no account.
        let _alone = self.lock_removals();
        let Some(belongings) = self.belongings(account_id)? else {
            return Ok(RemoveOutcome::Unknown);
        };
        if belongings.live_calls > 0 || belongings.pending_results > 0 {
            return Ok(RemoveOutcome::InUse(belongings));
        }
        let mut batch = self.batch();
        for number in self.numbers(account_id)? {
            batch.delete(Family::Numbers, number.e164.as_bytes());
            batch.delete(Family::AccountNumbers, &Key::of(account_id).rest(&number.e164).bytes());
        }
        for agent in self.agents(account_id)? {
            let key = agent_key(account_id, &agent.crm_username);
            batch.delete(Family::Agents, &key);
            batch.delete(Family::Softphones, &key);
        }
        for key in self.api_keys(Some(account_id))? {
            batch.delete(Family::ApiKeys, key.id.as_bytes());
            batch.delete(Family::ApiKeyHashes, &key.hash.0);
        }
        batch.delete(Family::Accounts, account_id.as_bytes());
        batch.index(Family::Removals, account_id.as_bytes(), b"");
        batch.commit(Durability::Synced)?;
        Ok(RemoveOutcome::Removed(belongings))
    }

    /// Assigns a number. Refused if another account has it or the account is unknown.
    pub fn put_number(&self, number: &Number) -> Result<()> {
        let _held = self.lock_onboarding();
        self.require_account(&number.account_id)?;
        if self.number(&number.e164)?.is_some_and(|known| known.account_id != number.account_id) {
            return Err(Error::Conflict("the number is assigned to another account"));
        }
        let mut batch = self.batch();
        batch.put(Family::Numbers, number.e164.as_bytes(), number);
        batch.index(
            Family::AccountNumbers,
            &Key::of(&number.account_id).rest(&number.e164).bytes(),
            b"",
        );
        batch.commit(Durability::Synced)
    }

    /// A number by its E.164 form.
    pub fn number(&self, e164: &str) -> Result<Option<Number>> {
        Ok(self.setting(Family::Numbers, e164.as_bytes())?.map(Arc::unwrap_or_clone))
    }

    /// The numbers of an account, ascending.
    pub fn numbers(&self, account_id: &AccountId) -> Result<Vec<Number>> {
        let prefix = Key::of(account_id).bytes();
        let mut numbers = Vec::new();
        let mut scan = self.scan(Family::AccountNumbers, &prefix);
        while let Some((key, _)) = scan.current()? {
            let e164 = String::from_utf8_lossy(&key[prefix.len()..]).into_owned();
            numbers.push(Number { e164, account_id: account_id.to_owned() });
            scan.advance();
        }
        Ok(numbers)
    }

    /// Takes a number from an account. False if the account does not have it.
    pub fn delete_number(&self, account_id: &AccountId, e164: &str) -> Result<bool> {
        let _held = self.lock_onboarding();
        if self.number(e164)?.is_none_or(|number| number.account_id != *account_id) {
            return Ok(false);
        }
        let mut batch = self.batch();
        batch.delete(Family::Numbers, e164.as_bytes());
        batch.delete(Family::AccountNumbers, &Key::of(account_id).rest(e164).bytes());
        batch.commit(Durability::Synced)?;
        Ok(true)
    }

    /// Registers or renames an agent. Refused if the account is unknown.
    pub fn put_agent(&self, agent: &Agent) -> Result<()> {
        let _held = self.lock_onboarding();
        self.require_account(&agent.account_id)?;
        let mut batch = self.batch();
        batch.put(Family::Agents, &agent_key(&agent.account_id, &agent.crm_username), agent);
        batch.commit(Durability::Synced)
    }

    /// An agent of an account by the CRM's name.
    pub fn agent(&self, account_id: &AccountId, crm_username: &str) -> Result<Option<Agent>> {
        let agent = self.setting(Family::Agents, &agent_key(account_id, crm_username))?;
        Ok(agent.map(Arc::unwrap_or_clone))
    }

    /// The agents of an account by name.
    pub fn agents(&self, account_id: &AccountId) -> Result<Vec<Agent>> {
        self.load_all(Family::Agents, &Key::of(account_id).bytes())
    }

    /// False if unknown.
    pub fn delete_agent(&self, account_id: &AccountId, crm_username: &str) -> Result<bool> {
        let _held = self.lock_onboarding();
        if self.agent(account_id, crm_username)?.is_none() {
            return Ok(false);
        }
        let mut batch = self.batch();
        let key = agent_key(account_id, crm_username);
        batch.delete(Family::Agents, &key);
        batch.delete(Family::Softphones, &key);
        batch.commit(Durability::Synced)?;
        Ok(true)
    }

    /// Creates or changes a key. Refused if its hash is another key's, it changed, or the account
    /// is unknown.
    pub fn put_api_key(&self, key: &ApiKey) -> Result<()> {
        let _held = self.lock_onboarding();
        if let Some(account_id) = &key.account_id {
            self.require_account(account_id)?;
        }
        if self.read(Family::ApiKeyHashes, &key.hash.0)?.is_some_and(|id| id != key.id.as_bytes()) {
            return Err(Error::Conflict("another key has this hash"));
        }
        if self.api_key(&key.id)?.is_some_and(|known| known.hash != key.hash) {
            return Err(Error::Conflict("a key never changes: create its successor"));
        }
        let mut batch = self.batch();
        batch.put(Family::ApiKeys, key.id.as_bytes(), key);
        batch.index(Family::ApiKeyHashes, &key.hash.0, key.id.as_bytes());
        batch.commit(Durability::Synced)
    }

    /// A key by its id.
    pub fn api_key(&self, key_id: &KeyId) -> Result<Option<ApiKey>> {
        Ok(self.setting(Family::ApiKeys, key_id.as_bytes())?.map(Arc::unwrap_or_clone))
    }

    /// The keys of an account, or the administrators' keys, expired ones included.
    pub fn api_keys(&self, account_id: Option<&AccountId>) -> Result<Vec<ApiKey>> {
        let mut keys: Vec<ApiKey> = self.load_all(Family::ApiKeys, b"")?;
        keys.retain(|key| key.account_id.as_ref() == account_id);
        Ok(keys)
    }

    /// False if unknown.
    pub fn delete_api_key(&self, key_id: &KeyId) -> Result<bool> {
        let _held = self.lock_onboarding();
        let Some(key) = self.api_key(key_id)? else { return Ok(false) };
        let mut batch = self.batch();
        batch.delete(Family::ApiKeys, key_id.as_bytes());
        batch.delete(Family::ApiKeyHashes, &key.hash.0);
        batch.commit(Durability::Synced)?;
        Ok(true)
    }

    /// The key with this hash, unless it has expired.
    pub fn authenticate(&self, hash: &KeyHash, now_ms: u64) -> Result<Option<ApiKey>> {
        let Some(key_id) = self.read(Family::ApiKeyHashes, &hash.0)? else { return Ok(None) };
        let key = self.setting(Family::ApiKeys, &key_id)?.map(Arc::<ApiKey>::unwrap_or_clone);
        Ok(key.filter(|key| key.expires_ms.is_none_or(|expires_ms| now_ms < expires_ms)))
    }

    /// Creates or replaces a trunk.
    pub fn put_trunk(&self, trunk: &Trunk) -> Result<()> {
        let _held = self.lock_onboarding();
        let mut batch = self.batch();
        batch.put(Family::Trunks, trunk.id.as_bytes(), trunk);
        batch.commit(Durability::Synced)
    }

    /// A trunk by its id.
    pub fn trunk(&self, trunk_id: &TrunkId) -> Result<Option<Trunk>> {
        Ok(self.setting(Family::Trunks, trunk_id.as_bytes())?.map(Arc::unwrap_or_clone))
    }

    /// All trunks by id.
    pub fn trunks(&self) -> Result<Vec<Trunk>> {
        self.load_all(Family::Trunks, b"")
    }

    /// False if unknown. Refused while an account uses it.
    pub fn delete_trunk(&self, trunk_id: &TrunkId) -> Result<bool> {
        let _held = self.lock_onboarding();
        if self.trunk(trunk_id)?.is_none() {
            return Ok(false);
        }
        if self.accounts()?.iter().any(|account| account.trunks.iter().any(|id| id == trunk_id)) {
            return Err(Error::Conflict("an account uses the trunk"));
        }
        let mut batch = self.batch();
        batch.delete(Family::Trunks, trunk_id.as_bytes());
        batch.commit(Durability::Synced)?;
        Ok(true)
    }

    /// Onboarding is rare: one change at a time.
    fn lock_onboarding(&self) -> Vec<std::sync::MutexGuard<'_, ()>> {
        self.lock(&[b"onboarding".to_vec()])
    }

    fn require_account(&self, account_id: &AccountId) -> Result<()> {
        match self.account(account_id)? {
            Some(_) => Ok(()),
            None => Err(Error::Conflict("unknown account")),
        }
    }
}
