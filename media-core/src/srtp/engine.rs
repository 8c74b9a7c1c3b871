//! The ciphers of one direction and protocol with their derived session keys (RFC 3711 §4, RFC 7714
//! §8, §9). Knows where tags go; knows no stream state.

use aes::cipher::{InnerIvInit, KeyInit, KeyIvInit, StreamCipher, StreamCipherCoreWrapper};
use aes::{Aes128Enc, Aes256Enc};
use ctr::CtrCore;
use ctr::flavors::Ctr128BE;
use hmac::{Hmac, Mac};
use ring::aead::{AES_128_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use sha1::Sha1;
use zeroize::Zeroizing;

use super::keys::{Keys, Suite};
use super::{RTCP_TAIL_LEN, RTP_TAIL_LEN, SrtpError};

/// Session salts of AES-CM have 14 bytes, those of AES-GCM 12.
const COUNTER_SALT_LEN: usize = 14;
const GCM_SALT_LEN: usize = 12;
const GCM_TAG_LEN: usize = 16;
/// HMAC-SHA1 session keys (RFC 3711 §8.2).
const AUTHENTICATION_KEY_LEN: usize = 20;
/// Bytes of an RTCP packet that stay clear: the first header up to the sender's SSRC (RFC 3711
/// §3.4).
pub(super) const RTCP_CLEAR_LEN: usize = 8;
/// The word of E bit and SRTCP index.
const INDEX_LEN: usize = 4;
const ENCRYPTED: u32 = 1 << 31;

/// Which session keys an engine has; the value is the first key derivation label (RFC 3711 §4.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Rtp = 0,
    Rtcp = 3,
}

/// One protocol's session keys, ready to use.
#[expect(
    clippy::large_enum_variant,
    reason = "one per protocol and direction; a box would cost each packet a cache line"
)]
pub(super) enum Engine {
    Counter(Counter),
    Gcm(Gcm),
}

/// AES in counter mode with HMAC-SHA1.
pub(super) struct Counter {
    cipher: Aes128Enc,
    mac: Hmac<Sha1>,
    salt: [u8; COUNTER_SALT_LEN],
    tag_len: usize,
}

/// AES-GCM.
pub(super) struct Gcm {
    key: LessSafeKey,
    salt: [u8; GCM_SALT_LEN],
}

impl Engine {
    pub(super) fn new(keys: &Keys, protocol: Protocol) -> Self {
        let gcm = |cipher, key: &[u8]| {
            let key = UnboundKey::new(cipher, key).expect("the key has the cipher's length");
            Self::Gcm(Gcm { key: LessSafeKey::new(key), salt: *derive(keys, protocol as u8 + 2) })
        };
        match keys.suite() {
            Suite::AeadAes128Gcm => return gcm(&AES_128_GCM, &*derive::<16>(keys, protocol as u8)),
            Suite::AeadAes256Gcm => return gcm(&AES_256_GCM, &*derive::<32>(keys, protocol as u8)),
            Suite::AesCm128HmacSha1_80 | Suite::AesCm128HmacSha1_32 => {}
        }
        let cipher_key: Zeroizing<[u8; 16]> = derive(keys, protocol as u8);
        let mac_key: Zeroizing<[u8; AUTHENTICATION_KEY_LEN]> = derive(keys, protocol as u8 + 1);
        // RFC 4568 §6.2.2: the short tag is for SRTP only.
        let has_short_tag = keys.suite() == Suite::AesCm128HmacSha1_32 && protocol == Protocol::Rtp;
        Self::Counter(Counter {
            cipher: Aes128Enc::new((&*cipher_key).into()),
            mac: Hmac::new_from_slice(&*mac_key).expect("HMAC takes keys of every length"),
            salt: *derive(keys, protocol as u8 + 2),
            tag_len: if has_short_tag { 4 } else { 10 },
        })
    }

