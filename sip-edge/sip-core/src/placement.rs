//! Whose a message is, where shards share a SIP port: told at a glance, before it is read, from the
//! ids of our making in it. Each names its shard: the branch that a response brings back (RFC 3261
//! §8.1.3.3), the Call-ID of every dialog and registration, for nobody but us begins one, and the
//! transaction of STUN's answers.

use crate::entropy::shard_of_token;
use crate::message::MAGIC_COOKIE;
use media_core::stun;

/// The number of the shard that a message names, if it names any. It comes from the network: there
/// may be no such shard, and whoever wrote it may have made it up.
pub fn shard_of(bytes: &[u8]) -> Option<u16> {
    if let Some([high, low, ..]) = stun::answered(bytes) {
        return Some(u16::from_be_bytes([high, low]));
    }
    let mut rest = bytes.trim_ascii_start();
    let start = take_line(&mut rest)?;
    let mut is_response = start.get(..4).is_some_and(|it| it.eq_ignore_ascii_case(b"SIP/"));
    loop {
        let line = take_line(&mut rest).filter(|line| !line.is_empty())?;
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (line[..colon].trim_ascii(), line[colon + 1..].trim_ascii());
        let is_named = |long: &[u8], compact| {
            name.eq_ignore_ascii_case(long) || name.eq_ignore_ascii_case(&[compact])
        };
        if is_response && is_named(b"Via", b'v') {
            // Only the top one is ours.
            is_response = false;
            if let Some(shard) = shard_of_via(value) {
                return Some(shard);
            }
        } else if is_named(b"Call-ID", b'i') {
            return shard_of_token(value);
        }
    }
}

/// Takes one line, those that continue it included (§7.3.1), without its end; `None` when nothing
/// is left.
fn take_line<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (whole, mut end) = (*rest, 0);
    while let Some(len) = whole[end..].iter().position(|byte| *byte == b'\n') {
        let line = &whole[end..end + len];
        end += len + 1;
        let is_continued = matches!(whole.get(end), Some(b' ' | b'\t'));
        if !is_continued || line.trim_ascii().is_empty() {
            *rest = &whole[end..];
            return Some(whole[..end].trim_ascii_end());
        }
    }
    *rest = &[];
    (!whole.is_empty()).then_some(whole.trim_ascii_end())
}

/// The branch ends where the next parameter or value begins.
fn shard_of_via(value: &[u8]) -> Option<u16> {
    let cookie = MAGIC_COOKIE.as_bytes();
    let at = value.windows(cookie.len()).position(|window| window == cookie)? + cookie.len();
    let branch = &value[at..];
    let len = branch.iter().position(|byte| b";, \t\r\n\"".contains(byte));
    shard_of_token(&branch[..len.unwrap_or(branch.len())])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::Entropy;

    const HEX: &str = "0123456789abcdef01234567";

    #[track_caller]
    fn check(message: &str, shard: Option<u16>) {
        assert_eq!(shard_of(message.as_bytes()), shard, "{message}");
    }

    #[test]
    fn what_a_shard_makes_names_it() {
        for shard in [0, 1, 10, 255, u16::MAX] {
            let mut entropy = Entropy::new(shard, [3; 32]);
            let (branch, call_id) = (entropy.branch(), entropy.token());
            check(
                &format!("SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch={branch}\r\n"),
                Some(shard),
            );
            check(&format!("BYE sip:a@b SIP/2.0\r\nCall-ID: {call_id}\r\n\r\n"), Some(shard));
            let request = stun::binding_request(entropy.stun_transaction());
            let answer = [&[1, 1], &request[2..]].concat();
            assert_eq!((shard_of(&answer), shard_of(&request)), (Some(shard), None));
        }
    }

    #[test]
    fn it_is_read_as_leniently_as_messages_are() {
        let via = format!("SIP/2.0/UDP 10.0.0.1;rport=5;branch=z9hG4bKs2-{HEX}");
        let id = format!("s3-{HEX}");
        for (message, shard) in [
            (format!("SIP/2.0 180 Ringing\r\nv:{via};received=1.1.1.1\r\ni: {id}\r\n\r\n"), 2),
            (format!("SIP/2.0 180 Ringing\nVIA : {via}, {via}\n\n"), 2),
            (format!("SIP/2.0 180 Ringing\r\nVia:\r\n {via}\r\n\r\n"), 2),
            (format!("\r\n\r\nsip/2.0 180 \r\nTo: <sip:a@b>\r\nVia: {via}\r\n\r\n"), 2),
            // A branch that was lost, and one that is not the top one's.
            (format!("SIP/2.0 180 Ringing\r\nVia: x\r\nVia: {via}\r\nCall-ID: {id}\r\n\r\n"), 3),
            (format!("BYE sip:a@b SIP/2.0\r\nVia: {via}\r\ncall-id:\r\n\t{id} \r\n\r\n"), 3),
            (format!("BYE sip:a@b SIP/2.0\nnonsense\ni:{id}"), 3),
        ] {
            check(&message, Some(shard));
        }
    }

    #[test]
    fn what_names_no_shard_is_nobodys() {
        for id in [
            "a@b",
            &format!("s-{HEX}"),
            &format!("s01-{HEX}"),
            &format!("s+1-{HEX}"),
            &format!("s65536-{HEX}"),
            &format!("s1-{HEX}0"),
            &format!("S1-{HEX}"),
            &format!("s1-{}", HEX.replace('a', "g")),
        ] {
            check(&format!("BYE sip:a@b SIP/2.0\r\nCall-ID: {id}\r\n\r\n"), None);
        }
        // Behind the head there are no headers; a request's Via is its sender's.
        check(&format!("BYE sip:a@b SIP/2.0\r\nTo: x\r\n\r\nCall-ID: s1-{HEX}\r\n"), None);
        check(
            &format!("BYE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKs1-{HEX}\r\n"),
            None,
        );
        for noise in ["", "\r\n\r\n", "\0", "SIP/", ":", "a\n:\n", " \n \n"] {
            check(noise, None);
        }
    }
}
