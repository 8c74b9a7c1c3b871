//! RFC 3711 appendix B and RFC 7714 §16, §17, whose vectors give session keys.

use super::*;

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// RFC 3711 B.2: the keystream for SSRC 0 and index 0, whose counter starts at zero.
#[test]
fn aes_cm_keystream_is_that_of_rfc_3711() {
    let counter = Counter {
        cipher: Aes128Enc::new_from_slice(&bytes("2B7E151628AED2A6ABF7158809CF4F3C")).unwrap(),
        mac: Hmac::new_from_slice(&[]).unwrap(),
        salt: bytes("F0F1F2F3F4F5F6F7F8F9FAFBFCFD").try_into().unwrap(),
        tag_len: 10,
    };
    let mut stream = vec![0; 0xff02 * 16];
    counter.apply(&mut stream, 0, 0);
    assert_eq!(stream[..16], bytes("E03EAD0935C95E80E166B16DD92B4EB4"));
    assert_eq!(stream[16..32], bytes("D23513162B02D0F72A43A2FE4A5F97AB"));
    assert_eq!(stream[32..48], bytes("41E95B3BB0A2E8DD477901E4FCA894C0"));
    assert_eq!(stream[0xfeff * 16..][..16], bytes("EC8CDF7398607CB0F2D21675EA9EA1E4"));
    assert_eq!(stream[0xff00 * 16..][..16], bytes("362B7C3C6773516318A077D7FC5073AE"));
    assert_eq!(stream[0xff01 * 16..][..16], bytes("6A2CC3787889374FBEB4C81B17BA6C44"));
}

#[test]
fn key_derivation_is_that_of_rfc_3711() {
    let material = bytes("E1F97A0D3E018BE0D64FA32C06DE41390EC675AD498AFEEBB6960B3AABE6");
    let keys = Keys::new(Suite::AesCm128HmacSha1_80, &material).unwrap();
    assert_eq!(derive::<16>(&keys, 0).to_vec(), bytes("C61E7A93744F39EE10734AFE3FF7A087"));
    assert_eq!(derive::<14>(&keys, 2).to_vec(), bytes("30CBBC08863D8C85D49DB34A9AE1"));
    let expected = "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA48F0A0ACF3C34E2359E6CDBCEE049646C43D9327AD175578EF7227098\
                    6371C10C9A369AC2F94A8C5FBCDDDC256D6E919A48B610EF17C2041E474035766B68642C59BBFC2F34DB60DBDFB2DC68";
    assert_eq!(derive::<94>(&keys, 1).to_vec(), bytes(expected)[..94]);
}

/// The key of RFC 7714 §16 and §17, of which AEAD_AES_128_GCM has the first half, and their salt.
const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const SALT: &str = "517569642070726f2071756f";

/// RFC 7714 §16 and §17 name the session key and salt.
fn rfc_7714(suite: Suite) -> Engine {
    let cipher = if suite == Suite::AeadAes256Gcm { &AES_256_GCM } else { &AES_128_GCM };
    let key = UnboundKey::new(cipher, &bytes(KEY)[..suite.key_len()]).unwrap();
    Engine::Gcm(Gcm { key: LessSafeKey::new(key), salt: bytes(SALT).try_into().unwrap() })
}

/// Bytes with room for what protection adds.
fn roomy(hex: &str) -> (Vec<u8>, usize) {
    let mut buffer = bytes(hex);
    let len = buffer.len();
    buffer.resize(len + RTCP_TAIL_LEN, 0);
    (buffer, len)
}

