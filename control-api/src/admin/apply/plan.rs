//! From a declaration and what is stored to the changes: each compared, checked and ready to be
//! written.

use super::difference::{self, Difference};
use super::{AccountEntry, Change, Declaration, KeyEntry, Kind, MadeSecret, Outcome};
use crate::admin::account::AccountView;
use crate::admin::callback::{CallbackInput, CallbackView};
use crate::admin::desk::Admin;
use crate::admin::field::{self, Refusals};
use crate::admin::identity::{self, AgentSettings, AgentView};
use crate::admin::key::{self, KeyInput, KeyView};
use crate::admin::trunk::{TrunkSettings, TrunkView};
use crate::{hold_audio, secret};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use call_words::{AccountId, TrunkId};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use storage::{Account, Agent, ApiKey, KeyClass, Number, Storage, Trunk};

/// One record to be written.
pub enum Write {
    Trunk(Trunk),
    Account(Box<Account>),
    Number(Number),
    Agent(Agent),
    Key(ApiKey),
}

impl Write {
    /// Stores it. Blocks.
    pub fn commit(&self, store: &Storage) -> storage::Result<()> {
        match self {
            Write::Trunk(trunk) => store.put_trunk(trunk),
            Write::Account(account) => store.put_account(account),
            Write::Number(number) => store.put_number(number),
            Write::Agent(agent) => store.put_agent(agent),
            Write::Key(key) => store.put_api_key(key),
        }
    }
}

/// A file that an account has not had yet.
pub struct HoldAudio {
    pub file_name: String,
    pub file: Vec<u8>,
    /// Name of the account's former file.
    pub replaced: Option<String>,
}

/// All that a declaration comes to. Writes are in the order in which they depend on each other.
#[derive(Default)]
pub struct Plan {
    pub changes: Vec<Change>,
    /// To be written before the records that name them.
    pub hold_audio: Vec<HoldAudio>,
    pub writes: Vec<Write>,
    pub secrets: Vec<MadeSecret>,
}

impl Plan {
    /// Compares and checks; what is wrong is noted in `refusals`, and the plan is then not to be
    /// used.
    pub fn of(
        admin: &Admin,
        declaration: Declaration,
        refusals: &mut Refusals,
    ) -> storage::Result<Self> {
        let mut plan = Plan::default();
        let mut trunk_ids: BTreeSet<TrunkId> =
            admin.store().trunks()?.into_iter().map(|trunk| trunk.id).collect();
        for (id, settings) in declaration.trunks.unwrap_or_default() {
            let id = TrunkId::from(id);
            refusals.within(&format!("trunks.{id}"), |refusals| {
                plan.trunk(admin, &id, settings, refusals)
            })?;
            trunk_ids.insert(id);
        }
        for (id, entry) in declaration.accounts.unwrap_or_default() {
            let id = AccountId::from(id);
            refusals.within(&format!("accounts.{id}"), |refusals| {
                plan.account(admin, &id, entry, &trunk_ids, refusals)
            })?;
        }
        Ok(plan)
    }

    fn trunk(
        &mut self,
        admin: &Admin,
        id: &TrunkId,
        settings: TrunkSettings,
        refusals: &mut Refusals,
    ) -> storage::Result<()> {
        if let Err(detail) = field::id(id.as_str()) {
            refusals.add("id", detail);
        }
        let before = admin.store().trunk(id)?;
        let Some(after) = settings.over(id, before.clone(), admin.context(), refusals) else {
            return Ok(());
        };
        let (old, new) = (before.as_ref().map(TrunkView::from), TrunkView::from(&after));
        let mut differences = compared(old.as_ref(), &new);
        if before.as_ref().is_some_and(|before| before.password != after.password) {
            differences.push(Difference::of_secret("password"));
        }
        let change = self.note(Kind::Trunk, id.to_string(), old.is_none(), differences);
        change.warnings = new.warnings;
        if change.outcome != Outcome::Unchanged {
            self.writes.push(Write::Trunk(after));
        }
        Ok(())
    }

