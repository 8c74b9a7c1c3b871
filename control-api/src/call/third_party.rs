//! Admission of third parties, the same for participants, blind transfers and supervisors on
//! phones: the number may be dialled, the caller ID is the account's, the account may start another
//! call this second, and a trunk has a line, which is held until the party left.

use super::asked::{self, Asked};
use super::verbs::{check_reach, ended, fresh_id, problem, reread, send};
use super::{admission, party};
use crate::app::App;
use crate::link::ControlFailure;
use crate::number::E164;
use crate::problem::Problem;
use crate::routing::{self, Caller};
use crate::{idempotency, number};
use call_words::{AccountId, Joining, LegKind, TrunkId};
use control_wire::{Destination, NewParticipant, Verb};
use std::sync::Arc;
use std::time::Instant;
use storage::{Account, AddOutcome, Call, EarlierParty, NewParty, PartyRequest, Storage, Trunk};

/// A third party as a request names it.
#[derive(Debug, Clone)]
pub struct NewThird {
    pub to_number: Option<String>,
    /// The call's unless given.
    pub from_number: Option<String>,
    pub joining: Joining,
    /// A name that is given to it already, with the id under which it is asked for.
    pub named: Option<(String, String)>,
    /// What makes the request known again.
    pub request: Option<PartyRequest>,
}

/// Dials a third party, to the end even if the client goes away meanwhile.
pub async fn add(app: &Arc<App>, call: &Call, new: NewThird) -> Result<Asked, Problem> {
    let request = new.request.clone();
    asked::once(app, call, request.as_ref(), dial(Arc::clone(app), call.clone(), new)).await
}

async fn dial(app: Arc<App>, call: Call, new: NewThird) -> Result<Asked, Problem> {
    let NewThird { to_number, from_number, joining, named, request } = new;
    if let Some(asked) = earlier(&call, request.as_ref())? {
        return Ok(asked);
    }
    check_reach(&app, &call)?;
    let (party, control_id) =
        named.map_or_else(|| (None, fresh_id()), |(party, control_id)| (Some(party), control_id));
    let dialling = {
        let (account_id, from_number) =
            (call.account_id.clone(), from_number.unwrap_or_else(|| call.from_number.clone()));
        app.records
            .visit(move |store| {
                let to_number = to_number.as_deref();
                Dialling::check(store, &account_id, "to_number", to_number, &from_number)
            })
            .await?
    };
    let dialling = Dialling { hides_caller: call.hide_caller, ..dialling };
    let dialling = match joining {
        Joining::Transfer => dialling.transferred_from(&call),
        Joining::Consult | Joining::Join => dialling,
    };
    let admitted = dialling.admit(&app, |account| account.customer_ring_ms).await?;
    let leg = LegKind::Participant;
    let verb = move |party, destination| {
        Verb::AddParticipant(Box::new(NewParticipant { party, destination, joining }))
    };
    admitted.dial(&app, &call, Naming { party, leg, control_id, request }, verb).await
}

/// A number that is to be dialled, checked.
pub(super) struct Dialling {
    account: Account,
    number: E164,
    caller_id: E164,
    hides_caller: bool,
    /// Who sends the call on to it.
    diverted_by: Option<E164>,
    trunks: Vec<Trunk>,
}

impl Dialling {
    pub(super) fn check(
        store: &Storage,
        account_id: &AccountId,
        field: &str,
        number: Option<&str>,
        from_number: &str,
    ) -> Result<Self, Problem> {
        let account = store
            .account(account_id)?
            .ok_or_else(|| Problem::forbidden("account", "the account was deleted"))?;
        let number = party::dialled(field, number, &account)?.e164;
        let caller_id = party::caller_id(store, account_id, Some(from_number), account.region)?;
        let trunks: Result<Vec<_>, _> =
            account.trunks.iter().map(|trunk_id| store.trunk(trunk_id)).collect();
        let (trunks, diverted_by) = (trunks?.into_iter().flatten().collect(), None);
        Ok(Self { number, caller_id, hides_caller: false, diverted_by, trunks, account })
    }

    /// The call's agent sends its customer on to the number: by its phone, or in the account's
    /// name.
    fn transferred_from(self, call: &Call) -> Self {
        let agent = call.agent_number_e164.as_ref().unwrap_or(&call.from_number);
        let diverted_by = number::normalise(agent, self.account.region).ok();
        Self { diverted_by, ..self }
    }

