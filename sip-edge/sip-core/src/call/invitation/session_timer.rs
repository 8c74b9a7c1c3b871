//! The session timer of a dialog (RFC 4028): who refreshes it, and when our refresh is due.
//! Deviates: a peer that was to refresh and does not is not hung up (§10), because a dead peer is
//! noticed by the lack of its media.

use crate::message::{HasHeaders, Header, SessionExpires, View, header};
use std::time::{Duration, Instant};

/// Shortest interval that is kept; RFC 4028 §4 knows none below 90 s, but who asks for less ends
/// the call after less.
const MIN_INTERVAL: Duration = Duration::from_secs(10);

/// One dialog's timer; off until the peer asks for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SessionTimer {
    /// Set while the refreshes are ours.
    ours: Option<Duration>,
    due: Option<Instant>,
}

impl SessionTimer {
    /// Takes the 2xx to our INVITE or re-INVITE: unless it names the peer as the refresher, we are
    /// (§7.2). One that names no interval leaves the last one.
    pub fn take_answer(&mut self, now: Instant, response: &impl HasHeaders) {
        match response.session_expires() {
            Some(SessionExpires { refresher: Some(refresher), .. })
                if refresher.eq_ignore_ascii_case("uas") =>
            {
                self.stop()
            }
            Some(expires) => self.start(now, expires.interval),
            None => self.due = self.ours.map(|interval| now + interval / 2),
        }
    }

    /// Takes the peer's own refresh, or its wish that we refresh, and gives the headers of our 2xx
    /// (§9).
    pub fn take_request(&mut self, now: Instant, request: &impl HasHeaders) -> Vec<Header> {
        let Some(SessionExpires { interval, refresher }) = request.session_expires() else {
            return Vec::new();
        };
        let is_ours = refresher.is_some_and(|refresher| refresher.eq_ignore_ascii_case("uas"));
        if is_ours {
            self.start(now, interval);
        } else {
            self.stop();
        }
        if !request.supports("timer") && !request.requires("timer") {
            return Vec::new();
        }
        let expires = header(
            "Session-Expires",
            format!("{interval};refresher={}", if is_ours { "uas" } else { "uac" }),
        );
        if is_ours { vec![expires] } else { vec![header("Require", "timer"), expires] }
    }

    /// Takes the 422 to our refresh: the peer's shortest interval holds from now on (§7.4).
    pub fn take_refusal(&mut self, now: Instant, response: &impl HasHeaders) {
        if let (Some(interval), Some(min)) = (self.ours, response.min_se()) {
            self.ours = Some(interval.max(Duration::from_secs(min.into())));
            self.due = Some(now);
        }
    }

    fn start(&mut self, now: Instant, interval: u32) {
        let interval = Duration::from_secs(interval.into()).max(MIN_INTERVAL);
        *self = Self { ours: Some(interval), due: Some(now + interval / 2) };
    }

    fn stop(&mut self) {
        *self = Self::default();
    }

    /// What a re-INVITE of ours says while the refreshes are ours.
    pub fn header(&self) -> Option<Header> {
        Some(header("Session-Expires", format!("{};refresher=uac", self.ours?.as_secs())))
    }

    /// Whether a refresh is to be sent; the next is due before the interval is over if this one
    /// comes to nothing.
    pub fn take_due(&mut self, now: Instant) -> bool {
        let is_due = self.due.is_some_and(|due| due <= now);
        if is_due {
            self.due = self.ours.map(|interval| now + interval / 4);
        }
        is_due
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        self.due
    }
}
