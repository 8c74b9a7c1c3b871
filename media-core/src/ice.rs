//! ICE as a lite agent with one candidate (RFC 8445): our names and passwords, which checks are the
//! peer's, and which of its addresses they choose. It never sends checks, and it knows no sockets.

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ring::hmac;

use crate::drops::DropReason;
use crate::prefetch::prefetch;
use crate::stun::{Answer, Request, TransactionId};

/// Characters of ICE names and passwords (RFC 8839 §5.4).
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// Characters of a name: the leg's index, then what makes it differ from the index's other uses
/// (RFC 8445 §5.3: at least 24 bits).
const UFRAG_LEN: usize = 12;
const INDEX_LEN: usize = 4;
/// Characters of a password, six bits each (RFC 8445 §5.3: at least 128 bits).
const PASSWORD_LEN: usize = 24;

/// A name and password of our side. The name begins with the leg's index, so that a check finds its
/// leg without a table.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Credentials {
    ufrag: [u8; UFRAG_LEN],
    password: [u8; PASSWORD_LEN],
}

impl Credentials {
    /// The name, which SDP and each check tell.
    pub fn ufrag(&self) -> &str {
        std::str::from_utf8(&self.ufrag).expect("the alphabet is ASCII")
    }

    /// The password, which SDP tells.
    pub fn password(&self) -> &str {
        std::str::from_utf8(&self.password).expect("the alphabet is ASCII")
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Credentials").field("ufrag", &self.ufrag()).finish_non_exhaustive()
    }
}

/// Makes credentials from the shard's secret; no two are equal.
pub(crate) struct Mint {
    key: hmac::Key,
    made: u64,
}

impl Mint {
    pub fn new(secret: &[u8]) -> Mint {
        Mint { key: hmac::Key::new(hmac::HMAC_SHA256, secret), made: 0 }
    }

    /// New credentials for the leg with this index.
    pub fn credentials(&mut self, index: u32) -> Credentials {
        self.made += 1;
        let mut context = hmac::Context::with_key(&self.key);
        context.update(b"ice");
        context.update(&self.made.to_be_bytes());
        let tag = context.sign();
        let mut random = tag.as_ref().iter().map(|byte| ALPHABET[usize::from(byte & 63)]);
        let mut made = Credentials { ufrag: [0; UFRAG_LEN], password: [0; PASSWORD_LEN] };
        for (place, letter) in made.ufrag[..INDEX_LEN].iter_mut().enumerate() {
            *letter = ALPHABET[(index >> (6 * place)) as usize & 63];
        }
        let letters = made.ufrag[INDEX_LEN..].iter_mut().chain(&mut made.password);
        letters.for_each(|letter| *letter = random.next().expect("a tag has 32 bytes"));
        made
    }
}

/// The index with which a name of ours begins; `None` if it has not a name's form.
fn leg_index(ufrag: &[u8]) -> Option<u32> {
    let name: &[u8; UFRAG_LEN] = ufrag.try_into().ok()?;
    name[..INDEX_LEN].iter().rev().try_fold(0, |index, letter| {
        let value = ALPHABET.iter().position(|known| known == letter)?;
        Some(index << 6 | value as u32)
    })
}

/// Time without a check after which the peer no longer agrees to be sent to (RFC 7675 §5.1 with its
/// 30 s; browsers check each 2.5 s). Deviates: we take the peer's checks for its consent, because
/// an ICE-lite agent sends none of its own.
pub(crate) const CONSENT: Duration = Duration::from_secs(15);
/// Addresses of one peer that media may come from; a new one replaces the one that was checked
/// longest ago.
const SOURCE_COUNT: usize = 4;
/// Checks that are remembered, so that nobody else can send them again: those of half a minute.
const RECENT_COUNT: usize = 16;

/// Both sides' names since ICE began or began anew.
struct Generation {
    ours: Credentials,
    /// Known once the peer's description came.
    peer: Option<Box<str>>,
}

impl Generation {
    /// Whether a check is by this generation's peer (RFC 8445 §7.3: the receiver's name, a colon,
    /// the sender's).
    fn is_checked_by(&self, request: &Request<'_>) -> bool {
        let Some((ours, peer)) = split_username(request.username) else { return false };
        let names_us = ours == self.ours.ufrag().as_bytes();
        let names_peer = self.peer.as_ref().is_none_or(|known| known.as_bytes() == peer);
        names_us && names_peer && request.is_authentic(self.ours.password())
    }
}

/// The two names in a check.
fn split_username(username: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = username.iter().position(|letter| *letter == b':')?;
    Some((&username[..colon], &username[colon + 1..]))
}

/// The leg that a check is for.
pub(crate) fn leg_of(request: &Request<'_>) -> Option<u32> {
    leg_index(split_username(request.username)?.0)
}

/// An address of the peer.
#[derive(Debug, Clone, Copy)]
struct Source {
    address: SocketAddr,
    checked: Instant,
}

/// What a check is answered and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Checked {
    pub answer: Answer,
    /// The password that the answer is made with.
    pub ours: Credentials,
    /// The source is new among the peer's addresses.
    pub is_new: bool,
    /// The address that had to go for it.
    pub replaced: Option<SocketAddr>,
    /// The peer chose an address, for the first time or after its consent was lost.
    pub connected: bool,
}

/// The agent of one leg.
pub(crate) struct Agent {
    current: Generation,
    /// Still valid until the new names have chosen an address (RFC 8445 §9).
    previous: Option<Generation>,
    next: Credentials,
    sources: [Option<Source>; SOURCE_COUNT],
    /// Where to send: the nominated address, before that the first one.
    selected: Option<SocketAddr>,
    is_nominated: bool,
    last_check: Option<Instant>,
    recent: [TransactionId; RECENT_COUNT],
    check_count: usize,
}

