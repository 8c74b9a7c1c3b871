//! Header and method names: from the wire's spelling, compact forms included (RFC 3261 §7.3.3), to
//! `rsip`'s variants.

use rsip::headers::{self, UntypedHeader};
use rsip::{Header, Method};

/// The long name of a compact one, with the extensions' (RFC 3841, 3892, 4028, 4474, 6665).
pub(super) fn long_name(name: &str) -> &str {
    let [letter] = name.as_bytes() else { return name };
    match letter.to_ascii_lowercase() {
        b'a' => "Accept-Contact",
        b'b' => "Referred-By",
        b'c' => "Content-Type",
        b'd' => "Request-Disposition",
        b'e' => "Content-Encoding",
        b'f' => "From",
        b'i' => "Call-ID",
        b'j' => "Reject-Contact",
        b'k' => "Supported",
        b'l' => "Content-Length",
        b'm' => "Contact",
        b'n' => "Identity-Info",
        b'o' => "Event",
        b'r' => "Refer-To",
        b's' => "Subject",
        b't' => "To",
        b'u' => "Allow-Events",
        b'v' => "Via",
        b'x' => "Session-Expires",
        b'y' => "Identity",
        _ => name,
    }
}

macro_rules! names {
    ($($variant:ident => $name:literal),* $(,)?) => {
        /// Makes the header of this name, compact or long, in any case.
        pub fn header(name: &str, value: impl Into<String>) -> Header {
            let name = long_name(name);
            $(if name.eq_ignore_ascii_case($name) {
                return Header::$variant(headers::$variant::new(value));
            })*
            Header::Other(name.into(), value.into())
        }

        /// Name and value of a header, the name in its canonical spelling.
        pub(super) fn parts(header: &Header) -> (&str, &str) {
            match header {
                $(Header::$variant(inner) => ($name, inner.value()),)*
                Header::Other(name, value) => (name, value),
            }
        }
    };
}

// The most frequent first: the search is linear.
names! {
    Via => "Via", From => "From", To => "To", CallId => "Call-ID", CSeq => "CSeq",
    Contact => "Contact",
    MaxForwards => "Max-Forwards", ContentLength => "Content-Length", ContentType => "Content-Type",
    Allow => "Allow",
    Supported => "Supported", UserAgent => "User-Agent", RecordRoute => "Record-Route",
    Route => "Route", Server => "Server",
    Require => "Require", Expires => "Expires", Accept => "Accept", Date => "Date",
    Authorization => "Authorization",
    ProxyAuthorization => "Proxy-Authorization", WwwAuthenticate => "WWW-Authenticate",
    ProxyAuthenticate => "Proxy-Authenticate",
    AcceptEncoding => "Accept-Encoding", AcceptLanguage => "Accept-Language",
    AlertInfo => "Alert-Info",
    AuthenticationInfo => "Authentication-Info", CallInfo => "Call-Info",
    ContentDisposition => "Content-Disposition",
    ContentEncoding => "Content-Encoding", ContentLanguage => "Content-Language",
    ErrorInfo => "Error-Info", Event => "Event",
    InReplyTo => "In-Reply-To", MimeVersion => "MIME-Version", MinExpires => "Min-Expires",
    Organization => "Organization",
    Priority => "Priority", ProxyRequire => "Proxy-Require", ReplyTo => "Reply-To",
    RetryAfter => "Retry-After",
    Subject => "Subject", SubscriptionState => "Subscription-State", Timestamp => "Timestamp",
    Unsupported => "Unsupported",
    Warning => "Warning",
}

/// Whether reading or answering a message may depend on this header; names in long form.
pub(super) fn is_needed(name: &str) -> bool {
    const NEEDED: [&str; 16] = [
        "Via",
        "From",
        "To",
        "Call-ID",
        "CSeq",
        "Contact",
        "Record-Route",
        "Content-Type",
        "Content-Length",
        "Require",
        "Reason",
        "RSeq",
        "Min-SE",
        "Session-Expires",
        "WWW-Authenticate",
        "Proxy-Authenticate",
    ];
    NEEDED.iter().any(|each| each.eq_ignore_ascii_case(name))
}

/// The value when the header has this long name.
pub(super) fn value_if<'a>(header: &'a Header, name: &str) -> Option<&'a str> {
    let (each, value) = parts(header);
    each.eq_ignore_ascii_case(name).then_some(value)
}

/// Methods are case-sensitive (§7.1); `None` for one that `rsip` does not know.
pub(super) fn method(token: &str) -> Option<Method> {
    Some(match token {
        "INVITE" => Method::Invite,
        "ACK" => Method::Ack,
        "BYE" => Method::Bye,
        "CANCEL" => Method::Cancel,
        "OPTIONS" => Method::Options,
        "REGISTER" => Method::Register,
        "PRACK" => Method::PRack,
        "UPDATE" => Method::Update,
        "INFO" => Method::Info,
        "REFER" => Method::Refer,
        "NOTIFY" => Method::Notify,
        "SUBSCRIBE" => Method::Subscribe,
        "MESSAGE" => Method::Message,
        "PUBLISH" => Method::Publish,
        _ => return None,
    })
}
