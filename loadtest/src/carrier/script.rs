//! What a dialled number does.

use std::time::Duration;

/// The reaction of one number to an INVITE.
#[derive(Debug, Clone, Copy)]
pub struct Behaviour {
    /// From the INVITE to `180 Ringing`.
    pub ring_after: Duration,
    /// From `180 Ringing` to the outcome.
    pub answer_after: Duration,
    /// Rings with `183 Session Progress` and sends RTP at once.
    pub early_media: bool,
    /// Takes a key of the offer, without which it refuses; else none is taken.
    pub srtp: bool,
    pub outcome: Outcome,
}

/// What a number does with its INVITE.
#[derive(Debug, Clone, Copy)]
pub enum Outcome {
    Answer {
        /// Frequency of the tone that is played, in hertz; `None` never sends media.
        tone: Option<f32>,
        /// Hangs up this long after the ACK; `None` waits for the other side.
        talk: Option<Duration>,
    },
    Refuse {
        status: u16,
        phrase: &'static str,
    },
    RingForEver,
}

impl Behaviour {
    /// Rings at once and answers after `answer_after`.
    pub fn answer(answer_after: Duration, tone: Option<f32>, talk: Option<Duration>) -> Behaviour {
        Behaviour {
            ring_after: Duration::ZERO,
            answer_after,
            early_media: false,
            srtp: false,
            outcome: Outcome::Answer { tone, talk },
        }
    }

    fn refuse(status: u16, phrase: &'static str) -> Behaviour {
        Behaviour {
            outcome: Outcome::Refuse { status, phrase },
            ..Behaviour::answer(Duration::from_secs(1), None, None)
        }
    }
}

/// A sandbox number's last digits and what they do, as shown to people.
pub const SANDBOX_NUMBERS: [(&str, &str); 11] = [
    ("9876500001", "answers after 2 s and plays a tone of 700 Hz"),
    ("9876500002", "rings for ever"),
    ("9876500003", "is busy (486)"),
    ("9876500004", "declines (603)"),
    ("9876500005", "the carrier fails (503)"),
    ("9876500006", "does not exist (404)"),
    ("9876500007", "answers and never sends media"),
    ("9876500008", "plays an announcement tone before it answers after 4 s"),
    ("9876500009", "is switched off (480)"),
    ("9876501010", "answers and hangs up after 10 s (the last two digits are the seconds)"),
    ("9876599999", "is the agent's phone: answers after 1 s and plays a tone of 440 Hz"),
];

/// The sandbox's numbers, in any of the forms a trunk sends them.
pub fn sandbox(user: &str) -> Behaviour {
    let seconds = Duration::from_secs;
    let digits: String = user.chars().filter(char::is_ascii_digit).collect();
    let tail = digits.get(digits.len().saturating_sub(5)..).unwrap_or("");
    match tail {
        "00002" => {
            Behaviour { outcome: Outcome::RingForEver, ..Behaviour::answer(seconds(0), None, None) }
        }
        "00003" => Behaviour::refuse(486, "Busy Here"),
        "00004" => Behaviour::refuse(603, "Decline"),
        "00005" => Behaviour::refuse(503, "Service Unavailable"),
        "00006" => Behaviour::refuse(404, "Not Found"),
        "00007" => Behaviour::answer(seconds(2), None, None),
        "00008" => {
            Behaviour { early_media: true, ..Behaviour::answer(seconds(4), Some(700.0), None) }
        }
        "00009" => Behaviour::refuse(480, "Temporarily Unavailable"),
        "99999" => Behaviour::answer(seconds(1), Some(440.0), None),
        _ => match tail.strip_prefix("010").and_then(|n| n.parse().ok()) {
            Some(talk) => Behaviour::answer(seconds(1), Some(700.0), Some(seconds(talk))),
            None => Behaviour::answer(seconds(2), Some(700.0), None),
        },
    }
}
