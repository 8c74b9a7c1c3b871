//! SDES keys in offers and answers (RFC 4568).

use media_core::sdp::{AnswerSpec, SdpError, SrtpKeys, accept_answer, answer, offer};
use media_core::srtp::{Keys, Suite};

use super::{description, keys, plain_answer, plain_offer, secure_offer};

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
    let negotiated = accept_answer(&secure_offer(), &secure_stream(&[crypto])).expect("the answer is accepted");
    assert_eq!(negotiated.srtp, Some(SrtpKeys { outbound: keys(outbound), inbound }));
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
        "a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0e",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn the_answered_tag_and_suite_choose_the_keys() {
    let plain = format!("a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:{RFC_KEY}");
    check(&plain, Suite::AesCm128HmacSha1_80, rfc_keys());
    check(&format!("{plain}|2^31"), Suite::AesCm128HmacSha1_80, rfc_keys());
    check(&format!("{plain}|1048576"), Suite::AesCm128HmacSha1_80, rfc_keys());
    check(&format!("{plain} WSH=128"), Suite::AesCm128HmacSha1_80, rfc_keys());
    check(&plain.replace(' ', "  "), Suite::AesCm128HmacSha1_80, rfc_keys());
    let gcm = Keys::new(Suite::AeadAes128Gcm, &RFC_MATERIAL[..28]).unwrap();
    check("a=crypto:1 aead_aes_128_gcm inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJQ==", Suite::AeadAes128Gcm, gcm.clone());
    check("a=crypto:1 AEAD_AES_128_GCM inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJQ", Suite::AeadAes128Gcm, gcm);
}

#[test]
fn unusable_crypto_lines_get_their_errors() {
    let line = |rest: &str| format!("a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:{rest}");
    refuse(&[], SdpError::Crypto);
    refuse(&["a=crypto:2"], SdpError::Crypto);
    refuse(&["a=crypto:2 F8_128_HMAC_SHA1_80 inline:x"], SdpError::Crypto);
    refuse(&[&line(RFC_KEY).replace(":2 ", ":1 ")], SdpError::Crypto);
    refuse(&[&line(RFC_KEY).replace(":2 ", ":3 ")], SdpError::Crypto);
    refuse(&[&line(RFC_KEY).replace("_80", "_32")], SdpError::Crypto);
    refuse(&[&line(RFC_KEY), &line(RFC_KEY)], SdpError::Duplicate);
    refuse(&[&line("AAAA")], SdpError::CryptoKey);
    refuse(&[&line("!!!")], SdpError::CryptoKey);
    refuse(&[&line("")], SdpError::CryptoKey);
    refuse(&[&line(&format!("{RFC_KEY}|2^20|1:4"))], SdpError::CryptoMki);
    refuse(&[&line(&format!("{RFC_KEY}|1:4"))], SdpError::CryptoMki);
    refuse(&[&line(&format!("{RFC_KEY}|99999999999999999999:128"))], SdpError::CryptoMki);
    refuse(&[&line(&format!("{RFC_KEY};inline:{RFC_KEY}"))], SdpError::CryptoMki);
    refuse(&[&line(&format!("{RFC_KEY}|2^10"))], SdpError::CryptoLifetime);
    refuse(&[&line(&format!("{RFC_KEY}|2^64"))], SdpError::CryptoParameter);
    refuse(&[&line(&format!("{RFC_KEY}|2^20|x"))], SdpError::CryptoParameter);
    refuse(&[&line(&format!("{RFC_KEY} UNENCRYPTED_SRTCP"))], SdpError::CryptoParameter);
    refuse(&[&line(&format!("{RFC_KEY} KDR=1"))], SdpError::CryptoParameter);
    refuse(&["a=crypto:99999999999 AES_CM_128_HMAC_SHA1_80 inline:x"], SdpError::CryptoParameter);
    refuse(&["a=crypto:2 AES_CM_128_HMAC_SHA1_80 outline:x"], SdpError::CryptoParameter);
}

#[test]
fn security_is_never_lost_by_an_answer() {
    let crypto = format!("a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:{RFC_KEY}");
    let downgraded = description(&["m=audio 4000 RTP/AVP 8", &crypto]);
    assert_eq!(accept_answer(&secure_offer(), &downgraded), Err(SdpError::Profile));
    let plain = description(&["m=audio 4000 RTP/AVP 8", &crypto]);
    assert_eq!(accept_answer(&plain_offer(), &plain).unwrap().srtp, None);
}

#[test]
fn our_answer_keeps_our_key_and_takes_the_offered_tag() {
    let previous = offer(&secure_offer());
    let ours = keys(Suite::AesCm128HmacSha1_80);
    let spec = AnswerSpec { srtp: vec![ours.clone(), keys(Suite::AeadAes128Gcm)], ..plain_answer(&previous) };
    let offered = secure_stream(&[
        "a=crypto:1 AES_256_CM_HMAC_SHA1_80 inline:x",
        "a=crypto:5 AEAD_AES_128_GCM inline:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHA==|1:1",
        &format!("a=crypto:7 AES_CM_128_HMAC_SHA1_80 inline:{RFC_KEY}|2^31"),
    ]);
    let (text, negotiated) = answer(&offered, &spec).unwrap();
    assert!(text.contains("\r\nm=audio 20000 RTP/SAVP 8\r\n"), "{text}");
    let crypto: Vec<_> = text.lines().filter(|line| line.starts_with("a=crypto")).collect();
    assert_eq!(crypto, ["a=crypto:7 AES_CM_128_HMAC_SHA1_80 inline:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0e"]);
    assert_eq!(negotiated.srtp, Some(SrtpKeys { outbound: ours, inbound: rfc_keys() }));
    let only_mki = secure_stream(&["a=crypto:5 AEAD_AES_128_GCM inline:AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHA==|1:1"]);
    assert_eq!(answer(&only_mki, &spec), Err(SdpError::CryptoMki));
    assert_eq!(answer(&secure_stream(&[]), &spec), Err(SdpError::Crypto));
    assert_eq!(answer(&description(&["m=audio 4000 RTP/AVP 8"]), &spec), Err(SdpError::Profile));
}

#[test]
fn a_negotiation_shows_no_key() {
    let crypto = format!("a=crypto:2 AES_CM_128_HMAC_SHA1_80 inline:{RFC_KEY}");
    let shown = format!("{:?} {:?}", accept_answer(&secure_offer(), &secure_stream(&[&crypto])).unwrap(), secure_offer());
    assert!(shown.contains("AesCm128HmacSha1_80") && !shown.contains("119, 68") && !shown.contains("1, 2, 3"), "{shown}");
}
