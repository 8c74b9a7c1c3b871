//! Numbers as CRMs hold them, and as trunks want them (S04, S07, A8).

use super::*;

#[track_caller]
fn check(region: &str, input: &str, expected: Result<&str, NumberRefusal>) {
    let got = normalise(input, region.parse().unwrap());
    assert_eq!(
        got.as_ref().map(E164::as_str).map_err(|refusal| *refusal),
        expected,
        "{region} {input:?}"
    );
}

// S04: what CRMs really hold.
#[test]
fn every_spelling_of_one_number_dials_the_same() {
    for input in [
        "+919876543210",
        "+91 98765 43210",
        "+91-98765-43210",
        "+91 (98765) 43210",
        "+91 (0) 98765 43210",
        "+91 (0)98765-43210",
        "+91 ( 0 ) 98765 43210",
        "+9109876543210",
        "+91.98765.43210",
        "+91/98765/43210",
        "+00919876543210",
        "00919876543210",
        "0091 98765 43210",
        "00 91 (0) 98765 43210",
        "919876543210",
        "91 98765 43210",
        "91-9876543210",
        "098765-43210",
        "098765 43210",
        "(0)9876543210",
        "(098765) 43210",
        "9876543210",
        "98765 43210",
        "98765-43210",
        "[98765] 43210",
        "98765.43210",
        "9876543210.",
        "98765 43210 /",
        "+91 98765/43210",
        "'9876543210",
        "\u{2019}+91 98765 43210",
        "callto:+919876543210",
        "CallTo:98765-43210",
        "tel://+919876543210",
        "callto://9876543210",
        "0 91 98765 43210",
        "0919876543210",
        "+91\u{ff08}0\u{ff09}98765 43210",
        "(+91) (0)98765 43210",
        "tel:+919876543210",
        "TEL:+91-98765-43210",
        "tel:+91-98765-43210;isub=12",
        "tel:098765-43210;phone-context=+91",
        "tel:9876543210;phone-context=+91",
        "tel:9876543210;phone-context=crm.example",
        " 919876543210",
        " 91 98765 43210",
        " 9876543210",
        " 09876543210",
        "  +91 98765 43210  ",
        "\t+919876543210\r\n",
        "+91\u{a0}98765\u{a0}43210",
        "\u{a0}9876543210\u{a0}",
        "+91\u{202f}98765\u{2009}43210",
        "\u{200b}+91\u{200b}98765\u{200d}43210\u{feff}",
        "\u{202a}+91 98765 43210\u{202c}",
        "\u{2066}9876543210\u{2069}",
        "\u{feff}9876543210",
        "98765\u{ad}43210",
        "98765\u{2011}43210",
        "98765\u{2013}43210",
        "98765\u{2212}43210",
        "98765\u{30fc}43210",
        "\u{ff0b}91 98765 43210",
        "९८७६५४३२१०",
        "+९१ ९८७६५ ४३२१०",
        "٩٨٧٦٥٤٣٢١٠",
        "۹۸۷۶۵۴۳۲۱۰",
        "৯৮৭৬৫৪৩২১০",
        "௯௮௭௬௫௪௩௨௧௦",
        "౯౮౭౬౫౪౩౨౧౦",
        "９８７６５４３２１０",
    ] {
        check("IN", input, Ok("+919876543210"));
    }
}

