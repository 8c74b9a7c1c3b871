//! The SIP messages of calls as they were sent and came, kept while a call is there. Bounded for
//! each call and for all: of a long call its first messages stay and its last.

use crate::event::{Copied, Rung};
use crate::flow::Flow;
use crate::message;
use crate::outcome::LegName;
use call_words::CallId;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

/// Most bytes of one call's messages; those of a plain call have about 8 KB.
const CALL_LEN: usize = 32 * 1024;
/// Most messages of one call.
const CALL_COUNT: usize = 200;
/// Of these bytes and messages, the first ones stay.
const FIRST_SHARE: usize = 2;
/// Most bytes of all calls of a shard, those that are over but still absorb retransmissions
/// included: of 2,000 plain ones.
const SHARD_LEN: usize = 16 << 20;

/// One message that was sent or came.
pub struct Message {
    pub at: Instant,
    pub leg: LegName,
    pub is_sent: bool,
    pub flow: Flow,
    pub bytes: Arc<[u8]>,
}

/// The messages of one call.
struct Ladder {
    call_id: CallId,
    /// Whether they are kept.
    is_kept: bool,
    /// Whether somebody watches this call from outside.
    is_watched: bool,
    messages: VecDeque<Message>,
    len: usize,
    /// So many from the front stay.
    first_count: usize,
    left_out_count: u32,
}

/// The messages of the calls that keep them, by their keys.
pub struct Ladders<K> {
    by_call: BTreeMap<K, Ladder>,
    len: usize,
}

impl<K: Ord> Default for Ladders<K> {
    fn default() -> Self {
        Self { by_call: BTreeMap::new(), len: 0 }
    }
}

impl<K: Ord + Copy> Ladders<K> {
    /// Knows a call from now on, and keeps what is said in it if that is asked for.
    pub fn begin(&mut self, call: K, call_id: &CallId, is_kept: bool) {
        let (messages, len, first_count, left_out_count) = Default::default();
        let call_id = call_id.to_owned();
        let is_watched = false;
        let ladder =
            Ladder { call_id, is_kept, is_watched, messages, len, first_count, left_out_count };
        self.by_call.insert(call, ladder);
    }

    /// Has a call watched from now on, or no more.
    pub fn watch(&mut self, call: K, call_id: &CallId, is_watched: bool) {
        if is_watched && !self.by_call.contains_key(&call) {
            self.begin(call, call_id, false);
        }
        if let Some(ladder) = self.by_call.get_mut(&call) {
            ladder.is_watched = is_watched;
        }
    }

    /// Bytes that are kept.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no call is known.
    pub fn is_empty(&self) -> bool {
        self.by_call.is_empty()
    }

    /// Keeps a message, if its call keeps any.
    pub fn add(&mut self, call: &K, message: Message) {
        let ladder = self.by_call.get_mut(call).filter(|ladder| ladder.is_kept);
        let Some(ladder) = ladder else { return };
        if self.len + message.bytes.len() > SHARD_LEN {
            ladder.left_out_count += 1;
            return;
        }
        let before = ladder.len;
        ladder.add(message);
        self.len = self.len + ladder.len - before;
    }

    /// The messages of a call without their secrets, and how many were left out; `None` if it keeps
    /// none. A party's name is its leg's.
    pub fn told(
        &self,
        call: &K,
        party: impl Fn(LegName) -> Option<String>,
    ) -> Option<(Vec<Rung>, u32)> {
        let ladder = self.by_call.get(call).filter(|ladder| ladder.is_kept)?;
        let rung = |message: &Message| {
            let Message { at, leg, is_sent, flow, .. } = *message;
            Rung { at, leg, party: party(leg), is_sent, flow, bytes: masked(&message.bytes) }
        };
        Some((ladder.messages.iter().map(rung).collect(), ladder.left_out_count))
    }

    /// The id of a call that is known.
    pub fn call_id(&self, call: &K) -> Option<&CallId> {
        self.by_call.get(call).map(|ladder| &ladder.call_id)
    }

    /// A message for who watches from outside, if somebody does: this call, or all.
    pub fn copied(
        &self,
        call: &K,
        is_sent: bool,
        flow: Flow,
        bytes: &[u8],
        are_all_watched: bool,
    ) -> Option<Copied> {
        let ladder =
            self.by_call.get(call).filter(|ladder| ladder.is_watched || are_all_watched)?;
        let call_id = ladder.call_id.clone();
        Some(Copied { call_id, is_sent, flow, bytes: masked(bytes) })
    }

