//! The parties of a call as a request names them, checked against the account: customer, caller ID,
//! agent.

use crate::number::{self, E164};
use crate::problem::Problem;
use axum::http::StatusCode;
use call_words::AccountId;
use storage::{Account, Agent, Region, Storage};

/// Longest id of a caller's own for a call, in characters.
pub const MAX_UUID_CHARS: usize = 128;
const MAX_USERNAME_CHARS: usize = 128;
/// Assigned numbers that an error names.
const MAX_NAMED_NUMBERS: usize = 50;

/// A number as received and as dialled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenNumber {
    pub text: String,
    pub e164: E164,
}

/// How the agent takes part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentLeg {
    Phone(GivenNumber),
    Softphone { crm_username: String },
}

/// Refuses a text that is empty or longer than it may be.
pub fn check_text(field: &str, text: Option<&str>, max_chars: usize) -> Result<(), Problem> {
    let is_fine = text.is_none_or(|text| (1..=max_chars).contains(&text.chars().count()));
    let detail = format!("allowed are 1 to {max_chars} characters");
    if is_fine {
        Ok(())
    } else {
        Err(Problem::unprocessable(field, &format!("invalid_{field}"), detail))
    }
}

/// Refuses a request that leaves out a number that each call needs; all that is missing is named at
/// once.
pub fn check_given(
    from: Option<&str>,
    to: Option<&str>,
    agent: [Option<&str>; 2],
) -> Result<(), Problem> {
    let numbers =
        [("from_number", from), ("to_number", to)].into_iter().filter(|(_, text)| text.is_none());
    let mut missing: Vec<_> = numbers.map(|(field, _)| field).collect();
    if missing.is_empty() {
        return Ok(());
    }
    if agent.iter().all(|text| text.is_none_or(|text| text.trim().is_empty())) {
        missing.push("agent_number or crm_username");
    }
    let detail = format!("{}: is required", missing.join(", "));
    let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "missing_field", detail);
    let fields = missing.iter().flat_map(|field| field.split(" or "));
    Err(fields.fold(problem, |problem, field| problem.with_field(field, "is required")))
}

/// Countries whose numbers an account may dial (B09).
fn countries(account: &Account) -> &[Region] {
    match &account.countries[..] {
        [] => std::slice::from_ref(&account.region),
        countries => countries,
    }
}

/// A number that the account may dial (S04, A8, B09).
pub fn dialled(field: &str, text: Option<&str>, account: &Account) -> Result<GivenNumber, Problem> {
    let text = text.ok_or_else(|| Problem::unprocessable(field, "missing_field", "is required"))?;
    let e164 = number::normalise(text, account.region)
        .map_err(|refusal| Problem::unprocessable(field, "invalid_number", refusal.to_string()))?;
    let (country, countries) = (e164.country(), countries(account));
    if !country.is_some_and(|country| countries.contains(&country)) {
        let named = country.map_or_else(
            || "a number of no country".to_owned(),
            |country| format!("a number of {country}"),
        );
        let detail = format!(
            "{named} is not dialled: the account's setting `countries` allows {}",
            countries.iter().map(Region::to_string).collect::<Vec<_>>().join(", ")
        );
        return Err(Problem::unprocessable(field, "country_not_allowed", detail));
    }
    Ok(GivenNumber { text: text.to_owned(), e164 })
}

/// The caller ID, which must be one of the account's (S08).
pub fn caller_id(
    store: &Storage,
    account_id: &AccountId,
    text: Option<&str>,
    region: Region,
) -> Result<E164, Problem> {
    let text =
        text.ok_or_else(|| Problem::unprocessable("from_number", "missing_field", "is required"))?;
    if let Ok(e164) = number::normalise(text, region)
        && store.number(e164.as_str())?.is_some_and(|number| number.account_id == *account_id)
    {
        return Ok(e164);
    }
    let numbers = store.numbers(account_id)?;
    let named = numbers.into_iter().take(MAX_NAMED_NUMBERS).map(|number| number.e164).collect();
    let detail = "from_number: not one of the numbers assigned to the account";
    let problem = Problem::forbidden("from_number_not_assigned", detail)
        .with_field("from_number", "allowed are assigned_numbers");
    Err(problem.with_assigned_numbers(named))
}

/// An agent of the account by its exact, case-sensitive ID (S05).
pub fn registered_agent(
    store: &Storage,
    account_id: &AccountId,
    crm_username: &str,
) -> Result<Agent, Problem> {
    check_text("crm_username", Some(crm_username), MAX_USERNAME_CHARS)?;
    store.agent(account_id, crm_username)?.ok_or_else(|| {
        Problem::unprocessable(
            "crm_username",
            "unknown_agent",
            "is not a registered agent of the account",
        )
    })
}

/// The agent, by phone or by softphone: exactly one of both is given (S18).
pub fn agent(
    store: &Storage,
    account: &Account,
    agent_number: Option<&str>,
    crm_username: Option<&str>,
) -> Result<AgentLeg, Problem> {
    let given =
        |text: Option<&'_ str>| text.filter(|text| !text.trim().is_empty()).map(str::to_owned);
    match (given(agent_number), given(crm_username)) {
        (Some(number), None) => {
            dialled("agent_number", Some(&number), account).map(AgentLeg::Phone)
        }
        (None, Some(crm_username)) => {
            let Agent { crm_username, .. } = registered_agent(store, &account.id, &crm_username)?;
            Ok(AgentLeg::Softphone { crm_username })
        }
        (number, _) => Err(one_agent_only(number.is_some())),
    }
}

/// 422 for both or neither of an agent's phone and softphone.
pub fn one_agent_only(are_both: bool) -> Problem {
    let (code, detail) = match are_both {
        true => ("ambiguous_agent", "give either agent_number or crm_username, not both"),
        false => ("missing_agent", "agent_number or crm_username is required"),
    };
    let problem = Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail);
    problem.with_field("agent_number", detail).with_field("crm_username", detail)
}
