//! Who calls, as each trunk is told (RFC 3323, RFC 3325), and that a call was sent on (RFC 5806,
//! RFC 7044): nothing of it unless the trunk's settings ask for it.

use crate::rig::{AGENT, AGENT_MEDIA, CUSTOMER, CUSTOMER_MEDIA, Rig};
use crate::session::address;
use call_words::ForwardingHeader;
use sip_core::command::Route;
use sip_core::message::{self, Method, Request, View, header};

const OWN: &str = "<sip:+911140000000@carrier.example;user=phone>";

/// The rig whose customer was just called over a route that was changed so.
fn called(change: impl FnOnce(&mut Route)) -> (Rig, Request) {
    let mut call = Rig::plain_call();
    let route = &mut call.customer.routes[0];
    route.domain = "carrier.example".into();
    route.caller_id = "+911140000000".into();
    change(route);
    let mut rig = Rig::new();
    rig.place(call);
    rig.answer_invite(AGENT, "agent", AGENT_MEDIA);
    rig.expect_request(Method::Ack, AGENT);
    let invite = rig.expect_request(Method::Invite, CUSTOMER);
    (rig, invite)
}

#[track_caller]
fn check(invite: &Request, from: &str, asserted: Option<&str>, privacy: Option<&str>) {
    let told = invite.value("From").unwrap().split(";tag=").next().unwrap();
    assert_eq!(told, from);
    assert_eq!(invite.value("P-Asserted-Identity"), asserted);
    assert_eq!(invite.value("Privacy"), privacy);
}

#[test]
fn a_caller_is_told_unless_the_trunk_hides_it() {
    for is_trusted in [false, true] {
        let (_, invite) = called(|route| route.is_trusted = is_trusted);
        check(&invite, OWN, Some(OWN), None);
    }
}

const ANONYMOUS: &str = "\"Anonymous\" <sip:anonymous@anonymous.invalid>";

#[test]
fn a_hidden_caller_is_told_to_who_is_trusted_alone() {
    let (mut rig, invite) = called(|route| route.hides_caller = true);
    check(&invite, ANONYMOUS, None, Some("id"));
    // Nor does anything else of the dialog tell the number.
    let customer = rig.callee(CUSTOMER, "customer", &invite);
    rig.reply_with_sdp(&invite, 200, "customer", CUSTOMER_MEDIA);
    let ack = rig.expect_request(Method::Ack, CUSTOMER);
    rig.hang_up();
    let bye = rig.expect_request(Method::Bye, CUSTOMER);
    for request in [&invite, &ack, &bye] {
        let text = String::from_utf8(message::print_request(request)).unwrap();
        assert!(!text.contains("1140000000"), "{text}");
    }
    assert_eq!(bye.value("To").unwrap().split(";tag=").nth(1), Some(customer.tag.as_str()));

    let (_, invite) = called(|route| (route.hides_caller, route.is_trusted) = (true, true));
    check(&invite, ANONYMOUS, Some(OWN), Some("id"));
}

fn forwarded(invite: &Request) -> (Option<&str>, Option<&str>) {
    (invite.value("Diversion"), invite.value("History-Info"))
}

fn transferred(route: &mut Route, forwarding: ForwardingHeader) {
    (route.forwarding, route.diverted_by) = (forwarding, Some("+911140000001".into()));
}

#[test]
fn who_sent_a_call_on_is_told_as_the_trunk_wants_it() {
    let told = |forwarding| {
        let (_, invite) = called(|route| transferred(route, forwarding));
        let (diversion, history) = forwarded(&invite);
        (diversion.map(str::to_owned), history.map(str::to_owned))
    };
    assert_eq!(told(ForwardingHeader::None), (None, None));
    assert_eq!(
        told(ForwardingHeader::Diversion),
        (Some("<sip:+911140000001@carrier.example;user=phone>;reason=unknown".into()), None)
    );
    let history = "<sip:+911140000001@carrier.example;user=phone>;index=1, \
        <sip:9876543210@carrier.example;user=phone>;index=1.1;mp=1";
    assert_eq!(told(ForwardingHeader::HistoryInfo), (None, Some(history.into())));
    // A call that nobody sent on.
    let (_, invite) = called(|route| route.forwarding = ForwardingHeader::Diversion);
    assert_eq!(forwarded(&invite), (None, None));
    // A caller who is hidden would be known by who sent the call on.
    let hidden = |is_trusted| {
        let (_, invite) = called(|route| {
            transferred(route, ForwardingHeader::Diversion);
            (route.hides_caller, route.is_trusted) = (true, is_trusted);
        });
        forwarded(&invite).0.is_some()
    };
    assert_eq!((hidden(false), hidden(true)), (false, true));
}

#[test]
fn a_redirection_that_is_followed_is_told() {
    let redirected = |forwarding, is_transferred: bool| {
        let (mut rig, invite) = called(|route| {
            route.follows_redirects = true;
            if is_transferred {
                transferred(route, forwarding);
            }
            route.forwarding = forwarding;
        });
        let mut response = message::respond(&invite, 302, "proxy");
        response.headers.push(header("Contact", "<sip:555@10.0.2.1:5070>"));
        rig.deliver(address(CUSTOMER), &message::print_response(&response));
        rig.expect_request(Method::Ack, CUSTOMER);
        let again = rig.expect_request(Method::Invite, "10.0.2.1:5070");
        let (diversion, history) = forwarded(&again);
        (diversion.map(str::to_owned), history.map(str::to_owned))
    };
    let target = "sip:9876543210@carrier.example;user=phone";
    let agent = "sip:+911140000001@carrier.example;user=phone";
    assert_eq!(redirected(ForwardingHeader::None, true), (None, None));
    assert_eq!(
        redirected(ForwardingHeader::Diversion, false),
        (Some(format!("<{target}>;reason=deflection")), None)
    );
    assert_eq!(
        redirected(ForwardingHeader::Diversion, true),
        (Some(format!("<{target}>;reason=deflection, <{agent}>;reason=unknown")), None)
    );
    let cause = "?Reason=SIP%3Bcause%3D302";
    let now = "<sip:555@10.0.2.1:5070>";
    assert_eq!(
        redirected(ForwardingHeader::HistoryInfo, false),
        (None, Some(format!("<{target}{cause}>;index=1, {now};index=1.1;mp=1")))
    );
    let history =
        format!("<{agent}>;index=1, <{target}{cause}>;index=1.1;mp=1, {now};index=1.1.1;mp=1.1");
    assert_eq!(redirected(ForwardingHeader::HistoryInfo, true), (None, Some(history)));
}
