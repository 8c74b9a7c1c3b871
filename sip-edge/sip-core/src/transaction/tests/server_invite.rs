//! RFC 3261 §17.2.1 and RFC 6026 §7.1.

use super::*;

fn script(reliability: Reliability) -> Script<ServerInvite> {
    let invite = made(Method::Invite, "z9hG4bK1");
    let mut script =
        Script::new(|now| ServerInvite::new(now, &invite, reliability, Timers::default()));
    script.gives(&[]);
    script
}

fn again() -> ServerInput {
    ServerInput::Request(made(Method::Invite, "z9hG4bK1"))
}

fn ack() -> ServerInput {
    ServerInput::Request(made(Method::Ack, "z9hG4bK1"))
}

fn respond_with(code: u16) -> ServerInput {
    ServerInput::Response(answer(Method::Invite, code))
}

// "The server transaction MUST generate a 100 (Trying) response unless it knows that the TU will
// generate a provisional or final response within 200 ms".
#[test]
fn a_slow_user_is_covered_by_a_100() {
    script(UDP).until(10_000, &[(200, "send 100")]).is_quiet();
    let mut quick = script(UDP);
    quick.until(150, &[]).on(respond_with(180), &["send 180"]).until(10_000, &[]).is_quiet();
    let mut pressed = script(UDP);
    pressed
        .until(50, &[])
        .on(again(), &["send 100"])
        .until(10_000, &[])
        .on(again(), &["send 100"])
        .is_quiet();
}

// "The TU passes any number of provisional responses to the server transaction. So long as the
// server transaction is in the "Proceeding" state, each of these MUST be passed to the transport
// layer for transmission. … If a request retransmission is received while in the "Proceeding"
// state, the most recent provisional response that was received from the TU MUST be passed to the
// transport layer".
#[test]
fn the_latest_provisional_answers_retransmissions() {
    let mut script = script(UDP);
    script.on(respond_with(100), &["send 100"]).on(again(), &["send 100"]);
    script
        .on(respond_with(180), &["send 180"])
        .on(respond_with(183), &["send 183"])
        .on(again(), &["send 183"]);
    // An ACK has no business here.
    script.on(ack(), &[]).is_quiet();
}

// "timer G is set to fire in T1 seconds for unreliable transports … If timer G fires, the response
// is passed to the transport layer once more for retransmission, and timer G is set to fire in
// MIN(2*T1, T2) seconds … When the "Completed" state is entered, timer H MUST be set to fire in
// 64*T1 seconds for all transports. … If timer H fires while in the "Completed" state, it implies
// that the ACK was never received. In this case, the server transaction MUST transition to the
// "Terminated" state, and MUST indicate to the TU that a transaction failure has occurred."
#[test]
fn timers_g_and_h_on_udp() {
    let mut script = script(UDP);
    script.on(respond_with(486), &["send 486"]);
    let sent = |at| (at, "send 486");
    let mut expected = [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]
        .map(sent)
        .to_vec();
    expected.extend([(32_000, "timeout"), (32_000, "terminated")]);
    script.until(60_000, &expected).is_quiet();
}

#[test]
fn timer_h_alone_on_tcp() {
    let mut script = script(TCP);
    script.on(respond_with(486), &["send 486"]);
    script.until(60_000, &[(32_000, "timeout"), (32_000, "terminated")]).is_quiet();
}

// "while in the "Completed" state, if a request retransmission is received, the server SHOULD pass
// the response to the transport for retransmission." "If an ACK is received while the server
// transaction is in the "Completed" state, the server transaction MUST transition to the
// "Confirmed" state. As Timer G is ignored in this state, any retransmissions of the response will
// cease." "…it MUST be set to fire in T4 seconds for unreliable transports" (timer I), "… the
// server MUST transition to the "Terminated" state."
#[test]
fn timer_i_absorbs_acks() {
    let mut script = script(UDP);
    script.on(respond_with(603), &["send 603"]).until(600, &[(500, "send 603")]);
    script.on(again(), &["send 603"]).on(respond_with(486), &[]);
    script.on(ack(), &[]).on(ack(), &[]).on(again(), &[]);
    script.until(20_000, &[(5_600, "terminated")]).is_quiet();
}

// "zero seconds for reliable transports" (timer I)
#[test]
fn the_ack_ends_it_at_once_on_tcp() {
    let mut script = script(TCP);
    script.on(respond_with(486), &["send 486"]).on(ack(), &["terminated"]).is_quiet();
}

// RFC 6026 §7.1: "…the server transaction MUST transition to the "Accepted" state. … Timer L … If
// the TU passes another 2xx response … the server transaction MUST pass the response to the
// transport layer. … Any ACKs received from the network while in the "Accepted" state MUST be
// passed directly to the TU and not absorbed. … any retransmissions of the INVITE MUST be
// absorbed".
#[test]
fn timer_l_absorbs_invites_and_lets_2xx_and_ack_through() {
    for reliability in [UDP, TCP] {
        let mut script = script(reliability);
        script.until(100, &[]).on(respond_with(200), &["send 200"]);
        script.on(again(), &[]).on(respond_with(200), &["send 200"]).on(respond_with(486), &[]);
        script.on(ack(), &["user ACK"]).on(ack(), &["user ACK"]);
        script.until(60_000, &[(32_100, "terminated")]).on(ack(), &[]).is_quiet();
    }
}

// RFC 6026 §7.1: a transport error is told, but the transaction goes on.
#[test]
fn transport_errors_are_told() {
    let mut script = script(UDP);
    script
        .on(respond_with(180), &["send 180"])
        .on(ServerInput::TransportError, &["transport error"]);
    script
        .on(respond_with(486), &["send 486"])
        .on(ServerInput::TransportError, &["transport error"]);
    script
        .on(ack(), &[])
        .until(20_000, &[(5_000, "terminated")])
        .on(ServerInput::TransportError, &[])
        .is_quiet();
}
