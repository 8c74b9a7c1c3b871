//! SRTP on a leg: a plain leg bridged with a protected one, keys that change, packets that are not
//! authentic.

use super::*;
use crate::srtp::{self, Inbound, Mki, Outbound, SrtpKeys, Suite};

pub(super) fn keys(fill: u8) -> srtp::Keys {
    srtp::Keys::new(Suite::AeadAes128Gcm, &[fill; 28]).unwrap()
}

fn secure(rtp: &str, outbound: u8, inbound: u8) -> RemoteMedia {
    RemoteMedia {
        srtp: Some(Box::new(SrtpKeys {
            outbound: keys(outbound),
            inbound: keys(inbound),
            mki: None,
        })),
        ..remote(rtp)
    }
}

pub(super) fn seal(context: &mut Outbound, datagram: &[u8]) -> Vec<u8> {
    let mut buffer = datagram.to_vec();
    buffer.resize(datagram.len() + TAIL_ROOM, 0);
    let len = context.protect_rtp(&mut buffer, datagram.len()).unwrap();
    buffer.truncate(len);
    buffer
}

struct Secured {
    rig: Rig,
    agent: LegId,
    customer: LegId,
    /// The customer's own contexts.
    customer_out: Outbound,
    customer_in: Inbound,
}

impl Secured {
    fn new() -> Secured {
        let mut rig = Rig::new();
        let agent = rig.open(AGENT);
        let customer = rig.relay.open_leg(rig.now).unwrap();
        rig.relay.set_remote(rig.now, customer, secure(CUSTOMER, 1, 2));
        bridge(&mut rig.relay, rig.now, agent, customer);
        Secured {
            rig,
            agent,
            customer,
            customer_out: Outbound::new(&keys(2)),
            customer_in: Inbound::new(&keys(1)),
        }
    }

    /// Sends from the agent and opens what the customer gets.
    #[track_caller]
    fn reach_customer(&mut self, datagram: &[u8]) -> Heard {
        let (forward, mut buffer) =
            self.rig.forward_on(SocketId(self.agent.index * 2), AGENT, datagram);
        let Forward::To { socket, remote, start, len } = forward else { panic!("{forward:?}") };
        let sealed = &mut buffer[start..start + len];
        let len = self.customer_in.unprotect_rtp(sealed, len).unwrap();
        heard(socket, remote, &sealed[..len])
    }
}

#[test]
fn a_plain_and_a_protected_leg_hear_each_other() {
    let mut rig = Secured::new();
    let (mut a, mut b) = (Talker::new(1), Talker::new(2));
    assert_eq!(rig.reach_customer(&a.audio()).payload, [0x2a; 160]);
    let sealed = seal(&mut rig.customer_out, &b.audio());
    assert_eq!(rig.rig.hear(rig.customer, CUSTOMER, &sealed).payload, [0x2a; 160]);
    rig.rig.dropped(rig.customer, CUSTOMER, &sealed, DropReason::Replayed);
}

#[test]
fn what_is_not_authentic_neither_passes_nor_latches() {
    let mut rig = Secured::new();
    let mut b = Talker::new(2);
    rig.rig.outputs();
    rig.rig.dropped(rig.customer, CUSTOMER, &b.audio(), DropReason::Unauthentic);
    let mut forged = seal(&mut rig.customer_out, &b.audio());
    forged[20] ^= 1;
    rig.rig.dropped(rig.customer, CUSTOMER, &forged, DropReason::Unauthentic);
    assert_eq!((rig.rig.outputs(), rig.rig.events()), (vec![], vec![]));
    assert_eq!(rig.rig.relay.leg_report(rig.customer).received, 0);
}

#[test]
fn a_renegotiation_with_the_same_keys_goes_on_with_the_contexts() {
    let mut rig = Secured::new();
    let (mut a, mut b) = (Talker::new(1), Talker::new(2));
    let before = rig.reach_customer(&a.audio()).packet.header;
    let sealed = seal(&mut rig.customer_out, &b.audio());
    rig.rig.hear(rig.customer, CUSTOMER, &sealed);
    rig.rig.relay.set_remote(rig.rig.now, rig.customer, secure(CUSTOMER, 1, 2));
    // A fresh context would take the old packet again.
    rig.rig.dropped(rig.customer, CUSTOMER, &sealed, DropReason::Replayed);
    assert_eq!(
        rig.reach_customer(&a.audio()).packet.header.sequence,
        before.sequence.wrapping_add(1)
    );
    // New keys in one direction.
    rig.rig.relay.set_remote(rig.rig.now, rig.customer, secure(CUSTOMER, 7, 2));
    rig.customer_in = Inbound::new(&keys(7));
    assert_eq!(
        rig.reach_customer(&a.audio()).packet.header.sequence,
        before.sequence.wrapping_add(2)
    );
    let sealed = seal(&mut rig.customer_out, &b.audio());
    rig.rig.hear(rig.customer, CUSTOMER, &sealed);
}

