//! SDP: any bytes as an answer and as an offer, of trunks with and without keys and of softphones.

use media_core::codec::{Codec, Format, FormatMap, PayloadType};
use media_core::relay::{Relay, RelayConfig, WebRtcConfig};
use media_core::sdp::webrtc::{self, SoftphoneAnswer, SoftphoneOffer};
use media_core::sdp::{self, AnswerSpec, Direction, LocalMedia, OfferSpec, Origin, SoftphoneLocal};
use media_core::srtp::{Keys, Suite};
use std::cell::OnceCell;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 250));

const SUITES: [Suite; 2] = [Suite::AeadAes128Gcm, Suite::AesCm128HmacSha1_80];

/// What is answered needs no repair, and keeps its origin's id.
pub fn exercise(bytes: &[u8]) {
    let _ = sdp::repairs(bytes);
    let local = LocalMedia { address: ADDRESS, rtp_port: 20_000, rtcp_port: 20_001 };
    for srtp in [Vec::new(), keys(&SUITES), keys(&SUITES[..1])] {
        let spec = OfferSpec {
            local: local.clone(),
            origin: Origin { id: 7, version: 1 },
            codecs: vec![Codec::Pcma, Codec::Pcmu, Codec::G722],
            telephone_event: PayloadType::new(101),
            comfort_noise: false,
            direction: Direction::SendRecv,
            is_opportunistic: srtp.len() == 1,
            srtp,
            known: FormatMap::default(),
            peer: Some(Ipv4Addr::new(192, 0, 2, 1).into()),
        };
        let Ok(agreed) = sdp::accept_answer(&spec, bytes) else { continue };
        let spec = AnswerSpec {
            local: local.clone(),
            previous: &sdp::offer(&spec),
            agreed: &agreed,
            srtp: &keys(&SUITES),
            is_opportunistic: spec.is_opportunistic,
            takes_events: true,
            comfort_noise: false,
            direction: Direction::SendRecv,
            peer: spec.peer,
        };
        if let Ok((answer, _)) = sdp::answer(bytes, &spec) {
            check_answer(&answer);
        }
    }
    softphone(bytes);
}

fn softphone(bytes: &[u8]) {
    thread_local! { static LOCAL: OnceCell<SoftphoneLocal> = const { OnceCell::new() } }
    let local = LOCAL.with(|local| local.get_or_init(softphone_local).clone());
    let spec = SoftphoneOffer {
        local: local.clone(),
        origin: Origin { id: 7, version: 1 },
        codecs: vec![Codec::Opus, Codec::Pcmu, Codec::Pcma],
        telephone_event: PayloadType::new(101),
        opus_event: PayloadType::new(110),
        direction: Direction::SendRecv,
        known: FormatMap::default(),
    };
    let _ = webrtc::accept_answer(&spec, bytes);
    let spec = SoftphoneAnswer {
        local,
        previous: &webrtc::offer(&spec),
        codec: Codec::Pcmu,
        known: [(Codec::Opus.payload_type(), Format::Audio(Codec::Opus))].into_iter().collect(),
        direction: Direction::SendRecv,
    };
    if let Ok((answer, _)) = webrtc::answer(bytes, &spec) {
        check_answer(&answer);
    }
}

#[track_caller]
fn check_answer(answer: &str) {
    assert!(sdp::repairs(answer.as_bytes()).iter().next().is_none(), "{answer}");
    assert_eq!(Origin::of(answer).expect("an origin").id, 7);
}

fn keys(suites: &[Suite]) -> Vec<Keys> {
    let key =
        |suite: &Suite| Keys::new(*suite, &vec![7; suite.material_len()]).expect("its length");
    suites.iter().map(key).collect()
}

fn softphone_local() -> SoftphoneLocal {
    let now = Instant::now();
    let config = RelayConfig {
        public_addresses: vec![ADDRESS],
        first_port: 20_000,
        pair_count: 1,
        quarantine: Duration::ZERO,
        own_sockets: Vec::new(),
        opus_legs: 1,
        webrtc: Some(WebRtcConfig { port: 30_000, capacity: 1, secret: [7; 32] }),
    };
    let mut relay = Relay::new(config, 1, now);
    let leg = relay.open_softphone(now).expect("a place for it");
    relay.softphone_local(leg).expect("a softphone's leg")
}
