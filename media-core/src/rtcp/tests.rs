//! RTCP against RFC 3550's layouts: what is printed, what is read, what is refused.

use super::*;

const OURS: Ssrc = Ssrc(0x1122_3344);

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

#[track_caller]
fn check(text: &str, expected: Result<Heard, Malformed>) {
    assert_eq!(parse(&hex(text), OURS), expected);
}

const EMPTY_RR: &str = "80c90001 00000009";
const SR: &str = "81c8000c 00000009 e0000001 80000000 00000064 0000000a 00000640
    11223344 00000000 00000010 00000000 00018000 00008000";
const SDES: &str = "81ca0003 00000009 01046162 63640000";

#[test]
fn well_formed_compounds() {
    let heard = Heard {
        sender_report: Some(SenderReport { ntp_middle: 0x0001_8000, packet_count: 10 }),
        ours: Some(OursHeard { fraction_lost: 0, cumulative_lost: 0, jitter: 0 }),
        echo: Some(Echo { last_report: 0x18000, delay: 0x8000 }),
        goodbye: false,
    };
    check(EMPTY_RR, Ok(Heard::default()));
    check(SR, Ok(heard));
    check(&format!("{SR}{SDES}"), Ok(heard));
    check(
        &format!("{EMPTY_RR} 81cb0001 00000009"),
        Ok(Heard { goodbye: true, ..Heard::default() }),
    );
    check(
        &format!("{EMPTY_RR} 81cb0002 00000009 02627900"),
        Ok(Heard { goodbye: true, ..Heard::default() }),
    );
    check(&format!("{EMPTY_RR} 80cc0002 00000009 74657374"), Ok(Heard::default()));
    // An extended report (RFC 3611) is skipped; padding on the last packet is taken off.
    check(&format!("{EMPTY_RR} 80cf0001 00000009"), Ok(Heard::default()));
    check(
        &format!("{EMPTY_RR} a1cb0002 00000009 00000004"),
        Ok(Heard { goodbye: true, ..Heard::default() }),
    );
    // A quarter of the last packets lost, two more came than were sent in all.
    let ours = OursHeard { fraction_lost: 0x40, cumulative_lost: -2, jitter: 0x1_0203 };
    check(
        "81c90007 00000009 11223344 40fffffe 00000010 00010203 00000000 00000000",
        Ok(Heard { ours: Some(ours), ..Heard::default() }),
    );
    // A block about somebody else tells nothing of us.
    check(
        "81c90007 00000009 55667788 00000000 00000010 00000000 00018000 00008000",
        Ok(Heard::default()),
    );
    // A profile-specific extension after the blocks.
    check("80c90002 00000009 00000000", Ok(Heard::default()));
}

#[test]
fn malformed_compounds() {
    check("", Err(Malformed));
    check("80c900", Err(Malformed));
    check("80c90001 000000", Err(Malformed));
    check("80c90002 00000009", Err(Malformed));
    check("40c90001 00000009", Err(Malformed)); // version 1
    check(SDES, Err(Malformed)); // no report first
    check("81c90001 00000009", Err(Malformed)); // promised block missing
    check("80c80001 00000009", Err(Malformed)); // sender information missing
    check("80c90000", Err(Malformed)); // no SSRC
    check(&format!("a0c90002 00000009 00000004 {SDES}"), Err(Malformed)); // padding before the last
    check("a0c90002 00000009 00000003", Err(Malformed)); // padding not in words
    check("a0c90001 00000000", Err(Malformed)); // padding of nothing
    check("a0c90001 00000008", Err(Malformed)); // padding longer than the body
    check(&format!("{EMPTY_RR} 82cb0001 00000009"), Err(Malformed)); // two sources promised
    check(&format!("{EMPTY_RR} 81cb0002 00000009 04627900"), Err(Malformed)); // reason too long
    check(&format!("{EMPTY_RR} 81ca0002 00000009 01046162"), Err(Malformed)); // item too long
    check(&format!("{EMPTY_RR} 81ca0001 00000009"), Err(Malformed)); // chunk without end
    check(&format!("{EMPTY_RR} 80ca0001 00000009"), Err(Malformed)); // chunk that was not counted
    check(&format!("{EMPTY_RR} 80cc0001 00000009"), Err(Malformed)); // APP without name
}

#[test]
fn written_reports_have_the_bytes_of_rfc_3550() {
    let reception = ReceptionReport {
        clock_rate: 8_000,
        ssrc: Ssrc(9),
        expected: 4,
        fraction_lost: 0x40,
        cumulative_lost: -1,
        highest_sequence: 0x0001_0005,
        jitter: 3,
    };
    let totals = SenderTotals { timestamp: 0x64, packet_count: 0x0a, octet_count: 0x640 };
    let mut out = [0; MAX_REPORT_LEN];
    let report = Report {
        ssrc: OURS,
        sender: Some((0x0000_0001_8000_0000, totals)),
        reception: Some(Block { reception, last_report: 0x0001_8000, delay: 0x8000 }),
        cname: b"0123456789abcdef",
        goodbye: true,
    };
    let len = write(&report, &mut out);
    assert_eq!(len, MAX_REPORT_LEN);
    let expected = "81c8000c 11223344 00000001 80000000 00000064 0000000a 00000640
        00000009 40ffffff 00010005 00000003 00018000 00008000
        81ca0006 11223344 0110 30313233343536373839616263646566 0000
        81cb0001 11223344";
    assert_eq!(out[..len], hex(expected));
    assert!(parse(&out[..len], Ssrc(1)).unwrap().goodbye);
    let report = Report { sender: None, reception: None, goodbye: false, ..report };
    let len = write(&report, &mut out);
    assert_eq!(
        out[..len],
        hex("80c90001 11223344 81ca0006 11223344 0110 30313233343536373839616263646566 0000")
    );
    assert_eq!(parse(&out[..len], OURS), Ok(Heard::default()));
}

#[test]
fn round_trip_of_rfc_3550_figure_2() {
    // A = 0xb710:8000, LSR = 0xb705:2000, DLSR = 0x0005:4000 give 6.125 s.
    let echo = Echo { last_report: 0xb705_2000, delay: 0x0005_4000 };
    assert_eq!(echo.round_trip(0xb710_8000), Some(Duration::from_millis(6125)));
    assert_eq!(echo.round_trip(0xb705_2000), None);
    assert_eq!(echo.round_trip(0xb740_0000), None);
}
