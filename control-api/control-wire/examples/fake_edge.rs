//! A shard without SIP or media, against which control-api can be developed: each call rings, is
//! answered and ends after a second, or when it is hung up.
//!
//! `cargo run --release -p control-wire --example fake_edge -- data/control.sock`

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "an example is a shell, not a part of the pure package"
)]

use control_wire::{Command, FrameDecoder, ToEdge, VERSION, encode};
use serde_json::{Value, json};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

fn main() -> io::Result<()> {
    let socket = std::env::args().nth(1).unwrap_or_else(|| "data/control.sock".into());
    let mut edge = FakeEdge { stream: UnixStream::connect(socket)?, event_id: 0 };
    edge.run(Duration::from_secs(1))
}

struct FakeEdge {
    stream: UnixStream,
    event_id: u64,
}

impl FakeEdge {
    /// Greets control-api and does what it commands until it closes the connection.
    fn run(&mut self, talk: Duration) -> io::Result<()> {
        let status = json!({ "draining": false, "call_count": 0, "call_capacity": 100,
            "free_port_pairs": 400, "counters": {} });
        self.write(&json!({ "hello": {
            "version": VERSION, "edge": "fake", "epoch": now_ms(), "shard": 0, "live_calls": [],
            "status": status, "softphones": [],
        } }))?;
        let (mut decoder, mut bytes) = (FrameDecoder::default(), [0; 4096]);
        loop {
            while let Some(message) = decoder.poll::<ToEdge>().map_err(io::Error::other)? {
                match message {
                    ToEdge::Command { id, command } => self.obey(id, command, talk)?,
                    other => println!("{other:?}"),
                }
            }
            match self.stream.read(&mut bytes)? {
                0 => return Ok(()),
                len => decoder.push(&bytes[..len]),
            }
        }
    }

    fn obey(&mut self, id: u64, command: Command, talk: Duration) -> io::Result<()> {
        self.write(&json!({ "ack": { "command_id": id } }))?;
        let Command::PlaceCall(call) = command else { return Ok(()) };
        println!("call {} over {} routes", call.call_id, call.customer.routes.len());
        let steps = [
            ("agent", "answered"),
            ("customer", "ringing"),
            ("customer", "answered"),
            ("customer", "bridged"),
        ];
        for (sequence, (leg, kind)) in (1..).zip(steps) {
            let step = json!({ "call_id": call.call_id, "sequence": sequence, "at_ms": now_ms(),
                "leg": leg, "kind": kind });
            self.tell(json!({ "milestone": step }))?;
        }
        let answered_at_ms = now_ms();
        std::thread::sleep(talk);
        self.tell(json!({ "ended": {
            "call_id": call.call_id, "status": "ANSWER", "hangup_by": "customer",
            "answered_at_ms": answered_at_ms,
            "ended_at_ms": now_ms(), "duration_s": talk.as_secs(), "attempts": [], "others": [],
        } }))
    }

    /// A real edge tells each event again after a reconnect, until control-api acknowledges that it
    /// is durable.
    fn tell(&mut self, event: Value) -> io::Result<()> {
        self.event_id += 1;
        self.write(&json!({ "event": { "id": self.event_id, "event": event } }))
    }

    fn write(&mut self, message: &Value) -> io::Result<()> {
        let mut bytes = Vec::new();
        encode(message, &mut bytes).map_err(io::Error::other)?;
        self.stream.write_all(&bytes)
    }
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use control_wire::{Event, FromEdge};

    #[test]
    fn a_placed_call_is_told_to_its_end() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let edge =
            std::thread::spawn(move || FakeEdge { stream: ours, event_id: 0 }.run(Duration::ZERO));
        let destination = json!({ "ring_ms": 1000, "routes": [] });
        let call = json!({
            "call_id": "c", "account_id": "a", "agent": { "phone": destination },
            "customer": destination, "max_duration_ms": 1,
            "no_media_ms": 1, "recording_layout": "stereo", "accepts_refer": false,
            "agent_confirm": false,
        });
        let mut bytes = Vec::new();
        encode(&json!({ "command": { "id": 1, "command": { "place_call": call } } }), &mut bytes)
            .unwrap();
        theirs.write_all(&bytes).unwrap();
        theirs.shutdown(std::net::Shutdown::Write).unwrap();
        let mut told = Vec::new();
        theirs.read_to_end(&mut told).unwrap();
        edge.join().unwrap().unwrap();
        let mut decoder = FrameDecoder::default();
        decoder.push(&told);
        assert!(matches!(decoder.poll().unwrap(), Some(FromEdge::Hello(_))));
        assert_eq!(decoder.poll().unwrap(), Some(FromEdge::Ack { command_id: 1 }));
        for _ in 0..4 {
            assert!(matches!(
                decoder.poll().unwrap(),
                Some(FromEdge::Event { event: Event::Milestone(_), .. })
            ));
        }
        assert!(matches!(
            decoder.poll().unwrap(),
            Some(FromEdge::Event { id: 5, event: Event::Ended(_) })
        ));
    }
}
