//! SRTP with keys in SDP on a trunk (RFC 4568): what is offered, answers by each suite, keys that
//! change within a call, and keys that the peer may leave (RFC 8643).

use crate::rig::{AGENT, AGENT_MEDIA, CUSTOMER, CUSTOMER_MEDIA, Callee, Rig};
use crate::session::{self, address};
use call_words::{MediaProfile, Reason};
use media_core::codec::{Codec, FormatMap, PayloadType};
use media_core::drops::DropReason;
use media_core::relay::Forward;
use media_core::sdp::{self, AnswerSpec, Direction, LocalMedia, Negotiated, OfferSpec, Origin};
use media_core::srtp::{Keys, Outbound, RTP_TAIL_LEN, SrtpKeys, Suite};
use sip_core::message::{Method, Request, print_request};

/// A call whose agent's trunk carries media so, with the agent's INVITE.
fn placed(media: MediaProfile) -> (Rig, Request) {
    let mut rig = Rig::new();
    let mut call = Rig::plain_call();
    session::agent_route(&mut call).media = media;
    rig.place(call);
    let invite = rig.expect_request(Method::Invite, AGENT);
    (rig, invite)
}

fn local() -> LocalMedia {
    let media = address(AGENT_MEDIA);
    LocalMedia { address: media.ip(), rtp_port: media.port(), rtcp_port: media.port() + 1 }
}

fn keys(suite: Suite, fill: u8) -> Keys {
    Keys::new(suite, &vec![fill; suite.material_len()]).unwrap()
}

/// The peer's answer to our offer, with this key.
fn answered(invite: &Request, key: &Keys) -> String {
    let both = SrtpKeys { outbound: key.clone(), inbound: key.clone(), mki: None };
    let agreed = Negotiated {
        rtp: None,
        rtcp: None,
        rtcp_mux: false,
        codec: Codec::Pcmu,
        audio: Codec::Pcmu.payload_type(),
        telephone_event: None,
        comfort_noise: None,
        received: FormatMap::default(),
        direction: Direction::SendRecv,
        srtp: Some(Box::new(both)),
    };
    let spec = AnswerSpec {
        local: local(),
        previous: "o=- 1 1 IN IP4 10.0.1.2",
        agreed: &agreed,
        srtp: &[],
        is_opportunistic: true,
        takes_events: true,
        comfort_noise: false,
        direction: Direction::SendRecv,
        peer: None,
    };
    sdp::answer(&invite.body, &spec).unwrap().0
}

/// A peer's packet under a key of its own.
fn sealed(outbound: &mut Outbound, sequence: u16) -> Vec<u8> {
    let mut packet = session::rtp(0, sequence, 7);
    let len = packet.len();
    packet.resize(len + RTP_TAIL_LEN, 0);
    let len = outbound.protect_rtp(&mut packet, len).unwrap();
    packet.truncate(len);
    packet
}

/// A bridged call whose agent answered by this key.
fn talking(key: &Keys) -> (Rig, Callee, Callee) {
    let (mut rig, invite) = placed(MediaProfile::SdesSrtp);
    rig.reply_with_body(&invite, 200, "agent", &answered(&invite, key));
    rig.expect_request(Method::Ack, AGENT);
    let agent = rig.callee(AGENT, "agent", &invite);
    let customer = rig.answer_invite(CUSTOMER, "customer", CUSTOMER_MEDIA);
    rig.expect_request(Method::Ack, CUSTOMER);
    for sequence in 0..6 {
        rig.rtp(CUSTOMER_MEDIA, &customer.invite, sequence);
    }
    (rig, agent, customer)
}

#[track_caller]
fn check_heard(forward: Forward) {
    assert!(
        matches!(forward, Forward::To { remote, .. } if remote == address(CUSTOMER_MEDIA)),
        "{forward:?}"
    );
}

// S42: a trunk marked secure gets SRTP or nothing.
#[test]
fn a_secure_trunk_that_answers_plain_rtp_fails() {
    let (mut rig, invite) = placed(MediaProfile::SdesSrtp);
    let offer = String::from_utf8(invite.body.clone()).unwrap();
    assert!(offer.contains("RTP/SAVP"), "{offer}");
    for suite in Suite::ALL {
        assert!(offer.contains(suite.name()), "{offer}");
    }
    // It fits a datagram (RFC 3261 §18.1.1).
    let len = print_request(&invite).len();
    assert!(len < 1_300, "{len} bytes");
    rig.reply_with_sdp(&invite, 200, "agent", AGENT_MEDIA);
    rig.expect_request(Method::Ack, AGENT);
    rig.expect_request(Method::Bye, AGENT);
    assert_eq!(rig.ended().reason, Some(Reason::Media));
}

#[test]
fn a_secure_trunk_bridges_to_a_plain_one_by_each_suite() {
    for (suite, tag_len) in Suite::ALL.into_iter().zip([16, 16, 10, 4]) {
        let key = keys(suite, 3);
        let (mut rig, agent, customer) = talking(&key);
        let forward = rig.rtp(CUSTOMER_MEDIA, &customer.invite, 6);
        // 12 bytes of header, 160 of voice, and the authentication tag.
        let sent_len = 172 + tag_len;
        assert!(
            matches!(forward, Forward::To { remote, len, .. }
                if remote == address(AGENT_MEDIA) && len == sent_len),
            "{suite:?}: {forward:?}"
        );
        let mut outbound = Outbound::new(&key);
        for sequence in 0..8 {
            let forward = rig.packet(AGENT_MEDIA, &agent.invite, sealed(&mut outbound, sequence));
            if sequence > 5 {
                check_heard(forward);
            }
        }
    }
}

