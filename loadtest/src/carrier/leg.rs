//! One leg at the carrier: its dialog as text, its outgoing tone and what it receives.

use super::script::{Behaviour, Outcome};
use super::srtp::{PROTECTED_LEN, Srtp};
use super::text::{Message, uri};
use crate::probe;
use crate::spread::Times;
use media_core::codec::Law;
use media_core::tone::Tone;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// RTP of 20 ms of G.711.
const PLAIN_LEN: usize = 172;

/// How far a leg has come; requests and responses that do not fit are passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Invited,
    Ringing,
    Answered,
    Confirmed,
    Refused,
    HangingUp,
}

/// What a leg's end came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// The edge sent BYE.
    Peer,
    /// The edge sent CANCEL.
    Cancel,
    /// This side hung up as scripted.
    Script,
    /// This side refused as scripted.
    Refusal,
    /// No ACK or no answer to BYE came.
    Timeout,
    /// The carrier was stopped.
    Stop,
}

/// What came of one leg.
#[derive(Debug)]
pub struct LegReport {
    /// The dialled user part.
    pub user: String,
    pub ended_by: EndedBy,
    pub invited_at: Instant,
    pub answered_at: Option<Instant>,
    pub acknowledged_at: Option<Instant>,
    pub first_media_at: Option<Instant>,
    pub sent_count: u64,
    pub received_count: u64,
    /// Probe packets that the other party sent and this one did not receive; without probes, gaps
    /// in the sequence of what came.
    pub lost_count: u64,
}

impl LegReport {
    /// Of a leg that was invited now and has done nothing yet.
    pub fn new(user: String, now: Instant) -> LegReport {
        LegReport {
            user,
            ended_by: EndedBy::Stop,
            invited_at: now,
            answered_at: None,
            acknowledged_at: None,
            first_media_at: None,
            sent_count: 0,
            received_count: 0,
            lost_count: 0,
        }
    }
}

/// One call of the edge to this carrier.
pub struct Leg {
    id: u64,
    pub call_id: String,
    pub phase: Phase,
    pub behaviour: Behaviour,
    pub signalling: SocketAddr,
    pub remote_media: SocketAddr,
    pub ended_by: Option<EndedBy>,
    pub retransmit_count: u32,
    pub last_sent: String,
    invite: String,
    contact: String,
    sdp: String,
    payload_type: u8,
    /// Boxed: most legs have none.
    srtp: Option<Box<Srtp>>,
    user: String,
    sequence: u16,
    tone_position: u32,
    /// A second of the tone, once it is sent.
    tone: Option<Box<[u8]>>,
    probe_sent_count: u32,
    probes: probe::Received,
    /// First and highest sequence number of what came, extended, where there are no probes.
    sequences: Option<(u64, u64)>,
    report: LegReport,
}

impl Leg {
    /// Reads the INVITE; `None` if its offer has no G.711, or no key where one is wanted.
    pub fn new(
        id: u64,
        now: Instant,
        from: SocketAddr,
        invite: &Message,
        behaviour: Behaviour,
        sip_port: u16,
        media_port: u16,
    ) -> Option<Leg> {
        let Offer { remote_media, profile, payload_type, event } = Offer::read(invite.body)?;
        let srtp = match behaviour.srtp {
            true => Some(Box::new(Srtp::of_offer(invite.body)?)),
            false => None,
        };
        let crypto = srtp.as_ref().map_or("", |srtp| &srtp.line);
        let user = invite.request_user().to_owned();
        let telephone_event = event.map_or(String::new(), |pt| {
            format!("a=rtpmap:{pt} telephone-event/8000\r\na=fmtp:{pt} 0-16\r\n")
        });
        let formats = event.map_or(payload_type.to_string(), |pt| format!("{payload_type} {pt}"));
        let codec = if payload_type == 0 { "PCMU" } else { "PCMA" };
        let sdp = format!(
            "v=0\r\no=carrier {id} 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                m=audio {media_port} {profile} {formats}\r\n\
             a=rtpmap:{payload_type} {codec}/8000\r\n{telephone_event}{crypto}a=ptime:20\r\n\
             a=sendrecv\r\na=rtcp-mux\r\n"
        );
        let report = LegReport::new(user.clone(), now);
        Some(Leg {
            id,
            call_id: invite.header("Call-ID").to_owned(),
            phase: Phase::Invited,
            behaviour,
            signalling: from,
            remote_media,
            ended_by: None,
            retransmit_count: 0,
            last_sent: String::new(),
            // Kept as text: responses echo its headers until the call ends.
            invite: invite.response(100, "Trying", "", "", ""),
            contact: uri(invite.header("Contact")).to_owned(),
            sdp,
            payload_type,
            srtp,
            sequence: id as u16,
            tone_position: 0,
            tone: None,
            probe_sent_count: 0,
            probes: probe::Received::default(),
            sequences: None,
            report,
            user: format!("sip:{user}@127.0.0.1:{sip_port}"),
        })
    }

