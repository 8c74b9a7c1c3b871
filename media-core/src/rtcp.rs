//! RTCP as bytes (RFC 3550 §6): a strict reader of compound packets and a writer of our reports.
//! Statistics are in `reception`.

use std::time::Duration;

use crate::reception::ReceptionReport;
use crate::rtp::Ssrc;
use crate::sender::SenderTotals;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const SOURCE_DESCRIPTION: u8 = 202;
const GOODBYE: u8 = 203;
const APPLICATION: u8 = 204;
/// SDES item types (RFC 3550 §6.5).
const SDES_END: u8 = 0;
const SDES_CNAME: u8 = 1;

/// More is no way of a call, but a report of ours that the peer never had.
const MAX_ROUND_TRIP: Duration = Duration::from_secs(30);

/// Length of our canonical name in bytes.
pub(crate) const CNAME_LEN: usize = 16;
/// The longest compound packet that `write` makes: SR with one block, SDES, BYE.
pub(crate) const MAX_REPORT_LEN: usize = 28 + 24 + (8 + 2 + CNAME_LEN + 2) + 8;

/// RTCP that breaks the rules of RFC 3550 A.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// What a compound packet tells us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Heard {
    /// That of a peer that sent anything since its last report.
    pub sender_report: Option<SenderReport>,
    /// How our stream comes there.
    pub ours: Option<OursHeard>,
    /// LSR and DLSR of the block about our stream, if it has seen a report of ours.
    pub echo: Option<Echo>,
    /// The peer leaves.
    pub goodbye: bool,
}

/// What the peer says of its own stream (RFC 3550 §6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SenderReport {
    /// Middle 32 bits of its NTP time, for our next LSR.
    pub ntp_middle: u32,
    /// Packets that it sent so far.
    pub packet_count: u32,
}

/// What the peer says of our stream (RFC 3550 §6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OursHeard {
    /// In 1/256 since its last report.
    pub fraction_lost: u8,
    /// Negative when duplicates came.
    pub cumulative_lost: i32,
    /// In timestamp units.
    pub jitter: u32,
}

/// What the peer says of our last sender report (RFC 3550 §6.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Echo {
    pub last_report: u32,
    /// In 1/65536 s.
    pub delay: u32,
}

impl Echo {
    /// Round-trip time, given the middle 32 bits of the NTP time of arrival; `None` if the numbers
    /// contradict.
    pub fn round_trip(self, arrival: u32) -> Option<Duration> {
        let units = arrival.wrapping_sub(self.last_report).wrapping_sub(self.delay);
        // Half of the range is negative times.
        Some(Duration::from_secs_f64(f64::from(units) / 65536.0))
            .filter(|round_trip| *round_trip <= MAX_ROUND_TRIP)
    }
}

/// Reads a whole compound packet; `ours` is the SSRC that we send with.
pub(crate) fn parse(datagram: &[u8], ours: Ssrc) -> Result<Heard, Malformed> {
    let mut heard = Heard::default();
    let mut rest = datagram;
    let mut first = true;
    while !rest.is_empty() {
        let [flags, kind, high, low, ..] = *rest else { return Err(Malformed) };
        let len = (usize::from(u16::from_be_bytes([high, low])) + 1) * 4;
        let (packet, after) = rest.split_at_checked(len).ok_or(Malformed)?;
        let padded = flags & 0x20 != 0;
        // RFC 3550 A.2: version 2 throughout; padding on the last packet only; an SR or RR comes
        // first.
        let report_first = !first || matches!(kind, SENDER_REPORT | RECEIVER_REPORT);
        if flags >> 6 != 2 || (padded && !after.is_empty()) || !report_first {
            return Err(Malformed);
        }
        let body = if padded { unpadded(packet)? } else { packet };
        read_packet(kind, usize::from(flags & 0x1f), &body[4..], ours, &mut heard)?;
        rest = after;
        first = false;
    }
    if first { Err(Malformed) } else { Ok(heard) }
}

fn unpadded(packet: &[u8]) -> Result<&[u8], Malformed> {
    let padding = usize::from(*packet.last().ok_or(Malformed)?);
    if padding == 0 || padding % 4 != 0 || padding + 4 > packet.len() {
        return Err(Malformed);
    }
    Ok(&packet[..packet.len() - padding])
}

fn read_packet(
    kind: u8,
    count: usize,
    body: &[u8],
    ours: Ssrc,
    heard: &mut Heard,
) -> Result<(), Malformed> {
    match kind {
        SENDER_REPORT => {
            let (information, blocks) = body.split_at_checked(24).ok_or(Malformed)?;
            read_blocks(blocks, count, ours, heard)?;
            heard.sender_report = Some(SenderReport {
                ntp_middle: word(information, 4 + 2),
                packet_count: word(information, 4 + 12),
            });
        }
        RECEIVER_REPORT => read_blocks(body.get(4..).ok_or(Malformed)?, count, ours, heard)?,
        SOURCE_DESCRIPTION => check_chunks(body, count)?,
        GOODBYE => {
            let reason = body.get(count * 4..).ok_or(Malformed)?;
            if let Some(len) = reason.first()
                && usize::from(*len) >= reason.len()
            {
                return Err(Malformed);
            }
            heard.goodbye = true;
        }
        APPLICATION if body.len() < 8 => return Err(Malformed),
        // Feedback and extended reports are well-formed by their length and mean nothing for G.711.
        _ => {}
    }
    Ok(())
}

