//! Who is called in a load: each call's agent and customer have numbers that end in the call's.

const AGENT_PREFIX: &str = "98760";
const CUSTOMER_PREFIX: &str = "98761";

/// The phone of a call's agent.
pub fn agent(n: u32) -> String {
    format!("{AGENT_PREFIX}{n:05}")
}

/// The customer of a call.
pub fn customer(n: u32) -> String {
    format!("{CUSTOMER_PREFIX}{n:05}")
}

/// Which call's customer a number is, in any of the forms that it is written in.
pub fn of_customer(number: &str) -> Option<u32> {
    number.split_once(CUSTOMER_PREFIX)?.1.parse().ok()
}
