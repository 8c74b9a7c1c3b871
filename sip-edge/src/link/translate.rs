//! Between the control link's messages and `sip-core`'s own types. Monotonic times become Unix
//! milliseconds by comparing the two clocks at the moment of telling.

use call_words::{
    MessageWay, PartyRole, RecordingLayout, RefusalCode, SignalTransport, TransportKind, Word,
};
use control_wire as wire;
use ipnet::IpNet;
use media_core::relay::{Layout, Mos};
use sip_core::flow::Transport;
use sip_core::outcome::LegName;
use sip_core::{command, control, event, registrar};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The two clocks read at once.
#[derive(Debug, Clone, Copy)]
pub struct ClockPair {
    monotonic: Instant,
    unix: Duration,
}

impl ClockPair {
    /// Both clocks at this moment.
    pub fn now() -> Self {
        Self {
            monotonic: Instant::now(),
            unix: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        }
    }

    /// The moment of Unix milliseconds, not before the reading.
    pub fn instant(&self, unix_ms: u64) -> Instant {
        // A century is as good as never, and an Instant can hold it.
        let left = Duration::from_millis(unix_ms)
            .saturating_sub(self.unix)
            .min(Duration::from_secs(100 * 365 * 86_400));
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

/// The order to place a call.
pub fn place_call(call: wire::PlaceCall) -> command::PlaceCall {
    command::PlaceCall {
        call_id: call.call_id,
        agent: agent_target(call.agent),
        customer: destination(call.customer),
        max_duration: Duration::from_millis(call.max_duration_ms),
        no_media: Duration::from_millis(call.no_media_ms),
        recording: call.recording,
        recording_layout: match call.recording_layout {
            RecordingLayout::Stereo => Layout::Stereo,
            RecordingLayout::ThreeChannel => Layout::ThreeChannel,
        },
        hold_audio: call.hold_audio,
        accepts_refer: call.accepts_refer,
        agent_confirm: call.agent_confirm,
        keeps_ladder: call.keep_ladder,
    }
}

fn agent_target(target: wire::AgentTarget) -> command::AgentTarget {
    match target {
        wire::AgentTarget::Phone(phone) => command::AgentTarget::Phone(destination(phone)),
        wire::AgentTarget::Softphone { agent, ring_ms, opus } => {
            let ring = Duration::from_millis(ring_ms);
            command::AgentTarget::Softphone { agent, ring, opus }
        }
    }
}

/// A verb on a running call.
pub fn verb(verb: wire::Verb) -> control::Verb {
    match verb {
        wire::Verb::Hold => control::Verb::Hold,
        wire::Verb::Resume => control::Verb::Resume,
        wire::Verb::Mute { party } => control::Verb::Mute { party },
        wire::Verb::Unmute { party } => control::Verb::Unmute { party },
        wire::Verb::SendDigits { party, digits } => {
            control::Verb::SendDigits { party, digits: control::Digits(digits) }
        }
        wire::Verb::AddParticipant(new) => {
            control::Verb::AddParticipant(Box::new(control::NewParticipant {
                party: new.party,
                destination: destination(new.destination),
                joining: new.joining,
            }))
        }
        wire::Verb::Merge => control::Verb::Merge,
        wire::Verb::Swap => control::Verb::Swap,
        wire::Verb::Complete => control::Verb::Complete,
        wire::Verb::Cancel => control::Verb::Cancel,
        wire::Verb::Remove { party } => control::Verb::Remove { party },
        wire::Verb::Supervise(new) => control::Verb::Supervise(Box::new(control::NewSupervisor {
            party: new.party,
            target: agent_target(new.target),
            role: new.role,
        })),
        wire::Verb::SetRole { party, role } => control::Verb::SetRole { party, role },
        wire::Verb::StartRecording { file_name } => control::Verb::StartRecording { file_name },
        wire::Verb::PauseRecording => control::Verb::PauseRecording,
        wire::Verb::ResumeRecording => control::Verb::ResumeRecording,
    }
}

/// Why a verb was not done.
pub fn refusal(refusal: RefusalCode) -> wire::ControlRefusal {
    wire::ControlRefusal { code: refusal.into(), detail: refusal.detail().into() }
}

fn conversation(conversation: control::Conversation) -> wire::Conversation {
    wire::Conversation {
        parties: conversation.parties.into_iter().map(party).collect(),
        recording: conversation.recording,
    }
}

fn party(party: control::Party) -> wire::Party {
    let (role, joining, supervisor_role) = match party.role {
        control::PartyRole::Agent => (PartyRole::Agent, None, None),
        control::PartyRole::Customer => (PartyRole::Customer, None, None),
        control::PartyRole::Participant(joining) => (PartyRole::Participant, Some(joining), None),
        control::PartyRole::Supervisor(role) => (PartyRole::Supervisor, None, Some(role)),
    };
    wire::Party {
        party: party.party,
        role,
        state: party.state,
        muted: party.is_muted,
        joining,
        supervisor_role,
        reason: party.reason.map(Into::into),
    }
}

fn destination(destination: wire::Destination) -> command::Destination {
    command::Destination {
        ring: Duration::from_millis(destination.ring_ms),
        routes: destination.routes.into_iter().map(route).collect(),
        skipped: destination
            .skipped
            .into_iter()
            .filter_map(|skipped| Some((skipped.trunk, skipped.reason.known()?)))
            .collect(),
    }
}

/// A trunk to register with, to probe, or both.
pub fn kept_trunk(trunk: wire::KeptTrunk) -> command::KeptTrunk {
    let seconds = |seconds: Option<u32>| seconds.map(|it| Duration::from_secs(it.into()));
    command::KeptTrunk {
        trunk: trunk.trunk,
        transport: transport(trunk.transport),
        addresses: trunk.addresses,
        domain: trunk.domain,
        credentials: trunk.credentials.map(credentials),
        register: seconds(trunk.register_s),
        probe_interval: seconds(trunk.probe_interval_s),
        interface: trunk.interface,
        signal_from: networks(&trunk.signal_from),
    }
}

fn transport(transport: TransportKind) -> Transport {
    match transport {
        TransportKind::Udp => Transport::Udp,
        TransportKind::Tcp => Transport::Tcp,
        TransportKind::Tls => Transport::Tls,
    }
}

fn credentials(credentials: wire::DigestCredentials) -> command::Credentials {
    command::Credentials { username: credentials.username, password: credentials.password }
}

fn route(route: wire::Route) -> command::Route {
    command::Route {
        trunk: route.trunk,
        transport: transport(route.transport),
        address: route.address,
        domain: route.domain,
        request_user: route.request_user,
        caller_id: route.caller_id,
        credentials: route.credentials.map(credentials),
        media: route.media,
        signal_from: networks(&route.signal_from),
        media_from: networks(&route.media_from),
        follows_redirects: route.follows_redirects,
        hides_caller: route.hides_caller,
        is_trusted: route.trusted,
        forwarding: route.forwarding,
        interface: route.interface,
        diverted_by: route.diverted_by,
        dtmf: route.dtmf,
        comfort_noise: route.comfort_noise,
    }
}

/// Control-api has checked them; one that cannot be read lets nobody in.
fn networks(texts: &[String]) -> Vec<IpNet> {
    texts.iter().filter_map(|text| text.parse().ok()).collect()
}

/// The grant with its end on our clock.
pub fn grant(clocks: ClockPair, grant: wire::SoftphoneGrant) -> registrar::Grant {
    let expires_at = clocks.instant(grant.expires_at_ms);
    registrar::Grant { agent: grant.agent, password: grant.password, expires_at }
}

/// What is to be told of an event.
pub enum Told {
    /// Kept until it is acknowledged.
    Event(wire::Event),
    Presence(wire::Presence),
    Trunk(wire::TrunkState),
    Speaking(wire::Speaking),
    Ladder(Box<wire::Ladder>),
}

/// An event, with times of the wall clock.
pub fn told(clocks: ClockPair, event: event::Event) -> Told {
    Told::Event(match event {
        event::Event::Presence { agent, is_online } => {
            return Told::Presence(wire::Presence { agent, online: is_online });
        }
        event::Event::Ladder(told) => return Told::Ladder(Box::new(ladder(clocks, told))),
        event::Event::Trunk(state) => return Told::Trunk(trunk_state(clocks, state)),
        event::Event::Speaking { call_id, parties } => {
            return Told::Speaking(wire::Speaking { call_id, parties });
        }
        event::Event::TransferRequested { call_id, party, target } => {
            wire::Event::TransferRequested { call_id, party, target }
        }
        event::Event::Milestone(milestone) => wire::Event::Milestone(wire::Milestone {
            call_id: milestone.call_id,
            sequence: milestone.sequence,
            at_ms: clocks.unix_ms(milestone.at),
            leg: milestone.leg.map(LegName::kind),
            party: milestone.party,
            conversation: milestone.conversation.map(|each| Box::new(conversation(*each))),
            kind: milestone.kind.into(),
            sip_code: milestone.sip_code,
            trunk: milestone.trunk,
            detail: milestone.detail,
        }),
        event::Event::Ended(ended) => wire::Event::Ended(Box::new(self::ended(clocks, *ended))),
    })
}

fn trunk_state(clocks: ClockPair, state: event::TrunkState) -> wire::TrunkState {
    let registration = |registration: event::RegistrationState| wire::Registration {
        until_ms: registration.until.map(|until| clocks.unix_ms(until)),
        fault: registration.fault.map(|fault| wire::RegistrationFault {
            sip_code: fault.code,
            detail: fault.why.into(),
        }),
    };
    wire::TrunkState {
        trunk: state.trunk,
        registration: state.registration.map(registration),
        reachable: state.is_reachable,
        breaker_open: state.is_avoided,
        lacks_interface: state.lacks_interface,
    }
}

fn ladder(clocks: ClockPair, ladder: event::Ladder) -> wire::Ladder {
    let rung = |rung: event::Rung| wire::Rung {
        at_ms: clocks.unix_ms(rung.at),
        leg: rung.leg.kind(),
        party: rung.party,
        way: if rung.is_sent { MessageWay::Sent } else { MessageWay::Received },
        transport: match rung.flow.transport {
            Transport::Udp => SignalTransport::Udp,
            Transport::Tcp => SignalTransport::Tcp,
            Transport::Tls => SignalTransport::Tls,
            Transport::Wss => SignalTransport::Wss,
        },
        local: rung.flow.local,
        remote: rung.flow.remote,
        message: latin1(rung.bytes),
    };
    let rungs: Vec<_> = ladder.rungs.into_iter().map(rung).collect();
    wire::Ladder::new(ladder.call_id, &rungs, ladder.left_out_count, ladder.is_whole)
}

/// Each byte as one character; most messages are ASCII, which is that already.
fn latin1(bytes: Vec<u8>) -> String {
    match bytes.is_ascii() {
        true => String::from_utf8(bytes).expect("ASCII is UTF-8"),
        false => bytes.into_iter().map(char::from).collect(),
    }
}

fn ended(clocks: ClockPair, ended: event::Ended) -> wire::Ended {
    wire::Ended {
        call_id: ended.call_id,
        status: ended.status,
        reason: ended.reason.map(Into::into),
        failed_leg: ended.failed_leg.map(LegName::kind),
        sip_code: ended.sip_code,
        hangup_by: ended.hangup_by,
        answered_at_ms: ended.answered_at.map(|at| clocks.unix_ms(at)),
        ended_at_ms: clocks.unix_ms(ended.ended_at),
        duration_s: ended.duration_s,
        attempts: ended
            .attempts
            .into_iter()
            .map(|attempt| wire::Attempt {
                leg: attempt.leg.kind(),
                trunk: attempt.trunk,
                started_at_ms: clocks.unix_ms(attempt.started_at),
                ended_at_ms: clocks.unix_ms(attempt.ended_at),
                sip_code: attempt.sip_code,
                result: attempt.result.into(),
            })
            .collect(),
        detail: ended.detail.map(Word::from),
        recording: ended.recording.map(|recording| wire::RecordingResult {
            file_name: recording.file_name,
            duration_ms: recording.duration.as_millis() as u64,
            file_len: recording.file_len,
            pauses: recording.pauses.into_iter().map(pause).collect(),
        }),
        recording_written: ended.recording_written.map(|written| wire::RecordingWritten {
            complete: written.is_whole,
            written_ms: written.duration.map(|duration| duration.as_millis() as u64),
        }),
        agent_media: ended.agent_media.map(leg_media),
        customer_media: ended.customer_media.map(leg_media),
        others: ended
            .others
            .into_iter()
            .map(|other| wire::OtherParty {
                party: other.party,
                leg: other.leg.kind(),
                answered_at_ms: other.answered_at.map(|at| clocks.unix_ms(at)),
                ended_at_ms: clocks.unix_ms(other.ended_at),
                reason: other.reason.into(),
                sip_code: other.sip_code,
            })
            .collect(),
    }
}

fn pause(pause: event::Pause) -> wire::Pause {
    wire::Pause { from_ms: pause.from.as_millis() as u64, to_ms: pause.to.as_millis() as u64 }
}

fn leg_media(media: event::LegMedia) -> wire::LegMedia {
    wire::LegMedia {
        received_count: media.received_count,
        sent_count: media.sent_count,
        lost_count: media.lost_count,
        jitter_ms: ms(media.jitter),
        mos: media.mos.map(mos),
        round_trip_ms: media.round_trip.map(ms),
        far: media.far.map(|far| wire::FarMedia {
            lost_count: far.lost,
            jitter_ms: ms(far.jitter),
            mos: mos(far.mos),
        }),
    }
}

fn ms(time: Duration) -> f32 {
    time.as_secs_f32() * 1000.0
}

fn mos(mos: Mos) -> wire::Mos {
    wire::Mos { mean: mos.mean, worst: mos.worst }
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