// RFC 4568 §7.1.4, RFC 3711 §3.3.1: the peer changes its key, then the suite; nothing that was on
// its way is lost, and our key stays as long as its suite does.
#[test]
fn a_peer_changes_its_key_within_a_call() {
    let first = keys(Suite::AesCm128HmacSha1_80, 3);
    let (mut rig, mut agent, customer) = talking(&first);
    let mut outbound = Outbound::new(&first);
    let mut sequence = 0..;
    for _ in 0..6 {
        let packet = sealed(&mut outbound, sequence.next().unwrap());
        rig.packet(AGENT_MEDIA, &agent.invite, packet);
    }
    let mut previous: Option<Keys> = None;
    for (version, suite) in [(2, first.suite()), (3, first.suite()), (4, Suite::AeadAes256Gcm)] {
        let late = sealed(&mut outbound, sequence.next().unwrap());
        let next = keys(suite, 10 + version);
        let spec = OfferSpec {
            local: local(),
            origin: Origin { id: 1, version: version.into() },
            codecs: vec![Codec::Pcmu],
            telephone_event: PayloadType::new(101),
            comfort_noise: false,
            direction: Direction::SendRecv,
            srtp: vec![next.clone()],
            is_opportunistic: false,
            known: FormatMap::default(),
            peer: None,
        };
        rig.request(&mut agent, Method::Invite, Some(&sdp::offer(&spec)));
        let response = rig.expect_response(200);
        rig.ack(&agent, None);
        let ours = sdp::accept_answer(&spec, &response.body).unwrap().srtp.unwrap().inbound;
        assert_eq!(ours.suite(), suite);
        let is_kept = previous.as_ref().is_none_or(|before| *before == ours);
        assert_eq!(is_kept, suite == first.suite());
        previous = Some(ours);
        outbound.rekey(&next);
        let packet = sealed(&mut outbound, sequence.next().unwrap());
        check_heard(rig.packet(AGENT_MEDIA, &agent.invite, packet.clone()));
        check_heard(rig.packet(AGENT_MEDIA, &agent.invite, late));
        let again = rig.packet(AGENT_MEDIA, &agent.invite, packet);
        assert_eq!(again, Forward::Drop(DropReason::Replayed));
    }
    assert!(matches!(rig.rtp(CUSTOMER_MEDIA, &customer.invite, 7), Forward::To { len: 188, .. }));
}

// RFC 8643: keys under RTP/AVP; who answers with one gets SRTP, who does not gets RTP, and a later
// offer may change that both ways.
#[test]
fn an_opportunistic_trunk_is_encrypted_where_the_peer_answers_so() {
    let key = keys(Suite::AesCm128HmacSha1_80, 3);
    for is_encrypted in [true, false] {
        let (mut rig, invite) = placed(MediaProfile::Osrtp);
        let offer = String::from_utf8(invite.body.clone()).unwrap();
        assert!(offer.contains(" RTP/AVP ") && offer.contains("a=crypto:1 "), "{offer}");
        let answer = match is_encrypted {
            true => answered(&invite, &key),
            false => session::sdp(address(AGENT_MEDIA), 0, "sendrecv"),
        };
        rig.reply_with_body(&invite, 200, "agent", &answer);
        rig.expect_request(Method::Ack, AGENT);
        let mut agent = rig.callee(AGENT, "agent", &invite);
        let customer = rig.answer_invite(CUSTOMER, "customer", CUSTOMER_MEDIA);
        rig.expect_request(Method::Ack, CUSTOMER);
        let told = rig.told.iter().find_map(|milestone| milestone.detail.as_deref());
        let expected = if is_encrypted { "audio is encrypted" } else { "audio is not encrypted" };
        assert_eq!(told, Some(expected));
        let sent_len = |rig: &mut Rig, sequence| {
            for sequence in sequence..sequence + 6 {
                rig.rtp(CUSTOMER_MEDIA, &customer.invite, sequence);
            }
            match rig.rtp(CUSTOMER_MEDIA, &customer.invite, sequence + 6) {
                Forward::To { len, .. } => len,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(sent_len(&mut rig, 0), if is_encrypted { 182 } else { 172 });
        let plain = session::sdp(address(AGENT_MEDIA), 0, "sendrecv");
        let unusable = format!("{plain}a=crypto:1 F8_128_HMAC_SHA1_80 inline:AAAA\r\n");
        let key = "inline:".to_owned() + &"A".repeat(40);
        let keyed = format!("{plain}a=crypto:7 AES_CM_128_HMAC_SHA1_32 {key}\r\n");
        for (at, (sdp, len)) in
            [(&plain, 172), (&keyed, 176), (&unusable, 172), (&keyed, 176)].into_iter().enumerate()
        {
            rig.request(&mut agent, Method::Invite, Some(sdp));
            let answer = String::from_utf8(rig.expect_response(200).body).unwrap();
            rig.ack(&agent, None);
            assert_eq!(answer.contains("a=crypto:7 AES_CM_128_HMAC_SHA1_32"), len == 176);
            assert!(answer.contains(" RTP/AVP "), "{answer}");
            assert_eq!(sent_len(&mut rig, 100 + 20 * at as u16), len, "{sdp}");
        }
    }
}
