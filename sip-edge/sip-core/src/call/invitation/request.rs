//! Headers and bodies of the messages that a call sends (RFC 3261 §8.1.1, §11.2, RFC 3325), and the
//! SDP in those that it gets.

use super::identity;
use crate::call::context::Context;
use crate::call::shard::{CallKey, Resources};
use crate::command::{Credentials, EdgeConfig, Route};
use crate::digest::{self, Challenge};
use crate::flow::{Flow, Transport};
use crate::message::{self, HasHeaders, Header, Method, Request, Response, View, header};
use crate::registrar::Binding;
use call_words::AgentName;
use ipnet::IpNet;
use std::borrow::Cow;

pub use crate::message::SDP;

/// Methods that are served inside a dialog; NOTIFY only in so far as it gets its own answer (RFC
/// 6665 §4.1.3).
pub const ALLOW: &str = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, REFER, NOTIFY";

/// Extensions that we can do: session timers (RFC 4028).
pub const SUPPORTED: &str = "timer";
/// Those of an INVITE to a trunk: reliable provisional responses, too (RFC 3262).
const TRUNK_SUPPORTED: &str = "timer, 100rel";

/// Most contacts of one response that are looked at.
const MAX_CONTACT_COUNT: usize = 16;

/// Whom an INVITE is for, and what it says beside its offer.
pub struct Target {
    pub flow: Flow,
    /// The request-URI.
    pub uri: String,
    /// From and To, without tags.
    pub from: String,
    pub to: String,
    pub headers: Vec<Header>,
    pub credentials: Option<Credentials>,
    /// Networks that answers and requests inside the dialog come from, besides the flow's own
    /// address.
    pub signal_from: Vec<IpNet>,
}

/// The target of a trunk's route: the number in the trunk's form.
pub fn trunk_target(cx: &Context<'_>, route: &Route) -> Target {
    let mut headers = identity::headers(route);
    headers.extend(invite_headers(cx, TRUNK_SUPPORTED));
    let address = identity::uri(route, &route.request_user);
    let config = &cx.shard.config;
    // One that has none is not tried.
    let interface = config.interface_for(route).unwrap_or_default();
    Target {
        flow: config.flow(interface, route.transport, route.address),
        uri: format!("{address}{}", transport_parameter(route.transport)),
        from: identity::from(route),
        to: format!("<{address}>"),
        headers,
        credentials: route.credentials.clone(),
        signal_from: route.signal_from.clone(),
    }
}

/// The target of an agent's registered softphone, told which call it is for and that it answers by
/// itself; the customer's number is not its business.
pub fn softphone_target(cx: &Context<'_>, agent: &AgentName, binding: &Binding) -> Target {
    let domain = cx.shard.registrar.as_ref().map_or("", |registrar| registrar.domain());
    let mut headers = vec![
        header("X-Call-Id", cx.log.call_id.as_str()),
        header("Call-Info", "<urn:dialer:call>;answer-after=0"),
        header("Alert-Info", "<urn:alert:service:auto-answer>"),
    ];
    headers.extend(invite_headers(cx, SUPPORTED));
    Target {
        flow: binding.flow,
        uri: binding.target.clone(),
        from: format!("<sip:dialer@{domain}>"),
        to: format!("<sip:{agent}@{domain}>"),
        headers,
        credentials: None,
        signal_from: Vec::new(),
    }
}

/// The URI parameter that names a transport (RFC 3261 §19.1.1, RFC 7118 §5.2).
pub fn transport_parameter(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "",
        Transport::Tcp => ";transport=tcp",
        Transport::Tls => ";transport=tls",
        Transport::Wss => ";transport=ws",
    }
}

/// A Contact whose user codes shard and call, so that a message that lands elsewhere can be sent
/// on.
pub fn contact(cx: &Context<'_>, call: CallKey, flow: Flow) -> String {
    let config = &cx.shard.config;
    let parameter = transport_parameter(flow.transport);
    format!(
        "<sip:s{}c{}g{}@{}{parameter}>",
        config.shard,
        call.index,
        call.generation,
        config.public(flow)
    )
}

/// A Via with a fresh branch.
pub fn via(cx: &mut Context<'_>, flow: Flow) -> String {
    hop(cx.shard, flow)
}

/// The same of a request outside any call.
pub fn hop(shard: &mut Resources, flow: Flow) -> String {
    let name = match flow.transport {
        Transport::Udp => "UDP",
        Transport::Tcp => "TCP",
        Transport::Tls => "TLS",
        Transport::Wss => "WSS",
    };
    let branch = shard.entropy.branch();
    message::via_value(name, &shard.config.public(flow).to_string(), &branch)
}

/// Headers of every INVITE and UPDATE.
pub fn invite_headers(cx: &Context<'_>, supported: &str) -> Vec<Header> {
    let mut headers =
        vec![header("Allow", ALLOW), header("Accept", SDP), header("Supported", supported)];
    headers.extend(plain_headers(&cx.shard.config));
    headers
}