    /// The 100 to its INVITE.
    pub fn trying(&self) -> String {
        self.invite.clone()
    }

    fn respond(&mut self, status: u16, phrase: &str, with_session: bool) -> String {
        let (_, headers) = self.invite.split_once("\r\n").expect("a status line");
        let headers = headers.split("Content-Length").next().expect("a first part").replacen(
            "\r\nCall-ID",
            &format!(";tag=c{}\r\nCall-ID", self.id),
            1,
        );
        let body = if with_session { self.sdp.as_str() } else { "" };
        let kind = if with_session { "Content-Type: application/sdp\r\n" } else { "" };
        self.last_sent = format!(
            "SIP/2.0 {status} {phrase}\r\n{headers}Contact: <{}>\r\n{kind}Content-Length: {}\r\n\
                \r\n{body}",
            self.user,
            body.len()
        );
        self.last_sent.clone()
    }

    /// The 180, or with early media the 183 that describes it.
    pub fn ring(&mut self) -> String {
        self.phase = Phase::Ringing;
        if self.behaviour.early_media {
            self.respond(183, "Session Progress", true)
        } else {
            self.respond(180, "Ringing", false)
        }
    }

    /// The 200 with the session description.
    pub fn answer(&mut self, now: Instant) -> String {
        self.phase = Phase::Answered;
        self.report.answered_at = Some(now);
        self.respond(200, "OK", true)
    }

    /// A final response that ends the leg.
    pub fn refuse(&mut self, status: u16, phrase: &str) -> String {
        self.phase = Phase::Refused;
        self.respond(status, phrase, false)
    }

    /// The ACK of the 200 has come: from now on it talks.
    pub fn acknowledge(&mut self, now: Instant) {
        self.phase = Phase::Confirmed;
        self.report.acknowledged_at = Some(now);
    }

    /// Answers an INVITE of a known Call-ID: the last response to a retransmission, a 200 to a
    /// re-INVITE.
    pub fn answer_again(&mut self, message: &Message) -> String {
        if self.phase != Phase::Confirmed {
            return if self.last_sent.is_empty() {
                self.invite.clone()
            } else {
                self.last_sent.clone()
            };
        }
        message.response(200, "OK", "", &self.user, &self.sdp)
    }

    /// BYE towards the edge's Contact (RFC 3261 §15.1.1).
    pub fn bye(&mut self) -> String {
        self.phase = Phase::HangingUp;
        self.retransmit_count = 0;
        let field = |name: &str| {
            let line = self.invite.lines().find(|line| line.starts_with(name));
            line.map_or("", |line| line[name.len()..].trim()).to_owned()
        };
        let (us, peer) = (format!("{};tag=c{}", field("To:"), self.id), field("From:"));
        self.last_sent = format!(
            "BYE {} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bKb{};rport\r\nMax-Forwards: 70\r\n\
                From: {us}\r\nTo: {peer}\r\n\
             Call-ID: {}\r\nCSeq: 2 BYE\r\nContent-Length: 0\r\n\r\n",
            self.contact,
            self.user.rsplit('@').next().expect("a host"),
            self.id,
            self.call_id
        );
        self.last_sent.clone()
    }

