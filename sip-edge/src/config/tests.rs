//! The example file against the defaults, and one-line errors that name the key.

use super::*;

#[test]
fn example_holds_the_defaults() {
    let text = include_str!("../../sip-edge.example.toml");
    assert_eq!(Config::parse(text).unwrap(), Config::default());
    // Every key is shown: what the file says is all there is to say.
    let shown: toml::Table = text.parse().unwrap();
    assert_eq!(shown, toml::Table::try_from(Config::default()).unwrap());
}

#[track_caller]
fn check(text: &str, message: &str) {
    let error = Config::parse(text).unwrap_err().to_string();
    assert!(error.contains(message), "{error:?} lacks {message:?}");
    assert!(!error.contains('\n'), "{error:?} has several lines");
}

#[test]
fn bad_keys_are_named_in_one_line() {
    check("colour = 1", "unknown field `colour`, expected one of `name`, `shards`");
    check("[sip]\nprot = 1", "sip");
    check("[sip]\nprot = 1", "unknown field `prot`");
    check("[sip]\nport = 70000", "`sip.port`");
    check("[sip]\nport = \"x\"", "`sip.port`: invalid type: string \"x\", expected u16");
    check("[sip]\nport = 0", "`sip.port`: 1 to 65535 are allowed");
    check("[sip]\nbind_address = \"0.0.0.0\"", "`sip.bind_address`");
    check("[sip]\npublic_address = \"host\"", "`sip.public_address`: invalid IP address syntax");
    check("[sip]\npublic_address = \"::1\"", "`sip.public_address`: the same IP version");
    check("[sip.tls]\nport = 0", "`sip.tls.port`: 1 to 65535 are allowed");
    check("[sip.tls]\ncertificate = \"c\"", "`sip.tls.private_key`: a PEM file is needed");
    check("[sip.tls]\nprivate_key = \"k\"", "`sip.tls.private_key`: a PEM file is needed");
    check("[media]\nfirst_port = 20001", "`media.first_port`: an even port");
    check("[media]\nlast_port = 1025", "`media.last_port`: an odd port");
    check("[limits]\nmax_calls = 0", "`limits.max_calls`: 1 to 5000 are allowed");
    check("[limits]\nmax_calls = 100000", "`limits.max_calls`: 1 to 5000 are allowed");
    check(
        "[limits]\nmax_tcp_connections = -1",
        "`limits.max_tcp_connections`: 2 to 10000 are allowed",
    );
    check("[media]\nquarantine_ms = 5000000000", "`media.quarantine_ms`: 0 to 60000 are allowed");
    check(
        "[softphone]\nmax_unregistered_per_address = 70000",
        "`softphone.max_unregistered_per_address`: 1 to 10000 are allowed",
    );
    check("[hep]\naddress = \"collector:9060\"", "`hep.address`: an IP address and a UDP port");
    check("[hep]\naddress = \"192.0.2.5:0\"", "`hep.address`: an IP address and a UDP port");
    check("[hep]\ncapture_id = -1", "`hep.capture_id`: 0 to 4294967295 are allowed");
    check(&format!("[hep]\nkey = \"{}\"", "x".repeat(256)), "`hep.key`: at most 255 bytes");
    check("[hep]\nrtcp = true", "`hep.rtcp`: true needs a collector in hep.address");
    check("[softphone]\nmax_opus = 20000", "`softphone.max_opus`: 0 to 10000 are allowed");
    check("[softphone]\nport = 0", "`softphone.port`: 1 to 65535 are allowed");
    check("[softphone]\ndomain = \"a b\"", "`softphone.domain`");
    check(
        "[softphone]\npublic_url = \"https://edge\"",
        "`softphone.public_url`: a URL that begins with wss://",
    );
    check(
        "[softphone]\nallow_plaintext_loopback = true\nself_signed = true",
        "`softphone.self_signed`: not together",
    );
    check(
        "[softphone]\nallowed_origins = [\"https://crm.example/page\"]",
        "`softphone.allowed_origins`",
    );
    check("[softphone]\nallowed_origins = [\"*\"]", "`softphone.allowed_origins`");
    check("[softphone]\nmax_softphones = 0", "`softphone.max_softphones`: 1 to 10000 are allowed");
    check("[hold_audio]\nfolder = \"\"", "`hold_audio.folder`: a folder is needed");
    check(
        "[log]\nformat = \"xml\"",
        "`log.format`: unknown variant `xml`, expected `text` or `json`",
    );
    check("name = \"a b\"", "`name`");
    check("[sip", "line 1");
    check("name = \"x\"\nname = \"y\"", "line 2");
}

