//! SDES keys in offers and answers (RFC 4568).

use base64::Engine;
use media_core::sdp::{AnswerSpec, OfferSpec, SdpError, accept_answer, answer, offer};
use media_core::srtp::{Keys, Mki, SrtpKeys, Suite};

use super::{agreed_securely, answer_spec, description, keys, plain_offer, secure_offer};

/// The key of RFC 4568 §6.1 and the material that it stands for.
const RFC_KEY: &str = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj";
const RFC_MATERIAL: &[u8; 30] = b"wDfvg&T+)xG7@fb5jU,RaA}\\|p0%*#";

fn rfc_keys() -> Keys {
    Keys::new(Suite::AesCm128HmacSha1_80, RFC_MATERIAL).unwrap()
}

fn secure_stream(crypto: &[&str]) -> Vec<u8> {
    description(&[&["m=audio 4000 RTP/SAVP 8"], crypto].concat())
}

#[track_caller]
fn check(crypto: &str, outbound: Suite, inbound: Keys) {
    check_all(&[crypto], outbound, inbound, None);
}

#[track_caller]
fn check_all(crypto: &[&str], outbound: Suite, inbound: Keys, mki: Option<Mki>) {
    let negotiated =
        accept_answer(&secure_offer(), &secure_stream(crypto)).expect("the answer is accepted");
    assert_eq!(
        negotiated.srtp,
        Some(Box::new(SrtpKeys { outbound: keys(outbound), inbound, mki }))
    );
}

#[track_caller]
fn refuse(crypto: &[&str], error: SdpError) {
    assert_eq!(accept_answer(&secure_offer(), &secure_stream(crypto)), Err(error));
}

#[test]
fn a_secure_offer_holds_one_line_for_each_suite() {
    let text = offer(&secure_offer());
    assert!(text.contains("\r\nm=audio 20000 RTP/SAVP 0 8 101\r\n"), "{text}");
    let lines: Vec<_> = text.lines().filter(|line| line.starts_with("a=crypto:")).collect();
    let expected = [
        "a=crypto:1 AEAD_AES_128_GCM inline:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHA==",
        "a=crypto:2 AEAD_AES_256_GCM \
            inline:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyAhIiMkJSYnKCkqKyw=",
        "a=crypto:3 AES_CM_128_HMAC_SHA1_80 inline:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0e",
        "a=crypto:4 AES_CM_128_HMAC_SHA1_32 inline:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0e",
    ];
    assert_eq!(lines, expected);
    // A request of 1300 bytes goes by UDP (RFC 3261 §18.1.1): half is left for its head.
    assert!(text.len() < 650, "{} bytes", text.len());
}

#[test]
fn the_answered_tag_and_suite_choose_the_keys() {
    let plain = format!("a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:{RFC_KEY}");
    check(&plain, Suite::AesCm128HmacSha1_80, rfc_keys());
    check(&format!("{plain}|2^31"), Suite::AesCm128HmacSha1_80, rfc_keys());
    check(&format!("{plain}|1048576"), Suite::AesCm128HmacSha1_80, rfc_keys());
    for rest in [
        " WSH=128",
        " FEC_ORDER=SRTP_FEC",
        " FEC_KEY=inline:AAAA",
        " -X-OLD=1 wsh=64 -X",
        "|2^48",
        "|2^64",
        "|99999999999999999999",
        "|2^20|x",
        "|x",
    ] {
        check(&format!("{plain}{rest}"), Suite::AesCm128HmacSha1_80, rfc_keys());
    }
    check(&plain.replace(' ', "  "), Suite::AesCm128HmacSha1_80, rfc_keys());
    let gcm = Keys::new(Suite::AeadAes128Gcm, &RFC_MATERIAL[..28]).unwrap();
    check(
        "a=crypto:1 aead_aes_128_gcm inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJQ==",
        Suite::AeadAes128Gcm,
        gcm.clone(),
    );
    check(
        "a=crypto:1 AEAD_AES_128_GCM inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJQ",
        Suite::AeadAes128Gcm,
        gcm,
    );
}