    /// Writes the next RTP packet of the tone: where it goes, and its length; `None` while this leg
    /// is silent.
    pub fn next_packet(
        &mut self,
        packet: &mut [u8; PROTECTED_LEN],
        probe: bool,
    ) -> Option<(SocketAddr, usize)> {
        let Outcome::Answer { tone: Some(frequency), .. } = self.behaviour.outcome else {
            return None;
        };
        let silent = match self.phase {
            Phase::Answered | Phase::Confirmed => false,
            Phase::Ringing => !self.behaviour.early_media,
            Phase::Invited | Phase::Refused | Phase::HangingUp => true,
        };
        if silent {
            return None;
        }
        packet[0] = 0x80;
        packet[1] = self.payload_type;
        packet[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        packet[4..8].copy_from_slice(&self.tone_position.to_be_bytes());
        packet[8..12].copy_from_slice(&(0xC0DE_0000u32.wrapping_add(self.id as u32)).to_be_bytes());
        if probe {
            probe::write(&mut packet[12..PLAIN_LEN], self.probe_sent_count, probe::nanos());
            self.probe_sent_count += 1;
        } else {
            let payload_type = self.payload_type;
            let tone = self.tone.get_or_insert_with(|| tone(payload_type, frequency));
            let start = self.tone_position as usize % tone.len();
            packet[12..PLAIN_LEN].copy_from_slice(&tone[start..start + 160]);
        }
        self.sequence = self.sequence.wrapping_add(1);
        self.tone_position = self.tone_position.wrapping_add(160);
        self.report.sent_count += 1;
        let len = match &mut self.srtp {
            Some(srtp) => srtp.protect(packet, PLAIN_LEN),
            None => PLAIN_LEN,
        };
        Some((self.remote_media, len))
    }

    /// Counts a received packet that came at `nanos`, and its delay if it is to hold a probe; false
    /// if it is not RTP audio of this leg.
    pub fn on_media(&mut self, packet: &mut [u8], nanos: u64, delays: Option<&mut Times>) -> bool {
        let packet = match &mut self.srtp {
            None => &*packet,
            Some(srtp) => match srtp.open(packet) {
                Some(len) => &packet[..len],
                None => return false,
            },
        };
        if packet.len() < 12 || packet[0] >> 6 != 2 || packet[1] & 0x7F != self.payload_type {
            return false;
        }
        if let Some(delays) = delays {
            if !self.probes.take(&packet[12..], nanos, delays) {
                return false;
            }
        } else {
            let sequence = u16::from_be_bytes([packet[2], packet[3]]);
            let (_, highest) =
                self.sequences.get_or_insert((u64::from(sequence), u64::from(sequence)));
            let ahead = sequence.wrapping_sub(*highest as u16);
            if ahead <= u16::MAX / 2 {
                *highest += u64::from(ahead);
            }
        }
        if self.report.first_media_at.is_none() {
            self.report.first_media_at = Some(Instant::now());
        }
        self.report.received_count += 1;
        true
    }

    /// What is told of it once it is over.
    pub fn into_report(mut self, ended_by: EndedBy) -> LegReport {
        let missing = |(first, highest): (u64, u64)| {
            (highest - first + 1).saturating_sub(self.report.received_count)
        };
        self.report.lost_count = self.sequences.map_or_else(|| self.probes.lost_count(), missing);
        self.report.ended_by = ended_by;
        self.report
    }
}

/// A second of a sine, encoded: a whole number of its turns for each whole frequency.
fn tone(payload_type: u8, frequency: f32) -> Box<[u8]> {
    let law = if payload_type == 0 { Law::Pcmu } else { Law::Pcma };
    let mut second = vec![0; 8000].into_boxed_slice();
    Tone::steady(f64::from(frequency).round(), 10_000.0).fill_encoded(0, law, &mut second);
    second
}

/// What is taken of an SDP offer.
struct Offer<'a> {
    remote_media: SocketAddr,
    /// Such as `RTP/AVP`.
    profile: &'a str,
    /// The first of G.711.
    payload_type: u8,
    /// Of telephone-events.
    event: Option<u8>,
}

impl Offer<'_> {
    fn read(sdp: &str) -> Option<Offer<'_>> {
        let line = |prefix: &str| sdp.lines().find_map(|line| line.trim_end().strip_prefix(prefix));
        let address: IpAddr = line("c=IN IP4 ").or_else(|| line("c=IN IP6 "))?.parse().ok()?;
        let mut media = line("m=audio ")?.split(' ');
        let remote_media = SocketAddr::new(address, media.next()?.parse().ok()?);
        let profile = media.next()?;
        let mut formats = media.filter_map(|format| format.parse().ok());
        let payload_type = formats.find(|format| matches!(format, 0 | 8))?;
        let event = sdp
            .lines()
            .find(|line| line.contains("telephone-event"))
            .and_then(|line| line.strip_prefix("a=rtpmap:")?.split(' ').next()?.parse().ok());
        Some(Offer { remote_media, profile, payload_type, event })
    }
}
