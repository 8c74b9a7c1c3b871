//! RTCP of the legs: our reports' times, addresses and contents, and what is taken from the peer's.

use super::*;
use crate::rtcp::{self, CNAME_LEN, MAX_REPORT_LEN};
use crate::sender::SenderTotals;

/// The RTCP datagrams among outputs.
fn rtcp_among(outputs: &[Done]) -> Vec<(SocketId, SocketAddr, Vec<u8>)> {
    let datagrams = outputs.iter().filter_map(|done| match done {
        Done::Transmit(socket, remote, bytes) if rtp::classify(bytes) == rtp::Class::Rtcp => {
            Some((*socket, *remote, bytes.clone()))
        }
        _ => None,
    });
    datagrams.collect()
}

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// A sender report of the peer's at an NTP time, with a block about `about` that echoes our last
/// report.
fn sender_report(ssrc: u32, ntp: u64, about: Option<(Ssrc, u32, u32)>) -> Vec<u8> {
    let block = about.map(|(ssrc, last_report, delay)| rtcp::Block {
        reception: crate::reception::ReceptionReport {
            clock_rate: 8_000,
            ssrc,
            expected: 0,
            fraction_lost: 0,
            cumulative_lost: 0,
            highest_sequence: 0,
            jitter: 0,
        },
        last_report,
        delay,
    });
    let totals = SenderTotals { timestamp: 0, packet_count: 1, octet_count: 160 };
    let report = rtcp::Report {
        ssrc: Ssrc(ssrc),
        sender: Some((ntp, totals)),
        reception: block,
        cname: &[b'x'; CNAME_LEN],
        goodbye: false,
    };
    let mut bytes = [0; MAX_REPORT_LEN];
    let len = rtcp::write(&report, &mut bytes);
    bytes[..len].to_vec()
}

#[test]
fn each_leg_reports_about_every_five_seconds() {
    let (mut rig, agent, customer, mut a, mut b) = Rig::talking();
    let mut reports = Vec::new();
    let mut last = (0, 0);
    for _ in 0..5000 {
        let to_customer = rig.hear(agent, AGENT, &a.audio()).packet.header;
        let to_agent = rig.hear(customer, CUSTOMER, &b.audio()).packet.header;
        last = (to_customer.ssrc.0, to_agent.ssrc.0);
        reports.extend(rtcp_among(&rig.pass_ms(20)));
    }
    let mine: Vec<_> =
        reports.iter().filter(|(socket, ..)| *socket == SocketId(customer.index * 2 + 1)).collect();
    assert!((14..=28).contains(&mine.len()), "{} in 100 s", mine.len());
    for (_, remote, bytes) in &mine {
        assert_eq!(*remote, address("203.0.113.2:5001"));
        assert_eq!((bytes[1], word(bytes, 4)), (200, last.0));
        assert!(rtcp::parse(bytes, Ssrc(0)).is_ok());
        // The block is about the customer's stream, without loss.
        assert_eq!((word(bytes, 28), word(bytes, 32)), (b.ssrc, 0));
    }
    assert_eq!(
        reports.iter().filter(|(socket, ..)| *socket == SocketId(agent.index * 2 + 1)).count()
            + mine.len(),
        reports.len()
    );
    let (first, then) = (&mine[0].2, &mine[1].2);
    let packets = word(then, 20) - word(first, 20);
    let elapsed = word(then, 8).wrapping_sub(word(first, 8));
    assert!((packets / 50).abs_diff(elapsed) <= 1, "{packets} packets in {elapsed} s");
    assert_eq!(word(then, 24) - word(first, 24), packets * 160);
    assert!(word(then, 16).wrapping_sub(word(first, 16)).abs_diff(packets * 160) <= 480);
}

#[test]
fn a_leg_that_sends_nothing_reports_as_receiver() {
    let mut rig = Rig::new();
    let agent = rig.open(AGENT);
    let reports = rtcp_among(&rig.pass_ms(4000));
    assert_eq!(reports.len(), 1);
    let (socket, remote, bytes) = &reports[0];
    assert_eq!(
        (*socket, *remote, bytes[0], bytes[1]),
        (SocketId(agent.index * 2 + 1), address("198.51.100.1:4001"), 0x80, 201)
    );
}

#[test]
fn multiplexed_rtcp_shares_the_rtp_port() {
    let mut rig = Rig::new();
    let agent = rig.relay.open_leg(rig.now).unwrap();
    rig.relay.set_remote(
        rig.now,
        agent,
        RemoteMedia { rtcp_mux: true, rtcp: Some(address(AGENT)), ..remote(AGENT) },
    );
    let reports = rtcp_among(&rig.pass_ms(4000));
    assert_eq!((reports[0].0, reports[0].1), (SocketId(agent.index * 2), address(AGENT)));
    let report = sender_report(9, 1 << 32, None);
    assert_eq!(rig.forward(agent, AGENT, &report), Forward::Local);
    rig.dropped(agent, FOREIGN, &report, DropReason::ForeignSource);
    // A peer that sends it to its own port all the same is heard, from its host alone.
    let socket = SocketId(agent.index * 2 + 1);
    assert_eq!(rig.forward_on(socket, "198.51.100.1:4001", &report).0, Forward::Local);
    assert_eq!(
        rig.forward_on(socket, FOREIGN, &report).0,
        Forward::Drop(DropReason::ForeignSource)
    );
    rig.relay.send_report(rig.now, agent.index, false);
    assert_eq!(rtcp_among(&rig.outputs())[0].1, address(AGENT));
}

