//! DTLS-SRTP with browsers (RFC 5763, 5764): our certificate, one handshake as its server, the
//! fingerprint that ties the peer's certificate to its description, and the SRTP keys that come of
//! it. The handshake itself, 1.2 or 1.3, is `dimpl`'s. Invalid records are discarded while the
//! handshake goes on (RFC 6347 §4.1.2.7, RFC 9147 §4.5.2): malformed ones are told by `record`,
//! those that cannot be decrypted by `handle_datagram`. What is well-formed, in the clear and
//! forged (a hello, a fragment with other content or of a later message, an alert) cannot be told
//! from the peer's: who sends it from the peer's checked address ends the handshake. Deviates:
//! `dimpl` takes its random numbers from the system, because it has no way to be given them.

use std::fmt::{self, Display, Formatter};
use std::sync::Arc;
use std::time::{Duration, Instant};

use dimpl::{
    Config, CryptoError, CryptoOperation, Dtls, DtlsCertificate, Error, KeyingMaterial, Output,
    SrtpProfile,
};
use p256::pkcs8::EncodePrivateKey;
use ring::{digest, hmac};
use zeroize::Zeroizing;

use crate::srtp::{Keys, SrtpKeys, Suite};

mod hello;
mod record;
pub(crate) use record::is_sound;

/// The longest handshake; a browser without an answer gives up about then.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(20);
/// First interval of repetition; the path was checked just before.
const FIRST_REPETITION: Duration = Duration::from_millis(200);
const REPETITIONS: usize = 6;
/// Time for which a finished association answers repetitions of the peer's last flight.
const LINGER: Duration = Duration::from_secs(10);
/// Room for the longest record that a datagram of ours or the peer's holds, and for the peer's
/// certificate.
const RECORD_LEN: usize = 4096;

/// Bytes of a SHA-256 fingerprint.
const FINGERPRINT_LEN: usize = 32;

/// The SHA-256 fingerprint of a certificate (RFC 8122 §5), shown as SDP writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; FINGERPRINT_LEN]);

impl Fingerprint {
    /// The fingerprint of a certificate in DER.
    pub fn of(certificate: &[u8]) -> Fingerprint {
        let digest = digest::digest(&digest::SHA256, certificate);
        Fingerprint(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }

    /// Reads pairs of hexadecimal digits with colons between them.
    pub fn parse(text: &str) -> Option<Fingerprint> {
        let mut bytes = [0; FINGERPRINT_LEN];
        let mut pairs = text.split(':');
        for byte in &mut bytes {
            let pair = pairs.next().filter(|pair| {
                pair.len() == 2 && pair.bytes().all(|digit| digit.is_ascii_hexdigit())
            })?;
            *byte = u8::from_str_radix(pair, 16).ok()?;
        }
        pairs.next().is_none().then_some(Fingerprint(bytes))
    }
}

impl Display for Fingerprint {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            write!(formatter, "{}{byte:02X}", if at == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

/// Our certificate, and what all handshakes of a shard share.
pub(crate) struct Identity {
    config: Arc<Config>,
    certificate: DtlsCertificate,
    fingerprint: Fingerprint,
}

impl Identity {
    /// Makes key and certificate from the shard's secret; equal secrets have equal keys.
    pub fn new(secret: &[u8]) -> Identity {
        let pkcs8 = private_key(secret).to_pkcs8_der().expect("a P-256 key has a PKCS #8 form");
        let key_pair = rcgen::KeyPair::try_from(pkcs8.as_bytes()).expect("a P-256 key signs");
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, "WebRTC");
        let certificate = params.self_signed(&key_pair).expect("a P-256 key signs").der().to_vec();
        let config = Config::builder()
            // The path was checked by ICE: a cookie would prove nothing more.
            .use_server_cookie(false)
            .handshake_timeout(HANDSHAKE_LIMIT)
            .flight_start_rto(FIRST_REPETITION)
            .flight_retries(REPETITIONS)
            .build()
            .expect("the limits are sound");
        Identity {
            config: Arc::new(config),
            fingerprint: Fingerprint::of(&certificate),
            certificate: DtlsCertificate { certificate, private_key: pkcs8.as_bytes().to_vec() },
        }
    }

    /// The SHA-256 of the certificate, for SDP (RFC 8122 §5).
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

/// A P-256 key of the secret: the first number that is one.
fn private_key(secret: &[u8]) -> p256::SecretKey {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let numbers = (0u32..).map(|attempt| {
        let mut context = hmac::Context::with_key(&key);
        context.update(b"certificate");
        context.update(&attempt.to_be_bytes());
        p256::SecretKey::from_slice(context.sign().as_ref())
    });
    numbers.flatten().next().expect("all but one number in 2^32 are keys")
}

/// The association cannot be used any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failed;

/// What became of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    Handled,
    /// A record in it cannot be decrypted. Nothing of the datagram was used, and the handshake goes
    /// on.
    Discarded,
}

/// One handshake as the server, and for a while what is left of it.
pub(crate) struct Association {
    dtls: Dtls,
    /// When `handle_timeout` is due.
    due: Instant,
    /// Of the certificate whose key the peer proved to hold, once `finished` is set.
    peer: Option<Fingerprint>,
    keys: Option<SrtpKeys>,
    finished: Option<Instant>,
}

impl Association {
    /// For the client whose first datagram this is, which is still to be given to
    /// `handle_datagram`. AES-GCM costs half of what AES_CM_128_HMAC_SHA1_80 costs a packet, so a
    /// client that gets it by 1.2 only is answered with 1.2.
    pub fn new(now: Instant, identity: &Identity, first: &[u8]) -> Association {
        let new = if hello::gets_gcm_by_1_2_only(first) { Dtls::new_12 } else { Dtls::new_auto };
        let dtls = new(Arc::clone(&identity.config), identity.certificate.clone(), now);
        Association { dtls, due: now + HANDSHAKE_LIMIT, peer: None, keys: None, finished: None }
    }

