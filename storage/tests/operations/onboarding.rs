//! Accounts, numbers, agents, keys, trunks.

use crate::*;
use call_words::{DtmfMode, ForwardingHeader, MediaProfile, TransportKind};

#[track_caller]
pub fn check_conflict<T: std::fmt::Debug>(result: Result<T>, what: &str) {
    match result {
        Err(Error::Conflict(text)) => assert!(text.contains(what), "{text}"),
        other => panic!("{other:?}"),
    }
}

fn number(e164: &str, account: &str) -> Number {
    Number { e164: e164.into(), account_id: account.into() }
}

fn agent(name: &str) -> Agent {
    Agent {
        account_id: ACCOUNT.into(),
        crm_username: name.into(),
        display_name: name.to_uppercase(),
    }
}

fn key(id: &str, hash: u8) -> ApiKey {
    ApiKey {
        id: id.into(),
        account_id: Some(ACCOUNT.into()),
        class: KeyClass::Server,
        hash: KeyHash([hash; 32]),
        prefix: "cds_abcdef".into(),
        created_ms: NOW,
        expires_ms: None,
        cidrs: Vec::new(),
        may_supervise: false,
    }
}

#[test]
fn numbers_belong_to_one_account() {
    let opened = Opened::fresh();
    let storage = &opened.storage;
    storage.put_account(&Account::new("other", "Other")).unwrap();
    storage.put_number(&number("+918047000001", ACCOUNT)).unwrap();
    storage.put_number(&number("+918047000000", ACCOUNT)).unwrap();
    storage.put_number(&number("+918047000000", ACCOUNT)).unwrap();
    check_conflict(storage.put_number(&number("+918047000000", "other")), "another account");
    check_conflict(storage.put_number(&number("+918047000009", "nobody")), "unknown account");
    let numbers: Vec<_> =
        storage.numbers(&ACCOUNT.into()).unwrap().into_iter().map(|number| number.e164).collect();
    assert_eq!(numbers, ["+918047000000", "+918047000001"]);
    assert!(!storage.delete_number(&"other".into(), "+918047000000").unwrap());
    assert!(storage.delete_number(&ACCOUNT.into(), "+918047000000").unwrap());
    storage.put_number(&number("+918047000000", "other")).unwrap();
    assert_eq!(storage.numbers(&"other".into()).unwrap().len(), 1);
}

// S05
#[test]
fn agents_are_exact() {
    let opened = Opened::fresh();
    let storage = &opened.storage;
    for name in ["agent.1", "Agent.1", "agent.10", "अंजलि"] {
        storage.put_agent(&agent(name)).unwrap();
    }
    assert_eq!(storage.agent(&ACCOUNT.into(), "Agent.1").unwrap().unwrap().crm_username, "Agent.1");
    assert_eq!(storage.agent(&ACCOUNT.into(), "AGENT.1").unwrap(), None);
    assert_eq!(storage.agent(&"other".into(), "agent.1").unwrap(), None);
    assert!(storage.delete_agent(&ACCOUNT.into(), "agent.1").unwrap());
    assert!(!storage.delete_agent(&ACCOUNT.into(), "agent.1").unwrap());
    assert_eq!(storage.agents(&ACCOUNT.into()).unwrap().len(), 3);
}

