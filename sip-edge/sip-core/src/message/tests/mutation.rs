//! Round trips and random mutations of all known messages: nothing panics, and what is accepted
//! prints and parses back to itself.

use super::super::*;
use super::{INVITE, rfc4475, wire};

/// A small generator (splitmix64), so that a failure repeats by its seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// The fuzz target: any bytes as a datagram and as a stream. Tells whether they were a message.
fn exercise(bytes: &[u8]) -> bool {
    let source = "192.0.2.250:5999".parse().unwrap();
    let outcome = parse(bytes, &Limits::default());
    let is_message = outcome.is_ok();
    read_loosely(bytes);
    match outcome {
        Ok(message) => {
            look_at(&message);
            let printed = print(&message);
            let again =
                parse(&printed, &Limits::default()).expect("what was accepted is accepted again");
            assert_eq!(print(&again), printed, "printing is stable");
            if let SipMessage::Request(request) = message {
                let mut request = request;
                stamp_source(&mut request, source);
                for response in [respond(&request, 100, "t"), respond(&request, 486, "t")] {
                    parse(&print_response(&response), &Limits::default())
                        .expect("a response to what was accepted");
                    parse(&print_request(&ack_for(&request, &response)), &Limits::default())
                        .expect("an ACK");
                }
            }
        }
        Err(error) => {
            if let Some(answer) = refusal(bytes, error, source) {
                assert!(
                    answer.starts_with(b"SIP/2.0 ")
                        && answer.ends_with(b"\r\nContent-Length: 0\r\n\r\n")
                );
            }
        }
    }
    let mut framer = Framer::new(Limits::default());
    let (front, back) = bytes.split_at(bytes.len() / 2);
    for part in [front, back] {
        framer.push(part);
        while let Ok(Some(_)) = framer.poll() {}
    }
    is_message
}

/// What can be read at all prints, and reads back to the same.
fn read_loosely(bytes: &[u8]) {
    let Ok(Read { message, repairs, refusal }) = read(bytes, &Limits::default()) else { return };
    assert_eq!(repairs.is_empty(), refusal.is_none());
    let _ = (
        message.top_via(),
        message.from_tag(),
        message.to_tag(),
        message.cseq(),
        message.contact_uri(),
        message.record_routes(),
    );
    let _ = (message.q850_cause(), message.session_expires(), message.rseq(), message.min_se());
    let _ = session_description(message.value("Content-Type"), message.body());
    let printed = print(&message);
    let again = read(&printed, &Limits::default()).expect("what was read is read again").message;
    assert_eq!(print(&again), printed, "printing is stable");
}

fn look_at(message: &SipMessage) {
    assert!(message.top_via().is_some() && message.call_id().is_some());
    assert!(message.from_addr().is_some() && message.to_addr().is_some());
    assert!(message.cseq().is_some() || matches!(message, SipMessage::Response(_)));
    let _ = (
        message.contact(),
        message.record_routes(),
        message.q850_cause(),
        message.retry_after(),
        message.session_expires(),
    );
    let _ = (
        message.required().count(),
        message.supports("timer"),
        message.content_type(),
        message.max_forwards(),
    );
    let _ = message.contact_uri().and_then(|uri| uri.user_text());
    let _ = message.top_via().and_then(|via| via.reply_address());
}

fn mutated(mut bytes: Vec<u8>, other: &[u8], random: &mut Random) -> Vec<u8> {
    const PIECES: &[&[u8]] = [
        b"\r\n".as_slice(),
        b"\r\n\r\n",
        b"\r\n ",
        b"\0",
        b"\xff\xfe",
        b"\"",
        b"<",
        b">",
        b";",
        b",",
        b":",
        b"@",
        b"%",
        b"\\",
        b"[",
        b"99999999999",
        b" ",
        b"=",
        b"?",
    ]
    .as_slice();
    for _ in 0..=random.below(2) {
        let at = random.below(bytes.len());
        match random.below(6) {
            0 if !bytes.is_empty() => bytes[at] = random.next() as u8,
            1 => bytes.truncate(at),
            2 => drop(bytes.splice(at..at, PIECES[random.below(PIECES.len())].iter().copied())),
            3 => drop(bytes.drain(at..(at + random.below(12)).min(bytes.len()))),
            4 if !bytes.is_empty() => {
                let piece = PIECES[random.below(PIECES.len())];
                drop(bytes.splice(at..=at, piece.iter().copied()));
            }
            _ => {
                let from = random.below(other.len());
                let piece = &other[from..(from + random.below(60)).min(other.len())];
                drop(bytes.splice(at..at, piece.iter().copied()));
            }
        }
    }
    bytes
}

#[test]
fn what_is_accepted_survives_a_round_trip() {
    for bytes in rfc4475::messages().map(|case| case.bytes()).chain([wire(INVITE)]) {
        let Ok(first) = parse(&bytes, &Limits::default()) else { continue };
        let printed = print(&first);
        let second = parse(&printed, &Limits::default()).expect("printed messages parse");
        assert_eq!(first.body(), second.body());
        assert_eq!(print(&second), printed);
        // Content-Length is the printer's; everything else is equal.
        let bare = |message: SipMessage| {
            let mut message = message;
            message.headers_mut().retain(|header| !matches!(header, Header::ContentLength(_)));
            message
        };
        assert_eq!(bare(first), bare(second));
    }
}

#[test]
fn mutations_do_no_harm() {
    let corpus: Vec<Vec<u8>> =
        rfc4475::messages().map(|case| case.bytes()).chain([wire(INVITE)]).collect();
    let mut accepted_count = 0;
    for seed in 0..20_000 {
        let mut random = Random(seed);
        let base = &corpus[random.below(corpus.len())];
        let other = &corpus[random.below(corpus.len())];
        let bytes = mutated(base.clone(), other, &mut random);
        match std::panic::catch_unwind(|| exercise(&bytes)) {
            Ok(is_message) => accepted_count += usize::from(is_message),
            Err(_) => panic!("seed {seed}: {:?}", String::from_utf8_lossy(&bytes)),
        }
    }
    assert!((1_000..19_000).contains(&accepted_count), "both paths are walked: {accepted_count}");
}

#[test]
fn short_and_empty_inputs_do_no_harm() {
    for bytes in [
        b"".as_slice(),
        b"\r",
        b"\r\n",
        b"\r\n\r\n",
        b" ",
        b"SIP/2.0",
        b"SIP/2.0 ",
        b"SIP/ 200 x\r\n\r\n",
        b"INVITE",
        b":",
        b"\xff",
    ] {
        exercise(bytes);
    }
}