#[test]
fn round_trip_comes_from_the_echo_of_our_report() {
    let (mut rig, agent, customer, mut a, _) = Rig::talking();
    rig.hear(agent, AGENT, &a.audio());
    let reports = rtcp_among(&rig.pass_ms(4000));
    let (.., ours) =
        reports.iter().find(|(socket, ..)| *socket == SocketId(customer.index * 2 + 1)).unwrap();
    let middle = word(ours, 8) << 16 | word(ours, 12) >> 16;
    let sent = rig.relay.ntp(rig.now) as i64
        - ((i64::from(word(ours, 8)) << 32) | i64::from(word(ours, 12)));
    let since = Duration::from_secs_f64(sent as f64 / f64::from(u32::MAX));
    rig.now += Duration::from_millis(80);
    // The peer held it for all of that time but 80 ms.
    let delay = (since.as_secs_f64() * 65_536.0) as u32;
    let report = sender_report(9, 5 << 32, Some((Ssrc(word(ours, 4)), middle, delay)));
    let (forward, _) =
        rig.forward_on(SocketId(customer.index * 2 + 1), "203.0.113.2:5001", &report);
    assert_eq!(forward, Forward::Local);
    let round_trip = rig.relay.leg_report(customer).round_trip.unwrap();
    assert!(
        round_trip.abs_diff(Duration::from_millis(80)) < Duration::from_millis(1),
        "{round_trip:?}"
    );
    // Our next report echoes the peer's: LSR is the middle of its time, DLSR the time since.
    rig.now += Duration::from_secs(1);
    rig.relay.send_report(rig.now, customer.index, false);
    let (.., ours) = &rtcp_among(&rig.outputs())[0];
    assert_eq!(ours[1], 201);
    assert_eq!((word(ours, 24), word(ours, 28)), (5 << 16, 65_536));
}

#[test]
fn rtcp_is_taken_from_the_peers_host_only_and_never_relayed() {
    let (mut rig, agent, ..) = Rig::talking();
    let socket = SocketId(agent.index * 2 + 1);
    let report = sender_report(9, 1 << 32, None);
    assert_eq!(
        rig.forward_on(socket, FOREIGN, &report).0,
        Forward::Drop(DropReason::ForeignSource)
    );
    assert_eq!(rig.forward_on(socket, "198.51.100.1:7777", &report).0, Forward::Local);
    // Its own port shows where our reports go.
    rig.relay.send_report(rig.now, agent.index, false);
    assert_eq!(rtcp_among(&rig.outputs())[0].1, address("198.51.100.1:7777"));
    assert_eq!(
        rig.forward_on(socket, "198.51.100.1:7777", &report[..9]).0,
        Forward::Drop(DropReason::MalformedRtcp)
    );
    assert_eq!(
        rig.forward_on(socket, "198.51.100.1:7777", &Talker::new(1).audio()).0,
        Forward::Drop(DropReason::WrongPort)
    );
    assert_eq!(rig.forward(agent, AGENT, &report), Forward::Local);
    rig.dropped(agent, "198.51.100.1:7777", &report, DropReason::ForeignSource);
    rig.relay.send_report(rig.now, agent.index, false);
    assert_eq!(rtcp_among(&rig.outputs())[0].1, address("198.51.100.1:7777"));
}

#[test]
fn no_reports_go_to_a_private_address_behind_a_translator() {
    let mut rig = Rig::new();
    let translator = MediaSources { signalling: Some(address(FOREIGN).ip()), networks: Vec::new() };
    let agent = rig.open_from("10.0.0.5:7078", translator);
    let mut a = Talker::new(1);
    for _ in 0..5 {
        rig.forward(agent, FOREIGN, &a.audio());
    }
    assert_eq!(rtcp_among(&rig.pass_ms(10_000)), []);
    let socket = SocketId(agent.index * 2 + 1);
    assert_eq!(
        rig.forward_on(socket, "192.0.2.66:6001", &sender_report(9, 1, None)).0,
        Forward::Local
    );
    let reports = rtcp_among(&rig.pass_ms(10_000));
    assert!(
        !reports.is_empty()
            && reports.iter().all(|(_, remote, _)| *remote == address("192.0.2.66:6001"))
    );
}