// S06
#[test]
fn keys_rotate_and_expire() {
    let opened = Opened::fresh();
    let storage = &opened.storage;
    storage.put_api_key(&key("k1", 1)).unwrap();
    storage.put_api_key(&key("k2", 2)).unwrap();
    storage.put_api_key(&ApiKey { expires_ms: Some(NOW + 100), ..key("k1", 1) }).unwrap();
    storage
        .put_api_key(&ApiKey { account_id: None, class: KeyClass::Admin, ..key("k3", 3) })
        .unwrap();
    let authenticate =
        |hash: u8, now| storage.authenticate(&KeyHash([hash; 32]), now).unwrap().map(|key| key.id);
    assert_eq!(authenticate(1, NOW + 99), Some("k1".into()));
    assert_eq!(authenticate(2, NOW + 99), Some("k2".into()));
    assert_eq!(authenticate(1, NOW + 100), None);
    assert_eq!(authenticate(9, NOW), None);
    check_conflict(storage.put_api_key(&key("k4", 2)), "another key");
    check_conflict(storage.put_api_key(&key("k2", 5)), "never changes");
    assert_eq!(storage.api_keys(None).unwrap().len(), 1);
    assert!(storage.delete_api_key(&"k2".into()).unwrap());
    assert_eq!(authenticate(2, NOW), None);
    assert_eq!(storage.api_keys(Some(&ACCOUNT.into())).unwrap().len(), 1);
}

#[test]
fn a_removed_account_takes_its_things_along() {
    let opened = Opened::fresh();
    let storage = &opened.storage;
    storage.put_account(&Account::new("demo2", "Second")).unwrap();
    storage.put_number(&number("+918047000000", ACCOUNT)).unwrap();
    storage.put_number(&number("+918047000001", "demo2")).unwrap();
    storage.put_agent(&agent("a")).unwrap();
    storage.put_api_key(&key("k1", 1)).unwrap();
    let had = Belongings { numbers: 1, agents: 1, keys: 1, ..Belongings::default() };
    assert_eq!(storage.remove_account(&ACCOUNT.into()).unwrap(), RemoveOutcome::Removed(had));
    assert_eq!(storage.remove_account(&ACCOUNT.into()).unwrap(), RemoveOutcome::Unknown);
    assert_eq!(storage.number("+918047000000").unwrap(), None);
    assert_eq!(storage.agents(&ACCOUNT.into()).unwrap(), []);
    assert_eq!(storage.authenticate(&KeyHash([1; 32]), NOW).unwrap(), None);
    assert_eq!(storage.numbers(&"demo2".into()).unwrap().len(), 1);
    let accounts: Vec<_> =
        storage.accounts().unwrap().into_iter().map(|account| account.id).collect();
    assert_eq!(accounts, ["demo2"]);
}

#[test]
fn a_used_trunk_stays() {
    let opened = Opened::fresh();
    let storage = &opened.storage;
    let trunk = Trunk {
        id: "t1".into(),
        host: "sip.carrier.example".into(),
        port: 5060,
        transport: TransportKind::Udp,
        media: MediaProfile::Rtp,
        allow_plaintext: true,
        number_format: NumberFormat::National0,
        username: None,
        password: None,
        max_calls: 30,
        signal_from: vec![],
        media_from: vec![],
        register_s: None,
        probe_interval_s: None,
        priority: 0,
        weight: 0,
        prefixes: vec![],
        max_calls_per_s: None,
        follows_redirects: false,
        hides_caller: false,
        trusted: false,
        forwarding: ForwardingHeader::None,
        srv: false,
        dtmf: DtmfMode::Auto,
        comfort_noise: false,
        interface: None,
    };
    storage.put_trunk(&trunk).unwrap();
    storage
        .put_account(&Account { trunks: vec!["t1".into()], ..Account::new(ACCOUNT, "Demo Realty") })
        .unwrap();
    check_conflict(storage.delete_trunk(&"t1".into()), "uses the trunk");
    storage.put_account(&Account::new(ACCOUNT, "Demo Realty")).unwrap();
    assert_eq!(storage.trunks().unwrap(), [trunk]);
    assert!(storage.delete_trunk(&"t1".into()).unwrap());
    assert!(!storage.delete_trunk(&"t1".into()).unwrap());
}

#[test]
fn no_secret_is_printed() {
    let shown = format!("{:?} {:?}", Sealed(b"secret".to_vec()), KeyHash([0xab; 32]));
    assert_eq!(shown, "Sealed(..) KeyHash(..)");
}
