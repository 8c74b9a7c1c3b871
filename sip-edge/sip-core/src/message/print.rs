//! Printing `rsip`'s messages to bytes: body unchanged, Content-Length always right, reason phrases
//! in words (RFC 3261 §7.2).

use std::borrow::Cow;

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
    with_head(request_line(request), &request.headers, &request.body)
}

/// How many bytes `print_request` makes.
pub fn request_len(request: &Request) -> usize {
    let headers = lines(&request.headers).map(|(name, value)| name.len() + value.len() + 4);
    let last = content_length(&request.body).len();
    request_line(request).len() + headers.sum::<usize>() + last + request.body.len()
}

fn request_line(request: &Request) -> String {
    format!("{} {} SIP/2.0\r\n", request.method, request.uri)
}

/// The last header, and the empty line.
fn content_length(body: &[u8]) -> String {
    format!("Content-Length: {}\r\n\r\n", body.len())
}

/// Names and values of the headers before Content-Length.
fn lines(headers: &Headers) -> impl Iterator<Item = (&str, Cow<'_, [u8]>)> {
    let parts = headers.iter().map(header::parts);
    let others = parts.filter(|(name, _)| !name.eq_ignore_ascii_case("Content-Length"));
    others.map(|(name, value)| (name, parse::bytes_of(value)))
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
    for (name, value) in lines(headers) {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(&value);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(content_length(body).as_bytes());
    out.extend_from_slice(body);
    out
}
