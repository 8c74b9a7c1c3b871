//! Secrets: API keys (minted here, stored as a hash), recoverable secrets sealed under the master
//! key (AES-256-GCM, NIST SP 800-38D), and the files that hold the master key and the admin token.
//! Who may use a key is `auth`'s.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use call_words::{AccountId, AgentName};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Deserializer};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use storage::{KeyClass, KeyHash, Sealed};

/// Random bytes of an API key; 256 bits leave nothing to guess.
const KEY_LEN: usize = 32;
/// Random bytes of a webhook signing secret; Standard Webhooks asks for 24 to 64.
const SIGNING_SECRET_LEN: usize = 24;
/// Characters of a clear key that stay readable, so that people can tell keys apart.
const SHOWN_PREFIX_LEN: usize = 10;
/// Bytes of an agent's opaque name.
const AGENT_NAME_LEN: usize = 16;
/// Shortest API key that may be given rather than minted.
pub const MIN_KEY_CHARS: usize = 24;

/// Why a secret cannot be read or opened.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("{path}: {error}")]
    File { path: String, error: std::io::Error },
    #[error("{path}: readable by others (mode {mode:03o}); allowed is 600")]
    Exposed { path: String, mode: u32 },
    #[error("{path}: not a master key of 64 hexadecimal digits")]
    NotAKey { path: String },
    #[error("{path}: the token is empty")]
    EmptyToken { path: String },
    #[error(
        "a stored secret cannot be opened: it was sealed under another master key or for another \
            purpose"
    )]
    Unsealable,
}

/// A text that is never printed; whoever needs it calls [`Secret::expose`].
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret in clear, for where it must go.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether both are the same, in a time that depends on neither.
    pub fn matches(&self, other: &str) -> bool {
        let (mine, theirs) = (hash(&self.0).0, hash(other).0);
        mine.iter().zip(theirs).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Secret)
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).expect("the kernel gives random bytes");
    bytes
}

/// What a key of this class begins with, so that its sensitivity can be seen.
pub fn class_prefix(class: KeyClass) -> &'static str {
    match class {
        KeyClass::Browser => "cdb_",
        KeyClass::Server => "cds_",
        KeyClass::Admin => "cda_",
    }
}

/// A fresh API key of 256 random bits.
pub fn mint_key(class: KeyClass) -> Secret {
    Secret(format!("{}{}", class_prefix(class), URL_SAFE_NO_PAD.encode(random::<KEY_LEN>())))
}

/// A fresh password or the secret part of a session, of 256 random bits, safe in headers and in
/// SIP.
pub fn mint_password() -> Secret {
    Secret(URL_SAFE_NO_PAD.encode(random::<KEY_LEN>()))
}

/// A fresh signing secret in the text form of Standard Webhooks.
pub fn mint_signing_secret() -> Secret {
    Secret(format!("whsec_{}", STANDARD.encode(random::<SIGNING_SECRET_LEN>())))
}

/// What is stored of a key and what it is looked up by. The keys are random, so a plain hash cannot
/// be searched.
pub fn hash(clear_key: &str) -> KeyHash {
    let digest = ring::digest::digest(&ring::digest::SHA256, clear_key.as_bytes());
    KeyHash(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
}

/// The first characters of a key, which may be shown.
pub fn shown_prefix(clear_key: &Secret) -> String {
    clear_key.0.chars().take(SHOWN_PREFIX_LEN).collect()
}

/// What a sealed secret is for. Sealed for one purpose, it cannot be opened for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    TrunkPassword,
    CallbackHeader,
    SigningSecret,
    /// What a launch link asked for, on its way through the browser.
    LaunchToken,
}

impl Purpose {
    fn associated_data(self) -> Aad<&'static [u8]> {
        Aad::from(match self {
            Purpose::TrunkPassword => b"trunk_password",
            Purpose::CallbackHeader => b"callback_header",
            Purpose::SigningSecret => b"signing_secret",
            Purpose::LaunchToken => b"launch_token",
        })
    }
}

/// The secrets of the process.
pub struct Secrets {
    pub master_key: Arc<MasterKey>,
    /// Opens the admin API.
    pub admin_token: Secret,
}