/// Headers of any other request.
pub fn plain_headers(config: &EdgeConfig) -> Vec<Header> {
    vec![header("User-Agent", config.user_agent.as_str())]
}

/// A response of ours with what each of them carries; `tag` is ours if the request's To has none.
pub fn response(config: &EdgeConfig, request: &Request, code: u16, tag: &str) -> Response {
    let mut response = message::respond(request, code, tag);
    response.headers.push(header("Server", config.user_agent.as_str()));
    if matches!(code, 200 | 405) {
        response.headers.push(header("Allow", ALLOW));
    }
    response
}

/// The answer to OPTIONS, in a dialog or outside: what we can do (RFC 3261 §11.2).
pub fn capabilities(config: &EdgeConfig, request: &Request, tag: &str) -> Response {
    let mut response = response(config, request, 200, tag);
    for (name, value) in [
        ("Accept", SDP),
        ("Accept-Encoding", "identity"),
        ("Accept-Language", "en"),
        ("Supported", SUPPORTED),
    ] {
        response.headers.push(header(name, value));
    }
    response
}

/// The 420 that a request with Require gets (RFC 3261 §8.2.2.3).
pub fn bad_extension(config: &EdgeConfig, request: &Request, tag: &str) -> Option<Response> {
    let known: &[&str] = match request.method {
        Method::Register => &["outbound"],
        // Whoever sends no provisional response sends each reliably (RFC 3262 §3).
        Method::Invite => &[SUPPORTED, "100rel"],
        _ => &[SUPPORTED],
    };
    let is_known = |option: &&str| known.iter().any(|each| each.eq_ignore_ascii_case(option));
    let unsupported: Vec<&str> = request.required().filter(|option| !is_known(option)).collect();
    if unsupported.is_empty() {
        return None;
    }
    let unsupported = unsupported.join(", ");
    let mut response = response(config, request, 420, tag);
    response.headers.push(header("Unsupported", unsupported));
    Some(response)
}

/// The session description in a message, if it has one.
pub fn sdp_of<M: HasHeaders + Body>(message: &M) -> Option<Vec<u8>> {
    message::session_description(message.value("Content-Type"), message.body()).map(Cow::into_owned)
}

/// The contacts of a response that redirects, the best first (RFC 3261 §8.1.3.4, §20.10).
pub fn redirections(response: &Response) -> Vec<String> {
    if !matches!(response.status_code.code(), 300..=302) {
        return Vec::new();
    }
    let mut contacts: Vec<(u32, String)> = response
        .contacts()
        .take(MAX_CONTACT_COUNT)
        .filter_map(|contact| {
            let quality = contact.params.value("q").and_then(|q| q.trim().parse::<f32>().ok());
            // In thousandths, of which 1 is the default.
            let quality = quality.map_or(1_000, |q| (q.clamp(0.0, 1.0) * 1_000.0) as u32);
            Some((quality, contact.uri.target()?.to_owned()))
        })
        .collect();
    contacts.sort_by_key(|(quality, _)| std::cmp::Reverse(*quality));
    contacts.into_iter().map(|(_, uri)| uri).collect()
}

/// Messages with a body.
pub trait Body {
    fn body(&self) -> &[u8];
}

impl Body for Request {
    fn body(&self) -> &[u8] {
        &self.body
    }
}

impl Body for Response {
    fn body(&self) -> &[u8] {
        &self.body
    }
}

/// The same request as a new transaction: fresh branch, CSeq raised by one, without former
/// credentials (RFC 3261 §22.2).
pub fn again(request: &Request, via: &str) -> Request {
    let mut again = request.clone();
    again.headers.retain(|each| !is_credentials(each));
    for each in again.headers.iter_mut() {
        match each {
            Header::Via(_) => *each = header("Via", via),
            Header::CSeq(_) => {
                let number = request.cseq().map_or(0, |cseq| cseq.number) + 1;
                *each = header("CSeq", format!("{number} {}", request.method));
            }
            _ => {}
        }
    }
    again
}

fn is_credentials(header: &Header) -> bool {
    matches!(header, Header::Authorization(_) | Header::ProxyAuthorization(_))
}

/// The credentials of an INVITE, which its ACK repeats (RFC 3261 §22.1).
pub fn credentials_of(invite: &Request) -> Vec<Header> {
    invite.headers.iter().filter(|each| is_credentials(each)).cloned().collect()
}

/// The header that answers a 401's or 407's challenge in a request, the `count`th with its nonce.
pub fn authorization(
    shard: &mut Resources,
    credentials: &Credentials,
    challenge: &Challenge,
    count: u32,
    request: &Request,
) -> Header {
    let client_nonce = shard.entropy.token();
    let credentials =
        digest::Credentials { username: &credentials.username, password: &credentials.password };
    challenge.authorize(request.method, &request.uri.to_string(), credentials, &client_nonce, count)
}
