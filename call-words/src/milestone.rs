//! The steps of a call's timeline.

use crate::word::words;

words! {
    /// A step of a call for its timeline.
    MilestoneKind {
        InviteSent = "invite_sent",
        Trying = "trying",
        Ringing = "ringing",
        EarlyMedia = "early_media",
        Challenged = "challenged",
        Answered = "answered",
        Bridged = "bridged",
        CancelSent = "cancel_sent",
        Rejected = "rejected",
        Failover = "failover",
        RingTimeout = "ring_timeout",
        HangUpRequested = "hang_up_requested",
        HungUp = "hung_up",
        MaxDuration = "max_duration",
        FirstMedia = "first_media",
        MediaLatched = "media_latched",
        NoMedia = "no_media",
        /// The leg has sent no audio for two seconds while it was sent another's.
        OneWayAudio = "one_way_audio",
        Held = "held",
        Resumed = "resumed",
        RecordingStarted = "recording_started",
        RecordingFinished = "recording_finished",
        /// Something of the recording could not be written.
        RecordingFailed = "recording_failed",
        /// Decrypted audio of the softphone flows.
        AgentMedia = "agent_media",
        /// The softphone's connection or media are gone; it is waited for.
        AgentLost = "agent_lost",
        /// The softphone's media flow again, or from its next page.
        AgentBack = "agent_back",
        IceConnected = "ice_connected",
        DtlsConnected = "dtls_connected",
        /// The agent's phone has answered; a person is to press `1`.
        ConfirmationRequested = "confirmation_requested",
        AgentConfirmed = "agent_confirmed",
        CustomerHeld = "customer_held",
        CustomerResumed = "customer_resumed",
        Muted = "muted",
        Unmuted = "unmuted",
        DigitsSent = "digits_sent",
        /// Keys could not be brought to the party.
        DigitsLost = "digits_lost",
        ParticipantAdded = "participant_added",
        Consulting = "consulting",
        ParticipantJoined = "participant_joined",
        ParticipantLeft = "participant_left",
        Swapped = "swapped",
        Merged = "merged",
        AgentCompleted = "agent_completed",
        SupervisorAdded = "supervisor_added",
        SupervisorJoined = "supervisor_joined",
        SupervisorRole = "supervisor_role",
        SupervisorLeft = "supervisor_left",
        RecordingPaused = "recording_paused",
        RecordingResumed = "recording_resumed",
        TransferRequested = "transfer_requested",
        /// A final response came that nothing could be done with.
        ResponseIgnored = "response_ignored",
        /// The agent's page said before the call what its microphone lacks; made by control-api, of
        /// a call that is not placed.
        Microphone = "microphone",
    }
}