#[test]
fn other_numbers_of_the_world_are_read() {
    check("IN", "022 2778 2183", Ok("+912227782183"));
    check("IN", "+91 22 2778 2183", Ok("+912227782183"));
    check("IN", "1800 425 3800", Ok("+9118004253800"));
    check("IN", "9198765432", Ok("+919198765432"));
    check("IN", "+1 (520) 878-2491", Ok("+15208782491"));
    check("IN", "0015208782491", Ok("+15208782491"));
    check("IN", " 15208782491", Ok("+15208782491"));
    check("IN", "+44 (0)20 7946 0018", Ok("+442079460018"));
    check("IN", "tel:020-7946-0018;phone-context=+44", Ok("+442079460018"));
    check("IN", "+39 06 698 12345", Ok("+390669812345"));
    check("IN", "+971 50 123 4567", Ok("+971501234567"));
    check("IN", "+683 4002", Ok("+6834002"));
    check("US", "(520) 878-2491", Ok("+15208782491"));
    check("US", "1 520 878 2491", Ok("+15208782491"));
    check("US", "011 91 98765 43210", Ok("+919876543210"));
    check("GB", "020 7946 0018", Ok("+442079460018"));
    check("AE", "050 123 4567", Ok("+971501234567"));
    check("DE", "030 123456", Ok("+4930123456"));
    check("DE", "030/123456", Ok("+4930123456"));
    check("DE", "030/123456-0", Ok("+49301234560"));
    check("DE", "+49 30/123456", Ok("+4930123456"));
    check("AT", "01/23456789", Ok("+43123456789"));
    check("US", "520/878-2491", Ok("+15208782491"));
    check("FR", "01.23.45.67.89", Ok("+33123456789"));
    check("FR", "+33 (0)1.23.45.67.00", Ok("+33123456700"));
    check("GB", "0 44 20 7946 0018", Ok("+442079460018"));
}

// B06: a number that nobody wrote is refused, never guessed.
#[test]
fn what_may_be_two_numbers_or_none_is_not_dialled() {
    use NumberRefusal::*;
    for (region, text) in [
        ("IN", "2778 2183 / 84"),
        ("IN", "022 27782183/84"),
        ("IN", "+91 98765 43210 / 98765 43211"),
        ("IN", "98765 43210\n98765 43211"),
        ("IN", "98765 43210\t98765 43211"),
        ("IN", "98765\n43210"),
        ("DE", "030\r\n123456"),
        ("GB", "020 7946\u{2028}0018"),
        ("IN", "98765-43210/11"),
        ("IN", "9876543210 9876543211"),
        ("IN", "98765 43210, 98765 43211"),
        ("IN", "98765 43210; 98765 43211"),
        ("IN", "9876543210 or 9876543211"),
        ("IN", "9876543210 & 9876543211"),
        ("IN", "9876543210|9876543211"),
        ("IN", "+91 98765 43210 und +91 98765 43211"),
        ("DE", "030 123456/57"),
        ("DE", "030/123456-0/-99"),
        ("DE", "+49 30 123456 / 78"),
        ("DE", "0171 1234567 / 030 123456"),
        ("DE", "123456 / 654321"),
        ("DE", "234567 345678"),
        ("DE", "23456/34567"),
        ("AT", "01 234567 / 89"),
        ("GB", "020 7946 0018/19"),
        ("GB", "020 7946 0018\u{ff0f}19"),
        ("US", "520-878-2491/2"),
        ("US", "878-2491 / 878-2492"),
    ] {
        check(region, text, Err(Several));
    }
    for (region, text) in [
        ("DE", "030123456.0"),
        ("DE", "030 123456.0"),
        ("DE", "4930123456.00"),
        ("AT", "431234567.0"),
        ("IN", "9876543210.0"),
        ("IN", "9876543210.5"),
        ("US", "5208782491.000"),
        ("IN", "9876543210,0"),
        ("IN", "9.19877E+11"),
        ("IN", "9,19877e11"),
        ("IN", "+9.876501E09"),
    ] {
        check(region, text, Err(Decimal));
    }
}

#[test]
fn numbers_that_must_not_be_dialled_are_refused_with_the_reason() {
    use NumberRefusal::*;
    for input in [
        "112",
        "100",
        "101",
        "102",
        "108",
        "911",
        "999",
        "000",
        "0112",
        "+91112",
        "+91 100",
        "0091 112",
        "1098",
        "tel:112",
        " 112",
        "１１２",
        "91112",
    ] {
        check("IN", input, Err(Emergency));
    }
    check("US", "911", Err(Emergency));
    check("US", "+1911", Err(Emergency));
    check("GB", "999", Err(Emergency));
    for input in [
        "12",
        "139",
        "1947",
        "1921",
        "12345",
        "54321",
        "56767",
        "123456",
        "+91 12345",
        "0",
        "+9",
        "00",
    ] {
        check("IN", input, Err(Short));
    }
    check("IN", "+1 900 234 5678", Err(Premium));
    check("IN", "+44 909 879 0000", Err(Premium));
    check("IN", "+44 70 1234 5678", Err(Premium));
    check("IN", "+49 900 1 654321", Err(Premium));
    check("IN", "1861 123456789", Err(Premium));
    check("IN", "+881 612 345 678", Err(Premium));
    check("IN", "+979 123 456 789", Err(Premium));
    check("US", "900-234-5678", Err(Premium));
}

