//! A call's SIP messages as a ladder: the dialer on the left, a column for each leg, an arrow for
//! each message.

use super::{CliError, Session};
use crate::admin::ladder::{LadderView, MessageView};
use call_words::MessageWay;
use clap::Args;
use std::fmt::Write;

/// Width of a leg's column.
const COLUMN: usize = 34;

/// The SIP messages of a call, live or ended.
#[derive(Debug, Args)]
pub struct LadderArgs {
    call_id: String,
    /// Print each message below the ladder, too
    #[arg(long)]
    messages: bool,
}

impl LadderArgs {
    pub(super) async fn run(self, session: &mut Session<'_>) -> Result<(), CliError> {
        let ladder: LadderView = session.client.read(&["calls", &self.call_id, "ladder"]).await?;
        session.show(&ladder, |ladder| draw(ladder, self.messages))
    }
}

/// One column of the ladder.
fn leg(message: &MessageView) -> &str {
    message.party.as_deref().unwrap_or(message.leg.as_str())
}

pub(super) fn draw(ladder: &LadderView, with_messages: bool) -> String {
    let mut legs: Vec<&str> = Vec::new();
    for message in &ladder.messages {
        if !legs.contains(&leg(message)) {
            legs.push(leg(message));
        }
    }
    let mut text = format!("{:>5} {:12}", "", "");
    legs.iter().for_each(|leg| write!(text, " {leg:<COLUMN$}").expect("a string takes all"));
    for (number, message) in ladder.messages.iter().enumerate() {
        let column = legs.iter().position(|each| *each == leg(message)).unwrap_or_default();
        let blank = (COLUMN + 1) * column;
        let time = message.time.get(11..23).unwrap_or(&message.time);
        let arrow = arrow(message);
        let peer = format!("{} {}", message.transport, message.remote);
        let line = format!("{:>5} {time:12} {:blank$}{arrow:<COLUMN$} {peer}", number + 1, "");
        write!(text, "\n{}", line.trim_end()).expect("a string takes all");
    }
    if ladder.left_out > 0 {
        text.push_str(&format!("\n\n{} messages between were not kept", ladder.left_out));
    }
    if !ladder.whole {
        text.push_str("\n\nmore may follow");
    }
    if with_messages {
        for (number, message) in ladder.messages.iter().enumerate() {
            let way = if message.direction == MessageWay::Sent { "to" } else { "from" };
            let MessageView { time, transport, remote, .. } = message;
            let head =
                format!("{}  {time}  {} {way} {transport} {remote}", number + 1, leg(message));
            let body = message.message.replace('\r', "");
            text.push_str(&format!("\n\n── {head}\n{}", printable(body.trim_end())));
        }
    }
    text
}

/// `── INVITE ───→` or `←── 200 OK ───`, as wide as its column.
fn arrow(message: &MessageView) -> String {
    let first = message.message.lines().next().unwrap_or_default();
    let label = match first.strip_prefix("SIP/2.0 ") {
        Some(status) => status,
        None => first.split(' ').next().unwrap_or_default(),
    };
    let room = COLUMN - 6;
    let label: String = printable(label).chars().take(room).collect();
    let line = "─".repeat(room - label.chars().count());
    match message.direction {
        MessageWay::Sent => format!("── {label} {line}─→"),
        MessageWay::Received => format!("←─ {label} {line}──"),
    }
}

/// What peers wrote, without what would steer a terminal.
fn printable(text: &str) -> String {
    let is_control = |each: char| each.is_control() && each != '\n' && each != '\t';
    text.chars().map(|each| if is_control(each) { '\u{fffd}' } else { each }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use call_words::{LegKind, SignalTransport};

    #[test]
    fn legs_are_columns_and_messages_arrows() {
        let message = |at: &str, leg, direction, text: &str| MessageView {
            time: format!("2026-07-03T10:00:{at}Z"),
            leg,
            party: None,
            direction,
            transport: SignalTransport::Udp,
            local: "192.0.2.1:5060".into(),
            remote: "198.51.100.7:5060".into(),
            message: text.into(),
            message_base64: None,
        };
        let (agent, customer) = (LegKind::Agent, LegKind::Customer);
        let ladder = LadderView {
            call_id: "c1".into(),
            whole: false,
            left_out: 3,
            messages: vec![
                message(
                    "00.000",
                    agent,
                    MessageWay::Sent,
                    "INVITE sip:1@x SIP/2.0\r\nTo: a\r\n\r\n",
                ),
                message("01.250", agent, MessageWay::Received, "SIP/2.0 200 O\u{1b}K\r\n\r\n"),
                message("01.260", customer, MessageWay::Sent, "INVITE sip:2@x SIP/2.0\r\n\r\n"),
            ],
        };
        let expected = "\
\x20                  agent                              customer
    1 10:00:00.000 ── INVITE ───────────────────────→ udp 198.51.100.7:5060
    2 10:00:01.250 ←─ 200 O\u{fffd}K ─────────────────────── udp 198.51.100.7:5060
    3 10:00:01.260                                    \
                       ── INVITE ───────────────────────→ udp 198.51.100.7:5060

3 messages between were not kept

more may follow";
        let lines =
            |text: &str| text.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
        assert_eq!(lines(&draw(&ladder, false)), lines(expected));
        let long = draw(&ladder, true);
        assert!(
            long.contains(
                "── 2  2026-07-03T10:00:01.250Z  agent from udp 198.51.100.7:5060\nSIP/2.0 200"
            ),
            "{long}"
        );
        assert!(!long.contains('\u{1b}'));
    }
}
