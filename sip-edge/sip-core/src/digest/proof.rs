//! The server's side of digest authentication (RFC 3261 §22, RFC 7616, RFC 8760): challenges, and
//! the check of what answers them. Keeps no nonce: whether one is ours, fresh and used for the
//! first time is the caller's to know.

use super::{Algorithm, parameters, quote};
use crate::message::{Header, Method, Request, View, header};

/// Why a request's credentials cannot be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    #[error("no credentials for this realm")]
    Missing,
    #[error("malformed credentials")]
    Malformed,
    #[error("unknown scheme, algorithm or quality of protection")]
    Unsupported,
}

/// The credentials of one Authorization header, with qop `auth`.
#[derive(Clone, PartialEq, Eq)]
pub struct Proof {
    pub username: String,
    pub nonce: String,
    /// The digest's URI; it must name the request-URI's resource (RFC 7616 §3.4.6).
    pub uri: String,
    /// How many requests have carried this nonce, this one included.
    pub count: u32,
    realm: String,
    algorithm: Algorithm,
    count_text: String,
    client_nonce: String,
    response: String,
}

impl Proof {
    /// Reads the credentials for `realm`. A client without qop, which RFC 3261 §22.4 still allows,
    /// is not served: its answers can be replayed.
    pub fn of_request(request: &Request, realm: &str) -> Result<Self, ProofError> {
        let mut error = ProofError::Missing;
        for value in request.values("Authorization") {
            match Self::parse(value) {
                Ok(proof) if proof.realm == realm => return Ok(proof),
                Ok(_) => {}
                Err(each) => error = each,
            }
        }
        Err(error)
    }

    fn parse(value: &str) -> Result<Self, ProofError> {
        let (scheme, params) = value.split_once([' ', '\t']).ok_or(ProofError::Malformed)?;
        if !scheme.eq_ignore_ascii_case("Digest") {
            return Err(ProofError::Unsupported);
        }
        let params = parameters(params).ok_or(ProofError::Malformed)?;
        let find = |wanted: &str| {
            params.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone())
        };
        let need = |wanted| find(wanted).ok_or(ProofError::Malformed);
        let algorithm =
            Algorithm::parse(find("algorithm").as_deref()).ok_or(ProofError::Unsupported)?;
        if !matches!(algorithm, Algorithm::Md5 | Algorithm::Sha256)
            || find("qop").as_deref() != Some("auth")
        {
            return Err(ProofError::Unsupported);
        }
        let count_text = need("nc")?;
        let count = u32::from_str_radix(&count_text, 16).map_err(|_| ProofError::Malformed)?;
        Ok(Self {
            username: need("username")?,
            nonce: need("nonce")?,
            uri: need("uri")?,
            count,
            realm: need("realm")?,
            algorithm,
            count_text,
            client_nonce: need("cnonce")?,
            response: need("response")?,
        })
    }

    /// Whether the sender knows the password.
    pub fn proves(&self, method: Method, password: &str) -> bool {
        let hash = |text: String| self.algorithm.hash(text.as_bytes());
        let ha1 = hash(format!("{}:{}:{password}", self.username, self.realm));
        let ha2 = hash(format!("{method}:{}", self.uri));
        let expected = hash(format!(
            "{ha1}:{}:{}:{}:auth:{ha2}",
            self.nonce, self.count_text, self.client_nonce
        ));
        is_equal(expected.as_bytes(), self.response.to_ascii_lowercase().as_bytes())
    }
}

/// Compares in a time that does not tell where two texts of the same length differ.
fn is_equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

/// The WWW-Authenticate headers of a 401, the preferred algorithm first (RFC 8760 §2.4). MD5 stands
/// last because JsSIP keeps the last challenge and knows only MD5; the passwords are random, live
/// for minutes and go over TLS.
pub fn challenges(realm: &str, nonce: &str, is_stale: bool) -> [Header; 2] {
    let stale = if is_stale { ", stale=true" } else { "" };
    ["SHA-256", "MD5"].map(|algorithm| {
        let (realm, nonce) = (quote(realm), quote(nonce));
        header(
            "WWW-Authenticate",
            format!(
                "Digest realm={realm}, nonce={nonce}, algorithm={algorithm}, qop=\"auth\"{stale}"
            ),
        )
    })
}
