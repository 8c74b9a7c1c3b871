//! The client's side of digest authentication (RFC 3261 §22, RFC 7616, RFC 8760): from a 401's or
//! 407's challenge to the credentials. MD5 and SHA-256 with qop `auth` or none. The client nonce
//! and the nonce count come from the caller; nothing is kept here. The server's side is `proof`.

mod proof;

pub use proof::{Proof, ProofError, challenges};

use md5::Md5;
use sha2::{Digest as _, Sha256};

use crate::message::{Header, Method, Response, View, grammar, header};

/// What proves who we are to a trunk.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    pub username: &'a str,
    pub password: &'a str,
}

/// The hash of RFC 8760.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    Md5,
    Md5Sess,
    Sha256,
    Sha256Sess,
}

/// Why a response cannot be answered with credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ChallengeError {
    #[error("no challenge in the response")]
    Missing,
    #[error("malformed challenge")]
    Malformed,
    #[error("no challenge with a known scheme, algorithm and quality of protection")]
    Unsupported,
}

/// One digest challenge that we can answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Algorithm,
    /// As written, to be echoed; absent means MD5 and nothing is echoed.
    algorithm_text: Option<String>,
    has_qop: bool,
    is_stale: bool,
    is_proxy: bool,
}

impl Challenge {
    /// Reads a 401's or 407's challenges and takes the topmost one that can be answered: the
    /// server's order is its preference (RFC 8760 §2.4).
    pub fn from_response(response: &Response) -> Result<Self, ChallengeError> {
        let mut error = ChallengeError::Missing;
        let www = response.values("WWW-Authenticate").map(|value| (value, false));
        let proxy = response.values("Proxy-Authenticate").map(|value| (value, true));
        for (value, is_proxy) in www.chain(proxy) {
            match Self::parse(value, is_proxy) {
                Ok(challenge) => return Ok(challenge),
                Err(each) => error = each,
            }
        }
        Err(error)
    }

    fn parse(value: &str, is_proxy: bool) -> Result<Self, ChallengeError> {
        let (scheme, params) = value.split_once([' ', '\t']).ok_or(ChallengeError::Malformed)?;
        if !scheme.eq_ignore_ascii_case("Digest") {
            return Err(ChallengeError::Unsupported);
        }
        let (mut realm, mut nonce, mut opaque, mut algorithm_text, mut qop, mut is_stale) =
            (None, None, None, None, None, false);
        for (name, value) in loose_parameters(params) {
            match name.as_str() {
                "realm" => realm = Some(value),
                "nonce" => nonce = Some(value),
                "opaque" => opaque = Some(value),
                "algorithm" => algorithm_text = Some(value),
                "qop" => qop = Some(value),
                "stale" => is_stale = value.eq_ignore_ascii_case("true"),
                _ => {}
            }
        }
        let algorithm =
            Algorithm::parse(algorithm_text.as_deref()).ok_or(ChallengeError::Unsupported)?;
        let has_qop = match &qop {
            None => false,
            Some(offered)
                if offered
                    .split(',')
                    .any(|each| grammar::trim(each).eq_ignore_ascii_case("auth")) =>
            {
                true
            }
            Some(_) => return Err(ChallengeError::Unsupported),
        };
        let (Some(realm), Some(nonce)) = (realm, nonce) else {
            return Err(ChallengeError::Malformed);
        };
        Ok(Self { realm, nonce, opaque, algorithm, algorithm_text, has_qop, is_stale, is_proxy })
    }

    /// Whether only the nonce was too old: then the same credentials may be tried once more (RFC
    /// 7616 §3.3).
    pub fn is_stale(&self) -> bool {
        self.is_stale
    }

    /// Whether the challenge came from a proxy (407).
    pub fn is_proxy(&self) -> bool {
        self.is_proxy
    }

