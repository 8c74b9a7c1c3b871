//! SRTP of one leg at the carrier: keys by SDES (RFC 4568), in the first suite that is offered.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use media_core::srtp::{Inbound, Keys, Outbound, RTP_TAIL_LEN, Suite};
use uuid::Uuid;

/// Room for a protected packet of 20 ms of G.711.
pub const PROTECTED_LEN: usize = 172 + RTP_TAIL_LEN;

/// Both directions.
pub struct Srtp {
    inbound: Inbound,
    outbound: Outbound,
    /// Our line of the answer.
    pub line: String,
}

impl Srtp {
    /// Takes the first key that an offer has in a suite that we know, with one of ours; `None` if
    /// it has none.
    pub fn of_offer(sdp: &str) -> Option<Srtp> {
        sdp.lines().find_map(|line| Srtp::of_line(line.trim_end().strip_prefix("a=crypto:")?))
    }

    fn of_line(value: &str) -> Option<Srtp> {
        let mut words = value.split(' ');
        let (tag, name, key) = (words.next()?, words.next()?, words.next()?);
        let suite = Suite::ALL.into_iter().find(|suite| suite.name() == name)?;
        let key = key.strip_prefix("inline:")?.split('|').next()?;
        let theirs = Keys::new(suite, &STANDARD.decode(key).ok()?)?;
        let random: Vec<u8> = (0..3).flat_map(|_| Uuid::new_v4().into_bytes()).collect();
        let material = &random[..suite.material_len()];
        Some(Srtp {
            inbound: Inbound::new(&theirs),
            outbound: Outbound::new(&Keys::new(suite, material)?),
            line: format!("a=crypto:{tag} {name} inline:{}\r\n", STANDARD.encode(material)),
        })
    }

    /// Protects the packet at the buffer's beginning; its new length.
    pub fn protect(&mut self, buffer: &mut [u8], len: usize) -> usize {
        self.outbound.protect_rtp(buffer, len).expect("each packet has a number of its own")
    }

    /// Opens a packet where it is; its length without SRTP, or `None` if it is not of our peer.
    pub fn open(&mut self, packet: &mut [u8]) -> Option<usize> {
        let len = packet.len();
        self.inbound.unprotect_rtp(packet, len).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_protects_the_other_opens_in_each_suite() {
        for suite in Suite::ALL {
            let material = STANDARD.encode(vec![7; suite.material_len()]);
            let line = format!("a=crypto:3 {} inline:{material}|2^20\r\n", suite.name());
            let offer = format!("v=0\r\na=crypto:1 NEVER_HEARD_OF inline:AAAA\r\n{line}");
            let mut here = Srtp::of_offer(&offer).unwrap();
            assert!(here.line.starts_with(&format!("a=crypto:3 {} inline:", suite.name())));
            let mut packet = [0x80; PROTECTED_LEN];
            let len = here.protect(&mut packet, 172);
            assert!(len > 172);
            let mut there = Srtp::of_offer(&here.line).unwrap();
            assert_eq!(there.open(&mut packet[..len]), Some(172));
            assert_eq!(packet[..172], [0x80; 172]);
            assert_eq!(there.open(&mut packet[..len]), None, "once");
        }
        assert!(Srtp::of_offer("v=0\r\nm=audio 4 RTP/AVP 8\r\n").is_none());
    }
}
