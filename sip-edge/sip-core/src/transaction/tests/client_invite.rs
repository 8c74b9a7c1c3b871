//! RFC 3261 §17.1.1 and RFC 6026 §7.2.

use super::*;

fn script(reliability: Reliability) -> Script<ClientInvite> {
    let mut script = Script::new(|now| {
        ClientInvite::new(now, made(Method::Invite, "z9hG4bK1"), reliability, Timers::default())
    });
    // "The initial state, "calling", MUST be entered when the TU initiates a new client transaction
    // with an INVITE request. The client transaction MUST pass the request to the transport layer
    // for transmission."
    script.gives(&["send INVITE"]);
    script
}

fn response(code: u16) -> ClientInput {
    ClientInput::Response(answer(Method::Invite, code))
}

// "When timer A fires, the client transaction MUST retransmit the request by passing it to the
// transport layer, and MUST reset the timer with a value of 2*T1 … (so that the request will be
// sent with intervals that double after each transmission)." "If the client transaction is still in
// the "Calling" state when timer B fires, the client transaction SHOULD inform the TU that a
// timeout has occurred. The client transaction MUST NOT generate an ACK."
#[test]
fn timers_a_and_b_on_udp() {
    let mut script = script(UDP);
    let sent = |at| (at, "send INVITE");
    let mut expected = [500, 1_500, 3_500, 7_500, 15_500, 31_500].map(sent).to_vec();
    expected.extend([(32_000, "timeout"), (32_000, "terminated")]);
    script.until(60_000, &expected).is_quiet();
}

// "If a reliable transport is being used, the client transaction SHOULD NOT start timer A … For any
// transport, the client transaction MUST start timer B with a value of 64*T1 seconds."
#[test]
fn timer_b_alone_on_tcp() {
    script(TCP).until(60_000, &[(32_000, "timeout"), (32_000, "terminated")]).is_quiet();
}

// "If the client transaction receives a provisional response while in the "Calling" state, it
// transitions to the "Proceeding" state. In the "Proceeding" state, the client transaction SHOULD
// NOT retransmit the request any longer. Furthermore, the provisional response MUST be passed to
// the TU. Any further provisional responses MUST be passed up to the TU while in the "Proceeding"
// state."
#[test]
fn provisional_responses_stop_timer_a() {
    let mut script = script(UDP);
    script.until(700, &[(500, "send INVITE")]);
    script.on(response(100), &["user 100"]).on(response(180), &["user 180"]);
    script.until(120_000, &[]).on(response(183), &["user 183"]).is_quiet();
}

// "the client transaction MUST pass the received response up to the TU, and the client transaction
// MUST generate an ACK request, even if the transport is reliable … The client transaction SHOULD
// start timer D when it enters the "Completed" state … with a value of at least 32 seconds for
// unreliable transports … Any retransmissions of the final response that are received while in the
// "Completed" state MUST cause the ACK to be re-passed to the transport layer for retransmission,
// but the newly received response MUST NOT be passed up to the TU. … If timer D fires … the client
// transaction MUST move to the terminated state."
#[test]
fn a_refusal_is_acknowledged_each_time() {
    for provisional in [None, Some(180)] {
        let mut script = script(UDP);
        if let Some(code) = provisional {
            script.on(response(code), &["user 180"]);
        }
        script.on(response(486), &["send ACK", "user 486"]);
        script.until(1_000, &[]).on(response(486), &["send ACK"]);
        // Neither a late provisional nor a late 2xx changes what was told.
        script.on(response(180), &[]).on(response(200), &[]);
        script.until(40_000, &[(32_000, "terminated")]).is_quiet();
    }
}

// "a value of zero seconds for reliable transports" (timer D)
#[test]
fn a_refusal_ends_it_at_once_on_tcp() {
    let mut script = script(TCP);
    script
        .on(response(503), &["send ACK", "user 503", "terminated"])
        .on(response(503), &[])
        .is_quiet();
}

// "the client transaction MUST inform the TU that a transport failure has occurred, and the client
// transaction SHOULD transition directly to the "Terminated" state."
#[test]
fn transport_errors_end_it() {
    script(TCP)
        .on(ClientInput::TransportError, &["transport error", "terminated"])
        .on(ClientInput::TransportError, &[])
        .is_quiet();
    let mut script = script(UDP);
    script.on(response(486), &["send ACK", "user 486"]);
    script.on(ClientInput::TransportError, &["transport error", "terminated"]).is_quiet();
}

// RFC 6026 §7.2: "When a 2xx response is received while in either the "Calling" or "Proceeding"
// states, the client transaction MUST transition to the "Accepted" state, and Timer M MUST be
// started … The 2xx response MUST be passed up to the TU. The client transaction MUST NOT generate
// an ACK … A UAC core will send an ACK … A 2xx response received while in the "Accepted" state MUST
// be passed up." "When Timer M fires … the client transaction MUST transition to the "Terminated"
// state."
#[test]
fn timer_m_lets_every_2xx_through() {
    for reliability in [UDP, TCP] {
        let mut script = script(reliability);
        script.on(response(180), &["user 180"]).until(5_000, &[]);
        script.on(response(200), &["user 200"]).until(6_000, &[]);
        script.on(response(200), &["user 200"]);
        // "Other responses … MUST NOT be passed up" in this state.
        script.on(response(180), &[]).on(response(487), &[]).on(ClientInput::TransportError, &[]);
        script.until(60_000, &[(37_000, "terminated")]).is_quiet();
    }
}