    fn account(
        &mut self,
        admin: &Admin,
        id: &AccountId,
        entry: AccountEntry,
        trunk_ids: &BTreeSet<TrunkId>,
        refusals: &mut Refusals,
    ) -> storage::Result<()> {
        if let Err(detail) = field::id(id.as_str()) {
            refusals.add("id", detail);
        }
        let before = admin.store().account(id)?;
        let present = before.clone().unwrap_or_else(|| Account::new(id.clone(), id.as_str()));
        let AccountEntry { settings, belongings } = entry;
        let mut after = settings.over(present, |trunk| trunk_ids.contains(&trunk.into()), refusals);
        if let Some(encoded) = &belongings.hold_audio {
            self.hold_audio(encoded, &mut after, refusals);
        }
        let view = |account: &Account| AccountView { callback: None, ..AccountView::from(account) };
        let differences = compared(before.as_ref().map(view), view(&after));
        self.note(Kind::Account, id.to_string(), before.is_none(), differences);
        if let Some(callback) = belongings.callback {
            refusals.within("callback", |refusals| {
                self.callback(admin, callback, &mut after, refusals)
            });
        }
        if before.as_ref() != Some(&after) {
            self.writes.push(Write::Account(Box::new(after.clone())));
        }
        self.numbers(admin, &after, belongings.numbers.as_deref().unwrap_or_default(), refusals)?;
        self.agents(admin, id, belongings.agents.unwrap_or_default(), refusals)?;
        refusals.within("keys", |refusals| {
            self.keys(admin, id, belongings.keys.unwrap_or_default(), refusals)
        })
    }

    fn hold_audio(&mut self, encoded: &str, account: &mut Account, refusals: &mut Refusals) {
        let decoded =
            STANDARD.decode(encoded).map_err(|_| "allowed is a WAV file in base64".to_owned());
        let checked = decoded.and_then(|file| {
            hold_audio::check(&file).map(|()| file).map_err(|refusal| refusal.to_string())
        });
        let Some(file) = refusals.take("hold_audio", checked) else { return };
        let file_name = hold_audio::file_name(&account.id, &file);
        if account.hold_audio.as_ref() != Some(&file_name) {
            let replaced = account.hold_audio.replace(file_name.clone());
            self.hold_audio.push(HoldAudio { file_name, file, replaced });
        }
    }

    fn callback(
        &mut self,
        admin: &Admin,
        input: CallbackInput,
        account: &mut Account,
        refusals: &mut Refusals,
    ) {
        let before = account.callback.take();
        let Some((after, made)) = input.over(before.clone(), admin.context(), refusals) else {
            return;
        };
        let mut differences = Vec::new();
        if let Some(before) = &before {
            differences =
                difference::between(&CallbackView::from(before), &CallbackView::from(&after));
            let value = |header: &Option<storage::AuthHeader>| {
                header.as_ref().map(|header| header.value.clone())
            };
            if value(&before.auth_header) != value(&after.auth_header) {
                differences.push(Difference::of_secret("auth_header.value"));
            }
            if before.signing_secret != after.signing_secret {
                differences.push(Difference::of_secret("signing_secret"));
            }
        }
        self.note(Kind::Callback, account.id.to_string(), before.is_none(), differences);
        if let Some(made) = made {
            self.tell(Kind::Callback, account.id.to_string(), &made);
        }
        account.callback = Some(after);
    }

    fn numbers(
        &mut self,
        admin: &Admin,
        account: &Account,
        numbers: &[String],
        refusals: &mut Refusals,
    ) -> storage::Result<()> {
        for (at, text) in numbers.iter().enumerate() {
            let path = format!("numbers[{at}]");
            let Some(e164) = refusals.take(&path, identity::caller_id(text, account)) else {
                continue;
            };
            let known = admin.store().number(e164.as_str())?;
            let taken = self.writes.iter().any(
                |write| matches!(write, Write::Number(number) if number.e164 == e164.as_str()),
            );
            if taken || known.as_ref().is_some_and(|known| known.account_id != account.id) {
                refusals.add(
                    &path,
                    "the number is assigned already; allowed is each number once, in one account",
                );
            }
            self.note(Kind::Number, format!("{}/{e164}", account.id), known.is_none(), Vec::new());
            if known.is_none() {
                self.writes.push(Write::Number(Number {
                    e164: e164.to_string(),
                    account_id: account.id.clone(),
                }));
            }
        }
        Ok(())
    }