    /// Forgets a call and what it keeps.
    pub fn forget(&mut self, call: &K) {
        self.len -= self.by_call.remove(call).map_or(0, |ladder| ladder.len);
    }
}

impl Ladder {
    fn add(&mut self, message: Message) {
        self.len += message.bytes.len();
        self.messages.push_back(message);
        let count = self.messages.len();
        if self.first_count + 1 == count
            && self.len <= CALL_LEN / FIRST_SHARE
            && count <= CALL_COUNT / FIRST_SHARE
        {
            self.first_count = count;
        }
        while self.len > CALL_LEN || self.messages.len() > CALL_COUNT {
            let Some(left_out) = self.messages.remove(self.first_count) else { return };
            self.len -= left_out.bytes.len();
            self.left_out_count += 1;
        }
    }
}

fn masked(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    message::mask_secrets(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Transport;

    #[expect(clippy::disallowed_methods, reason = "an Instant cannot be made otherwise")]
    fn message(text: &[u8]) -> Message {
        let flow = Flow {
            transport: Transport::Udp,
            local: "192.0.2.1:5060".parse().unwrap(),
            remote: "192.0.2.2:5060".parse().unwrap(),
            connection: None,
        };
        Message { at: Instant::now(), leg: LegName::Agent, is_sent: true, flow, bytes: text.into() }
    }

    fn told(ladders: &Ladders<u8>) -> (Vec<Vec<u8>>, u32) {
        let (rungs, left_out_count) = ladders.told(&1, |_| None).unwrap();
        (rungs.into_iter().map(|rung| rung.bytes).collect(), left_out_count)
    }

    #[test]
    fn a_long_call_keeps_its_first_and_its_last_messages() {
        let mut ladders = Ladders::default();
        ladders.begin(1, &"c".into(), true);
        for number in 0..1_000 {
            ladders.add(&1, message(format!("{number:03}").as_bytes()));
        }
        let (messages, left_out_count) = told(&ladders);
        assert_eq!((messages.len(), left_out_count), (CALL_COUNT, 800));
        assert_eq!((&messages[0][..], &messages[99][..]), (&b"000"[..], &b"099"[..]));
        assert_eq!((&messages[100][..], &messages[199][..]), (&b"900"[..], &b"999"[..]));
    }

    #[test]
    fn long_messages_do_not_make_a_ladder_longer() {
        let mut ladders = Ladders::default();
        ladders.begin(1, &"c".into(), true);
        ladders.add(&1, message(b"first"));
        for _ in 0..10 {
            ladders.add(&1, message(&[b'x'; 10_000]));
        }
        ladders.add(&1, message(&[b'y'; CALL_LEN]));
        ladders.add(&1, message(b"last"));
        let (messages, left_out_count) = told(&ladders);
        assert!(messages.iter().map(Vec::len).sum::<usize>() <= CALL_LEN);
        assert_eq!(
            (&messages[0][..], messages.last().unwrap().as_slice()),
            (&b"first"[..], &b"last"[..])
        );
        assert_eq!(messages.len() as u32 + left_out_count, 13);
    }

    #[test]
    fn all_calls_of_a_shard_share_a_cap_and_give_back_what_they_had() {
        let mut ladders = Ladders::default();
        let calls = (SHARD_LEN / CALL_LEN) as u32 + 10;
        for call in 0..calls {
            ladders.begin(call, &"c".into(), true);
            for _ in 0..4 {
                ladders.add(&call, message(&[b'x'; CALL_LEN / 4]));
            }
        }
        assert_eq!(ladders.len, SHARD_LEN);
        let (none, left_out_count) = ladders.told(&(calls - 1), |_| None).unwrap();
        assert_eq!((none.len(), left_out_count), (0, 4));
        (0..calls).for_each(|call| ladders.forget(&call));
        assert_eq!((ladders.len, ladders.is_empty()), (0, true));
        ladders.add(&1, message(b"of no call"));
        assert!(ladders.told(&1, |_| None).is_none() && ladders.len == 0);
    }
}