#[test]
fn wrong_interfaces_are_named_in_one_line() {
    let one =
        |more: &str| format!("[[interfaces]]\nname = \"a\"\nbind_address = \"10.0.0.1\"\n{more}");
    let two = |second: &str| one("") + &format!("[[interfaces]]\n{second}");
    check("[[interfaces]]\nbind_address = \"10.0.0.1\"", "`interfaces[0]`: missing field `name`");
    check("[[interfaces]]\nname = \"a\"", "`interfaces[0]`: missing field `bind_address`");
    check(&one("port = 5060"), "unknown field `port`");
    check(
        "[[interfaces]]\nname = \"a\"\nbind_address = \"host\"",
        "`interfaces[0].bind_address`: invalid IP address syntax",
    );
    check(
        "[[interfaces]]\nname = \"a b\"\nbind_address = \"10.0.0.1\"",
        "`interfaces[0].name`: 1 to 64 of",
    );
    check(
        "[[interfaces]]\nname = \"a\"\nbind_address = \"0.0.0.0\"",
        "`interfaces[0].bind_address`: an address of this machine is needed, not a wildcard",
    );
    check(
        "[[interfaces]]\nname = \"a\"\nbind_address = \"127.0.0.1\"",
        "`interfaces[0].bind_address`: another interface, or `sip.bind_address`",
    );
    check(
        &one("public_address = \"::\""),
        "`interfaces[0].public_address`: the address that peers",
    );
    check(&one("public_address = \"::1\""), "`interfaces[0].public_address`: the same IP version");
    check(&one("media_bind_address = \"::\""), "`interfaces[0].media_bind_address`: an address of");
    check(
        &one("media_bind_address = \"127.0.0.1\""),
        "`interfaces[0].media_bind_address`: the media of another interface",
    );
    check(
        &one("media_bind_address = \"::1\"\nmedia_public_address = \"10.0.0.2\""),
        "`interfaces[0].media_public_address`: the same IP version",
    );
    check(
        &one("media_public_address = \"0.0.0.0\""),
        "`interfaces[0].media_public_address`: the address that peers",
    );
    check(
        &two("name = \"a\"\nbind_address = \"10.0.0.2\""),
        "`interfaces[1].name`: another interface has this name",
    );
    check(
        &two("name = \"b\"\nbind_address = \"10.0.0.1\""),
        "`interfaces[1].bind_address`: another interface",
    );
    let many =
        (0..8).map(|n| format!("[[interfaces]]\nname = \"n{n}\"\nbind_address = \"10.0.1.{n}\"\n"));
    check(&many.collect::<String>(), "`interfaces`: at most 7 are allowed");
}

/// What the example shows of them is taken once its marks are.
#[test]
fn interfaces_have_what_is_not_set_from_their_signalling() {
    let text = include_str!("../../sip-edge.example.toml");
    let shown = text.split("# [[interfaces]]\n").nth(1).expect("they are shown");
    let lines = shown.lines().take_while(|line| !line.is_empty());
    let lines = lines.map(|line| line.strip_prefix("# ").expect("a mark").to_owned() + "\n");
    let text = lines.collect::<String>();
    let config = Config::parse(&format!("[[interfaces]]\n{text}")).unwrap();
    let given = &config.interfaces[0];
    assert!(given.media_public_address.is_some() && given.media_bind_address.is_some());
    let all = |text: &str| {
        let all = Config::parse(text).unwrap().interfaces();
        all.into_iter()
            .map(|one| [one.bind, one.public, one.media_bind, one.media_public])
            .next_back()
    };
    let [a, b, c, d] = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]
        .map(|address| address.parse::<IpAddr>().unwrap());
    let head = "[[interfaces]]\nname = \"a\"\nbind_address = \"10.0.0.1\"\n";
    let public = format!("{head}public_address = \"10.0.0.2\"\n");
    let media = format!("{public}media_bind_address = \"10.0.0.3\"\n");
    assert_eq!(all(head), Some([a, a, a, a]));
    assert_eq!(all(&public), Some([a, b, a, b]));
    assert_eq!(all(&media), Some([a, b, c, c]));
    assert_eq!(all(&(media + "media_public_address = \"10.0.0.4\"\n")), Some([a, b, c, d]));
}

/// S42
#[test]
fn plaintext_is_for_loopback_only() {
    let with = |address: &str| {
        format!("[softphone]\nallow_plaintext_loopback = true\nbind_address = \"{address}\"")
    };
    for address in
        ["0.0.0.0", "::", "10.0.0.1", "192.168.0.1", "203.0.113.7", "fe80::1", "::ffff:10.0.0.1"]
    {
        let told = "`softphone.allow_plaintext_loopback`: only allowed while \
            `softphone.bind_address` is a loopback address";
        check(&with(address), told);
    }
    for address in ["127.0.0.1", "127.8.9.10", "::1"] {
        let config = Config::parse(&with(address)).unwrap().softphone;
        assert_eq!(config.certificate_source(address.parse().unwrap()), None);
    }
    let default = Config::default().softphone;
    assert!(
        default.certificate_source(default.bind_address).is_some(),
        "TLS unless it is allowed to go without"
    );
}

#[test]
fn shards_share_no_port() {
    let config = Config {
        media: MediaConfig {
            first_port: 20_000,
            last_port: 20_019,
            quarantine_ms: 0,
            wideband: true,
        },
        ..Config::default()
    };
    let plans = ShardPlan::cut(&config, 3).unwrap();
    let ranges: Vec<_> = plans
        .iter()
        .map(|plan| (plan.sip.port(), plan.first_port, plan.pair_count, plan.call_capacity))
        .collect();
    assert_eq!(ranges, [(5060, 20_000, 3, 1), (5061, 20_006, 3, 1), (5062, 20_012, 3, 1)]);
    assert!(plans.iter().all(|plan| plan.softphone.is_none()), "not enabled");
    assert!(
        ShardPlan::cut(&config, 6)
            .unwrap_err()
            .to_string()
            .starts_with("`media.last_port`: 6 shards need")
    );
}