/// Seals and opens recoverable secrets under the master key, and makes names that nobody else can
/// make.
pub struct MasterKey {
    seal: LessSafeKey,
    names: hmac::Key,
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

impl MasterKey {
    pub fn new(bytes: [u8; 32]) -> Self {
        let seal = LessSafeKey::new(
            UnboundKey::new(&AES_256_GCM, &bytes).expect("AES-256 takes 32 bytes"),
        );
        // A key of its own for each use of the master key.
        let names = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &bytes), b"names of agents");
        Self { seal, names: hmac::Key::new(hmac::HMAC_SHA256, names.as_ref()) }
    }

    /// What an agent of an account is called towards the edge and in browsers: letters and digits,
    /// the same at all times, and telling nothing of the agent.
    pub fn agent_name(&self, account_id: &AccountId, crm_username: &str) -> AgentName {
        let mut text = (account_id.as_str().len() as u64).to_be_bytes().to_vec();
        text.extend_from_slice(account_id.as_bytes());
        text.extend_from_slice(crm_username.as_bytes());
        format!("a{}", hex(&hmac::sign(&self.names, &text).as_ref()[..AGENT_NAME_LEN])).into()
    }

    /// Reads the key's file; writes one with a fresh key (mode 0600) if there is none.
    pub fn load_or_create(path: &Path) -> Result<Self, SecretError> {
        let text = load_or_create(path, || hex(&random::<32>()))?;
        let bytes = from_hex(text.trim())
            .ok_or_else(|| SecretError::NotAKey { path: path.display().to_string() })?;
        Ok(Self::new(bytes))
    }

    /// A random nonce, the ciphertext and its tag.
    pub fn seal(&self, purpose: Purpose, secret: &Secret) -> Sealed {
        let nonce = random::<NONCE_LEN>();
        let mut bytes = secret.0.clone().into_bytes();
        self.seal
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                purpose.associated_data(),
                &mut bytes,
            )
            .expect("secrets are far shorter than the limit of AES-GCM");
        bytes.splice(0..0, nonce);
        Sealed(bytes)
    }

    /// Opens what was sealed for this purpose.
    pub fn open(&self, purpose: Purpose, sealed: &Sealed) -> Result<Secret, SecretError> {
        let (nonce, ciphertext) =
            sealed.0.split_first_chunk::<NONCE_LEN>().ok_or(SecretError::Unsealable)?;
        let mut bytes = ciphertext.to_vec();
        let clear = self.seal.open_in_place(
            Nonce::assume_unique_for_key(*nonce),
            purpose.associated_data(),
            &mut bytes,
        );
        let clear = clear.map_err(|_| SecretError::Unsealable)?;
        String::from_utf8(clear.to_vec()).map(Secret).map_err(|_| SecretError::Unsealable)
    }
}

/// Reads the file of the admin API's bearer token; writes one with a fresh token (mode 0600) if
/// there is none.
pub fn load_or_create_admin_token(path: &Path) -> Result<Secret, SecretError> {
    let text = load_or_create(path, || mint_key(KeyClass::Admin).0)?;
    match text.trim() {
        "" => Err(SecretError::EmptyToken { path: path.display().to_string() }),
        token => Ok(Secret::new(token)),
    }
}

