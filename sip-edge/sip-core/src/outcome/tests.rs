//! Table A11 (row S29), code by code, on both legs.

use super::*;

#[track_caller]
fn check(
    failure: Failure,
    rang: Rang,
    customer: (CallStatus, &str, Failover),
    agent: (CallStatus, &str, Failover),
) {
    for (leg, (status, reason, failover)) in
        [(LegName::Customer, customer), (LegName::Agent, agent)]
    {
        let verdict = judge(leg, failure, rang);
        let found =
            (verdict.outcome.status, verdict.outcome.reason.map(Reason::as_str), verdict.failover);
        assert_eq!(found, (status, Some(reason), failover), "{failure:?} {rang:?} on {leg:?}");
        assert_eq!(verdict.outcome.failed_leg, Some(leg));
    }
}

fn code(code: u16) -> Failure {
    Failure::Response { code, q850: None }
}

fn cause(code: u16, q850: u16) -> Failure {
    Failure::Response { code, q850: Some(q850) }
}

use CallStatus::*;
use Failover::*;

const BOTH: [Rang; 2] = [Rang::Yes, Rang::No];

// S29, A11: 486 and 600.
#[test]
fn busy_is_never_failed_over() {
    for rang in BOTH {
        for busy in [code(486), code(600), cause(503, 17), cause(486, 34), cause(600, 42)] {
            check(busy, rang, (Busy, "busy", Never), (Failed, "agent_busy", Never));
        }
    }
}

// S29, A11: 603 and 607; complaint 13 of PRODUCT §3.
#[test]
fn a_person_who_declined_is_never_rung_again() {
    for rang in BOTH {
        for declined in [code(603), code(607), cause(603, 21), cause(603, 34), cause(607, 41)] {
            check(declined, rang, (Busy, "declined", Never), (Canceled, "agent_declined", Never));
        }
    }
}

// S29, A11: our ring timer, 408 or a far 487 after 18x, causes 18 and 19.
#[test]
fn no_answer() {
    let expected = ((NoAnswer, "no_answer", Never), (Failed, "agent_no_answer", Never));
    for rang in BOTH {
        for failure in [Failure::RingTimeout, cause(480, 18), cause(503, 19)] {
            check(failure, rang, expected.0, expected.1);
        }
    }
    for failure in [code(408), code(487), Failure::Timeout] {
        check(failure, Rang::Yes, expected.0, expected.1);
    }
}

// S29, A11: 480 and cause 20.
#[test]
fn unreachable() {
    for rang in BOTH {
        for failure in [code(480), cause(480, 20), cause(500, 20), cause(480, 16)] {
            check(
                failure,
                rang,
                (NoAnswer, "unreachable", Never),
                (Failed, "agent_unreachable", Never),
            );
        }
    }
}

// S29, A11: 408 or timer B without 18x.
#[test]
fn silent_trunk_is_failed_over() {
    for failure in [code(408), Failure::Timeout] {
        check(
            failure,
            Rang::No,
            (Failed, "trunk_timeout", Always),
            (Failed, "agent_unreachable", Always),
        );
    }
}

// S29, A11: 404 410 416 484 485 604, causes 1 and 28.
#[test]
fn invalid_number_is_not_failed_over() {
    for rang in BOTH {
        let codes = [404, 410, 416, 484, 485, 604].map(code);
        for failure in codes.into_iter().chain([cause(503, 1), cause(480, 28)]) {
            check(
                failure,
                rang,
                (Failed, "invalid_number", Never),
                (Failed, "agent_number_invalid", Never),
            );
        }
    }
}

// S29, A11: 401 403 407 after our credentials.
#[test]
fn refused_credentials_are_failed_over_once() {
    for failure in [401, 403, 407].map(code) {
        check(
            failure,
            Rang::No,
            (Failed, "trunk_rejected", Once),
            (Failed, "trunk_rejected", Once),
        );
        check(
            failure,
            Rang::Yes,
            (Failed, "trunk_rejected", Never),
            (Failed, "trunk_rejected", Never),
        );
    }
}

// S29, A11: 415 488 606.
#[test]
fn media() {
    for rang in BOTH {
        for failure in [code(415), code(488), code(606), Failure::Media] {
            check(failure, rang, (Failed, "media", Never), (Failed, "media", Never));
        }
    }
}