// §16.1 and §16.2: encryption and decryption.
#[test]
fn gcm_protects_rtp_as_rfc_7714_section_16() {
    let plain = "8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e69732064697669736120696e207061727465732074726573";
    for (suite, sealed) in [
        (
            Suite::AeadAes128Gcm,
            "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf8833\
             899d7f27beb16a9152cf765ee4390cce",
        ),
        (
            Suite::AeadAes256Gcm,
            "8040f17b8041f8d35501a0b232b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba63799b87b\
             7aa3db36dfffd6b0f9bb7878d7a76c13",
        ),
    ] {
        let (mut buffer, len) = roomy(plain);
        let engine = rfc_7714(suite);
        let len = engine.seal_rtp(&mut buffer, 12, len, 0x5501a0b2, 0xf17b).unwrap();
        assert_eq!(buffer[..len], bytes(sealed), "{suite:?}");
        let len = engine.open_rtp(&mut buffer[..len], 12, 0x5501a0b2, 0xf17b).unwrap();
        assert_eq!(buffer[..len], bytes(plain), "{suite:?}");
    }
}

const SENDER_REPORT: &str = "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61deadbeefdeadbeefdeadbeefdeadbeefdeadbeef";
const MARS: u32 = 0x4d617273;

// §17.1 and §17.2: encryption and decryption.
#[test]
fn gcm_protects_rtcp_as_rfc_7714_section_17() {
    for (suite, sealed) in [
        (
            Suite::AeadAes128Gcm,
            "81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded0bb9275b\
             c84aa45896cf4d2fc5abf87245d9eade800005d4",
        ),
        (
            Suite::AeadAes256Gcm,
            "81c8000d4d617273d50ae4d1f5ce5d304ba297e47d470c282c3ece5dbffe0a50a2eaa5c1110555be8415f658c61de0476f1b6fad\
             1d1eb30c4446839f57ff6f6cb26ac3be800005d4",
        ),
    ] {
        let (mut buffer, len) = roomy(SENDER_REPORT);
        let engine = rfc_7714(suite);
        let len = engine.seal_rtcp(&mut buffer, len, MARS, 0x5d4).unwrap();
        assert_eq!(buffer[..len], bytes(sealed), "{suite:?}");
        let len = engine.open_rtcp(&mut buffer[..len], MARS).unwrap();
        assert_eq!(buffer[..len], bytes(SENDER_REPORT), "{suite:?}");
    }
}

// §17.3 and §17.4: the packet is authenticated but clear.
#[test]
fn gcm_accepts_rtcp_that_is_only_tagged_as_rfc_7714_section_17() {
    for (suite, tail) in [
        (Suite::AeadAes128Gcm, "841dd9683dd78ec92ae58790125f62b3000005d4"),
        (Suite::AeadAes256Gcm, "91db4afbfeee5a978fab4393ed2615fe000005d4"),
    ] {
        let engine = rfc_7714(suite);
        let mut buffer = bytes(SENDER_REPORT);
        buffer.extend(bytes(tail));
        let len = engine.open_rtcp(&mut buffer, MARS).unwrap();
        assert_eq!(buffer[..len], bytes(SENDER_REPORT), "{suite:?}");
        let mut changed = bytes(SENDER_REPORT);
        changed[20] ^= 1;
        changed.extend(bytes(tail));
        assert_eq!(engine.open_rtcp(&mut changed, MARS), Err(SrtpError::AuthenticationFailed));
    }
}

/// RFC 3711 §3.4: without the E bit the packet is authenticated but clear.
#[test]
fn counter_mode_accepts_rtcp_without_the_e_bit() {
    let keys = Keys::new(Suite::AesCm128HmacSha1_80, &[7; 30]).unwrap();
    let engine = Engine::new(&keys, Protocol::Rtcp);
    let Engine::Counter(counter) = &engine else { panic!("the suite is counter mode") };
    let mut packet = bytes(SENDER_REPORT);
    packet.extend(5u32.to_be_bytes());
    let tag = counter.tag(&packet, [0; 0]);
    packet.extend(&tag[..10]);
    let len = engine.open_rtcp(&mut packet, MARS).unwrap();
    assert_eq!(packet[..len], bytes(SENDER_REPORT));
}