    /// The protection space (RFC 7616 §3.3).
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// The hash that it asks for.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The Authorization or Proxy-Authorization header of a request. `count` is how many requests
    /// have carried this nonce, this one included; `client_nonce` is fresh random text.
    pub fn authorize(
        &self,
        method: Method,
        uri: &str,
        credentials: Credentials<'_>,
        client_nonce: &str,
        count: u32,
    ) -> Header {
        let hash = |text: String| self.algorithm.hash(text.as_bytes());
        let mut ha1 =
            hash(format!("{}:{}:{}", credentials.username, self.realm, credentials.password));
        if self.algorithm_is_session() {
            ha1 = hash(format!("{ha1}:{}:{client_nonce}", self.nonce));
        }
        let ha2 = hash(format!("{method}:{uri}"));
        let proof = if self.has_qop {
            hash(format!("{ha1}:{}:{count:08x}:{client_nonce}:auth:{ha2}", self.nonce))
        } else {
            hash(format!("{ha1}:{}:{ha2}", self.nonce))
        };
        let mut value = format!(
            "Digest username={}, realm={}, nonce={}, uri=\"{uri}\", response=\"{proof}\"",
            quote(credentials.username),
            quote(&self.realm),
            quote(&self.nonce)
        );
        if let Some(algorithm) = &self.algorithm_text {
            value.push_str(&format!(", algorithm={algorithm}"));
        }
        if self.has_qop {
            // Neither qop nor nc is quoted here (RFC 7616 §3.4).
            value.push_str(&format!(", cnonce={}, qop=auth, nc={count:08x}", quote(client_nonce)));
        } else if self.algorithm_is_session() {
            value.push_str(&format!(", cnonce={}", quote(client_nonce)));
        }
        if let Some(opaque) = &self.opaque {
            value.push_str(&format!(", opaque={}", quote(opaque)));
        }
        header(if self.is_proxy { "Proxy-Authorization" } else { "Authorization" }, value)
    }

    fn algorithm_is_session(&self) -> bool {
        matches!(self.algorithm, Algorithm::Md5Sess | Algorithm::Sha256Sess)
    }
}

impl Algorithm {
    /// Absent means MD5 (RFC 7616 §3.3).
    fn parse(text: Option<&str>) -> Option<Self> {
        let Some(text) = text else { return Some(Self::Md5) };
        [
            ("MD5", Self::Md5),
            ("MD5-sess", Self::Md5Sess),
            ("SHA-256", Self::Sha256),
            ("SHA-256-sess", Self::Sha256Sess),
        ]
        .into_iter()
        .find_map(|(name, algorithm)| text.eq_ignore_ascii_case(name).then_some(algorithm))
    }

    /// The hash in lower-case hexadecimal digits.
    fn hash(self, bytes: &[u8]) -> String {
        match self {
            Self::Md5 | Self::Md5Sess => hex(&Md5::digest(bytes)),
            Self::Sha256 | Self::Sha256Sess => hex(&Sha256::digest(bytes)),
        }
    }
}

/// The `name=value` pairs of credentials, names in lower case, quotes undone; `None` when
/// malformed.
fn parameters(text: &str) -> Option<Vec<(String, String)>> {
    let pairs = grammar::split_list(text).filter(|param| !param.is_empty()).map(|param| {
        let (name, value) = param.split_once('=')?;
        let value = grammar::trim(value);
        let value = match grammar::quoted(value) {
            Some((inner, "")) => grammar::unescape(inner),
            None if grammar::is_token(value) => value.to_owned(),
            _ => return None,
        };
        Some((grammar::trim(name).to_ascii_lowercase(), value))
    });
    pairs.collect()
}

/// The same of a challenge that may be malformed: what is no pair is passed over, and a further
/// challenge behind a comma ends it.
fn loose_parameters(text: &str) -> impl Iterator<Item = (String, String)> {
    let pairs = grammar::split_loosely(text).filter_map(|param| param.split_once('='));
    let pairs = pairs.map(|(name, value)| (grammar::trim(name), grammar::trim(value)));
    pairs.take_while(|(name, _)| !name.contains([' ', '\t'])).map(|(name, value)| {
        let value = match grammar::quoted(value) {
            Some((inner, _)) => grammar::unescape(inner),
            None => value.trim_matches('"').to_owned(),
        };
        (name.to_ascii_lowercase(), value)
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        out.push_str(&format!("{byte:02x}"));
        out
    })
}

/// A `quoted-string` of the text.
fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        if c == '"' || c == '\\' {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests;
