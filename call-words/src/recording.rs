//! A recording's state and its channels.

use crate::word::words;

words! {
    /// How the recording stands.
    RecordingState {
        Off = "off",
        Running = "running",
        Paused = "paused",
    }

    /// What the channels of a recording hold; the agent's is the first.
    #[derive(Default)]
    RecordingLayout {
        /// The customer and all third parties share the second channel.
        #[default]
        Stereo = "stereo",
        /// Third parties have a third channel of their own.
        ThreeChannel = "three_channel",
    }
}