    /// Protects `buffer[..len]`, an RTP packet with a header of `header_len`; returns the new
    /// length.
    pub(super) fn seal_rtp(
        &self,
        buffer: &mut [u8],
        header_len: usize,
        len: usize,
        ssrc: u32,
        index: u64,
    ) -> Result<usize, SrtpError> {
        let packet = buffer.get_mut(..len + RTP_TAIL_LEN).ok_or(SrtpError::NoRoom)?;
        match self {
            Self::Counter(counter) => {
                counter.apply(&mut packet[header_len..len], ssrc, index);
                let tag = counter.tag(&packet[..len], rollovers(index));
                packet[len..len + counter.tag_len].copy_from_slice(&tag[..counter.tag_len]);
                Ok(len + counter.tag_len)
            }
            Self::Gcm(gcm) => {
                let (header, rest) = packet.split_at_mut(header_len);
                gcm.seal(rest, len - header_len, header, ssrc, index)?;
                Ok(len + GCM_TAG_LEN)
            }
        }
    }

    /// Takes a master key identifier out of a packet that carries it; returns the new length. It
    /// lies before the authentication tag (RFC 3711 §3.1, §3.4), and at the end where the tag is
    /// the cipher's (RFC 7714 §8.2, §9.2).
    pub(super) fn cut_mki(&self, packet: &mut [u8], mki: &[u8]) -> Option<usize> {
        let tag_len = match self {
            Self::Counter(counter) => counter.tag_len,
            Self::Gcm(_) => 0,
        };
        let tag_at = packet.len().checked_sub(tag_len)?;
        let bare_len = packet.len().checked_sub(mki.len())?;
        if !packet[..tag_at].ends_with(mki) {
            return None;
        }
        packet.copy_within(tag_at.., tag_at - mki.len());
        Some(bare_len)
    }

    /// Checks and decrypts `packet`, a whole SRTP packet; returns the new length.
    pub(super) fn open_rtp(
        &self,
        packet: &mut [u8],
        header_len: usize,
        ssrc: u32,
        index: u64,
    ) -> Result<usize, SrtpError> {
        match self {
            Self::Counter(counter) => {
                let len =
                    packet.len().checked_sub(counter.tag_len).filter(|len| *len >= header_len);
                let (packet, tag) = packet.split_at_mut(len.ok_or(SrtpError::Malformed)?);
                counter.verify(packet, rollovers(index), tag)?;
                counter.apply(&mut packet[header_len..], ssrc, index);
                Ok(packet.len())
            }
            Self::Gcm(gcm) => {
                let (header, rest) = packet.split_at_mut(header_len);
                Ok(header_len + gcm.open(rest, header, ssrc, index)?)
            }
        }
    }

    /// Protects `buffer[..len]`, an RTCP packet of at least `RTCP_CLEAR_LEN` bytes; returns the new
    /// length.
    pub(super) fn seal_rtcp(
        &self,
        buffer: &mut [u8],
        len: usize,
        ssrc: u32,
        index: u32,
    ) -> Result<usize, SrtpError> {
        let packet = buffer.get_mut(..len + RTCP_TAIL_LEN).ok_or(SrtpError::NoRoom)?;
        let word = (ENCRYPTED | index).to_be_bytes();
        match self {
            Self::Counter(counter) => {
                counter.apply(&mut packet[RTCP_CLEAR_LEN..len], ssrc, index.into());
                packet[len..len + INDEX_LEN].copy_from_slice(&word);
                let tag = counter.tag(&packet[..len + INDEX_LEN], [0; 0]);
                let tag_at = len + INDEX_LEN;
                packet[tag_at..tag_at + counter.tag_len].copy_from_slice(&tag[..counter.tag_len]);
                Ok(tag_at + counter.tag_len)
            }
            Self::Gcm(gcm) => {
                let (header, rest) = packet.split_at_mut(RTCP_CLEAR_LEN);
                gcm.seal(
                    rest,
                    len - RTCP_CLEAR_LEN,
                    &clear_and_index(header, word),
                    ssrc,
                    index.into(),
                )?;
                let word_at = len + GCM_TAG_LEN;
                packet[word_at..word_at + INDEX_LEN].copy_from_slice(&word);
                Ok(word_at + INDEX_LEN)
            }
        }
    }

