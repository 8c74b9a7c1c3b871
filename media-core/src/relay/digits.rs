//! Digits that are sent to legs, and whose are heard: telephone events where they were negotiated
//! (RFC 4733), else dual tones in the audio (ITU-T Q.23). They come between the packets of what the
//! leg hears, which is suppressed meanwhile.

use std::time::Instant;

use super::leg::{Kind, Leg};
use super::queues::Queues;
use super::tick::TICK_SAMPLES;
use super::{Event, LegId, Relay};
use crate::codec::Law;
use crate::drops::DropReason;
use crate::dtmf::{COLUMNS, KEYS, ROWS};
use crate::g711;
use crate::sender::Moment;
use crate::tone::Tone;

/// In the codes given to `send_digits`: nothing is sent for a second.
pub const PAUSE: u8 = 255;
/// The highest code of a key: D (RFC 4733 §3.2).
const MAX_CODE: u8 = 15;
/// Most codes that wait for a leg.
const MAX_WAITING: usize = 64;
const TICKS_PER_SECOND: u32 = 50;
/// Ticks of a key's tone, 100 ms, and of the key with the gap after it, 160 ms.
const TONE_TICKS: u8 = 5;
const KEY_TICKS: u8 = 8;
/// Ticks of a pause.
const PAUSE_TICKS: u8 = 50;
/// Packets that tell an event's end (RFC 4733 §2.5.1.4).
const END_COUNT: u8 = 3;
/// Power of an event in -dBm0 (RFC 4733 §2.3).
const VOLUME: u8 = 10;
/// Peak sample of each of the two tones.
const AMPLITUDE: f64 = 5200.0;

/// Why digits are not sent; none of them is then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DigitsRefused {
    #[error("too many digits wait to be sent")]
    Full,
    #[error("the leg cannot be sent to")]
    NotSending,
    #[error("no such key")]
    UnknownKey,
}

/// What is sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Current {
    Nothing,
    /// The key's next packet is that of tick `step`.
    Key {
        code: u8,
        step: u8,
    },
    /// So many ticks are left.
    Pause(u8),
}

/// The digits of one leg.
#[derive(Debug)]
pub(super) struct Digits {
    waiting: [u8; MAX_WAITING],
    first: usize,
    count: usize,
    current: Current,
}

/// One packet for the leg.
struct Packet {
    kind: Kind,
    moment: Moment,
    marker: bool,
    payload: [u8; TICK_SAMPLES],
    len: usize,
}

impl Default for Digits {
    fn default() -> Self {
        Digits { waiting: [0; MAX_WAITING], first: 0, count: 0, current: Current::Nothing }
    }
}

impl Digits {
    /// Whether a key or its gap is being sent.
    pub fn is_dialing(&self) -> bool {
        matches!(self.current, Current::Key { .. })
    }

    fn is_idle(&self) -> bool {
        self.count == 0 && self.current == Current::Nothing
    }

    /// Takes all codes or none; false if there is no room.
    fn add(&mut self, codes: &[u8]) -> bool {
        if self.count + codes.len() > MAX_WAITING {
            return false;
        }
        for code in codes {
            self.waiting[(self.first + self.count) % MAX_WAITING] = *code;
            self.count += 1;
        }
        true
    }

    /// What this tick brings: a key and its step.
    fn next(&mut self) -> Option<(u8, u8)> {
        if self.current == Current::Nothing && self.count > 0 {
            let code = self.waiting[self.first];
            self.first = (self.first + 1) % MAX_WAITING;
            self.count -= 1;
            self.current = if code == PAUSE {
                Current::Pause(PAUSE_TICKS)
            } else {
                Current::Key { code, step: 0 }
            };
        }
        match self.current {
            Current::Nothing => None,
            Current::Pause(left) => {
                self.current = if left > 1 { Current::Pause(left - 1) } else { Current::Nothing };
                None
            }
            Current::Key { code, step } => {
                // The last tick of the gap is the key's still: `finish` ends it.
                self.current = Current::Key { code, step: step + 1 };
                Some((code, step))
            }
        }
    }

    /// Ends a key whose gap is over.
    fn finish(&mut self) {
        if matches!(self.current, Current::Key { step: KEY_TICKS, .. }) {
            self.current = Current::Nothing;
        }
    }
}

impl Leg {
    /// Tells a key of a party without telephone-events that is heard in its audio.
    #[cold]
    pub(super) fn hear_key(
        &mut self,
        queues: &mut Queues,
        law: Law,
        audio: &[u8],
    ) -> Result<(), DropReason> {
        let Some(keypad) = &mut self.keypad else { return Ok(()) };
        let table = g711::decode_table(law);
        match keypad.hear(audio.iter().map(|byte| table[usize::from(*byte)])) {
            Some(code) => queues.pressed(Event::KeyTone(self.id, code)),
            None => Ok(()),
        }
    }
}