    /// Takes one datagram that `is_sound`; `send` gets those that answer it.
    ///
    /// # Errors
    /// The handshake failed: the association must be dropped.
    pub fn handle_datagram(
        &mut self,
        now: Instant,
        datagram: &[u8],
        send: impl FnMut(&[u8]),
    ) -> Result<Taken, Failed> {
        self.dtls.handle_timeout(now).map_err(|_| Failed)?;
        let taken = match self.dtls.handle_packet(datagram) {
            Ok(()) => Taken::Handled,
            // `dimpl` says so before the datagram changes anything but its buffers.
            Err(Error::CryptoError(CryptoError::OperationFailed(CryptoOperation::Decrypt))) => {
                Taken::Discarded
            }
            Err(_) => return Err(Failed),
        };
        self.drain(now, send)?;
        Ok(taken)
    }

    /// Repeats what was lost.
    ///
    /// # Errors
    /// The handshake took too long: the association must be dropped.
    pub fn handle_timeout(&mut self, now: Instant, send: impl FnMut(&[u8])) -> Result<(), Failed> {
        self.dtls.handle_timeout(now).map_err(|_| Failed)?;
        self.drain(now, send)
    }

    fn drain(&mut self, now: Instant, mut send: impl FnMut(&[u8])) -> Result<(), Failed> {
        let mut record = [0; RECORD_LEN];
        loop {
            match self.dtls.poll_output(&mut record) {
                Output::Packet(datagram) => send(datagram),
                Output::PeerCert(certificate) => self.peer = Some(Fingerprint::of(certificate)),
                Output::KeyingMaterial(material, profile) => {
                    self.keys = Some(srtp_keys(material, profile).ok_or(Failed)?)
                }
                Output::Connected => self.finished = Some(now),
                Output::Timeout(due) => {
                    self.due = due;
                    break;
                }
                Output::BufferTooSmall { .. } => return Err(Failed),
                // There is no data channel, and the end of a call is told by SIP.
                _ => {}
            }
        }
        // RFC 5764 §4.1: without a common profile there is no media.
        if self.finished.is_some() && (self.keys.is_none() || self.peer.is_none()) {
            Err(Failed)
        } else {
            Ok(())
        }
    }

    /// When `handle_timeout` is due.
    pub fn due(&self) -> Instant {
        self.due
    }

    /// Whether the association has answered the peer's repetitions for long enough.
    pub fn is_over(&self, now: Instant) -> bool {
        self.finished.is_some_and(|finished| now.saturating_duration_since(finished) >= LINGER)
    }

    /// The peer's certificate and the keys once the handshake is done.
    pub fn outcome(&self) -> Option<(Fingerprint, &SrtpKeys)> {
        self.finished?;
        Some((self.peer?, self.keys.as_ref()?))
    }
}

/// RFC 5764 §4.2: the client's key, the server's, the client's salt, the server's.
fn srtp_keys(material: KeyingMaterial, profile: SrtpProfile) -> Option<SrtpKeys> {
    let suite = match profile {
        SrtpProfile::AEAD_AES_128_GCM => Suite::AeadAes128Gcm,
        SrtpProfile::AEAD_AES_256_GCM => Suite::AeadAes256Gcm,
        SrtpProfile::AES128_CM_SHA1_80 => Suite::AesCm128HmacSha1_80,
        _ => return None,
    };
    let (keys, salts) = material.split_at_checked(2 * suite.key_len())?;
    let (client_key, server_key) = keys.split_at(suite.key_len());
    let (client_salt, server_salt) = salts.split_at_checked(suite.salt_len())?;
    let join = |key: &[u8], salt: &[u8]| Keys::new(suite, &Zeroizing::new([key, salt].concat()));
    Some(SrtpKeys {
        outbound: join(server_key, server_salt)?,
        inbound: join(client_key, client_salt)?,
        mki: None,
    })
}

#[cfg(test)]
mod tests;
