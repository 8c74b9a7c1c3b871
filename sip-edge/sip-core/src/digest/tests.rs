//! The vectors of RFC 2617 §3.5 and RFC 7616 §3.9.1, and which challenge is answered.

use rsip::headers::UntypedHeader;

use super::*;
use crate::message::{SipMessage, parse};

const MUFASA: Credentials<'static> = Credentials { username: "Mufasa", password: "Circle of Life" };

fn challenged(status: &str, headers: &str) -> Response {
    let text = format!(
        "SIP/2.0 {status}\r\nVia: SIP/2.0/UDP a.example;branch=z9hG4bK1\r\n\
            From: <sip:a@a.example>;tag=1\r\nTo: <sip:b@b.example>;tag=2\r\n\
         Call-ID: x\r\nCSeq: 1 INVITE\r\n{headers}\r\n"
    );
    match parse(text.as_bytes(), &Default::default()) {
        Ok(SipMessage::Response(response)) => response,
        other => panic!("{other:?}"),
    }
}

/// `method` is a name that stands for HTTP's GET in the vectors, so their hashes are computed on
/// the parts.
#[track_caller]
fn check_proof(
    algorithm: Algorithm,
    password: &str,
    realm: &str,
    nonce: &str,
    cnonce: &str,
    expected: &str,
) {
    let ha1 = algorithm.hash(format!("Mufasa:{realm}:{password}").as_bytes());
    let ha2 = algorithm.hash(b"GET:/dir/index.html");
    assert_eq!(
        algorithm.hash(format!("{ha1}:{nonce}:00000001:{cnonce}:auth:{ha2}").as_bytes()),
        expected
    );
}

#[test]
fn vectors_of_the_rfcs() {
    // RFC 2617 §3.5
    let nonce = "dcd98b7102dd2f0e8b11d0f600bfb0c093";
    let expected = "6629fae49393a05397450978507c4ef1";
    check_proof(
        Algorithm::Md5,
        "Circle Of Life",
        "testrealm@host.com",
        nonce,
        "0a4f113b",
        expected,
    );
    // RFC 7616 §3.9.1
    let nonce = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v";
    let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
    check_proof(
        Algorithm::Md5,
        MUFASA.password,
        "http-auth@example.org",
        nonce,
        cnonce,
        "8ca523f5e9506fed4657c9700eebdbec",
    );
    let expected = "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1";
    check_proof(
        Algorithm::Sha256,
        MUFASA.password,
        "http-auth@example.org",
        nonce,
        cnonce,
        expected,
    );
}

/// The whole header, with a proof computed by an independent implementation.
#[track_caller]
fn check_header(status: &str, challenge: &str, count: u32, expected: Header) {
    let challenge = Challenge::from_response(&challenged(status, challenge)).unwrap();
    let made =
        challenge.authorize(Method::Invite, "sip:+15550100@trunk.example", MUFASA, "c0ffee", count);
    assert_eq!(made, expected);
}

#[test]
fn headers_are_whole() {
    check_header(
        "401 Unauthorized",
        "WWW-Authenticate: Digest realm=\"trunk.example\", nonce=\"n1\", qop=\"auth,auth-int\", \
            algorithm=MD5, opaque=\"o\\\"p\"\r\n",
        1,
        header(
            "Authorization",
            "Digest username=\"Mufasa\", realm=\"trunk.example\", nonce=\"n1\", \
                uri=\"sip:+15550100@trunk.example\", \
             response=\"6d3c0381a0095a838742366ee0c37a02\", algorithm=MD5, cnonce=\"c0ffee\", \
             qop=auth, nc=00000001, opaque=\"o\\\"p\"",
        ),
    );
    check_header(
        "407 Proxy Authentication Required",
        "Proxy-Authenticate: Digest \
            realm=\"trunk.example\",nonce=\"n1\",stale=FALSE,algorithm=SHA-256,qop=\"auth\"\r\n",
        26,
        header(
            "Proxy-Authorization",
            "Digest username=\"Mufasa\", realm=\"trunk.example\", nonce=\"n1\", \
                uri=\"sip:+15550100@trunk.example\", \
             response=\"5f4a907439a398dfb128821326ebb6d4c003fc6c9b3bab5d2566479a598456ed\", \
             algorithm=SHA-256, cnonce=\"c0ffee\", qop=auth, nc=0000001a",
        ),
    );
    // RFC 2069's form: no qop, no algorithm.
    check_header(
        "401 Unauthorized",
        "WWW-Authenticate: Digest realm=\"trunk.example\", nonce=\"n1\"\r\n",
        1,
        header(
            "Authorization",
            "Digest username=\"Mufasa\", realm=\"trunk.example\", nonce=\"n1\", \
                uri=\"sip:+15550100@trunk.example\", \
             response=\"3c5c1497b5985484ea4ddd8b1937bda5\"",
        ),
    );
}

