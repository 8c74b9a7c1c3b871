//! Printing `rsip`'s messages to bytes: body unchanged, Content-Length always right, reason phrases
//! in words (RFC 3261 §7.2).

use rsip::{Headers, Request, Response, SipMessage, StatusCode};

use super::{header, parse};

/// Prints a message.
pub fn print(message: &SipMessage) -> Vec<u8> {
    match message {
        SipMessage::Request(request) => print_request(request),
        SipMessage::Response(response) => print_response(response),
    }
}

/// The bytes of a request, with the Content-Length of its body.
pub fn print_request(request: &Request) -> Vec<u8> {
    with_head(
        format!("{} {} SIP/2.0\r\n", request.method, request.uri),
        &request.headers,
        &request.body,
    )
}

/// The bytes of a response, with the Content-Length of its body.
pub fn print_response(response: &Response) -> Vec<u8> {
    let status = &response.status_code;
    with_head(
        format!("SIP/2.0 {} {}\r\n", status.code(), reason_phrase(status)),
        &response.headers,
        &response.body,
    )
}

/// The reason phrase: as received for codes that `rsip` does not know, else the words of its name.
pub(super) fn reason_phrase(status: &StatusCode) -> String {
    if let StatusCode::Other(_, reason) = status {
        return reason.clone();
    }
    let named = status.to_string();
    let name = named.split_once(' ').map_or("", |(_, name)| name);
    let mut words = String::with_capacity(name.len() + 4);
    let mut last_is_lower = false;
    for c in name.chars() {
        if last_is_lower && c.is_uppercase() {
            words.push(' ');
        }
        last_is_lower = c.is_lowercase();
        words.push(c);
    }
    words
}

fn with_head(start: String, headers: &Headers, body: &[u8]) -> Vec<u8> {
    let mut out = parse::bytes_of(&start).into_owned();
    out.reserve(512 + body.len());
    for each in headers.iter() {
        let (name, value) = header::parts(each);
        if !name.eq_ignore_ascii_case("Content-Length") {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(&parse::bytes_of(value));
            out.extend_from_slice(b"\r\n");
        }
    }
    out.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
    out.extend_from_slice(body);
    out
}