#[test]
fn one_sip_port_is_everybodys() {
    let mut config = Config::parse("shards = 3\n[sip]\nport = 65535\none_port = true").unwrap();
    (config.sip.tls.certificate, config.sip.tls.private_key) = ("c.pem".into(), "k.pem".into());
    config.sip.tls.port = 65_534;
    let plans = ShardPlan::cut(&config, 3).unwrap();
    let ports: Vec<_> =
        plans.iter().map(|plan| (plan.sip.port(), plan.sip_tls.port(), plan.first_port)).collect();
    assert_eq!(
        ports,
        [(65_535, 65_534, 20_000), (65_535, 65_534, 23_332), (65_535, 65_534, 26_664)]
    );
    config.sip.port = 19_999;
    assert!(ShardPlan::cut(&config, 3).is_ok(), "media begin behind it");
    config.sip.tls.port = 19_999;
    assert!(ShardPlan::cut(&config, 3).is_err(), "TCP is both's");
    check("shards = 2\n[sip]\nport = 0\none_port = true", "`sip.port`: 1 to 65535 are allowed");
}

#[test]
fn ports_of_sip_meet_no_others() {
    let mut config = Config::default();
    for (port, is_free) in
        [(19_998, true), (19_999, false), (20_000, false), (29_999, false), (30_000, true)]
    {
        config.sip.port = port;
        let cut = ShardPlan::cut(&config, 2).map_err(|error| error.to_string());
        let told = "`sip.port`: 2 ports from it on meet `media.first_port` to `media.last_port`";
        assert_eq!(cut.err().as_deref(), (!is_free).then_some(told), "{port}");
    }
    config.softphone.enabled = true;
    for (address, port, is_free) in
        [("127.0.0.1", 30_001, false), ("0.0.0.0", 29_999, false), ("127.0.0.2", 30_001, true)]
    {
        config.softphone.bind_address = address.parse().unwrap();
        config.softphone.port = port;
        let cut = ShardPlan::cut(&config, 2).map_err(|error| error.to_string());
        let told = "`softphone.port`: 2 ports from it on meet `sip.port`";
        assert_eq!(cut.err().as_deref(), (!is_free).then_some(told), "{address}:{port}");
    }
}

#[test]
fn ports_of_tls_count_where_it_is_taken() {
    let mut config = Config::default();
    let cut = |config: &Config| {
        let plans = ShardPlan::cut(config, 2).map_err(|error| error.to_string())?;
        Ok(plans.iter().map(|plan| plan.sip_tls.port()).collect::<Vec<_>>())
    };
    assert_eq!(cut(&config), Ok(vec![5061, 5062]), "only opened from");
    config.sip.tls.certificate = "c.pem".into();
    config.sip.tls.private_key = "k.pem".into();
    for (port, is_free) in
        [(5059, false), (5061, false), (5062, true), (65_534, true), (65_535, false)]
    {
        config.sip.tls.port = port;
        let told = "`sip.tls.port`: 2 ports from it on do not exist or meet `sip.port`'s";
        let expected = if is_free { Ok(vec![port, port + 1]) } else { Err(told.to_owned()) };
        assert_eq!(cut(&config), expected, "{port}");
    }
}

#[test]
fn each_shard_has_its_softphone_ports_and_url() {
    let mut config = Config::default();
    config.softphone.enabled = true;
    let plans = ShardPlan::cut(&config, 2).unwrap();
    let ports: Vec<_> = plans
        .iter()
        .filter_map(|plan| plan.softphone)
        .map(|plan| (plan.listener.port(), plan.media.port()))
        .collect();
    assert_eq!(ports, [(8443, 19_000), (8444, 19_001)]);
    let url = |config: &Config| config.softphone.url(config.sip.public_address, &plans[1], 8444);
    assert_eq!(url(&config), "wss://127.0.0.1:8444/");
    config.softphone.public_url = "wss://edge.example/sip/{shard}".into();
    assert_eq!(url(&config), "wss://edge.example/sip/1");
    config.softphone.public_url = "wss://edge.example/".into();
    assert!(
        ShardPlan::cut(&config, 2)
            .unwrap_err()
            .to_string()
            .starts_with("`softphone.public_url`: with 2 shards")
    );
    assert!(ShardPlan::cut(&config, 1).is_ok());
    for (media_port, other) in [(19_999, "`media.first_port`"), (5_060, "`sip.port`")] {
        config.softphone.media_port = media_port;
        let error = ShardPlan::cut(&config, 2).unwrap_err().to_string();
        assert!(
            error.starts_with("`softphone.media_port`: 2 ports from it on meet")
                && error.contains(other),
            "{error}"
        );
    }
}
