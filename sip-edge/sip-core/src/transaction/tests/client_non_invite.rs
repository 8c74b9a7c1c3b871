//! RFC 3261 §17.1.2.

use super::*;

fn script(reliability: Reliability) -> Script<ClientNonInvite> {
    let bye = made(Method::Bye, "z9hG4bK1");
    let mut script =
        Script::new(|now| ClientNonInvite::new(now, &bye, reliability, Timers::default()));
    // "The request MUST be passed to the transport layer for transmission."
    script.gives(&["send BYE"]);
    script
}

fn response(code: u16) -> ClientInput {
    ClientInput::Response(answer(Method::Bye, code))
}

// "When timer E fires, … the timer is reset … with a value of MIN(2*T1, T2). When the timer fires
// again, it is reset to a MIN(4*T1, T2) … If Timer F fires while the client transaction is still in
// the "Trying" state, the client transaction SHOULD inform the TU about the timeout, and then it
// SHOULD enter the "Terminated" state."
#[test]
fn timers_e_and_f_on_udp() {
    let sent = |at| (at, "send BYE");
    let mut expected = [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]
        .map(sent)
        .to_vec();
    expected.extend([(32_000, "timeout"), (32_000, "terminated")]);
    script(UDP).until(60_000, &expected).is_quiet();
}

#[test]
fn timer_f_alone_on_tcp() {
    script(TCP).until(60_000, &[(32_000, "timeout"), (32_000, "terminated")]).is_quiet();
}

// "If Timer E fires while in the "Proceeding" state, the request MUST be passed to the transport
// layer for retransmission, and Timer E MUST be reset with a value of T2 seconds. If timer F fires
// … the TU MUST be informed of a timeout".
#[test]
fn timer_e_is_t2_after_a_provisional() {
    let mut script = script(UDP);
    script.until(600, &[(500, "send BYE")]).on(response(100), &["user 100"]);
    script.until(10_000, &[(1_500, "send BYE"), (5_500, "send BYE"), (9_500, "send BYE")]);
    script.on(response(180), &["user 180"]);
    let sent = |at| (at, "send BYE");
    let mut expected = [13_500, 17_500, 21_500, 25_500, 29_500].map(sent).to_vec();
    expected.extend([(32_000, "timeout"), (32_000, "terminated")]);
    script.until(60_000, &expected).is_quiet();
}

// "Once the client transaction enters the "Completed" state, it MUST set Timer K to fire in T4
// seconds for unreliable transports, and zero seconds for reliable transports. … If Timer K fires
// while in this state, the client transaction MUST transition to the "Terminated" state."
// Retransmitted responses are buffered here and not passed up.
#[test]
fn timer_k_absorbs_retransmissions() {
    let mut script = script(UDP);
    script
        .until(100, &[])
        .on(response(200), &["user 200"])
        .on(response(200), &[])
        .on(ClientInput::TransportError, &[]);
    script.until(20_000, &[(5_100, "terminated")]).is_quiet();
}

#[test]
fn a_final_response_ends_it_at_once_on_tcp() {
    script(TCP).on(response(481), &["user 481", "terminated"]).on(response(481), &[]).is_quiet();
}

#[test]
fn transport_errors_end_it() {
    script(UDP).on(ClientInput::TransportError, &["transport error", "terminated"]).is_quiet();
    let mut script = script(UDP);
    script
        .on(response(100), &["user 100"])
        .on(ClientInput::TransportError, &["transport error", "terminated"])
        .is_quiet();
}
