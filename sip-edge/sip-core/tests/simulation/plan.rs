//! What a random phone makes of its INVITE.

use crate::network::Dice;
use sip_core::outcome::LegName;
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    Answer,
    Reject { code: u16, q850: Option<u16> },
    Never,
}

/// What a phone does with its INVITE.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// No response to anything.
    pub is_dead: bool,
    pub challenges: bool,
    /// 180, or 183 with SDP and early media.
    pub progress: Option<u16>,
    pub finish: Finish,
    pub finish_after: Duration,
    pub hang_up_after: Option<Duration>,
    pub has_media: bool,
    /// Media come from another port than signalled (NAT).
    pub is_translated: bool,
    /// Answers the INVITE when CANCEL comes: they crossed.
    pub crosses_cancel: bool,
    /// A second phone answers the same INVITE a little later.
    pub forks: bool,
    pub holds_after: Option<Duration>,
    pub has_bad_sdp: bool,
    /// Presses `1` so long after the call was acknowledged.
    pub confirms_after: Option<Duration>,
    /// Its 18x wait for PRACK (RFC 3262), and its 200 leaves the description to them.
    pub is_reliable: bool,
    /// What its 200 says of the session timer (RFC 4028).
    pub session: Option<&'static str>,
    /// Its Allow lists UPDATE.
    pub serves_update: bool,
    /// So long after the call was acknowledged its translator gives it another address: its media
    /// come from there, and its signalling, too, if that is asked for.
    pub rebinds_after: Option<Duration>,
    pub rebinds_signalling: bool,
    /// So long after its INVITE nothing comes from it any more.
    pub dies_after: Option<Duration>,
}

impl Plan {
    pub fn roll(dice: &mut Dice, leg: LegName) -> Plan {
        let answers = dice.chance(if leg == LegName::Agent { 85 } else { 60 });
        let codes = [486, 600, 603, 480, 404, 500, 503, 302, 408, 487, 403, 488];
        let finish = match (answers, dice.chance(20)) {
            (true, _) => Finish::Answer,
            (false, true) => Finish::Never,
            (false, false) => {
                let q850 = dice.chance(20).then(|| dice.pick(&[17, 18, 1, 34, 16]));
                Finish::Reject { code: dice.pick(&codes), q850 }
            }
        };
        Plan {
            is_dead: dice.chance(4),
            challenges: dice.chance(10),
            progress: dice.pick(&[None, Some(180), Some(180), Some(183)]),
            finish,
            finish_after: Duration::from_millis(dice.between(0, 8_000)),
            hang_up_after: dice.chance(70).then(|| Duration::from_millis(dice.between(0, 30_000))),
            has_media: !dice.chance(5),
            is_translated: dice.chance(20),
            crosses_cancel: dice.chance(30),
            forks: dice.chance(10),
            holds_after: dice.chance(20).then(|| Duration::from_millis(dice.between(100, 5_000))),
            has_bad_sdp: dice.chance(2),
            confirms_after: None,
            is_reliable: false,
            session: None,
            serves_update: false,
            rebinds_after: None,
            rebinds_signalling: false,
            dies_after: None,
        }
    }
}
