//! What a leg needs to be left by the next process if this one dies (B10): the head of the INVITE
//! that is to be cancelled, or the BYE of its dialog, and the way to its peer. Printed as notes of
//! a journal, and read back from it. No password is in it, only what would have
//! answered the last challenge.

use crate::flow::Transport;
use crate::message::{self, Limits, Method, Request, SipMessage};
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// A leg that stands at a carrier.
#[derive(Debug, Clone, PartialEq)]
pub struct Remains {
    /// Names the INVITE or dialog among all of all processes; without blanks.
    pub key: String,
    pub transport: Transport,
    pub remote: SocketAddr,
    /// Address of the interface that it goes by; `None` for the default one.
    pub local: Option<IpAddr>,
    /// Networks that its messages may come from, besides the address of `remote`.
    pub signal_from: Vec<IpNet>,
    /// An INVITE without body, as it was sent on its way, or the BYE that is due; its Via is then
    /// the next process's own.
    pub request: Request,
}

/// One entry of a journal.
#[derive(Debug, Clone, PartialEq)]
#[allow(
    clippy::large_enum_variant,
    reason = "a note is handed to the journal at once, never kept in numbers"
)]
pub enum Note {
    /// The leg stands, or stands otherwise than before.
    Standing(Remains),
    /// Nothing is left to be said to it.
    Gone { key: String },
}

const STANDING: &str = "STANDING";
const GONE: &str = "GONE";

impl Note {
    /// Names the leg among all of all processes.
    pub fn key(&self) -> &str {
        match self {
            Note::Standing(remains) => &remains.key,
            Note::Gone { key } => key,
        }
    }

    /// Prints it as it stands in a journal.
    pub fn print(&self) -> Vec<u8> {
        match self {
            Note::Gone { key } => format!("{GONE} {key}\n").into_bytes(),
            Note::Standing(Remains { key, transport, remote, local, signal_from, request }) => {
                let message = message::print_request(request);
                let word = word(*transport);
                let len = message.len();
                let networks: Vec<String> = signal_from.iter().map(IpNet::to_string).collect();
                let networks = networks.join(",");
                let local = local.map(|local| format!(" {local}")).unwrap_or_default();
                let mut note =
                    format!("{STANDING} {key} {word} {remote} {len} {networks}{local}\n")
                        .into_bytes();
                note.extend_from_slice(&message);
                note
            }
        }
    }
}

/// Reads a journal: the legs that stood at its end. What cannot be read is passed over; a note that
/// was cut off ends it.
pub fn read(journal: &[u8]) -> Vec<Remains> {
    let mut standing = BTreeMap::new();
    let mut rest = journal;
    while let Some((head, after)) = split_line(rest) {
        rest = after;
        let mut words = head.split(' ');
        let (Some(kind), Some(key)) = (words.next(), words.next()) else { continue };
        if kind == GONE {
            standing.remove(key);
        } else if kind == STANDING {
            let way = words
                .next()
                .and_then(transport)
                .zip(words.next().and_then(|remote| remote.parse().ok()));
            let Some(len) = words.next().and_then(|len| len.parse::<usize>().ok()) else {
                continue;
            };
            let networks = words.next().unwrap_or_default().split(',');
            let networks = networks.filter_map(|network| network.parse().ok()).collect();
            let local = words.next().and_then(|local| local.parse().ok());
            let Some((message, after)) = rest.split_at_checked(len) else { break };
            rest = after;
            if let Some((transport, remote)) = way {
                standing.insert(key, (transport, remote, local, networks, message));
            }
        }
    }
    let remains =
        standing.into_iter().filter_map(|(key, (transport, remote, local, networks, message))| {
            let Ok(SipMessage::Request(request)) = message::parse(message, &Limits::default())
            else {
                return None;
            };
            let is_due = matches!(request.method, Method::Invite | Method::Bye);
            is_due.then(|| Remains {
                key: key.to_owned(),
                transport,
                remote,
                local,
                signal_from: networks,
                request,
            })
        });
    remains.collect()
}

fn split_line(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let mut rest = bytes;
    loop {
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let (line, after) = (&rest[..end], &rest[end + 1..]);
        match std::str::from_utf8(line) {
            Ok(line) => return Some((line, after)),
            Err(_) => rest = after,
        }
    }
}

fn word(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "udp",
        Transport::Tcp => "tcp",
        Transport::Tls => "tls",
        Transport::Wss => "wss",
    }
}

