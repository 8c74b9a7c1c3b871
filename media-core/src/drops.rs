//! Why a datagram or a piece of work was refused, and how often. Each reason is one plain integer.

macro_rules! drop_reasons {
    ($($(#[$doc:meta])* $variant:ident => $name:literal,)*) => {
        /// Why something was refused.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum DropReason { $($(#[$doc])* $variant,)* }

        impl DropReason {
            /// Every reason, in the order in which they are counted.
            pub const ALL: &'static [DropReason] = &[$(DropReason::$variant,)*];

            /// Stable snake-case name for metrics.
            pub fn name(self) -> &'static str {
                match self { $(DropReason::$variant => $name,)* }
            }
        }
    };
}

drop_reasons! {
    /// The socket belongs to no open leg.
    NoLeg => "no_leg",
    /// Longer than the buffer allows with its tail room.
    Oversized => "oversized",
    /// Neither RTP nor RTCP by its first byte (RFC 7983), or shorter than a header.
    NotRtp => "not_rtp",
    /// RTP whose header, extension or padding does not fit its length.
    MalformedRtp => "malformed_rtp",
    /// Opus that breaks RFC 6716 §3.4, or is longer than 120 ms.
    MalformedOpus => "malformed_opus",
    /// Opus for a leg beyond the most that may speak it: it is offered the others.
    OpusFull => "opus_full",
    /// The leg's peer is not known yet.
    NotNegotiated => "not_negotiated",
    /// RTP on the RTCP port, or RTCP on the RTP port without rtcp-mux.
    WrongPort => "wrong_port",
    /// From an address that is neither signalled nor latched, nor where the leg's media may come
    /// from.
    ForeignSource => "foreign_source",
    /// From a new source that has not yet shown enough consecutive packets.
    Probation => "probation",
    /// Audio of another SSRC beside the stream that is heard.
    AlienStream => "alien_stream",
    /// A payload type that was not negotiated.
    PayloadType => "payload_type",
    /// SRTP or SRTCP whose authentication failed.
    Unauthentic => "unauthentic",
    /// SRTP or SRTCP seen before, or older than the replay window.
    Replayed => "replayed",
    /// SRTP could not be made (a key's lifetime is over).
    Unprotectable => "unprotectable",
    /// A sequence number far from the stream's (RFC 3550 A.1).
    Sequence => "sequence",
    /// A sequence number seen before.
    Duplicate => "duplicate",
    /// Older than the reordering window or than the last change of source.
    Late => "late",
    /// The negotiated direction forbids the peer to send.
    NotReceiving => "not_receiving",
    /// Nobody hears this leg.
    NotBridged => "not_bridged",
    /// The hearing leg must not be sent to: no peer yet, on hold, or no address.
    NotSending => "not_sending",
    /// The hearing leg did not negotiate telephone-event.
    NoTelephoneEvent => "no_telephone_event",
    /// RTCP that breaks RFC 3550 A.2.
    MalformedRtcp => "malformed_rtcp",
    /// An event could not be queued.
    EventQueueFull => "event_queue_full",
    /// A datagram of our own could not be queued.
    TransmitQueueFull => "transmit_queue_full",
    /// A copy of RTCP could not be kept for who watches.
    RtcpCopiesFull => "rtcp_copies_full",
    /// On the softphones' socket, and no protocol of it (RFC 7983).
    NotWebRtc => "not_webrtc",
    /// STUN that is malformed or without a valid fingerprint.
    StunMalformed => "stun_malformed",
    /// STUN other than a Binding request.
    StunUnexpected => "stun_unexpected",
    /// A check for no open leg, by nobody whom it knows, or with a wrong integrity.
    StunUnauthentic => "stun_unauthentic",
    /// A copy of an earlier check, from another address.
    StunReplayed => "stun_replayed",
    /// DTLS or SRTP from an address that no check has shown to be a softphone's.
    Unchecked => "unchecked_source",
    /// SRTP of a softphone before its handshake is done.
    NoKeys => "no_keys",
    /// DTLS beyond what one tick may cost, of one leg or of all.
    DtlsBudget => "dtls_budget",
    /// A handshake beyond the most at a time.
    HandshakesFull => "handshakes_full",
    /// DTLS of a leg whose handshake failed, or long after it was done.
    DtlsOver => "dtls_over",
    /// DTLS that is malformed or cannot be decrypted; its handshake goes on.
    DtlsInvalid => "dtls_invalid",
    /// The datagram with which a handshake failed.
    DtlsFailed => "dtls_failed",
    /// Audio that came after its part of the recording was written.
    RecordingLate => "recording_late",
    /// Audio for a mix that came after its time.
    MixLate => "mix_late",
    /// More audio waited for a mix than may: the oldest was given up.
    MixFull => "mix_full",
    /// Audio or a key press for a leg to which digits are sent.
    Dialing => "dialing",
    /// A key press for a mix's hearer to whom too many digits wait to be sent.
    DigitsFull => "digits_full",
    /// Audio that lies beyond the recording's buffer.
    RecordingFull => "recording_full",
}

/// One integer per reason.
#[derive(Debug, Clone)]
pub struct DropCounters([u64; DropReason::ALL.len()]);

impl Default for DropCounters {
    fn default() -> Self {
        DropCounters([0; DropReason::ALL.len()])
    }
}

impl DropCounters {
    /// Counts one dropped packet.
    pub fn count(&mut self, reason: DropReason) {
        self.0[reason as usize] += 1;
    }

    /// Counts what a queue or a recording refused.
    pub fn note(&mut self, result: Result<(), DropReason>) {
        if let Err(reason) = result {
            self.count(reason);
        }
    }

    /// How many packets were dropped for this reason.
    pub fn of(&self, reason: DropReason) -> u64 {
        self.0[reason as usize]
    }

    /// Every reason's name and count.
    pub fn pairs(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        DropReason::ALL.iter().map(|reason| (reason.name(), self.of(*reason)))
    }
}
