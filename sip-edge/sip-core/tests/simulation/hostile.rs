//! Hostile bytes: whatever comes from the network, nothing panics and nothing is left behind.

use crate::network::Dice;
use crate::rig::{AGENT, AGENT_MEDIA, CUSTOMER, CUSTOMER_MEDIA, Rig};
use crate::session::{self, address};
use sip_core::message::{self, Method, Request, SipMessage};
use std::time::Duration;

/// Flips, cuts, doubles or swaps some bytes.
fn mutate(dice: &mut Dice, bytes: &mut Vec<u8>) {
    for _ in 0..dice.between(1, 4) {
        if bytes.len() < 4 {
            return;
        }
        let at = dice.between(0, bytes.len() as u64 - 1) as usize;
        match dice.between(0, 5) {
            0 => bytes[at] = dice.roll() as u8,
            1 => bytes[at] = dice.pick(b"\r\n\0;,<>\"%:= 09@"),
            2 => bytes.truncate(at),
            3 => {
                let piece = bytes[at..(at + 20).min(bytes.len())].to_vec();
                bytes.splice(at..at, piece);
            }
            _ => drop(bytes.remove(at)),
        }
    }
}

/// Each message is first sent mutated many times, from each peer and from a stranger.
fn bombard(rig: &mut Rig, dice: &mut Dice, request: &Request) {
    for from in [AGENT, CUSTOMER, "10.9.9.9:5060"] {
        for _ in 0..40 {
            let mut bytes = message::print_request(request);
            mutate(dice, &mut bytes);
            rig.deliver(address(from), &bytes);
        }
    }
}

#[test]
fn mutated_requests_and_responses_do_no_harm() {
    for seed in 0..20 {
        let mut dice = Dice::new(seed);
        let mut rig = Rig::placed();
        rig.is_odd = true;
        let Some((_, SipMessage::Request(invite))) = rig.sent.pop_front() else {
            panic!("no INVITE")
        };
        for code in [100, 180, 183, 200, 302, 407, 486] {
            for _ in 0..20 {
                let mut response = message::respond(&invite, code, "agent");
                response.headers.push(message::header("Contact", format!("<sip:phone@{AGENT}>")));
                let sdp = session::sdp(address(AGENT_MEDIA), 0, "sendrecv");
                let body = message::Body { content_type: "application/sdp", bytes: sdp.as_bytes() };
                message::set_body(&mut response, body);
                let mut bytes = message::print_response(&response);
                mutate(&mut dice, &mut bytes);
                rig.deliver(address(AGENT), &bytes);
            }
        }
        rig.hang_up();
        rig.advance(Duration::from_secs(120));
        assert_eq!(rig.ended.len(), 1, "seed {seed}");
        assert_eq!(rig.edge.held(), Default::default(), "seed {seed}");
    }
}

#[test]
fn mutated_requests_inside_a_dialog_do_no_harm() {
    for seed in 0..20 {
        let mut dice = Dice::new(seed);
        let (mut rig, agent, customer) = Rig::bridged();
        rig.is_odd = true;
        let sdp = session::sdp(address(CUSTOMER_MEDIA), 0, "sendonly");
        for (number, method) in
            [Method::Invite, Method::Update, Method::Info, Method::Options, Method::Bye]
                .into_iter()
                .enumerate()
        {
            for callee in [&agent, &customer] {
                let request = rig.build(callee, method, 200 + number as u32, Some(&sdp));
                bombard(&mut rig, &mut dice, &request);
            }
        }
        rig.hang_up();
        rig.advance(Duration::from_secs(120));
        assert_eq!(rig.ended.len(), 1, "seed {seed}");
        assert_eq!(rig.edge.held(), Default::default(), "seed {seed}");
    }
}