    /// The index of a whole SRTCP packet, not yet authentic.
    pub(super) fn rtcp_index(&self, packet: &[u8]) -> Result<u32, SrtpError> {
        let tag_len = match self {
            Self::Counter(counter) => counter.tag_len,
            Self::Gcm(_) => 0,
        };
        let (rest, _) = packet
            .split_at_checked(packet.len().saturating_sub(tag_len))
            .ok_or(SrtpError::Malformed)?;
        let word = rest.last_chunk::<INDEX_LEN>().ok_or(SrtpError::Malformed)?;
        Ok(u32::from_be_bytes(*word) & !ENCRYPTED)
    }

    /// Checks and decrypts `packet`, a whole SRTCP packet, encrypted or only authenticated; returns
    /// the new length.
    pub(super) fn open_rtcp(&self, packet: &mut [u8], ssrc: u32) -> Result<usize, SrtpError> {
        let index = self.rtcp_index(packet)?;
        match self {
            Self::Counter(counter) => {
                let tag_at =
                    packet.len().checked_sub(counter.tag_len).ok_or(SrtpError::Malformed)?;
                let len = tag_at
                    .checked_sub(INDEX_LEN)
                    .filter(|len| *len >= RTCP_CLEAR_LEN)
                    .ok_or(SrtpError::Malformed)?;
                let (packet, tag) = packet.split_at_mut(tag_at);
                counter.verify(packet, [0; 0], tag)?;
                if packet[len] >> 7 == 1 {
                    counter.apply(&mut packet[RTCP_CLEAR_LEN..len], ssrc, index.into());
                }
                Ok(len)
            }
            Self::Gcm(gcm) => {
                let (packet, word) =
                    packet.split_last_chunk_mut::<INDEX_LEN>().ok_or(SrtpError::Malformed)?;
                let len =
                    packet.len().checked_sub(GCM_TAG_LEN).filter(|len| *len >= RTCP_CLEAR_LEN);
                let len = len.ok_or(SrtpError::Malformed)?;
                if word[0] >> 7 == 1 {
                    let (header, rest) = packet.split_at_mut(RTCP_CLEAR_LEN);
                    gcm.open(rest, &clear_and_index(header, *word), ssrc, index.into())?;
                } else {
                    // RFC 7714 §9.3: all but the tag is associated data, in which the index follows
                    // the packet.
                    let mut tag = [0; GCM_TAG_LEN];
                    tag.copy_from_slice(&packet[len..]);
                    packet[len..len + INDEX_LEN].copy_from_slice(word);
                    gcm.open(&mut tag, &packet[..len + INDEX_LEN], ssrc, index.into())?;
                }
                Ok(len)
            }
        }
    }
}

impl Counter {
    /// Encrypts or decrypts (RFC 3711 §4.1.1).
    fn apply(&self, data: &mut [u8], ssrc: u32, index: u64) {
        let mut iv = [0; 16];
        iv[..COUNTER_SALT_LEN].copy_from_slice(&self.salt);
        mix(&mut iv[4..COUNTER_SALT_LEN], ssrc, index);
        let core = CtrCore::<&Aes128Enc, Ctr128BE>::inner_iv_init(&self.cipher, &iv.into());
        StreamCipherCoreWrapper::from_core(core).apply_keystream(data);
    }

    fn mac<const N: usize>(&self, packet: &[u8], suffix: [u8; N]) -> Hmac<Sha1> {
        let mut mac = self.mac.clone();
        mac.update(packet);
        mac.update(&suffix);
        mac
    }

    fn tag<const N: usize>(&self, packet: &[u8], suffix: [u8; N]) -> [u8; 20] {
        self.mac(packet, suffix).finalize().into_bytes().into()
    }

    fn verify<const N: usize>(
        &self,
        packet: &[u8],
        suffix: [u8; N],
        tag: &[u8],
    ) -> Result<(), SrtpError> {
        self.mac(packet, suffix)
            .verify_truncated_left(tag)
            .map_err(|_| SrtpError::AuthenticationFailed)
    }
}

