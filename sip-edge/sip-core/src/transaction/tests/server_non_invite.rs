//! RFC 3261 §17.2.2.

use super::*;

fn script(reliability: Reliability) -> Script<ServerNonInvite> {
    Script::new(|_| ServerNonInvite::new(reliability, Timers::default()))
}

fn again() -> ServerInput {
    ServerInput::Request(made(Method::Bye, "z9hG4bK1"))
}

fn respond_with(code: u16) -> ServerInput {
    ServerInput::Response(answer(Method::Bye, code))
}

// "Once in the "Trying" state, any further request retransmissions are discarded."
#[test]
fn retransmissions_before_an_answer_are_discarded() {
    script(UDP).on(again(), &[]).on(again(), &[]).until(60_000, &[]).is_quiet();
}

// "Any further provisional responses that are received from the TU while in the "Proceeding" state
// MUST be passed to the transport layer … If a retransmission of the request is received while in
// the "Proceeding" state, the most recently sent provisional response MUST be passed to the
// transport layer for retransmission."
#[test]
fn the_latest_provisional_answers_retransmissions() {
    let mut script = script(UDP);
    script
        .on(respond_with(100), &["send 100"])
        .on(respond_with(182), &["send 182"])
        .on(again(), &["send 182"])
        .is_quiet();
}

// "When the server transaction enters the "Completed" state, it MUST set Timer J to fire in 64*T1
// seconds for unreliable transports … While in the "Completed" state, the server transaction MUST
// pass the final response to the transport layer for retransmission whenever a retransmission of
// the request is received. Any other final responses passed by the TU to the server transaction
// MUST be discarded".
#[test]
fn timer_j_answers_retransmissions() {
    let mut script = script(UDP);
    script.until(100, &[]).on(respond_with(200), &["send 200"]);
    script.on(again(), &["send 200"]).on(respond_with(481), &[]).on(again(), &["send 200"]);
    script.until(60_000, &[(32_100, "terminated")]).on(again(), &[]).is_quiet();
}

// "… and zero seconds for reliable transports."
#[test]
fn the_answer_ends_it_at_once_on_tcp() {
    script(TCP)
        .on(respond_with(200), &["send 200", "terminated"])
        .on(respond_with(200), &[])
        .is_quiet();
}

// §17.2.4 and RFC 6026 figure 8
#[test]
fn transport_errors_end_it() {
    let mut script = script(UDP);
    script
        .on(respond_with(200), &["send 200"])
        .on(ServerInput::TransportError, &["transport error", "terminated"])
        .is_quiet();
}