fn load_or_create(path: &Path, fresh: impl FnOnce() -> String) -> Result<String, SecretError> {
    let failed = |error| SecretError::File { path: path.display().to_string(), error };
    match std::fs::read_to_string(path) {
        Ok(text) => {
            let mode = std::fs::metadata(path).map_err(failed)?.permissions().mode() & 0o777;
            if mode & 0o077 != 0 {
                return Err(SecretError::Exposed { path: path.display().to_string(), mode });
            }
            Ok(text)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder).map_err(failed)?;
            }
            let text = fresh();
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)
                .map_err(failed)?;
            writeln!(file, "{text}").and_then(|()| file.sync_all()).map_err(failed)?;
            Ok(text)
        }
        Err(error) => Err(failed(error)),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> = text
        .chars()
        .map(|digit| digit.to_digit(16).map(|value| value as u8))
        .collect::<Option<_>>()?;
    let bytes: Vec<u8> =
        digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
    if digits.len() == 64 { bytes.try_into().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str) -> std::path::PathBuf {
        let folder =
            std::env::temp_dir().join(format!("control-api-secret-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        folder
    }

    #[test]
    fn minted_keys_differ_and_show_their_class() {
        for (class, prefix) in
            [(KeyClass::Browser, "cdb_"), (KeyClass::Server, "cds_"), (KeyClass::Admin, "cda_")]
        {
            let (one, other) = (mint_key(class), mint_key(class));
            assert_ne!(one, other);
            assert!(one.expose().starts_with(prefix));
            assert_eq!(one.expose().len(), 4 + 43);
            assert!(
                one.expose()
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte)),
                "safe in a URL"
            );
            assert!(
                one.expose().starts_with(&shown_prefix(&one)) && shown_prefix(&one).len() == 10
            );
        }
    }

    #[test]
    fn the_hash_is_plain_sha_256() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hex(&hash("abc").0), expected);
    }

    #[test]
    fn comparison_is_exact() {
        let secret = Secret::new("cda_abc");
        for (other, same) in [
            ("cda_abc", true),
            ("cda_abd", false),
            ("cda_ab", false),
            ("cda_abc ", false),
            ("", false),
        ] {
            assert_eq!(secret.matches(other), same, "{other:?}");
        }
    }

    #[test]
    fn sealed_secrets_open_only_with_their_key_and_purpose() {
        let key = MasterKey::new([7; 32]);
        for text in ["", "p", "Bearer tökën with spaces ", &"x".repeat(4_000)] {
            let sealed = key.seal(Purpose::TrunkPassword, &Secret::new(text));
            assert_eq!(key.open(Purpose::TrunkPassword, &sealed).unwrap().expose(), text);
            // A single letter may be among the random bytes.
            assert!(
                text.len() < 8
                    || !sealed.0.windows(text.len()).any(|window| window == text.as_bytes())
            );
            assert!(key.open(Purpose::CallbackHeader, &sealed).is_err());
            assert!(MasterKey::new([8; 32]).open(Purpose::TrunkPassword, &sealed).is_err());
            for at in 0..sealed.0.len().min(64) {
                let mut changed = sealed.clone();
                changed.0[at] ^= 1;
                assert!(key.open(Purpose::TrunkPassword, &changed).is_err(), "byte {at}");
            }
        }
        let secret = Secret::new("same");
        assert_ne!(
            key.seal(Purpose::SigningSecret, &secret),
            key.seal(Purpose::SigningSecret, &secret)
        );
        for len in 0..32 {
            assert!(key.open(Purpose::SigningSecret, &Sealed(vec![0; len])).is_err());
        }
    }

    // S05
    #[test]
    fn agents_names_are_stable_and_apart() {
        let key = MasterKey::new([7; 32]);
        let name = key.agent_name(&"acme".into(), "agent.017");
        assert_eq!(name, MasterKey::new([7; 32]).agent_name(&"acme".into(), "agent.017"));
        assert!(
            name.as_str().len() == 33
                && name.as_str().bytes().all(|byte| byte.is_ascii_alphanumeric()),
            "{name}"
        );
        for (account, agent) in [
            ("acme", "Agent.017"),
            ("acmea", "gent.017"),
            ("other", "agent.017"),
            ("acme", "agent.017 "),
        ] {
            assert_ne!(key.agent_name(&account.into(), agent), name, "{account} {agent}");
        }
        assert_ne!(MasterKey::new([8; 32]).agent_name(&"acme".into(), "agent.017"), name);
    }

    #[test]
    fn debug_shows_no_secret() {
        let shown = format!("{:?} {:?}", Secret::new("hush"), MasterKey::new([7; 32]));
        assert_eq!(shown, "Secret(..) MasterKey(..)");
    }

    #[test]
    fn files_are_made_once_for_the_owner_alone() {
        let folder = folder("files");
        let (key_file, token_file) = (folder.join("a/secret.key"), folder.join("admin.token"));
        let sealed = MasterKey::load_or_create(&key_file)
            .unwrap()
            .seal(Purpose::TrunkPassword, &Secret::new("p"));
        let again = MasterKey::load_or_create(&key_file).unwrap();
        assert_eq!(again.open(Purpose::TrunkPassword, &sealed).unwrap().expose(), "p");
        let token = load_or_create_admin_token(&token_file).unwrap();
        assert_eq!(load_or_create_admin_token(&token_file).unwrap(), token);
        for file in [&key_file, &token_file] {
            assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
            std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o640)).unwrap();
        }
        assert!(matches!(
            MasterKey::load_or_create(&key_file),
            Err(SecretError::Exposed { mode: 0o640, .. })
        ));
        assert!(matches!(
            load_or_create_admin_token(&token_file),
            Err(SecretError::Exposed { .. })
        ));
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn damaged_key_files_are_refused() {
        let folder = folder("damaged");
        std::fs::create_dir_all(&folder).unwrap();
        for (name, text) in [
            ("short", "00ff"),
            ("long", &"0".repeat(66)),
            ("odd", &"0".repeat(63)),
            ("words", &"z".repeat(64)),
        ] {
            let path = folder.join(name);
            OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&path)
                .unwrap()
                .write_all(text.as_bytes())
                .unwrap();
            assert!(
                matches!(MasterKey::load_or_create(&path), Err(SecretError::NotAKey { .. })),
                "{name}"
            );
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
