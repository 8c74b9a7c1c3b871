//! A Hello of any length as frames: names that are too many for one follow in others.

use crate::message::{FromEdge, Hello, HelloMore};
use call_words::{AgentName, CallId};

/// Bytes of names in one frame: far below what a frame may have, however they are escaped.
const NAMES_LEN: usize = 32 * 1024;
/// What a name takes besides its own bytes: quotes and comma.
const NAME_OVERHEAD: usize = 3;

enum Name {
    LiveCall(CallId),
    Softphone(AgentName),
}

impl Hello {
    /// The frames that say it, in their order.
    pub fn split(self) -> Vec<FromEdge> {
        let Hello { live_calls, softphones, .. } = self;
        let mut parts = Vec::new();
        let mut part = HelloMore::default();
        let mut room = NAMES_LEN;
        for name in live_calls
            .into_iter()
            .map(Name::LiveCall)
            .chain(softphones.into_iter().map(Name::Softphone))
        {
            let text = match &name {
                Name::LiveCall(call_id) => call_id.as_str(),
                Name::Softphone(agent) => agent.as_str(),
            };
            let len = text.len() + NAME_OVERHEAD;
            // A frame has at least one name, however long.
            if len > room && room < NAMES_LEN {
                part.more = true;
                parts.push(std::mem::take(&mut part));
                room = NAMES_LEN;
            }
            room = room.saturating_sub(len);
            match name {
                Name::LiveCall(call_id) => part.live_calls.push(call_id),
                Name::Softphone(agent) => part.softphones.push(agent),
            }
        }
        parts.push(part);
        let mut parts = parts.into_iter();
        let HelloMore { live_calls, softphones, more } = parts.next().unwrap_or_default();
        let hello = Hello { live_calls, softphones, more, ..self };
        std::iter::once(FromEdge::Hello(hello)).chain(parts.map(FromEdge::HelloMore)).collect()
    }

    /// Takes the next frame of a Hello of which there is more.
    pub fn join(&mut self, next: HelloMore) {
        self.live_calls.extend(next.live_calls);
        self.softphones.extend(next.softphones);
        self.more = next.more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FrameDecoder, MAX_FRAME_LEN, ShardStatus, VERSION, encode};

    fn hello(call_count: usize, softphone_count: usize, name_len: usize) -> Hello {
        fn names<Name: From<String>>(count: usize, len: usize) -> Vec<Name> {
            (0..count).map(|n| format!("{n:0len$}").into()).collect()
        }
        Hello {
            version: VERSION,
            edge: "edge-1".into(),
            epoch: 1,
            shard: 0,
            live_calls: names(call_count, name_len),
            status: ShardStatus::default(),
            softphone_service: None,
            softphones: names(softphone_count, name_len),
            folders: None,
            keeps_trunks: false,
            tells_ladders: false,
            more: false,
        }
    }

    /// Sends it through frames and returns how many there were.
    #[track_caller]
    fn check(hello: &Hello) -> usize {
        let mut bytes = Vec::new();
        for message in hello.clone().split() {
            encode(&message, &mut bytes).expect("a frame that may be sent");
        }
        let (mut decoder, mut came) = (FrameDecoder::default(), Vec::new());
        for some in bytes.chunks(10_000) {
            decoder.push(some);
            while let Some(message) = decoder.poll::<FromEdge>().unwrap() {
                came.push(message);
            }
        }
        let count = came.len();
        let mut came = came.into_iter();
        let Some(FromEdge::Hello(mut joined)) = came.next() else { panic!("no Hello first") };
        for message in came {
            assert!(joined.more);
            let FromEdge::HelloMore(next) = message else { panic!("{message:?}") };
            joined.join(next);
        }
        assert_eq!(&joined, hello);
        count
    }

    #[test]
    fn a_hello_of_any_length_can_be_said() {
        assert_eq!(check(&hello(0, 0, 1)), 1);
        assert_eq!(check(&hello(100, 100, 36)), 1);
        // As many softphones as a shard may have, and the calls of a control-api that was long
        // away.
        let most = hello(5_000, 10_000, 36);
        let mut bytes = Vec::new();
        assert!(
            encode(&FromEdge::Hello(most.clone()), &mut bytes).is_err(),
            "more than {MAX_FRAME_LEN}"
        );
        assert!(check(&most) > 10);
        assert!(check(&hello(100_000, 1, 36)) > 100);
        assert_eq!(check(&hello(3, 3, MAX_FRAME_LEN / 8)), 6);
        let escaped =
            Hello { live_calls: vec!["\u{1}".repeat(30_000).into(); 4], ..hello(0, 0, 1) };
        assert_eq!(check(&escaped), 4);
    }
}