#[test]
fn the_session_forms_bind_the_client_nonce() {
    let response = challenged(
        "401 x",
        "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\", algorithm=MD5-sess\r\n",
    );
    let challenge = Challenge::from_response(&response).unwrap();
    let of = |cnonce| challenge.authorize(Method::Bye, "sip:a@b.example", MUFASA, cnonce, 1);
    let Header::Authorization(first) = of("1") else { panic!() };
    assert!(first.value().contains("cnonce=\"1\""));
    assert_ne!(of("1"), of("2"));
}

#[track_caller]
fn check_choice(headers: &str, expected: Result<(Algorithm, &str), ChallengeError>) {
    let chosen = Challenge::from_response(&challenged("401 x", headers));
    assert_eq!(
        chosen.as_ref().map(|each| (each.algorithm(), each.realm())).map_err(|error| *error),
        expected
    );
}

#[test]
fn the_topmost_challenge_that_can_be_answered_is_taken() {
    let (md5, sha) = (
        "Digest realm=\"m\", nonce=\"n\", algorithm=MD5",
        "Digest realm=\"s\", nonce=\"n\", algorithm=sha-256",
    );
    check_choice(
        &format!("WWW-Authenticate: {sha}\r\nWWW-Authenticate: {md5}\r\n"),
        Ok((Algorithm::Sha256, "s")),
    );
    check_choice(
        &format!("WWW-Authenticate: {md5}\r\nWWW-Authenticate: {sha}\r\n"),
        Ok((Algorithm::Md5, "m")),
    );
    let sha512 = "Digest realm=\"x\", nonce=\"n\", algorithm=SHA-512-256";
    check_choice(
        &format!("WWW-Authenticate: {sha512}\r\nWWW-Authenticate: {md5}\r\n"),
        Ok((Algorithm::Md5, "m")),
    );
    check_choice(
        &format!("WWW-Authenticate: Basic realm=\"b\"\r\nProxy-Authenticate: {md5}\r\n"),
        Ok((Algorithm::Md5, "m")),
    );
    check_choice("", Err(ChallengeError::Missing));
    check_choice("WWW-Authenticate: Basic realm=\"b\"\r\n", Err(ChallengeError::Unsupported));
    check_choice(
        "WWW-Authenticate: Digest realm=\"b\", nonce=\"n\", qop=\"auth-int\"\r\n",
        Err(ChallengeError::Unsupported),
    );
    check_choice("WWW-Authenticate: Digest realm=\"b\"\r\n", Err(ChallengeError::Malformed));
    // Whatever else stands there, realm and nonce are needed and no more.
    for odd in [
        "Digest realm=\"b, nonce=\"n\"",
        "Digest realm=\"b\", nonce=\"n\",",
        "Digest realm=b, nonce=bm9uY2U==",
        "Digest realm=\"b\", opaque=, nonce=\"n\", domain, qop=auth,auth-int",
        "Digest  realm = \"b\" ,nonce=\"n\", algorithm=\"MD5\", Basic realm=\"c\"",
    ] {
        check_choice(&format!("WWW-Authenticate: {odd}\r\n"), Ok((Algorithm::Md5, "b")));
    }
    check_choice("WWW-Authenticate: Digest\r\n", Err(ChallengeError::Malformed));
}

#[test]
fn stale_is_seen() {
    let of = |stale: &str| {
        let response = challenged(
            "401 x",
            &format!("WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"{stale}\r\n"),
        );
        Challenge::from_response(&response).unwrap().is_stale()
    };
    assert!(of(", stale=TRUE"));
    assert!(!of(", stale=false"));
    assert!(!of(""));
}