fn read_blocks(
    blocks: &[u8],
    count: usize,
    ours: Ssrc,
    heard: &mut Heard,
) -> Result<(), Malformed> {
    // What follows the blocks is a profile-specific extension (RFC 3550 §6.4.3).
    let blocks = blocks.get(..count * 24).ok_or(Malformed)?;
    for block in blocks.chunks_exact(24) {
        if word(block, 0) != ours.0 {
            continue;
        }
        heard.ours = Some(OursHeard {
            fraction_lost: block[4],
            // 24 bits, signed.
            cumulative_lost: (word(block, 4) << 8) as i32 >> 8,
            jitter: word(block, 12),
        });
        if word(block, 16) != 0 {
            heard.echo = Some(Echo { last_report: word(block, 16), delay: word(block, 20) });
        }
    }
    Ok(())
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn check_chunks(mut body: &[u8], count: usize) -> Result<(), Malformed> {
    for _ in 0..count {
        let mut at = 4;
        loop {
            match body.get(at) {
                None => return Err(Malformed),
                Some(&SDES_END) => break,
                Some(_) => at += 2 + usize::from(*body.get(at + 1).ok_or(Malformed)?),
            }
        }
        // The end mark and zeros up to the next word.
        body = body.get((at / 4 + 1) * 4..).ok_or(Malformed)?;
    }
    if body.is_empty() { Ok(()) } else { Err(Malformed) }
}

/// One report of ours.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Report<'a> {
    pub ssrc: Ssrc,
    /// NTP time and stream totals, if we sent anything since the last report.
    pub sender: Option<(u64, SenderTotals)>,
    pub reception: Option<Block>,
    pub cname: &'a [u8; CNAME_LEN],
    pub goodbye: bool,
}

/// A report block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Block {
    pub reception: ReceptionReport,
    /// Middle 32 bits of the peer's last sender report and the time since, in 1/65536 s; zeros if
    /// there was none.
    pub last_report: u32,
    pub delay: u32,
}

/// Writes the compound packet SR or RR, SDES and, at the end, BYE into `out`; returns its length.
pub(crate) fn write(report: &Report<'_>, out: &mut [u8; MAX_REPORT_LEN]) -> usize {
    let mut writer = Writer { out, len: 0 };
    let block_count = report.reception.is_some() as u8;
    let block_len = u16::from(block_count) * 6;
    match &report.sender {
        Some((ntp, totals)) => {
            writer.head(block_count, SENDER_REPORT, 6 + block_len);
            writer.word(report.ssrc.0);
            writer.word((ntp >> 32) as u32);
            writer.word(*ntp as u32);
            writer.word(totals.timestamp);
            writer.word(totals.packet_count);
            writer.word(totals.octet_count);
        }
        None => {
            writer.head(block_count, RECEIVER_REPORT, 1 + block_len);
            writer.word(report.ssrc.0);
        }
    }
    if let Some(block) = &report.reception {
        let reception = &block.reception;
        writer.word(reception.ssrc.0);
        writer.word(
            u32::from(reception.fraction_lost) << 24
                | (reception.cumulative_lost as u32 & 0x00ff_ffff),
        );
        writer.word(reception.highest_sequence);
        writer.word(reception.jitter);
        writer.word(block.last_report);
        writer.word(block.delay);
    }
    // SSRC, item head and name, and at least one zero as the end mark, in whole words.
    let item_len = 2 + CNAME_LEN;
    let padded_len = (item_len / 4 + 1) * 4;
    writer.head(1, SOURCE_DESCRIPTION, 1 + (padded_len / 4) as u16);
    writer.word(report.ssrc.0);
    writer.bytes(&[SDES_CNAME, CNAME_LEN as u8]);
    writer.bytes(report.cname);
    writer.bytes(&[0; 4][..padded_len - item_len]);
    if report.goodbye {
        writer.head(1, GOODBYE, 1);
        writer.word(report.ssrc.0);
    }
    writer.len
}

struct Writer<'a> {
    out: &'a mut [u8; MAX_REPORT_LEN],
    len: usize,
}

impl Writer<'_> {
    fn head(&mut self, count: u8, kind: u8, word_count: u16) {
        let [high, low] = word_count.to_be_bytes();
        self.bytes(&[0x80 | count, kind, high, low]);
    }

    fn word(&mut self, word: u32) {
        self.bytes(&word.to_be_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.out[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }
}

#[cfg(test)]
mod tests;