#[test]
fn text_that_is_no_number_is_refused() {
    use NumberRefusal::*;
    for input in
        ["", " ", "\u{a0}", "\u{200b}", "tel:", "---", "()", "+", "tel:;phone-context=crm.example"]
    {
        check("IN", input, Err(Empty));
    }
    for input in [
        "hello",
        "98765FLOWERS",
        "98765 4321O",
        "sip:9876543210@example.com",
        "9876543210@example.com",
        "98765+43210",
        "++919876543210",
        "=9876543210",
        "null",
        "९८७६५४३२१०\u{1F600}",
        "<9876543210>",
    ] {
        check("IN", input, Err(Unreadable));
    }
    for input in [
        "9876543210x12",
        "9876543210,12345",
        "9876543210,,123",
        "+919876543210;123",
        "9876543210#1",
        "tel:+919876543210;ext=12",
        "tel:+919876543210;postd=pp22",
        "98765*43210",
        "9876543210 ext. 12",
        "9876543210 Extn: 5",
        "9876543210 (ext 5)",
        "9876543210 Durchwahl 12",
        "9876543210p12",
        "9876543210 w 12",
        "9876543210 x 12",
        "9876543210 доб. 12",
    ] {
        check("IN", input, Err(Extension));
    }
    for input in [
        "9876543210 (M)",
        "Mobile: 9876543210",
        "https://wa.me/919876543210",
        "98765%2043210",
        "{{phone}}",
        "+91+9876543210",
    ] {
        check("IN", input, Err(Unreadable));
    }
    for input in [
        "987654321",
        "98765432101",
        "+91 10345 67890",
        "+910000000000",
        "0000000000",
        "+999 1234567",
        "919876543",
    ] {
        check("IN", input, Err(Invalid));
    }
    for input in [
        "9876543210987654321",
        "+91987654321098765432109876543210",
        "000000000000000000000000000000000000",
    ] {
        check("IN", input, Err(TooLong));
    }
    check("IN", &"9".repeat(5_000), Err(TooLong));
    check("IN", &"(0)".repeat(30), Err(TooLong));
}

#[test]
fn no_input_panics() {
    let alphabet: Vec<char> = "0199+ ()-;,:tel=x#\u{a0}\u{200b}९é\u{1F600}\0".chars().collect();
    let mut state = 1_u64;
    for _ in 0..20_000 {
        let mut input = String::new();
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut bits = state;
        for _ in 0..(state >> 60) + 1 {
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(97);
            input.push(alphabet[(bits >> 33) as usize % alphabet.len()]);
        }
        if let Ok(number) = normalise(&input, Region::INDIA) {
            assert!(
                number.as_str().starts_with('+') && (8..=16).contains(&number.as_str().len()),
                "{input:?}"
            );
        }
    }
}

// S07
#[test]
fn each_trunk_sees_the_number_in_its_form() {
    #[track_caller]
    fn check(number: &str, format: NumberFormat, region: &str, expected: &str) {
        let number = normalise(number, Region::INDIA).unwrap();
        assert_eq!(wire(&number, &format, region.parse().unwrap()), expected);
    }
    check("9876543210", NumberFormat::E164Plus, "IN", "+919876543210");
    check("9876543210", NumberFormat::E164, "IN", "919876543210");
    check("9876543210", NumberFormat::National0, "IN", "09876543210");
    check("9876543210", NumberFormat::Prefix("7711".into()), "IN", "7711919876543210");
    check("9876543210", NumberFormat::Prefix("+".into()), "IN", "+919876543210");
    check("+15208782491", NumberFormat::National0, "IN", "0015208782491");
    check("+15208782491", NumberFormat::E164Plus, "IN", "+15208782491");
    check("9876543210", NumberFormat::National0, "GB", "00919876543210");
    check("+442079460018", NumberFormat::National0, "GB", "02079460018");
}

#[test]
fn debug_output_hides_the_number() {
    let number = normalise("9876543210", Region::INDIA).unwrap();
    assert_eq!(format!("{number:?}"), "E164(…10)");
}