#[test]
fn unusable_crypto_lines_get_their_errors() {
    let line = |rest: &str| format!("a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:{rest}");
    refuse(&[], SdpError::Crypto);
    refuse(&["a=crypto:2"], SdpError::Crypto);
    refuse(&["a=crypto:2 F8_128_HMAC_SHA1_80 inline:x"], SdpError::Crypto);
    refuse(&["a=crypto:x AES_CM_128_HMAC_SHA1_80 inline:x"], SdpError::Crypto);
    refuse(&[&line("AAAA")], SdpError::CryptoKey);
    refuse(&[&line("!!!")], SdpError::CryptoKey);
    refuse(&[&line("")], SdpError::CryptoKey);
    refuse(&["a=crypto:2 AES_CM_128_HMAC_SHA1_80 outline:x"], SdpError::CryptoKey);
    refuse(&[&line(&format!("{RFC_KEY}|99999999999999999999:128"))], SdpError::CryptoMki);
    refuse(&[&line(&format!("{RFC_KEY}|256:1"))], SdpError::CryptoMki);
    refuse(&[&line(&format!("{RFC_KEY}|1:0"))], SdpError::CryptoMki);
    refuse(&[&line(&format!("{RFC_KEY}|2^10"))], SdpError::CryptoLifetime);
    refuse(&[&line(&format!("{RFC_KEY} UNENCRYPTED_SRTCP"))], SdpError::CryptoParameter);
    refuse(&[&line(&format!("{RFC_KEY} WSH=64 UNAUTHENTICATED_SRTP"))], SdpError::CryptoParameter);
    refuse(&[&line(&format!("{RFC_KEY} KDR=1"))], SdpError::CryptoParameter);
    // RFC 4568 §6.3.7: what is not understood and not marked as optional.
    refuse(&[&line(&format!("{RFC_KEY} WSH=64 X-NEW=1"))], SdpError::CryptoParameter);
    // The next line counts.
    let asked = line(&format!("{RFC_KEY} UNENCRYPTED_SRTP"));
    check_all(&[&asked, &line(RFC_KEY)], Suite::AesCm128HmacSha1_80, rfc_keys(), None);
}

/// RFC 4568 §6.1: the identifier and its length in bytes.
#[test]
fn a_master_key_identifier_is_kept() {
    let mki = |value, len| Some(Mki::parse(value, len).unwrap());
    for (rest, expected) in [
        ("|2^31|1:1", mki("1", "1")),
        ("|1:4", mki("1", "4")),
        ("|2^20|65535:2 WSH=64", mki("65535", "2")),
        ("|7:16|2^31", mki("7", "16")),
    ] {
        let line = format!("a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:{RFC_KEY}{rest}");
        check_all(&[&line], Suite::AesCm128HmacSha1_80, rfc_keys(), expected);
    }
    // Of several keys the first is the one that the peer begins with.
    let two = format!(
        "a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:{RFC_KEY}|2^20|1:4;inline:AAAA|2^20|2:4"
    );
    check_all(&[&two], Suite::AesCm128HmacSha1_80, rfc_keys(), mki("1", "4"));
}

/// A suite is offered once, so the answered line is known by it, whatever its tag.
#[test]
fn the_first_usable_line_counts_whatever_its_tag() {
    let line = |tag: u32, suite: &str| format!("a=crypto:{tag} {suite} inline:{RFC_KEY}");
    let ours = line(2, "AES_CM_128_HMAC_SHA1_80");
    for tag in [1, 3, 2_000_000_000] {
        check(&line(tag, "AES_CM_128_HMAC_SHA1_80"), Suite::AesCm128HmacSha1_80, rfc_keys());
    }
    for lines in [
        [&ours, &ours],
        [&ours, &line(3, "AES_CM_128_HMAC_SHA1_32")],
        [&line(1, "F8_128_HMAC_SHA1_80"), &ours],
        [&line(1, "AEAD_AES_128_GCM"), &ours],
    ] {
        check_all(&lines.map(String::as_str), Suite::AesCm128HmacSha1_80, rfc_keys(), None);
    }
}

#[test]
fn each_offered_suite_may_be_answered() {
    for suite in Suite::ALL {
        let material: Vec<u8> = (0..suite.material_len() as u8).map(|byte| byte ^ 0x5a).collect();
        let key = base64::engine::general_purpose::STANDARD.encode(&material);
        let inbound = Keys::new(suite, &material).unwrap();
        check(&format!("a=crypto:1 {} inline:{key}", suite.name()), suite, inbound);
    }
}

#[test]
fn security_is_never_lost_by_an_answer() {
    let crypto = format!("a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:{RFC_KEY}");
    assert_eq!(
        accept_answer(&secure_offer(), &description(&["m=audio 4000 RTP/AVP 8"])),
        Err(SdpError::Profile)
    );
    for profile in ["RTP/SAVPF", "RTP/AVP", "rtp/avpf"] {
        let named = description(&[&format!("m=audio 4000 {profile} 8"), &crypto]);
        let keys = accept_answer(&secure_offer(), &named).unwrap().srtp.unwrap();
        assert_eq!(keys.inbound, rfc_keys(), "{profile}: the key tells");
    }
    let plain = description(&["m=audio 4000 RTP/AVP 8", &crypto]);
    assert_eq!(accept_answer(&plain_offer(), &plain).unwrap().srtp, None);
}

