//! What of a message is nobody's to read but its peer's: proofs of passwords, keys of media, digits
//! that a caller pressed. Each of their bytes becomes `*`, so that lengths stay what they say.

/// Headers that hold a proof of a password behind the word of its scheme (RFC 3261 §22, RFC 7616).
const PROOFS: [&[u8]; 4] = [
    b"authorization",
    b"proxy-authorization",
    b"authentication-info",
    b"proxy-authentication-info",
];
/// Lines of SDP that are secrets as a whole: ICE's password (RFC 8839 §5.4), a key (RFC 4566
/// §5.12), and MIKEY's (RFC 4567).
const KEYS: [&[u8]; 3] = [b"a=ice-pwd:", b"k=", b"a=key-mgmt:"];
/// Keys of SDES behind a tag and a suite (RFC 4568 §9.1).
const CRYPTO: &[u8] = b"a=crypto:";
/// The digit of `application/dtmf-relay`.
const SIGNAL: &[u8] = b"signal";

/// Blots out what is secret in a message. Reads it as leniently as a peer might: a line is what
/// either of CR and LF ends, a header is known in any case and folded, in the body as well as above
/// it (RFC 3420).
pub fn mask_secrets(message: &mut [u8]) {
    let is_info = message.get(..5).is_some_and(|word| word.eq_ignore_ascii_case(b"INFO "));
    let mut is_body = false;
    let mut is_secret = false;
    // Whether what came before was an end of a line: after CR LF CR LF comes the body.
    let mut ends = 0;
    let mut at = 0;
    while at < message.len() {
        if let end @ (b'\r' | b'\n') = message[at] {
            ends += usize::from(end == b'\n');
            is_body |= ends > 1;
            at += 1;
            continue;
        }
        ends = 0;
        let len = message[at..].iter().position(|byte| matches!(byte, b'\r' | b'\n'));
        let len = len.unwrap_or(message.len() - at);
        let line = &mut message[at..at + len];
        at += len;
        let is_folded = matches!(line.first(), Some(b' ' | b'\t'));
        if is_folded && !(is_body && is_info) {
            if is_secret {
                mask(line);
            }
            continue;
        }
        let secret_at = secret_at(line);
        is_secret = secret_at.is_some();
        if let Some(from) = secret_at {
            mask(&mut line[from..]);
        } else if is_body && is_info {
            mask_digits(line);
        }
    }
}

/// Where in its line a secret begins.
fn secret_at(line: &[u8]) -> Option<usize> {
    // What `KEYS`, `CRYPTO` and `PROOFS` begin with: most lines are passed over by this alone.
    if !matches!(line.first()?.to_ascii_lowercase(), b'a' | b'k' | b'p') {
        return None;
    }
    let begins =
        |word: &[u8]| line.get(..word.len()).is_some_and(|it| it.eq_ignore_ascii_case(word));
    if let Some(key) = KEYS.into_iter().find(|key| begins(key)) {
        return Some(key.len());
    }
    if begins(CRYPTO) {
        let suite = token_end(line, CRYPTO.len()).and_then(|tag| token_end(line, tag));
        return Some(suite.unwrap_or(CRYPTO.len()));
    }
    let colon = line.iter().position(|byte| *byte == b':')?;
    let name = line[..colon].trim_ascii_end();
    let proof = PROOFS.iter().position(|proof| name.eq_ignore_ascii_case(proof))?;
    let is_word =
        |end: &usize| line[colon + 1..*end].trim_ascii().iter().all(u8::is_ascii_alphabetic);
    let scheme = token_end(line, colon + 1).filter(|end| proof < 2 && is_word(end));
    Some(scheme.unwrap_or(colon + 1))
}

/// Where the blanks behind the next token of a line begin; `None` if nothing is behind it.
fn token_end(line: &[u8], from: usize) -> Option<usize> {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let begin = from + line[from..].iter().position(|byte| !is_blank(byte))?;
    Some(begin + line[begin..].iter().position(is_blank)?)
}

/// A line of an INFO's body: the digit that a parameter holds, or all of a line without one.
fn mask_digits(line: &mut [u8]) {
    match line.iter().position(|byte| matches!(byte, b'=' | b':')) {
        None => mask(line),
        Some(at) if line[..at].trim_ascii().eq_ignore_ascii_case(SIGNAL) => {
            mask(&mut line[at + 1..]);
        }
        Some(_) => {}
    }
}

fn mask(secret: &mut [u8]) {
    secret.iter_mut().filter(|byte| !byte.is_ascii_whitespace()).for_each(|byte| *byte = b'*');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &str, expected: &str) {
        let mut bytes = message.as_bytes().to_vec();
        mask_secrets(&mut bytes);
        assert_eq!(String::from_utf8_lossy(&bytes), expected);
        assert_eq!(bytes.len(), message.len());
    }

    #[test]
    fn proofs_of_passwords() {
        check(
            "INVITE sip:a@b SIP/2.0\r\n\
             Authorization: Digest username=\"u\", response=\"1f\"\r\nTo: a\r\n\r\n",
            "INVITE sip:a@b SIP/2.0\r\n\
             Authorization: Digest ************* *************\r\nTo: a\r\n\r\n",
        );
        check(
            "proxy-AUTHORIZATION :Digest a\r\n b=c,\r\n\td\r\nX: y",
            "proxy-AUTHORIZATION :Digest *\r\n ****\r\n\t*\r\nX: y",
        );
        check("Authorization:\r\n Digest r=1\r\n x\r\n", "Authorization:\r\n ****** ***\r\n *\r\n");
        check("Authorization: response=\"1\", a=b\n", "Authorization: ************* ***\n");
        check("Authorization: opaque", "Authorization: ******");
        check(
            "Authentication-Info: rspauth=\"1\", b\r\n",
            "Authentication-Info: ************ *\r\n",
        );
        let challenge = "WWW-Authenticate: Digest realm=\"r\", nonce=\"n\"\r\n\r\n";
        check(challenge, challenge);
    }

    #[test]
    fn keys_of_media() {
        check(
            "SIP/2.0 200 OK\r\n\r\nv=0\r\n\
             a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:a2V5|2^20\r\na=x\r\n",
            "SIP/2.0 200 OK\r\n\r\nv=0\r\n\
             a=crypto:1 AES_CM_128_HMAC_SHA1_80 ****************\r\na=x\r\n",
        );
        check("a=crypto:inline:key", "a=crypto:**********");
        check("A=Crypto:1  S\tinline:k k\n", "A=Crypto:1  S\t******** *\n");
        check(
            "a=ice-ufrag:u\na=ice-pwd:secret\nk=clear:x\n",
            "a=ice-ufrag:u\na=ice-pwd:******\nk=*******\n",
        );
    }

    #[test]
    fn digits_of_an_info() {
        check(
            "INFO sip:a SIP/2.0\r\nCSeq: 5 INFO\r\n\r\nSignal=5\r\nDuration=160\r\n",
            "INFO sip:a SIP/2.0\r\nCSeq: 5 INFO\r\n\r\nSignal=*\r\nDuration=160\r\n",
        );
        check("INFO sip:a SIP/2.0\n\n5#", "INFO sip:a SIP/2.0\n\n**");
        check(
            "INFO sip:a SIP/2.0\r\n\r\n signal : 12\r\n 7",
            "INFO sip:a SIP/2.0\r\n\r\n signal : **\r\n *",
        );
        check("BYE sip:a SIP/2.0\r\n\r\nSignal=5", "BYE sip:a SIP/2.0\r\n\r\nSignal=5");
    }
}
