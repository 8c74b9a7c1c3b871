//! Routing by key (RFC 3261 §17.1.3, §17.2.3), the cap, ids, deadlines and what is left afterwards.

use super::*;

/// `1.2.3.4:5 name` runs over a stream.
impl Attachment for &'static str {
    fn stream(&self) -> Option<std::net::SocketAddr> {
        self.split(' ').next()?.parse().ok()
    }
}

fn table(capacity: usize) -> (Table<&'static str>, Instant) {
    (Table::new(capacity, Timers::default()), origin())
}

fn outputs(table: &mut Table<&'static str>) -> Vec<(&'static str, String)> {
    std::iter::from_fn(|| table.poll_output())
        .map(|(_, user, output)| (user, told(&output)))
        .collect()
}

fn seen(user: &'static str, told: &str) -> (&'static str, String) {
    (user, told.to_owned())
}

#[expect(clippy::result_large_err, reason = "the message itself is given back")]
fn give(
    table: &mut Table<&'static str>,
    now: Instant,
    message: SipMessage,
) -> Result<TransactionId, SipMessage> {
    let transaction = table.route(&message);
    table.handle_message(now, transaction, message)
}

fn response_to(request: &Request, code: u16) -> SipMessage {
    respond(request, code, "b").into()
}

#[test]
fn a_response_finds_its_request_by_branch_and_method() {
    let (mut table, now) = table(10);
    let invite = made(Method::Invite, "z9hG4bK1");
    table.start_client(now, invite.clone(), UDP, "invite").unwrap();
    // "the CANCEL … has the same branch, so the CSeq method is needed" (§17.1.3)
    let cancel = crate::message::cancel_for(&invite);
    table.start_client(now, cancel.clone(), UDP, "cancel").unwrap();
    assert_eq!(outputs(&mut table), [seen("invite", "send INVITE"), seen("cancel", "send CANCEL")]);
    give(&mut table, now, response_to(&cancel, 200)).unwrap();
    give(&mut table, now, response_to(&invite, 487)).unwrap();
    assert_eq!(
        outputs(&mut table),
        [seen("cancel", "user 200"), seen("invite", "send ACK"), seen("invite", "user 487")]
    );
    let stray = response_to(&made(Method::Invite, "z9hG4bKother"), 200);
    assert_eq!(give(&mut table, now, stray.clone()), Err(stray));
    assert_eq!(table.counters().unmatched_count, 1);
}

#[track_caller]
fn check_server_match(change: impl FnOnce(&mut Request), is_same: bool) {
    let (mut table, now) = table(10);
    let id = table.start_server(now, &made(Method::Invite, "z9hG4bK1"), UDP, "server").unwrap();
    let mut other = made(Method::Invite, "z9hG4bK1");
    change(&mut other);
    assert_eq!(table.route(&other.into()), is_same.then_some(id));
}

// "1. the branch parameter in the request is the same as the one in the top Via header field of the
// request that created the transaction, and 2. the sent-by value in the top Via of the request is
// equal …, and 3. the method of the request matches the one that created the transaction, except
// for ACK, where the method of the request that created the transaction is INVITE."
#[test]
fn a_request_finds_its_transaction_by_branch_sent_by_and_method() {
    use crate::message::header;
    let via = |value: &'static str| {
        move |request: &mut Request| request.headers.unique_push(header("Via", value))
    };
    check_server_match(|_| {}, true);
    check_server_match(|request| *request = made(Method::Ack, "z9hG4bK1"), true);
    check_server_match(|request| *request = made(Method::Cancel, "z9hG4bK1"), false);
    check_server_match(|request| *request = made(Method::Invite, "z9hG4bK2"), false);
    check_server_match(via("SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK1;received=192.0.2.9"), true);
    check_server_match(via("SIP/2.0/UDP 192.0.2.1:5061;branch=z9hG4bK1"), false);
    check_server_match(via("SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK1"), false);
}

// §17.2.3 for peers of RFC 2543: Request-URI, tags, Call-ID, CSeq and the top Via; RFC 4475 §3.2.1
// treats a bare cookie alike.
#[test]
fn old_branches_fall_back_to_the_old_rule() {
    for via in [
        "SIP/2.0/UDP 192.0.2.1",
        "SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK",
        "SIP/2.0/UDP 192.0.2.1;branch=old",
    ] {
        let (mut table, now) = table(10);
        let mut invite = made(Method::Invite, "x");
        invite.headers.unique_push(crate::message::header("Via", via));
        let id = table.start_server(now, &invite, UDP, "old").unwrap();
        assert_eq!(table.route(&invite.clone().into()), Some(id));
        let busy = respond(&invite, 486, "t");
        assert_eq!(
            table.route(&crate::message::ack_for(&invite, &busy).into()),
            Some(id),
            "the ACK has a To tag"
        );
        let mut other = invite.clone();
        other.headers.unique_push(crate::message::header("Call-ID", "c2"));
        assert_eq!(table.route(&other.into()), None);
    }
}