// S29, A11: 3xx, 5xx, transport error, causes 34 38 41 42; every other 4xx is a fault of the trunk
// too.
#[test]
fn faults_of_a_trunk_are_failed_over_but_never_after_18x() {
    let named = [401, 403, 404, 407, 408, 410, 415, 416, 480, 484, 485, 486, 487, 488];
    let codes = (300..600).filter(|c| !named.contains(c)).map(code);
    let causes = [34, 38, 41, 42]
        .into_iter()
        .flat_map(|q850| [cause(500, q850), cause(480, q850), cause(404, q850)]);
    let broken = Failure::Transport(FlowFault::Broken);
    let of_trunk = codes.chain(causes).chain([broken]).map(|failure| (failure, "trunk_failed"));
    for (failure, reason) in of_trunk.chain([(Failure::Transport(FlowFault::Tls), "trunk_tls")]) {
        check(failure, Rang::No, (Failed, reason, Always), (Failed, reason, Always));
        check(failure, Rang::Yes, (Failed, reason, Never), (Failed, reason, Never));
    }
    check(code(487), Rang::No, (Failed, "trunk_failed", Always), (Failed, "trunk_failed", Always));
}

// RFC 3261 §21.6: no other server can help.
#[test]
fn other_global_failures_end_the_call() {
    for failure in [601, 605, 608, 699].map(code) {
        check(failure, Rang::No, (Failed, "trunk_failed", Never), (Failed, "trunk_failed", Never));
    }
}

#[test]
fn the_one_who_hung_up_is_named() {
    let by = |leg, failure| judge(leg, failure, Rang::Yes).outcome.hangup_by.unwrap();
    assert_eq!(by(LegName::Customer, code(486)), HangupBy::Customer);
    assert_eq!(by(LegName::Agent, code(603)), HangupBy::Agent);
    assert_eq!(by(LegName::Customer, Failure::RingTimeout), HangupBy::System);
    assert_eq!(by(LegName::Customer, code(503)), HangupBy::Network);
    assert_eq!(by(LegName::Agent, Failure::Transport(FlowFault::Broken)), HangupBy::Network);
}

#[track_caller]
fn check_cause(cause: Cause, before: (CallStatus, &str), after: Option<&str>, by: HangupBy) {
    let outcome = of_cause(cause, Bridged::No);
    assert_eq!(
        (outcome.status, outcome.reason.map(Reason::as_str)),
        (before.0, Some(before.1)),
        "{cause:?} before the bridge"
    );
    assert_eq!(outcome.hangup_by, Some(by));
    let outcome = of_cause(cause, Bridged::Yes);
    assert_eq!(
        (outcome.status, outcome.reason.map(Reason::as_str)),
        (Answer, after),
        "{cause:?} after the bridge"
    );
    assert_eq!(outcome.hangup_by, Some(by));
}

// S29, A11: bridged is ANSWER, whatever follows; before it, agent hang-up and API cancel are
// CANCELED.
#[test]
fn ends_other_than_by_a_failed_invite() {
    check_cause(Cause::Bye(LegName::Agent), (Canceled, "canceled"), None, HangupBy::Agent);
    check_cause(Cause::Bye(LegName::Customer), (Canceled, "canceled"), None, HangupBy::Customer);
    check_cause(Cause::Api, (Canceled, "canceled"), None, HangupBy::Api);
    check_cause(
        Cause::MaxDuration,
        (Failed, "max_duration"),
        Some("max_duration"),
        HangupBy::System,
    );
    check_cause(
        Cause::NoMedia(LegName::Agent),
        (Failed, "agent_media"),
        Some("no_media"),
        HangupBy::System,
    );
    check_cause(
        Cause::NoMedia(LegName::Customer),
        (Failed, "no_media"),
        Some("no_media"),
        HangupBy::System,
    );
    check_cause(
        Cause::DialogLost(LegName::Customer),
        (Failed, "dialog_lost"),
        Some("dialog_lost"),
        HangupBy::Network,
    );
    let not_confirmed = Cause::AgentNotConfirmed;
    check_cause(
        not_confirmed,
        (Failed, "agent_not_confirmed"),
        Some("agent_not_confirmed"),
        HangupBy::System,
    );
    check_cause(Cause::System, (Failed, "system"), Some("system"), HangupBy::System);
}
