//! Mutated descriptions: nothing panics, and what is answered is sound.

use media_core::sdp::{AnswerSpec, Direction, accept_answer, answer, offer};
use media_core::srtp::Suite;

use super::{agreed, agreed_securely, answer_spec, plain_offer, secure_offer};

const SEEDS: [&str; 4] = [
    "v=0\r\no=- 4711 3 IN IP4 198.51.100.7\r\ns=Asterisk\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n\
        m=audio 4000 RTP/AVP 0 8 101\r\n\
     a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n\
     a=fmtp:101 0-16\r\na=sendrecv\r\n",
    "v=0\r\no=x 1 1 IN IP6 2001:db8::1\r\ns= \r\nt=0 0\r\na=inactive\r\n\
        m=audio 65534/2 RTP/SAVP 0 97\r\nc=IN IP6 2001:db8::1\r\n\
     a=rtpmap:97 PCMA/8000/1\r\na=rtcp:65535 IN IP6 2001:db8::2\r\na=rtcp-mux\r\n\
     a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^31|1:4 \
     WSH=64 KDR=3\r\n\
     a=crypto:1 AEAD_AES_128_GCM inline:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHA==\r\n",
    "v=0\no=- 0 0 IN IP4 0.0.0.0\ns=-\nc=IN IP4 0.0.0.0/127\nb=AS:64\nt=1 2\nr=7d 1h 0 25h\nz=1 \
        -1h\nm=video 1 RTP/AVP 96\n\
     m=audio 9 rtp/avp 8\na=sendonly\nm=image 1 udptl t38\nm=application 0 UDP/DTLS/SCTP \
     webrtc-datachannel\n",
    "v=0\r\no=- 1 1 IN IP4 198.51.100.7\r\ns=-\r\nc=IN IP4 198.51.100.7\r\nt=0 0\r\n\
        m=audio 4000 RTP/SAVP 8\r\n\
     a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\r\n\
     a=rtcp:4001\r\n",
];

/// Reads one body every way; the fuzz target.
fn read(body: &[u8]) {
    for spec in [plain_offer(), secure_offer()] {
        if let Ok(negotiated) = accept_answer(&spec, body) {
            assert!(spec.codecs.contains(&negotiated.codec));
            assert_eq!(negotiated.srtp.is_some(), !spec.srtp.is_empty());
            assert!(negotiated.rtp.is_some() || !negotiated.direction.has_send());
            assert!(
                negotiated
                    .rtp
                    .is_none_or(|address| address.port() != 0 && !address.ip().is_unspecified())
            );
        }
        let previous = offer(&spec);
        let agreed = if spec.srtp.is_empty() {
            agreed()
        } else {
            agreed_securely(Suite::AesCm128HmacSha1_80)
        };
        let answer_spec = answer_spec(&previous, &agreed);
        if let Ok((text, negotiated)) = answer(body, &answer_spec) {
            let is_open = text.contains("\r\na=ptime:20\r\n");
            assert!(
                is_open || (negotiated.rtp, negotiated.direction) == (None, Direction::Inactive),
                "{text}"
            );
            let again = AnswerSpec { previous: &text, ..answer_spec.clone() };
            assert_eq!(
                answer(body, &again),
                Ok((text.clone(), negotiated)),
                "the same offer has the same answer"
            );
            assert!(text.lines().all(|line| line.as_bytes().get(1) == Some(&b'=')), "{text}");
            let ports = text
                .lines()
                .filter(|line| line.starts_with("m="))
                .map(|line| line.split(' ').nth(1));
            assert_eq!(
                ports.filter(|port| *port != Some("0")).count(),
                usize::from(is_open),
                "{text}"
            );
        }
    }
}

/// A seeded xorshift sequence.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

/// One change: of a byte, a piece, a line, or a number.
pub(super) fn mutate(body: &mut Vec<u8>, random: &mut Random) {
    let at = random.below(body.len() + 1);
    let end = (at + random.below(40)).min(body.len());
    match random.below(8) {
        0 if at < body.len() => body[at] = random.below(256) as u8,
        1 => body.truncate(at),
        2 => drop(body.drain(at..end)),
        3 => {
            let piece = body[at..end].to_vec();
            let to = random.below(body.len() + 1);
            body.splice(to..to, piece);
        }
        4 => {
            let mut lines: Vec<_> =
                body.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            if !lines.is_empty() {
                let (from, to) = (random.below(lines.len()), random.below(lines.len()));
                if random.below(2) == 0 {
                    lines.swap(from, to);
                } else {
                    lines.insert(to, lines[from].clone());
                }
            }
            *body = lines.concat();
        }
        5 => drop(body.splice(at..at, b"99999999999999999999".iter().copied())),
        6 => drop(body.splice(
            at..at,
            [b" ", b"\r", b"\n", b"\0", b":", b"/", b"|", b"-"][random.below(8)].iter().copied(),
        )),
        _ => {
            if let Some(digit) = body[at..].iter().position(u8::is_ascii_digit) {
                body[at + digit] = b'0' + random.below(10) as u8;
            }
        }
    }
}

#[test]
fn mutated_descriptions_never_panic() {
    let mut random = Random(0x5dc0ffee);
    for seed in SEEDS {
        read(seed.as_bytes());
        for _ in 0..4_000 {
            let mut body = seed.as_bytes().to_vec();
            for _ in 0..=random.below(4) {
                mutate(&mut body, &mut random);
            }
            read(&body);
        }
        (0..seed.len()).for_each(|len| read(&seed.as_bytes()[..len]));
    }
}
