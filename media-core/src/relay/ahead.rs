//! What a burst of datagrams will touch, asked for ahead: the legs lie apart in memory, and one
//! datagram after the other would wait for each of its own.

use std::net::SocketAddr;

use super::leg::{HOT_LEN, Leg};
use super::taping::Tape;
use super::{Relay, SocketId};
use crate::recording::{Recording, TrackId};

/// Most datagrams of a burst.
pub const BURST_LEN: usize = 64;

impl Relay {
    /// Asks for the memory that these datagrams (socket, source) will touch, at most `BURST_LEN`.
    /// Says and changes nothing.
    pub fn expect(&mut self, burst: impl Iterator<Item = (SocketId, SocketAddr)>) {
        let mut expected = std::mem::take(&mut self.expected);
        expected.clear();
        expected.extend(burst.filter_map(|(socket, source)| self.leg_index(socket, source)));
        // Each pass follows pointers that the one before asked for.
        expected.iter().for_each(|index| self.legs.prefetch(*index, HOT_LEN));
        for leg in expected.iter().filter_map(|index| self.legs.at(*index)) {
            if let Some(inbound) = &leg.inbound {
                inbound.prefetch();
            }
            if let Some(hearer) = leg.hearer {
                self.legs.prefetch(hearer.index, HOT_LEN);
            }
            if let Some((recording, _)) = leg.tap {
                self.recordings.prefetch(recording.index, size_of::<Tape>());
            }
        }
        for leg in expected.iter().filter_map(|index| self.legs.at(*index)) {
            let hearer = leg.hearer.and_then(|hearer| self.legs.at(hearer.index));
            if let Some(outbound) = hearer.and_then(|hearer| hearer.outbound.as_ref()) {
                outbound.prefetch();
            }
            if let Some(softphone) = hearer.and_then(|hearer| hearer.softphone.as_ref()) {
                softphone.prefetch_selected();
            }
            if let Some((recording, track)) = self.tape_of(leg) {
                recording.prefetch_track(track);
            }
        }
        for leg in expected.iter().filter_map(|index| self.legs.at(*index)) {
            if let Some((recording, track)) = self.tape_of(leg) {
                recording.prefetch_room(track);
            }
        }
        self.expected = expected;
    }

    fn tape_of(&self, leg: &Leg) -> Option<(&Recording, TrackId)> {
        let (recording, track) = leg.tap?;
        Some((&self.recordings.at(recording.index)?.recording, track))
    }

    fn leg_index(&self, socket: SocketId, source: SocketAddr) -> Option<u32> {
        match socket {
            SocketId::WEBRTC => Some(self.softphones.as_ref()?.leg_at(source)?.index),
            socket => Some(socket.pair()),
        }
    }
}
