//! Between the control link's messages and `sip-core`'s own types. Monotonic times become Unix milliseconds by comparing the two
//! clocks at the moment of telling.

use control_wire as wire;
use sip_core::edge::{self, MediaProfile, Transport};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The two clocks read at once.
#[derive(Debug, Clone, Copy)]
pub struct ClockPair {
    monotonic: Instant,
    unix: Duration,
}

impl ClockPair {
    pub fn now() -> Self {
        Self { monotonic: Instant::now(), unix: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() }
    }

    /// The moment of Unix milliseconds, not before the reading.
    pub fn instant(&self, unix_ms: u64) -> Instant {
        // A century is as good as never, and an Instant can hold it.
        let left = Duration::from_millis(unix_ms).saturating_sub(self.unix).min(Duration::from_secs(100 * 365 * 86_400));
        self.monotonic + left
    }

    /// Unix milliseconds of a moment before or after the reading.
    pub fn unix_ms(&self, at: Instant) -> u64 {
        let unix = match at.checked_duration_since(self.monotonic) {
            Some(later) => self.unix + later,
            None => self.unix.saturating_sub(self.monotonic - at),
        };
        unix.as_millis() as u64
    }
}

pub fn place_call(call: wire::PlaceCall) -> edge::PlaceCall {
    edge::PlaceCall {
        call_id: call.call_id,
        agent: match call.agent {
            wire::AgentTarget::Phone(phone) => edge::AgentTarget::Phone(destination(phone)),
            wire::AgentTarget::Softphone { agent, ring_ms } => {
                edge::AgentTarget::Softphone { agent, ring: Duration::from_millis(ring_ms) }
            }
        },
        customer: destination(call.customer),
        max_duration: Duration::from_millis(call.max_duration_ms),
        no_media: Duration::from_millis(call.no_media_ms),
        recording: call.recording,
    }
}

fn destination(destination: wire::Destination) -> edge::Destination {
    edge::Destination {
        ring: Duration::from_millis(destination.ring_ms),
        routes: destination.routes.into_iter().map(route).collect(),
    }
}

fn route(route: wire::Route) -> edge::Route {
    edge::Route {
        trunk: route.trunk,
        transport: match route.transport {
            wire::TransportKind::Udp => Transport::Udp,
            wire::TransportKind::Tcp => Transport::Tcp,
        },
        address: route.address,
        domain: route.domain,
        request_user: route.request_user,
        caller_id: route.caller_id,
        credentials: route
            .credentials
            .map(|credentials| edge::Credentials { username: credentials.username, password: credentials.password }),
        media: match route.media {
            wire::MediaProfile::Rtp => MediaProfile::Rtp,
            wire::MediaProfile::SdesSrtp => MediaProfile::SdesSrtp,
        },
    }
}

/// The grant with its end on our clock.
pub fn grant(clocks: ClockPair, grant: wire::SoftphoneGrant) -> edge::Grant {
    let expires_at = clocks.instant(grant.expires_at_ms);
    edge::Grant { agent: grant.agent, password: grant.password, expires_at }
}

/// What is to be told of an event.
pub enum Told {
    /// Kept until it is acknowledged.
    Event(wire::Event),
    Presence(wire::Presence),
}

pub fn told(clocks: ClockPair, event: edge::Event) -> Told {
    Told::Event(match event {
        edge::Event::Presence { agent, is_online } => return Told::Presence(wire::Presence { agent, online: is_online }),
        edge::Event::Milestone(milestone) => wire::Event::Milestone(wire::Milestone {
            call_id: milestone.call_id,
            sequence: milestone.sequence,
            at_ms: clocks.unix_ms(milestone.at),
            leg: milestone.leg.map(leg_name),
            kind: milestone.kind.as_str().into(),
            sip_code: milestone.sip_code,
            trunk: milestone.trunk,
            detail: milestone.detail,
        }),
        edge::Event::Ended(ended) => wire::Event::Ended(Box::new(self::ended(clocks, *ended))),
    })
}

fn ended(clocks: ClockPair, ended: edge::Ended) -> wire::Ended {
    wire::Ended {
        call_id: ended.call_id,
        status: match ended.status {
            edge::CallStatus::Answer => wire::CallStatus::Answer,
            edge::CallStatus::NoAnswer => wire::CallStatus::NoAnswer,
            edge::CallStatus::Busy => wire::CallStatus::Busy,
            edge::CallStatus::Failed => wire::CallStatus::Failed,
            edge::CallStatus::Canceled => wire::CallStatus::Canceled,
        },
        reason: ended.reason.map(|reason| reason.as_str().into()),
        failed_leg: ended.failed_leg.map(leg_name),
        sip_code: ended.sip_code,
        hangup_by: ended.hangup_by.map(|by| match by {
            edge::HangupBy::Agent => wire::HangupBy::Agent,
            edge::HangupBy::Customer => wire::HangupBy::Customer,
            edge::HangupBy::Api => wire::HangupBy::Api,
            edge::HangupBy::System => wire::HangupBy::System,
            edge::HangupBy::Network => wire::HangupBy::Network,
        }),
        answered_at_ms: ended.answered_at.map(|at| clocks.unix_ms(at)),
        ended_at_ms: clocks.unix_ms(ended.ended_at),
        duration_s: ended.duration_s,
        attempts: ended
            .attempts
            .into_iter()
            .map(|attempt| wire::Attempt {
                leg: leg_name(attempt.leg),
                trunk: attempt.trunk,
                started_at_ms: clocks.unix_ms(attempt.started_at),
                ended_at_ms: clocks.unix_ms(attempt.ended_at),
                sip_code: attempt.sip_code,
                result: attempt.result.into(),
            })
            .collect(),
        recording: ended.recording.map(|recording| wire::RecordingResult {
            file_name: recording.file_name,
            duration_ms: recording.duration.as_millis() as u64,
            file_len: recording.file_len,
        }),
        agent_media: ended.agent_media.map(leg_media),
        customer_media: ended.customer_media.map(leg_media),
    }
}

fn leg_name(leg: edge::LegName) -> wire::LegName {
    match leg {
        edge::LegName::Agent => wire::LegName::Agent,
        edge::LegName::Customer => wire::LegName::Customer,
    }
}

fn leg_media(media: edge::LegMedia) -> wire::LegMedia {
    wire::LegMedia {
        received_count: media.received_count,
        sent_count: media.sent_count,
        lost_count: media.lost_count,
        jitter_ms: media.jitter.as_secs_f32() * 1000.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_keep_their_distance_in_unix_time() {
        let clocks = ClockPair { monotonic: Instant::now(), unix: Duration::from_secs(1_000) };
        let second = Duration::from_secs(1);
        assert_eq!(clocks.unix_ms(clocks.monotonic), 1_000_000);
        assert_eq!(clocks.unix_ms(clocks.monotonic + second), 1_001_000);
        assert_eq!(clocks.unix_ms(clocks.monotonic - second), 999_000);
        assert_eq!(clocks.instant(1_001_000), clocks.monotonic + second);
        assert_eq!(clocks.instant(999_000), clocks.monotonic);
        assert!(clocks.instant(u64::MAX) > clocks.monotonic + second);
    }
}