impl Gcm {
    /// Encrypts `data[..len]` and writes the tag after it; `data` has room for it.
    fn seal(
        &self,
        data: &mut [u8],
        len: usize,
        clear: &[u8],
        ssrc: u32,
        index: u64,
    ) -> Result<(), SrtpError> {
        let (plain, tail) = data.split_at_mut(len);
        let sealed =
            self.key.seal_in_place_separate_tag(self.nonce(ssrc, index), Aad::from(clear), plain);
        // Only a packet longer than the cipher's limit of 64 GiB fails.
        let tag = sealed.map_err(|_| SrtpError::Malformed)?;
        tail[..GCM_TAG_LEN].copy_from_slice(tag.as_ref());
        Ok(())
    }

    /// Decrypts `data`, which ends with its tag; returns the length without it.
    fn open(
        &self,
        data: &mut [u8],
        clear: &[u8],
        ssrc: u32,
        index: u64,
    ) -> Result<usize, SrtpError> {
        if data.len() < GCM_TAG_LEN {
            return Err(SrtpError::Malformed);
        }
        let opened = self.key.open_in_place(self.nonce(ssrc, index), Aad::from(clear), data);
        opened.map(|plain| plain.len()).map_err(|_| SrtpError::AuthenticationFailed)
    }

    /// RFC 7714 §8.1 and §9.1, whose layouts agree when an SRTCP index is read as 48 bits.
    fn nonce(&self, ssrc: u32, index: u64) -> Nonce {
        let mut iv = self.salt;
        mix(&mut iv[2..], ssrc, index);
        Nonce::assume_unique_for_key(iv)
    }
}

/// Combines ten bytes of an initialisation vector with the SSRC and the 48-bit packet index.
fn mix(iv: &mut [u8], ssrc: u32, index: u64) {
    let value = (u128::from(ssrc) << 48 | u128::from(index)).to_be_bytes();
    iv.iter_mut().zip(&value[6..]).for_each(|(byte, value)| *byte ^= value);
}

/// The rollover counter that SRTP authenticates after the packet (RFC 3711 §4.2).
fn rollovers(index: u64) -> [u8; 4] {
    ((index >> 16) as u32).to_be_bytes()
}

/// Associated data of encrypted SRTCP (RFC 7714 §9.2).
fn clear_and_index(header: &[u8], word: [u8; INDEX_LEN]) -> [u8; RTCP_CLEAR_LEN + INDEX_LEN] {
    let mut data = [0; RTCP_CLEAR_LEN + INDEX_LEN];
    data[..RTCP_CLEAR_LEN].copy_from_slice(header);
    data[RTCP_CLEAR_LEN..].copy_from_slice(&word);
    data
}

/// Derives a session key with AES-CM as the pseudo-random function and a key derivation rate of 0
/// (RFC 3711 §4.3). A salt of 12 bytes is padded with zeroes (RFC 7714 §11).
fn derive<const N: usize>(keys: &Keys, label: u8) -> Zeroizing<[u8; N]> {
    let mut iv = [0; 16];
    iv[..keys.master_salt().len()].copy_from_slice(keys.master_salt());
    iv[7] ^= label;
    let mut derived = Zeroizing::new([0; N]);
    // RFC 7714 §12: the pseudo-random function has the master key's length.
    let fits = "the vector has 16 bytes, the key the suite's length";
    match keys.suite() {
        Suite::AeadAes256Gcm => {
            let mut prf =
                ctr::Ctr128BE::<Aes256Enc>::new_from_slices(keys.master_key(), &iv).expect(fits);
            prf.apply_keystream(&mut *derived);
        }
        Suite::AeadAes128Gcm | Suite::AesCm128HmacSha1_80 | Suite::AesCm128HmacSha1_32 => {
            let mut prf =
                ctr::Ctr128BE::<Aes128Enc>::new_from_slices(keys.master_key(), &iv).expect(fits);
            prf.apply_keystream(&mut *derived);
        }
    }
    derived
}

#[cfg(test)]
mod tests;