// A peer that goes over to another key by a new offer: what was on its way is heard.
#[test]
fn a_peer_may_change_its_key() {
    let mut rig = Secured::new();
    let mut b = Talker::new(2);
    let before = seal(&mut rig.customer_out, &b.audio());
    let late = seal(&mut rig.customer_out, &b.audio());
    rig.rig.hear(rig.customer, CUSTOMER, &before);
    rig.rig.relay.set_remote(rig.rig.now, rig.customer, secure(CUSTOMER, 1, 3));
    rig.customer_out.rekey(&keys(3));
    for n in 0..260 {
        let sealed = seal(&mut rig.customer_out, &b.audio());
        assert_eq!(rig.rig.hear(rig.customer, CUSTOMER, &sealed).payload, [0x2a; 160]);
        match n {
            0 => drop(rig.rig.hear(rig.customer, CUSTOMER, &late)),
            1 => rig.rig.dropped(rig.customer, CUSTOMER, &late, DropReason::Unauthentic),
            _ => {}
        }
    }
    // Whom the leg is given to next has no part in the keys.
    rig.rig.relay.set_media_sources(rig.customer, MediaSources::default());
    let sealed = seal(&mut rig.customer_out, &b.audio());
    rig.rig.dropped(rig.customer, CUSTOMER, &sealed, DropReason::NotNegotiated);
    rig.rig.relay.set_remote(rig.rig.now, rig.customer, secure(CUSTOMER, 8, 9));
    let sealed = seal(&mut rig.customer_out, &b.audio());
    rig.rig.dropped(rig.customer, CUSTOMER, &sealed, DropReason::Unauthentic);
    let sealed = seal(&mut Outbound::new(&keys(9)), &b.audio());
    rig.rig.hear(rig.customer, CUSTOMER, &sealed);
}

// RFC 3711 §3.1: packets carry the identifier that their key was given, at first and after a
// renegotiation has given it another one.
#[test]
fn packets_with_the_identifier_of_their_key_are_heard() {
    let mut rig = Secured::new();
    let mut b = Talker::new(2);
    for (value, len, bytes) in
        [("1", "1", &[1][..]), ("515", "4", &[0, 0, 2, 3]), ("515", "2", &[2, 3])]
    {
        let mut named = secure(CUSTOMER, 1, 2);
        named.srtp.as_mut().unwrap().mki = Mki::parse(value, len);
        rig.rig.relay.set_remote(rig.rig.now, rig.customer, named);
        for _ in 0..3 {
            // With GCM it stands last (RFC 7714 §8).
            let sealed = [&seal(&mut rig.customer_out, &b.audio())[..], bytes].concat();
            let heard = rig.rig.hear(rig.customer, CUSTOMER, &sealed);
            assert_eq!(heard.payload, [0x2a; 160], "{value}:{len}");
        }
    }
}

#[test]
fn playback_and_reports_are_protected_too() {
    let mut rig = Secured::new();
    rig.rig.relay.play(rig.rig.now, rig.customer, Tone::Ringback);
    let (mut rtp_count, mut rtcp_count) = (0, 0);
    for done in rig.rig.pass_ms(4000) {
        let Done::Transmit(socket, _, mut bytes) = done else { continue };
        let len = bytes.len();
        if socket == SocketId(rig.customer.index * 2) {
            rig.customer_in.unprotect_rtp(&mut bytes, len).unwrap();
            rtp_count += 1;
        } else if socket == SocketId(rig.customer.index * 2 + 1) {
            let len = rig.customer_in.unprotect_rtcp(&mut bytes, len).unwrap();
            assert!(crate::rtcp::parse(&bytes[..len], Ssrc(0)).is_ok());
            rtcp_count += 1;
        }
    }
    assert_eq!((rtp_count, rtcp_count), (200, 1));
    // RTCP of the customer's.
    let mut report = [0x80, 201, 0, 1, 0, 0, 0, 9].to_vec();
    report.resize(8 + TAIL_ROOM, 0);
    let len = rig.customer_out.protect_rtcp(&mut report, 8).unwrap();
    let socket = SocketId(rig.customer.index * 2 + 1);
    let mut forged = report[..len].to_vec();
    forged[9] ^= 1;
    assert_eq!(
        rig.rig.forward_on(socket, "203.0.113.2:5001", &forged).0,
        Forward::Drop(DropReason::Unauthentic)
    );
    assert_eq!(rig.rig.forward_on(socket, "203.0.113.2:5001", &report[..len]).0, Forward::Local);
}