#[test]
fn a_cancel_names_its_invite_and_has_a_transaction_of_its_own() {
    let (mut table, now) = table(10);
    let invite = made(Method::Invite, "z9hG4bK1");
    let id = table.start_server(now, &invite, UDP, "invite").unwrap();
    let cancel = crate::message::cancel_for(&invite);
    assert_eq!(table.cancelled(&cancel), Some(id));
    assert_eq!(table.route(&cancel.clone().into()), None);
    let own = table.start_server(now, &cancel, UDP, "cancel").unwrap();
    table.respond(now, own, respond(&cancel, 200, "t"));
    table.respond(now, id, respond(&invite, 487, "t"));
    assert_eq!(outputs(&mut table), [seen("cancel", "send 200"), seen("invite", "send 487")]);
    // The ACK belongs to the INVITE's transaction.
    assert_eq!(give(&mut table, now, made(Method::Ack, "z9hG4bK1").into()), Ok(id));
    assert_eq!(outputs(&mut table), []);
}

#[test]
fn the_cap_holds_and_is_counted() {
    let (mut table, now) = table(2);
    table.start_client(now, made(Method::Options, "z9hG4bK1"), UDP, "1").unwrap();
    assert_eq!(
        table.start_client(now, made(Method::Options, "z9hG4bK1"), UDP, "twice"),
        Err(Full::Taken)
    );
    let last = table.start_server(now, &made(Method::Options, "z9hG4bK2"), TCP, "2").unwrap();
    assert_eq!(
        table.start_server(now, &made(Method::Options, "z9hG4bK3"), UDP, "3"),
        Err(Full::AtCapacity)
    );
    assert_eq!(
        table.start_client(now, made(Method::Ack, "z9hG4bK4"), UDP, "ack"),
        Err(Full::NoKey)
    );
    assert_eq!(
        table.counters(),
        Counters { started_count: 2, refused_count: 1, unmatched_count: 0 }
    );
    // A place is free again once one has ended, and its old id touches nothing.
    table.respond(now, last, respond(&made(Method::Options, "z9hG4bK2"), 200, "t"));
    assert!(!table.is_running(last));
    let next = table.start_server(now, &made(Method::Options, "z9hG4bK3"), UDP, "3").unwrap();
    assert_ne!(last, next);
    outputs(&mut table);
    table.respond(now, last, respond(&made(Method::Options, "z9hG4bK2"), 500, "t"));
    table.handle_transport_error(now, last);
    table.terminate(last);
    assert_eq!(
        (outputs(&mut table), table.user(last), table.user(next)),
        (Vec::new(), None, Some(&"3"))
    );
}

#[test]
fn one_deadline_drives_all() {
    let (mut table, start) = table(10);
    let at = |ms| start + Duration::from_millis(ms);
    let broken = table.start_client(at(0), made(Method::Invite, "z9hG4bK1"), UDP, "a").unwrap();
    table.start_client(at(100), made(Method::Options, "z9hG4bK2"), UDP, "b").unwrap();
    outputs(&mut table);
    assert_eq!(table.poll_timeout(), Some(at(500)));
    table.handle_timeout(at(499));
    assert_eq!(outputs(&mut table), []);
    table.handle_timeout(at(600));
    assert_eq!(outputs(&mut table), [seen("a", "send INVITE"), seen("b", "send OPTIONS")]);
    table.handle_transport_error(at(700), broken);
    assert_eq!(outputs(&mut table), [seen("a", "transport error"), seen("a", "terminated")]);
    let mut rounds = 0;
    while let Some(due) = table.poll_timeout() {
        table.handle_timeout(due);
        rounds += 1;
    }
    assert!(rounds < 20);
    assert_eq!(outputs(&mut table).last(), Some(&seen("b", "terminated")));
    assert!(table.is_empty(), "nothing is left");
}

#[test]
fn a_stream_knows_its_transactions_and_no_others() {
    let (mut table, now) = table(10);
    let users = [
        "192.0.2.1:5060 a",
        "192.0.2.1:5060 b",
        "192.0.2.1:5061 c",
        "datagram",
        "[2001:db8::1]:5060 d",
    ];
    let ids: Vec<TransactionId> = (0..)
        .zip(users)
        .map(|(n, user)| {
            table
                .start_client(now, made(Method::Options, &format!("z9hG4bK{n}")), UDP, user)
                .unwrap()
        })
        .collect();
    let over = |table: &Table<&'static str>, stream: &str| -> Vec<&str> {
        table.over_stream(stream.parse().unwrap()).map(|(_, user)| *user).collect()
    };
    assert_eq!(over(&table, "192.0.2.1:5060"), users[..2]);
    assert_eq!(over(&table, "[2001:db8::1]:5060"), users[4..]);
    table.terminate(ids[0]);
    assert_eq!(over(&table, "192.0.2.1:5060"), users[1..2]);
    assert_eq!(over(&table, "192.0.2.2:5060"), [""; 0]);
}

#[test]
fn a_silent_end_leaves_nothing() {
    let (mut table, now) = table(10);
    let id = table.start_client(now, made(Method::Invite, "z9hG4bK1"), UDP, "a").unwrap();
    outputs(&mut table);
    table.terminate(id);
    assert_eq!((table.len(), table.poll_timeout(), outputs(&mut table)), (0, None, Vec::new()));
    table
        .start_client(now, made(Method::Invite, "z9hG4bK1"), UDP, "the key is free again")
        .unwrap();
}