// RFC 8643: an answer to keys under RTP/AVP may have one or none; one that cannot be used is none
// of ours to send to.
#[test]
fn keys_that_may_be_left() {
    let spec = OfferSpec { is_opportunistic: true, ..secure_offer() };
    let text = offer(&spec);
    assert!(text.contains(" RTP/AVP ") && text.contains("a=crypto:4 "), "{text}");
    let crypto = format!("a=crypto:3 AES_CM_128_HMAC_SHA1_80 inline:{RFC_KEY}");
    let accept = |lines: &[&str]| accept_answer(&spec, &description(lines));
    for profile in ["RTP/AVP", "RTP/SAVP"] {
        let keys = accept(&[&format!("m=audio 4000 {profile} 8"), &crypto]).unwrap().srtp.unwrap();
        assert_eq!(keys.inbound, rfc_keys(), "{profile}");
    }
    assert_eq!(accept(&["m=audio 4000 RTP/AVP 8"]).unwrap().srtp, None);
    assert_eq!(accept(&["m=audio 4000 RTP/SAVP 8"]), Err(SdpError::Crypto));
    let unknown = "a=crypto:1 F8_128_HMAC_SHA1_80 inline:AAAA";
    assert_eq!(accept(&["m=audio 4000 RTP/AVP 8", unknown]), Err(SdpError::Crypto));
    // What was agreed without keys is offered again without.
    let plain = OfferSpec { is_opportunistic: true, ..plain_offer() };
    assert!(!offer(&plain).contains("a=crypto"));
    let secured = description(&["m=audio 4000 RTP/SAVP 8", &crypto]);
    assert_eq!(accept_answer(&plain, &secured), Err(SdpError::Profile));
}

#[test]
fn our_answer_keeps_our_key_and_takes_the_offered_tag() {
    let previous = offer(&secure_offer());
    let agreed = agreed_securely(Suite::AesCm128HmacSha1_80);
    let spec = answer_spec(&previous, &agreed);
    let offered = secure_stream(&[
        "a=crypto:1 AES_256_CM_HMAC_SHA1_80 inline:x",
        "a=crypto:5 AEAD_AES_128_GCM inline:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHA==|1:1",
        &format!("a=crypto:7 AES_CM_128_HMAC_SHA1_80 inline:{RFC_KEY}|2^31|3:2"),
    ]);
    let (text, negotiated) = answer(&offered, &spec).unwrap();
    assert!(text.contains("\r\nm=audio 20000 RTP/SAVP 8\r\n"), "{text}");
    let crypto: Vec<_> = text.lines().filter(|line| line.starts_with("a=crypto")).collect();
    assert_eq!(
        crypto,
        ["a=crypto:7 AES_CM_128_HMAC_SHA1_80 inline:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0e"]
    );
    let outbound = keys(Suite::AesCm128HmacSha1_80);
    let expected = SrtpKeys { outbound, inbound: rfc_keys(), mki: Mki::parse("3", "2") };
    assert_eq!(negotiated.srtp, Some(Box::new(expected)));
    // A peer that goes over to another suite gets a key for it, if there is one.
    let other = secure_stream(&[
        "a=crypto:4 AEAD_AES_256_GCM inline:AAAA",
        "a=crypto:5 AEAD_AES_128_GCM inline:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHA==",
        &format!("a=crypto:6 AES_CM_128_HMAC_SHA1_32 inline:{RFC_KEY}"),
    ]);
    assert_eq!(answer(&other, &spec), Err(SdpError::CryptoKey));
    let fresh = [Suite::AesCm128HmacSha1_32, Suite::AeadAes128Gcm].map(keys);
    let (text, moved) = answer(&other, &AnswerSpec { srtp: &fresh, ..spec.clone() }).unwrap();
    let line = "a=crypto:5 AEAD_AES_128_GCM inline:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHA==";
    assert!(text.contains(&format!("\r\n{line}\r\n")), "{text}");
    let moved = moved.srtp.unwrap();
    assert_eq!((&moved.outbound, &moved.inbound), (&fresh[1], &fresh[1]));
    assert_eq!(answer(&secure_stream(&[]), &spec), Err(SdpError::Crypto));
    assert_eq!(answer(&description(&["m=audio 4000 RTP/AVP 8"]), &spec), Err(SdpError::Profile));
    // A hold without a stream keeps the keys.
    let (_, held) = answer(&description(&["m=audio 0 RTP/SAVP 8"]), &spec).unwrap();
    assert_eq!(held.srtp, agreed.srtp);
}

#[test]
fn a_negotiation_shows_no_key() {
    let crypto = format!("a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:{RFC_KEY}");
    let shown = format!(
        "{:?} {:?}",
        accept_answer(&secure_offer(), &secure_stream(&[&crypto])).unwrap(),
        secure_offer()
    );
    assert!(
        shown.contains("AesCm128HmacSha1_80")
            && !shown.contains("119, 68")
            && !shown.contains("1, 2, 3"),
        "{shown}"
    );
}
