//! The session timer of a dialog (RFC 4028): who refreshes it, how and when a refresh of ours is
//! due, and until when the peer's is waited for.
//! Deviates: a peer that was to refresh and did not gets a refresh of ours before it is hung up
//! (§10): one that is gone does not answer it, and one that only forgot is not cut off.

use crate::message::{HasHeaders, Header, Method, SessionExpires, View, header};
use std::time::{Duration, Instant};

/// Shortest interval that is kept; RFC 4028 §4 knows none below 90 s, but who asks for less ends
/// the call after less.
const MIN_INTERVAL: Duration = Duration::from_secs(10);
/// Seconds of the shortest interval that a request may ask us for (§5).
const MIN_SE: u32 = 90;
/// How long before the end of the interval a refresh of the peer is given up (§10).
const MARGIN: Duration = Duration::from_secs(32);
/// Most 422s that raise the interval of one INVITE.
const MAX_RAISE_COUNT: u8 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refresher {
    Ours,
    Theirs,
}

/// Whether the peer's own refreshes are waited for; a softphone's presence is watched otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Watch {
    #[default]
    Peer,
    Nobody,
}

/// One dialog's timer; off until the peer asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SessionTimer {
    session: Option<(Duration, Refresher)>,
    due: Option<Instant>,
    /// Seconds of the largest Min-SE of a 422, which each request says from then on (§7.4).
    min_se: Option<u32>,
    raise_count: u8,
    /// The peer's Allow lists UPDATE.
    is_update_served: bool,
    watch: Watch,
}

impl SessionTimer {
    pub fn new(watch: Watch) -> SessionTimer {
        SessionTimer { watch, ..SessionTimer::default() }
    }

    /// Takes what a message of the peer says of the methods that it serves.
    pub fn note_methods<M: HasHeaders>(&mut self, message: &M) {
        if message.value("Allow").is_some() {
            self.is_update_served = message.allows("UPDATE");
        }
    }

    /// The peer has refused an UPDATE as such.
    pub fn note_refused_update(&mut self, now: Instant) {
        self.is_update_served = false;
        self.due = Some(now);
    }

    /// What a refresh is sent by: UPDATE where the peer serves it (§7.4).
    pub fn method(&self) -> Method {
        if self.is_update_served { Method::Update } else { Method::Invite }
    }

    /// Takes the 2xx to our INVITE, re-INVITE or UPDATE: unless it names the peer as the refresher,
    /// we are (§7.2). One that names no interval leaves the last one.
    pub fn take_answer(&mut self, now: Instant, response: &impl HasHeaders) {
        match response.session_expires() {
            Some(SessionExpires { interval, refresher }) => {
                let is_theirs = refresher.is_some_and(|each| each.eq_ignore_ascii_case("uas"));
                let refresher = if is_theirs { Refresher::Theirs } else { Refresher::Ours };
                self.start(now, interval, refresher);
            }
            None => self.wait(now),
        }
    }

    /// Takes the peer's own refresh, or its wish that we refresh, and gives the headers of our 2xx
    /// (§9): who does not say that it can refresh leaves it to us.
    pub fn take_request(&mut self, now: Instant, request: &impl HasHeaders) -> Vec<Header> {
        let Some(SessionExpires { interval, refresher }) = request.session_expires() else {
            self.wait(now);
            return Vec::new();
        };
        let is_able = request.supports("timer") || request.requires("timer");
        let is_wished = refresher.is_some_and(|refresher| refresher.eq_ignore_ascii_case("uas"));
        let is_ours = is_wished || !is_able;
        self.start(now, interval, if is_ours { Refresher::Ours } else { Refresher::Theirs });
        let expires = header(
            "Session-Expires",
            format!("{interval};refresher={}", if is_ours { "uas" } else { "uac" }),
        );
        if is_ours { vec![expires] } else { vec![header("Require", "timer"), expires] }
    }

    /// The Min-SE of the 422 that a request gets which asks for too short an interval and whose
    /// sender can ask again (§9).
    pub fn refusal(request: &impl HasHeaders) -> Option<Header> {
        let expires = request.session_expires().filter(|expires| expires.interval < MIN_SE)?;
        (expires.interval > 0 && request.supports("timer"))
            .then(|| header("Min-SE", MIN_SE.to_string()))
    }

    /// Takes the 422 to a request of ours: the peer's shortest interval holds from now on (§7.4).
    /// `false` if asking again would be of no use.
    pub fn take_refusal(&mut self, now: Instant, response: &impl HasHeaders) -> bool {
        let Some(min) = response.min_se().filter(|min| Some(*min) > self.min_se) else {
            return false;
        };
        if self.raise_count >= MAX_RAISE_COUNT {
            return false;
        }
        self.raise_count += 1;
        self.min_se = Some(min);
        let min = Duration::from_secs(min.into());
        let (interval, refresher) = self.session.unwrap_or((min, Refresher::Ours));
        self.session = Some((interval.max(min), refresher));
        self.due = Some(now);
        true
    }

    fn start(&mut self, now: Instant, interval: u32, refresher: Refresher) {
        let interval = Duration::from_secs(interval.into()).max(MIN_INTERVAL);
        self.session = Some((interval, refresher));
        self.wait(now);
    }

    /// The session is refreshed: the next time begins.
    fn wait(&mut self, now: Instant) {
        self.due = match (self.session, self.watch) {
            (Some((interval, Refresher::Ours)), _) => Some(now + interval / 2),
            (Some((interval, Refresher::Theirs)), Watch::Peer) => {
                Some(now + interval - MARGIN.min(interval / 3))
            }
            _ => None,
        };
    }

    /// What a re-INVITE or UPDATE of ours says.
    pub fn headers(&self) -> Vec<Header> {
        let expires = self.session.map(|(interval, refresher)| {
            let refresher = if refresher == Refresher::Ours { "uac" } else { "uas" };
            header("Session-Expires", format!("{};refresher={refresher}", interval.as_secs()))
        });
        let min_se = self.min_se.map(|min| header("Min-SE", min.to_string()));
        expires.into_iter().chain(min_se).collect()
    }

    /// Whether a refresh is to be sent; the next is due before the interval is over if this one
    /// comes to nothing. Where the peer has left its own out, the refreshes are ours from then on.
    pub fn take_due(&mut self, now: Instant) -> bool {
        let is_due = self.due.is_some_and(|due| due <= now);
        if is_due {
            self.due = self.session.as_mut().map(|(interval, refresher)| {
                *refresher = Refresher::Ours;
                now + *interval / 4
            });
        }
        is_due
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }
}