    fn agents(
        &mut self,
        admin: &Admin,
        account: &AccountId,
        agents: BTreeMap<String, String>,
        refusals: &mut Refusals,
    ) -> storage::Result<()> {
        for (crm_username, display_name) in agents {
            let before = admin.store().agent(account, &crm_username)?;
            let settings = AgentSettings { display_name: Some(display_name) };
            let path = format!("agents.{crm_username:?}");
            let after = refusals.within(&path, |refusals| {
                settings.over(account, &crm_username, before.clone(), refusals)
            });
            let id = format!("{account}/{crm_username}");
            let differences =
                compared(before.as_ref().map(AgentView::from), AgentView::from(&after));
            if self.note(Kind::Agent, id, before.is_none(), differences).outcome
                != Outcome::Unchanged
            {
                self.writes.push(Write::Agent(after));
            }
        }
        Ok(())
    }

    fn keys(
        &mut self,
        admin: &Admin,
        account: &AccountId,
        keys: BTreeMap<String, KeyEntry>,
        refusals: &mut Refusals,
    ) -> storage::Result<()> {
        let known = admin.store().api_keys(Some(account))?;
        for (name, KeyEntry { class, cidrs, supervise, value }) in keys {
            let input = KeyInput { name: name.clone(), class, cidrs, supervise, value };
            refusals.within(&name, |refusals| match key::newest(&known, &name) {
                None => self.new_key(admin, account, &input, refusals),
                Some(_) => {
                    self.known_key(account, &known, &input, refusals);
                    Ok(())
                }
            })?;
        }
        Ok(())
    }

    fn new_key(
        &mut self,
        admin: &Admin,
        account: &AccountId,
        input: &KeyInput,
        refusals: &mut Refusals,
    ) -> storage::Result<()> {
        let (key, clear) = input.first(account, refusals);
        let twice = self
            .writes
            .iter()
            .any(|write| matches!(write, Write::Key(other) if other.hash == key.hash));
        // At time 0 no key has expired yet: an expired key's value is taken, too.
        if twice || admin.store().authenticate(&key.hash, 0)?.is_some() {
            refusals.add("value", "another key has this value; allowed is each value once");
        }
        self.note(Kind::Key, format!("{account}/{}", input.name), true, Vec::new());
        if input.value.is_none() {
            self.tell(Kind::Key, format!("{account}/{}", input.name), &clear);
        }
        self.writes.push(Write::Key(key));
        Ok(())
    }

    /// A key that exists is only bound to other networks or given another permission: its class and
    /// value never change.
    fn known_key(
        &mut self,
        account: &AccountId,
        known: &[ApiKey],
        input: &KeyInput,
        refusals: &mut Refusals,
    ) {
        let generations: Vec<&ApiKey> =
            known.iter().filter(|key| key::name_of(key) == input.name).collect();
        if generations.iter().any(|key| key.class != KeyClass::from(input.class)) {
            refusals.add(
                "class",
                "a key's class never changes; allowed is its class, or a key of another name",
            );
        }
        if let Some(value) = &input.value {
            let hash = secret::hash(value.expose());
            if generations.iter().all(|key| key.hash != hash) {
                refusals.add(
                    "value",
                    "the key exists with another value; rotate it, revoke it, \
                    or leave the value out",
                );
            }
        }
        let cidrs = input.networks(refusals);
        let supervise = key::permission(input.supervise, KeyClass::from(input.class), refusals);
        let mut differences = Vec::new();
        for before in generations {
            let cidrs = cidrs.clone().unwrap_or_else(|| before.cidrs.clone());
            let after = ApiKey {
                cidrs,
                may_supervise: supervise.unwrap_or(before.may_supervise),
                ..before.clone()
            };
            if after != *before {
                differences = difference::between(&KeyView::from(before), &KeyView::from(&after));
                self.writes.push(Write::Key(after));
            }
        }
        self.note(Kind::Key, format!("{account}/{}", input.name), false, differences);
    }

    fn note(
        &mut self,
        kind: Kind,
        id: String,
        is_new: bool,
        differences: Vec<Difference>,
    ) -> &mut Change {
        let outcome = match (is_new, differences.is_empty()) {
            (true, _) => Outcome::Created,
            (false, true) => Outcome::Unchanged,
            (false, false) => Outcome::Changed,
        };
        self.changes.push(Change { kind, id, outcome, differences, warnings: Vec::new() });
        self.changes.last_mut().expect("a change was pushed")
    }

    fn tell(&mut self, kind: Kind, id: String, secret: &secret::Secret) {
        self.secrets.push(MadeSecret { kind, id, secret: secret.expose().to_owned() });
    }
}

fn compared<T: Serialize>(before: Option<T>, after: T) -> Vec<Difference> {
    before.map_or_else(Vec::new, |before| difference::between(&before, &after))
}
