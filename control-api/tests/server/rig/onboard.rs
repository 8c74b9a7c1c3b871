//! The account under test: its trunk, numbers, agents and keys.

use super::Rig;
use call_words::{DtmfMode, ForwardingHeader, MediaProfile, TransportKind};
use control_api::app::App;
use control_api::clock::now_ms;
use control_api::secret;
use storage::{
    Account, Agent, ApiKey, CallbackSettings, KeyClass, Number, NumberFormat, Sealed, Trunk,
};

pub const ACCOUNT: &str = "acme";
pub const CALLER_ID: &str = "+918047123456";

impl Rig {
    pub fn change_account(&self, change: impl FnOnce(&mut Account)) {
        let mut account = self.app.records.blocking().account(&ACCOUNT.into()).unwrap().unwrap();
        change(&mut account);
        self.app.records.blocking().put_account(&account).unwrap();
    }

    pub fn add_key(&self, id: &str, class: KeyClass, change: impl FnOnce(&mut ApiKey)) -> String {
        add_key(&self.app, id, class, change)
    }
}

pub(super) fn onboard(app: &App) -> [String; 2] {
    let trunk = Trunk {
        id: "carrier".into(),
        host: "127.0.0.1".into(),
        port: 5060,
        transport: TransportKind::Udp,
        media: MediaProfile::Rtp,
        allow_plaintext: true,
        number_format: NumberFormat::E164Plus,
        username: None,
        password: None,
        max_calls: 1_000,
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
    app.records.blocking().put_trunk(&trunk).unwrap();
    let mut account = Account::new(ACCOUNT, "Acme");
    account.trunks = vec![trunk.id];
    account.limits.calls_per_second = 1_000;
    // Nothing listens there; what matters here is what the outbox holds.
    account.callback = Some(CallbackSettings {
        url: "https://127.0.0.1:9/results".into(),
        auth_header: None,
        signing_secret: Sealed(vec![]),
        max_retries: 3,
        earlier_secrets: Vec::new(),
    });
    app.records.blocking().put_account(&account).unwrap();
    app.records.blocking().put_account(&Account::new("other", "Other")).unwrap();
    for (e164, account_id) in [(CALLER_ID, ACCOUNT), ("+918047123457", "other")] {
        app.records
            .blocking()
            .put_number(&Number { e164: e164.into(), account_id: account_id.into() })
            .unwrap();
    }
    for (crm_username, display_name) in
        [("agent.017", "Asha"), ("agent.018", "agent.018"), ("Jörg आशा", "Jörg")]
    {
        let (crm_username, display_name) = (crm_username.into(), display_name.into());
        app.records
            .blocking()
            .put_agent(&Agent { account_id: ACCOUNT.into(), crm_username, display_name })
            .unwrap();
    }
    [("server", KeyClass::Server), ("browser", KeyClass::Browser)]
        .map(|(id, class)| add_key(app, id, class, |_| {}))
}

fn add_key(app: &App, id: &str, class: KeyClass, change: impl FnOnce(&mut ApiKey)) -> String {
    let clear = secret::mint_key(class);
    let mut key = ApiKey {
        id: id.into(),
        account_id: Some(ACCOUNT.into()),
        class,
        hash: secret::hash(clear.expose()),
        prefix: secret::shown_prefix(&clear),
        created_ms: now_ms(),
        expires_ms: None,
        cidrs: Vec::new(),
        may_supervise: false,
    };
    change(&mut key);
    app.records.blocking().put_api_key(&key).unwrap();
    clear.expose().to_owned()
}
