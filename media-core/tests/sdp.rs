//! SDP offers and answers: what peers of several makes answer, odd lines, hold and resume,
//! refusals, SDES keys, and hostile bodies.

#[path = "sdp/answers.rs"]
mod answers;
#[path = "sdp/crypto.rs"]
mod crypto;
#[path = "sdp/hostile.rs"]
mod hostile;
#[path = "sdp/odd.rs"]
mod odd;
#[path = "sdp/reoffers.rs"]
mod reoffers;
#[path = "sdp/webrtc.rs"]
mod webrtc;

use media_core::codec::{Codec, Format, FormatMap, PayloadType};
use media_core::sdp::{AnswerSpec, Direction, LocalMedia, Negotiated, OfferSpec, Origin};
use media_core::srtp::{Keys, SrtpKeys, Suite};

fn number(number: u8) -> PayloadType {
    PayloadType::new(number).unwrap()
}

fn local() -> LocalMedia {
    LocalMedia { address: "192.0.2.10".parse().unwrap(), rtp_port: 20_000, rtcp_port: 20_001 }
}

/// What the agent leg is offered on a plain trunk.
fn plain_offer() -> OfferSpec {
    OfferSpec {
        local: local(),
        origin: Origin { id: 4711, version: 1 },
        codecs: vec![Codec::Pcmu, Codec::Pcma],
        telephone_event: Some(number(101)),
        comfort_noise: false,
        direction: Direction::SendRecv,
        srtp: Vec::new(),
        is_opportunistic: false,
        known: FormatMap::default(),
        peer: None,
    }
}

/// What a peer may send that was offered both laws and telephone-event as 101, and whatever else it
/// names.
fn received(named: &[(u8, Format)]) -> FormatMap {
    let ours = [
        (0, Format::Audio(Codec::Pcmu)),
        (8, Format::Audio(Codec::Pcma)),
        (101, Format::TelephoneEvent),
    ];
    let all = ours.iter().chain(&[(13, Format::ComfortNoise)]).chain(named);
    all.map(|(payload_type, format)| (number(*payload_type), *format)).collect()
}

fn keys(suite: Suite) -> Keys {
    Keys::new(suite, &(1..=suite.material_len() as u8).collect::<Vec<_>>()).unwrap()
}

/// What the agent leg is offered on a secure trunk.
fn secure_offer() -> OfferSpec {
    OfferSpec { srtp: Suite::ALL.map(keys).to_vec(), ..plain_offer() }
}

/// What holds with a peer that has chosen A-law.
fn agreed() -> Negotiated {
    Negotiated {
        rtp: Some("198.51.100.7:4000".parse().unwrap()),
        rtcp: Some("198.51.100.7:4000".parse().unwrap()),
        rtcp_mux: true,
        codec: Codec::Pcma,
        audio: number(8),
        telephone_event: Some(number(101)),
        comfort_noise: None,
        received: received(&[]),
        direction: Direction::SendRecv,
        srtp: None,
    }
}

/// The same over SRTP, with our key in this suite.
fn agreed_securely(suite: Suite) -> Negotiated {
    Negotiated {
        srtp: Some(Box::new(SrtpKeys { outbound: keys(suite), inbound: keys(suite), mki: None })),
        ..agreed()
    }
}

fn answer_spec<'a>(previous: &'a str, agreed: &'a Negotiated) -> AnswerSpec<'a> {
    let (direction, srtp) = (Direction::SendRecv, &[][..]);
    AnswerSpec {
        local: local(),
        previous,
        agreed,
        srtp,
        is_opportunistic: false,
        takes_events: true,
        comfort_noise: false,
        direction,
        peer: None,
    }
}

/// Lines as a body: each of them ended by CR LF.
fn body(lines: &[&str]) -> Vec<u8> {
    lines.iter().flat_map(|line| [line.as_bytes(), b"\r\n"].concat()).collect()
}

/// A minimal description whose stream consists of these lines.
fn description(stream: &[&str]) -> Vec<u8> {
    let session = ["v=0", "o=- 1 1 IN IP4 198.51.100.7", "s=-", "c=IN IP4 198.51.100.7", "t=0 0"];
    body(&[&session, stream].concat())
}