#[test]
fn a_leg_that_spoke_says_goodbye_before_its_release() {
    let (mut rig, agent, ..) = Rig::talking();
    rig.relay.close_leg(rig.now, agent);
    let outputs = rig.outputs();
    let [Done::Transmit(socket, remote, bytes), Done::Release(first), Done::Release(second)] =
        &outputs[..]
    else {
        panic!("{outputs:?}")
    };
    assert_eq!((*socket, *remote), (SocketId(agent.index * 2 + 1), address("198.51.100.1:4001")));
    assert!(rtcp::parse(bytes, Ssrc(0)).unwrap().goodbye);
    assert_eq!((*first, *second), (SocketId(agent.index * 2), SocketId(agent.index * 2 + 1)));
}

/// Both directions of a leg are scored: what comes in by our count, what goes out by the peer's.
#[test]
fn each_direction_has_its_quality() {
    let (mut rig, agent, customer, mut a, mut b) = Rig::talking();
    let socket = SocketId(customer.index * 2 + 1);
    let mut ours = 0;
    for step in 0..1_000u32 {
        ours = rig.hear(agent, AGENT, &a.audio()).packet.header.ssrc.0;
        // One of ten packets of the customer's never comes.
        let audio = b.audio();
        if step % 10 > 0 {
            rig.forward(customer, CUSTOMER, &audio);
        }
        rig.pass_ms(20);
    }
    let clean = rig.relay.leg_report(agent);
    assert_eq!((clean.lost, clean.far), (0, None));
    assert!(clean.mos.is_some_and(|mos| mos.worst > 4.4 && mos.mean >= mos.worst));
    let lossy = rig.relay.leg_report(customer);
    let mos = lossy.mos.unwrap();
    assert!((3.2..3.6).contains(&mos.mean) && mos.worst <= mos.mean, "{mos:?}");

    let block = |fraction_lost, cumulative_lost| {
        let mut bytes = sender_report(9, 1 << 32, Some((Ssrc(ours), 0, 0)));
        bytes[32] = fraction_lost;
        bytes[33..36].copy_from_slice(&i32::to_be_bytes(cumulative_lost)[1..]);
        bytes[40..44].copy_from_slice(&u32::to_be_bytes(40));
        bytes
    };
    rig.forward_on(socket, "203.0.113.2:5001", &block(0, -3));
    let far = rig.relay.leg_report(customer).far.unwrap();
    assert_eq!((far.lost, far.jitter), (0, Duration::from_millis(5)));
    assert!(far.mos.worst > 4.4);
    for _ in 0..1_000 {
        rig.hear(agent, AGENT, &a.audio());
        rig.now += Duration::from_millis(20);
    }
    rig.forward_on(socket, "203.0.113.2:5001", &block(64, 250));
    let far = rig.relay.leg_report(customer).far.unwrap();
    // A quarter lost is R = 93.2 − 47.4.
    assert_eq!(far.lost, 250);
    assert!((2.3..2.4).contains(&far.mos.worst) && far.mos.mean > 3.3, "{far:?}");
    // A report again without anything sent since scores nothing.
    rig.forward_on(socket, "203.0.113.2:5001", &block(255, 250));
    assert_eq!(rig.relay.leg_report(customer).far.unwrap().mos, far.mos);
}

/// What comes and goes is copied in the clear, as long as somebody takes it.
#[test]
fn reports_are_copied_for_who_watches() {
    let (mut rig, agent, customer, mut a, _) = Rig::talking();
    let socket = SocketId(customer.index * 2 + 1);
    let report = sender_report(9, 1 << 32, None);
    rig.forward_on(socket, "203.0.113.2:5001", &report);
    assert_eq!(rig.relay.poll_rtcp(), None, "nobody watches");
    rig.relay.copy_rtcp();
    rig.forward_on(socket, "203.0.113.2:5001", &report);
    rig.forward_on(socket, "203.0.113.66:5001", &report);
    let copy = rig.relay.poll_rtcp().expect("a copy");
    let remote = address("203.0.113.2:5001");
    assert_eq!(copy, RtcpCopy { leg: customer, is_sent: false, socket, remote, bytes: &report });
    assert_eq!(rig.relay.poll_rtcp(), None, "a stranger's is none");

    rig.hear(agent, AGENT, &a.audio());
    rig.relay.send_report(rig.now, customer.index, false);
    let sent = rtcp_among(&rig.outputs()).remove(0);
    let copy = rig.relay.poll_rtcp().expect("a copy");
    assert_eq!((copy.leg, copy.is_sent), (customer, true));
    assert_eq!((copy.socket, copy.remote, copy.bytes.to_vec()), sent);
    // Nobody takes them: so many are kept, and the rest is counted.
    for _ in 0..2_000 {
        rig.forward_on(socket, "203.0.113.2:5001", &report);
    }
    let mut count = 0;
    while rig.relay.poll_rtcp().is_some() {
        count += 1;
    }
    assert!((100..=512).contains(&count), "{count}");
    assert_eq!(rig.count(DropReason::RtcpCopiesFull), 2_000 - count);
    rig.relay.close_leg(rig.now, customer);
    assert!(rig.relay.poll_rtcp().is_some_and(|copy| copy.is_sent), "its goodbye");
}