impl Relay {
    /// Sends digits to the leg after those that still wait: telephone events if negotiated, else
    /// dual tones. Codes are 0 to 15 (RFC 4733 §3.2: 10 is '*', 11 '#', 12 to 15 A to D), or
    /// `PAUSE`. Audio to the leg is suppressed while a key is sent.
    pub fn send_digits(
        &mut self,
        _now: Instant,
        leg: LegId,
        codes: &[u8],
    ) -> Result<(), DigitsRefused> {
        if codes.iter().any(|code| *code > MAX_CODE && *code != PAUSE) {
            return Err(DigitsRefused::UnknownKey);
        }
        let open = self.legs.get_mut(leg.index, leg.generation).ok_or(DigitsRefused::NotSending)?;
        if !open.is_sendable() {
            return Err(DigitsRefused::NotSending);
        }
        let digits = open.digits.get_or_insert_default();
        let was_idle = digits.is_idle();
        if !digits.add(codes) {
            return Err(DigitsRefused::Full);
        }
        if was_idle && !digits.is_idle() {
            self.dialing.push(leg);
        }
        Ok(())
    }

    /// Says whether keys are heard in the leg's audio even while others hear it; they are only of a
    /// party without telephone-events.
    pub fn hear_tones(&mut self, leg: LegId, hears_tones: bool) {
        if let Some(leg) = self.legs.get_mut(leg.index, leg.generation) {
            leg.hears_tones = hears_tones;
        }
    }

    /// Sends a party's key press on to all that hear the party in a mix. Allocates nothing.
    pub(super) fn press_in_mixes(&mut self, leg: LegId, code: u8) {
        let Some(open) = self.legs.get(leg.index, leg.generation).filter(|_| code <= MAX_CODE)
        else {
            return;
        };
        let (hearers, in_place) = (open.heard_by, open.hearer);
        for hearer in hearers.as_slice().iter().filter(|hearer| in_place != Some(**hearer)) {
            let Some(open) = self.legs.get_mut(hearer.index, hearer.generation) else { continue };
            if let Err(reason) = open.payload_type(Kind::TelephoneEvent) {
                self.drops.count(reason);
                continue;
            }
            let Some(digits) = &mut open.digits else { continue };
            let was_idle = digits.is_idle();
            if !digits.add(&[code]) {
                self.drops.count(DropReason::DigitsFull);
            } else if was_idle && self.dialing.len() < self.dialing.capacity() {
                self.dialing.push(*hearer);
            }
        }
    }

    /// Sends the next packet of each leg's digits.
    pub(super) fn tick_digits(&mut self, now: Instant) {
        let mut at = 0;
        while let Some(id) = self.dialing.get(at).copied() {
            if self.dial(now, id) {
                at += 1;
            } else {
                self.dialing.swap_remove(at);
            }
        }
    }

    /// Returns whether there is more to send.
    fn dial(&mut self, now: Instant, id: LegId) -> bool {
        let Some(leg) = self.legs.get_mut(id.index, id.generation) else { return false };
        let is_sendable = leg.is_sendable();
        let Some(digits) = &mut leg.digits else { return false };
        digits.finish();
        if digits.is_idle() {
            return false;
        }
        // Keys wait for a peer that holds.
        let Some((code, step)) =
            Some(digits).filter(|_| is_sendable).and_then(|digits| digits.next())
        else {
            return true;
        };
        let Some(packet) = packet(leg, code, step) else { return true };
        let placed = leg.sender.interject(now, packet.moment);
        self.transmit(id, packet.kind, placed, packet.marker, &packet.payload[..packet.len]);
        true
    }
}

/// The packet of a key at this step; `None` in the gap after an event.
fn packet(leg: &Leg, code: u8, step: u8) -> Option<Packet> {
    let mut payload = [0; TICK_SAMPLES];
    if leg.payload_type(Kind::TelephoneEvent).is_ok() {
        if step >= TONE_TICKS + END_COUNT - 1 {
            return None;
        }
        let tick = (leg.event_rate() / TICKS_PER_SECOND) as u16;
        let duration = u16::from(TONE_TICKS.min(step + 1)) * tick;
        let end = if step + 1 >= TONE_TICKS { 0x80 } else { 0 };
        let [high, low] = duration.to_be_bytes();
        payload[..4].copy_from_slice(&[code, end | VOLUME, high, low]);
        let moment = if step == 0 { Moment::Now } else { Moment::Same };
        return Some(Packet {
            kind: Kind::TelephoneEvent,
            moment,
            marker: step == 0,
            payload,
            len: 4,
        });
    }
    let mut samples = [0; TICK_SAMPLES];
    if step < TONE_TICKS {
        let (row, column) = KEYS[usize::from(code % 16)];
        let tones = [Tone::steady(ROWS[row], AMPLITUDE), Tone::steady(COLUMNS[column], AMPLITUDE)];
        for (at, sample) in samples.iter_mut().enumerate() {
            let position = u64::from(step) * TICK_SAMPLES as u64 + at as u64;
            *sample = tones.iter().map(|tone| tone.sample(position)).sum();
        }
    }
    g711::encode_all(leg.law(), &samples, &mut payload);
    let moment = if step == 0 { Moment::Now } else { Moment::After(TICK_SAMPLES as u32) };
    Some(Packet { kind: Kind::Audio, moment, marker: false, payload, len: TICK_SAMPLES })
}
