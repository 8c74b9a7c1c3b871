//! What the shard counts: refusals and drops, each under its reason, and what was mended in
//! messages that were taken, beside the totals of calls.

use crate::message::{Repair, Repairs};
use media_core::sdp;

/// One thing that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    CallPlaced,
    CallEnded,
    CallRefused,
    /// A call from outside: there are none here.
    IncomingCall,
    /// Not SIP, or malformed.
    MalformedMessage,
    /// A request inside a dialog that does not exist.
    UnknownDialog,
    OptionsAnswered,
    /// A request outside dialogs that is not served.
    UnservedRequest,
    /// A response to nothing.
    StrayResponse,
    StrayAck,
    TransactionCapacity,
    FlowError,
    /// A REGISTER that was answered 200.
    Registered,
    /// A REGISTER that was refused; a challenge is none.
    RegistrationRefused,
    /// A flow that was closed because its agent registered from elsewhere.
    SoftphoneTakenOver,
    /// A request over a WebSocket that is not registered, in another agent's dialog, or in a
    /// trunk's dialog from elsewhere than its route.
    ForeignRequest,
    /// A response from elsewhere than where its request went.
    ForeignResponse,
    /// A stray request or malformed message of a stranger that got no answer.
    Unanswered,
    /// A grant that did not fit.
    GrantRefused,
    /// A leg that sent no audio while it was sent another's.
    OneWayAudio,
    /// A leg of an earlier process that was cancelled or hung up.
    Farewell,
    /// A 422 of a peer whose shortest session interval was taken over (RFC 4028).
    SessionIntervalRaised,
    /// An INVITE of ours that came back to us.
    LoopedRequest,
    /// A request to a trunk over UDP that went over TCP because it is large.
    MovedToTcp,
    /// One of them that went over UDP after all, for no connection came about.
    FellBackToUdp,
    /// A key that was told by INFO faster than keys are pressed.
    KeyRefused,
    /// An attempt, or a trunk that was to be kept, without an interface that reaches it.
    InterfaceLacking,
}

const NAMES: [(Counter, &str); 27] = [
    (Counter::CallPlaced, "sip_calls_placed"),
    (Counter::CallEnded, "sip_calls_ended"),
    (Counter::CallRefused, "sip_calls_refused"),
    (Counter::IncomingCall, "sip_incoming_calls"),
    (Counter::MalformedMessage, "sip_malformed_messages"),
    (Counter::UnknownDialog, "sip_unknown_dialogs"),
    (Counter::OptionsAnswered, "sip_options_answered"),
    (Counter::UnservedRequest, "sip_unserved_requests"),
    (Counter::StrayResponse, "sip_stray_responses"),
    (Counter::StrayAck, "sip_stray_acks"),
    (Counter::TransactionCapacity, "sip_transactions_refused"),
    (Counter::FlowError, "sip_flow_errors"),
    (Counter::Registered, "sip_registrations"),
    (Counter::RegistrationRefused, "sip_registrations_refused"),
    (Counter::SoftphoneTakenOver, "sip_softphones_taken_over"),
    (Counter::ForeignRequest, "sip_foreign_requests"),
    (Counter::ForeignResponse, "sip_foreign_responses"),
    (Counter::Unanswered, "sip_unanswered_strays"),
    (Counter::GrantRefused, "sip_grants_refused"),
    (Counter::OneWayAudio, "one_way_audio"),
    (Counter::Farewell, "sip_farewells"),
    (Counter::SessionIntervalRaised, "sip_session_intervals_raised"),
    (Counter::LoopedRequest, "sip_looped_requests"),
    (Counter::MovedToTcp, "sip_requests_moved_to_tcp"),
    (Counter::FellBackToUdp, "sip_requests_fell_back_to_udp"),
    (Counter::KeyRefused, "sip_keys_refused"),
    (Counter::InterfaceLacking, "sip_trunk_interfaces_lacking"),
];

/// Monotonic counts.
#[derive(Debug, Default)]
pub struct Counters {
    counts: [u64; NAMES.len()],
    repairs: [u64; Repair::ALL.len()],
    sdp_repairs: [u64; sdp::Repair::ALL.len()],
}

impl Counters {
    /// Counts one.
    pub fn count(&mut self, counter: Counter) {
        self.counts[counter as usize] += 1;
    }

    /// Counts what was mended in a message that was taken.
    pub fn count_repairs(&mut self, repairs: Repairs) {
        repairs.iter().for_each(|repair| self.repairs[repair as usize] += 1);
    }

    /// Counts what was mended in a description that was taken.
    pub fn count_sdp_repairs(&mut self, repairs: sdp::Repairs) {
        repairs.iter().for_each(|repair| self.sdp_repairs[repair as usize] += 1);
    }

    /// Name and count of each counter.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let repairs = Repair::ALL
            .into_iter()
            .map(|repair| (repair.counter_name(), self.repairs[repair as usize]));
        let sdp_repairs = sdp::Repair::ALL
            .into_iter()
            .map(|repair| (repair.counter_name(), self.sdp_repairs[repair as usize]));
        let counts = NAMES.iter().map(|(counter, name)| (*name, self.counts[*counter as usize]));
        counts.chain(repairs).chain(sdp_repairs)
    }
}