    /// Takes its turn of the account's rate and a line of a trunk.
    pub(super) async fn admit(
        self,
        app: &App,
        ring_ms: impl FnOnce(&Account) -> u64,
    ) -> Result<Admitted, Problem> {
        let Self { account, number, caller_id, hides_caller, diverted_by, trunks } = self;
        admission::check_minutes(app, &account)?;
        app.limits
            .lines
            .take_turn(&account.id, &account.limits, Instant::now())
            .map_err(admission::limit_problem)?;
        let (ways, lines) = admission::free_trunks(app, trunks, &[&number]).await?;
        let way = &ways[0];
        let ring_ms = ring_ms(&account);
        let region = account.region;
        let caller = Caller { number: &caller_id, is_hidden: hides_caller };
        let destination =
            routing::destination(way, &number, caller, region, ring_ms, diverted_by.as_ref());
        Ok(Admitted { destination, trunk: way.first(), lines, number })
    }
}

/// A number that may be dialled now.
pub(super) struct Admitted {
    number: E164,
    destination: Destination,
    trunk: TrunkId,
    lines: Vec<crate::limits::Line<TrunkId>>,
}

/// How a party is called, and under which id it is asked for.
pub(super) struct Naming {
    pub party: Option<String>,
    pub leg: LegKind,
    pub control_id: String,
    pub request: Option<PartyRequest>,
}

impl Admitted {
    /// Notes the party, then asks the edge for it.
    pub(super) async fn dial<V>(
        self,
        app: &App,
        call: &Call,
        naming: Naming,
        verb: V,
    ) -> Result<Asked, Problem>
    where
        V: FnOnce(String, Destination) -> Verb,
    {
        let Self { number, destination, trunk, lines } = self;
        let new = NewParty {
            party: naming.party,
            leg: naming.leg,
            number: Some(number.as_str().to_owned()),
            crm_username: None,
            trunk: Some(trunk),
            request: naming.request,
        };
        let (party, call) = match note(app, call, new).await? {
            Asked::Now { party, call } => (party, call),
            before => return Ok(before),
        };
        for line in lines {
            app.notices.trunk_lines.hold(&call.call_id, &party, line);
        }
        let verb = verb(party.clone(), destination);
        settle(app, &call, party, naming.control_id, verb).await
    }
}

/// The party that the same request asked for before.
pub(super) fn earlier(
    call: &Call,
    request: Option<&PartyRequest>,
) -> Result<Option<Asked>, Problem> {
    let known = request.and_then(|request| call.earlier_party(request));
    known.map(|earlier| repeated(earlier, call.clone())).transpose()
}

fn repeated(earlier: EarlierParty, call: Call) -> Result<Asked, Problem> {
    match earlier {
        EarlierParty::Same(party) => Ok(Asked::Before { party, call }),
        EarlierParty::Clash(party) => Err(idempotency::clash(format!(
            "{party} was asked for with this Idempotency-Key and another request"
        ))),
    }
}

/// Notes a party, under its name from now on, unless the same request did.
pub(super) async fn note(app: &App, call: &Call, new: NewParty) -> Result<Asked, Problem> {
    match app.records.add_party(&call.call_id, new).await? {
        AddOutcome::Added { party, call } => Ok(Asked::Now { party, call }),
        AddOutcome::Earlier { earlier, call } => repeated(earlier, call),
        AddOutcome::TooMany => Err(Problem::conflict(
            "too_many_parties",
            "the call had as many other parties as it may have",
        )),
        AddOutcome::NameTaken => {
            Err(Problem::conflict("party_exists", "the call has a party of this name"))
        }
        AddOutcome::Ended => Err(ended()),
    }
}

/// Asks for a party that was noted. One that was not dialled is forgotten; of one that may have
/// been, the edge will tell.
pub(super) async fn settle(
    app: &App,
    call: &Call,
    party: String,
    control_id: String,
    verb: Verb,
) -> Result<Asked, Problem> {
    let asked = send(app, call, control_id, verb).await;
    if matches!(&asked, Err(failure) if *failure != ControlFailure::NoAnswer) {
        app.notices.trunk_lines.give_back_of(&call.call_id, &party);
        app.records.drop_party(&call.call_id, &party).await?;
    }
    let now = reread(app, call).await;
    // Its end may have come before the line was held.
    if !now.as_ref().is_ok_and(Call::is_live) {
        app.notices.trunk_lines.give_back(&call.call_id);
    }
    asked.map_err(problem)?;
    Ok(Asked::Now { party, call: now? })
}