impl Agent {
    pub fn new(index: u32, mint: &mut Mint) -> Agent {
        Agent {
            current: Generation { ours: mint.credentials(index), peer: None },
            previous: None,
            next: mint.credentials(index),
            sources: [None; SOURCE_COUNT],
            selected: None,
            is_nominated: false,
            last_check: None,
            recent: [[0; 12]; RECENT_COUNT],
            check_count: 0,
        }
    }

    /// What the peer's checks must carry now (RFC 8445 §7.2.2).
    pub fn credentials(&self) -> Credentials {
        self.current.ours
    }

    /// What they must carry after the next restart (RFC 8445 §9).
    pub fn next_credentials(&self) -> Credentials {
        self.next
    }

    /// The peer's user fragment, once it is known.
    pub fn peer_ufrag(&self) -> Option<&str> {
        self.current.peer.as_deref()
    }

    /// Where to send.
    pub fn selected(&self) -> Option<SocketAddr> {
        self.selected
    }

    /// Asks for the memory of `selected`.
    pub fn prefetch_selected(&self) {
        prefetch(&self.selected);
    }

    /// Takes the peer's name; another one than before restarts ICE (RFC 8445 §9).
    pub fn set_peer(&mut self, ufrag: &str, index: u32, mint: &mut Mint) {
        match &self.current.peer {
            Some(known) if **known == *ufrag => {}
            None => self.current.peer = Some(ufrag.into()),
            Some(_) => {
                let restarted = Generation { ours: self.next, peer: Some(ufrag.into()) };
                self.next = mint.credentials(index);
                self.previous = Some(std::mem::replace(&mut self.current, restarted));
            }
        }
    }

    /// Judges a check that came from `source`.
    ///
    /// # Errors
    /// It is not by the peer, or a copy of an earlier check from elsewhere. Deviates: there is no
    /// answer then (RFC 8489 §9.1.3), because nobody should make this socket send to an address
    /// that is not its own.
    pub fn check(
        &mut self,
        now: Instant,
        request: &Request<'_>,
        source: SocketAddr,
    ) -> Result<Checked, DropReason> {
        let is_current = self.current.is_checked_by(request);
        let previous = self
            .previous
            .as_ref()
            .filter(|previous| !is_current && previous.is_checked_by(request));
        let ours = match previous {
            Some(previous) => previous.ours,
            None if is_current => self.current.ours,
            None => return Err(DropReason::StunUnauthentic),
        };
        let place = self
            .sources
            .iter()
            .position(|known| known.is_some_and(|known| known.address == source));
        if place.is_none() && self.recent.contains(&request.transaction) && self.check_count > 0 {
            return Err(DropReason::StunReplayed);
        }
        self.recent[self.check_count % RECENT_COUNT] = request.transaction;
        self.check_count += 1;
        let mut checked = Checked {
            answer: Answer::Success,
            ours,
            is_new: false,
            replaced: None,
            connected: false,
        };
        if !request.unknown.is_empty() {
            checked.answer = Answer::UnknownAttributes(request.unknown);
            return Ok(checked);
        }
        if request.is_controlled {
            checked.answer = Answer::RoleConflict;
            return Ok(checked);
        }
        self.last_check = Some(now);
        let known = Some(Source { address: source, checked: now });
        match place {
            Some(place) => self.sources[place] = known,
            None => {
                checked.is_new = true;
                let place = self.oldest_place();
                checked.replaced = self.sources[place].map(|replaced| replaced.address);
                self.sources[place] = known;
            }
        }
        if request.nominates && (is_current || !self.is_nominated) {
            checked.connected = !self.is_nominated;
            self.is_nominated = true;
            self.selected = Some(source);
            if is_current {
                self.previous = None;
            }
        }
        self.selected.get_or_insert(source);
        Ok(checked)
    }

    /// An empty place, or that of the address that was checked longest ago and is not selected.
    fn oldest_place(&self) -> usize {
        let is_free = |place: &usize| {
            self.sources[*place].is_none_or(|source| Some(source.address) != self.selected)
        };
        let places = (0..SOURCE_COUNT).filter(is_free);
        places
            .min_by_key(|place| self.sources[*place].map(|source| source.checked))
            .expect("at most one address is selected")
    }

    /// Whether the peer's consent is over now; its addresses are forgotten, given to `forget`.
    pub fn expire(&mut self, now: Instant, mut forget: impl FnMut(SocketAddr)) -> bool {
        if self.last_check.is_none_or(|last| now.saturating_duration_since(last) < CONSENT) {
            return false;
        }
        self.last_check = None;
        self.is_nominated = false;
        self.selected = None;
        self.sources.iter_mut().filter_map(Option::take).for_each(|source| forget(source.address));
        true
    }

    /// Takes an address away, because it became another leg's.
    pub fn lose(&mut self, address: SocketAddr) {
        for source in &mut self.sources {
            source.take_if(|source| source.address == address);
        }
        self.selected.take_if(|selected| *selected == address);
    }

    /// When the peer's last check came, while its consent holds.
    pub fn checked_at(&self) -> Option<Instant> {
        self.last_check
    }

    /// The peer's addresses.
    pub fn sources(&self) -> impl Iterator<Item = SocketAddr> {
        self.sources.iter().flatten().map(|source| source.address)
    }
}

#[cfg(test)]
mod tests;