fn transport(word: &str) -> Option<Transport> {
    [Transport::Udp, Transport::Tcp, Transport::Tls]
        .into_iter()
        .find(|each| self::word(*each) == word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{RequestParts, via_value};

    fn remains(key: &str, method: Method, transport: Transport, remote: &str) -> Remains {
        let request = message::request(&RequestParts {
            method,
            target: "sip:+919876543210@10.0.2.1:5070;transport=udp",
            routes: &[
                "<sip:10.9.9.9;lr;x=1>".to_owned(),
                "\"P, Q\" <sip:10.9.9.8:5080;lr>".to_owned(),
            ],
            via: &via_value("UDP", "192.0.2.7:5060", "z9hG4bKs0-1"),
            from: "<sip:+911140000000@carrier.example;user=phone>;tag=s0-2",
            to: "\"Müller\" <sip:9876543210@carrier.example>;tag=a-1",
            call_id: key,
            cseq: 7,
            contact: None,
            extra: Vec::new(),
            body: None,
        });
        Remains {
            key: key.to_owned(),
            transport,
            remote: remote.parse().unwrap(),
            local: None,
            signal_from: Vec::new(),
            request,
        }
    }

    #[track_caller]
    fn check(journal: &[u8], expected: &[&Remains]) {
        let print =
            |remains: &Remains| String::from_utf8(Note::Standing(remains.clone()).print()).unwrap();
        let expected: Vec<String> = expected.iter().map(|each| print(each)).collect();
        assert_eq!(
            read(journal).iter().map(print).collect::<Vec<_>>(),
            expected,
            "{}",
            String::from_utf8_lossy(journal)
        );
    }

    #[test]
    fn who_stood_at_the_end_is_read_as_it_was_noted_last() {
        let ringing = remains("a", Method::Invite, Transport::Udp, "10.0.2.1:5060");
        let answered = remains("a/0", Method::Bye, Transport::Udp, "10.9.9.9:5060");
        let other = remains("b", Method::Invite, Transport::Tcp, "[2001:db8::1]:5060");
        let networks = ["203.0.113.0/24", "2001:db8::/64"];
        let signal_from = networks.iter().map(|network| network.parse().unwrap()).collect();
        let clustered = Remains { signal_from, ..other.clone() };
        let elsewhere = Remains { local: Some("192.0.2.8".parse().unwrap()), ..other.clone() };
        let elsewhere_too = Remains { local: elsewhere.local, ..clustered.clone() };
        let moved = Remains { remote: "10.9.9.9:5062".parse().unwrap(), ..answered.clone() };
        let note = |remains: &Remains| Note::Standing(remains.clone()).print();
        let gone = |key: &str| Note::Gone { key: key.to_owned() }.print();
        check(b"", &[]);
        check(&note(&ringing), &[&ringing]);
        check(&[note(&ringing), note(&other)].concat(), &[&ringing, &other]);
        check(&[note(&ringing), note(&answered), gone("a")].concat(), &[&answered]);
        check(&[note(&answered), note(&moved)].concat(), &[&moved]);
        check(&[note(&clustered), note(&ringing)].concat(), &[&ringing, &clustered]);
        check(&[note(&other), note(&elsewhere)].concat(), &[&elsewhere]);
        check(&note(&elsewhere_too), &[&elsewhere_too]);
        check(&[note(&ringing), gone("a"), gone("a"), gone("never")].concat(), &[]);
        check(&[note(&ringing), gone("a"), note(&ringing)].concat(), &[&ringing]);
    }

    #[test]
    fn a_journal_that_is_cut_or_broken_costs_only_what_is_missing() {
        let (first, second) = (
            remains("a", Method::Invite, Transport::Udp, "10.0.2.1:5060"),
            remains("b", Method::Bye, Transport::Tcp, "10.0.3.1:5060"),
        );
        let (one, two) =
            (Note::Standing(first.clone()).print(), Note::Standing(second.clone()).print());
        let both = [one.as_slice(), &two].concat();
        for len in 0..both.len() {
            let expected: &[&Remains] = if len < one.len() { &[] } else { &[&first] };
            check(&both[..len], expected);
        }
        for noise in [
            &b"\n"[..],
            b"\xff\xfe\n",
            b"STANDING\n",
            b"STANDING x\n",
            b"STANDING x udp 10.0.0.1:5060 none\n",
            b"STANDING x sctp 10.0.0.1:5060 4\nSIP\n",
            b"STANDING x udp nowhere 4\nSIP\n",
            b"STANDING x udp 10.0.0.1:5060 4\nSIP\n",
            b"STANDING x udp 10.0.0.1:5060 0\n",
            b"STANDING x udp 10.0.0.1:5060 4 nonsense,\nSIP\n",
            b"LATER x y z\n",
        ] {
            check(&[noise, &both].concat(), &[&first, &second]);
        }
        // Nothing else than a farewell is ever sent.
        for method in [Method::Options, Method::Ack, Method::Refer] {
            let note = Note::Standing(remains("a", method, Transport::Udp, "10.0.2.1:5060"));
            check(&note.print(), &[]);
        }
    }
}
