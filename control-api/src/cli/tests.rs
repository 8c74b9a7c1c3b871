//! Command lines run against the admin API on a real port.

use super::*;
use crate::admin;
use crate::admin::tests::Bench;
use crate::hold_audio::tests::wav;
use crate::http::listener::{self, Caps};
use crate::http::tls::Security;
use clap::Parser;
use std::path::Path;
use std::sync::Arc;

#[derive(Parser)]
#[command(name = "admin")]
struct Line {
    #[command(flatten)]
    arguments: Arguments,
}

struct Shell {
    bench: Bench,
    url: String,
}

impl Shell {
    async fn open(name: &str) -> Self {
        let bench = Bench::open(name);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let service = listener::Service {
            name: "admin",
            router: admin::router(Arc::clone(&bench.app)),
            security: Security::Plain,
            caps: Caps { total: 16, per_address: 16, proxies: Vec::new() },
            patience: listener::Patience::default(),
            tells_https: false,
            metrics: bench.app.metrics.clone(),
        };
        tokio::spawn(listener::serve(listener, service, bench.app.shutdown.clone()));
        Self { bench, url }
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.bench.folder.join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    }

    async fn run(&self, line: &[&str]) -> Result<String, String> {
        let token_file = self.bench.app.config.admin.token_file.display().to_string();
        let fixed = ["--url", &self.url, "--token-file", &token_file];
        // What the line says itself is not said twice.
        let fixed = fixed.chunks(2).filter(|pair| !line.contains(&pair[0])).flatten();
        let line = Line::try_parse_from(std::iter::once(&"admin").chain(fixed).chain(line))
            .map_err(|error| error.to_string())?;
        let mut out = Vec::new();
        run(line.arguments, &mut out).await.map_err(|error| error.to_string())?;
        Ok(String::from_utf8(out).unwrap())
    }

    async fn failure(&self, line: &[&str]) -> CliError {
        let token_file = self.bench.app.config.admin.token_file.display().to_string();
        let fixed = ["admin", "--url", &self.url, "--token-file", &token_file];
        let line = Line::try_parse_from(fixed.iter().chain(line)).unwrap();
        run(line.arguments, &mut Vec::new()).await.expect_err("the command fails")
    }

    #[track_caller]
    fn check(output: Result<String, String>, expected: &[&str]) -> String {
        let output = output.expect("the command succeeds");
        for part in expected {
            assert!(output.contains(part), "{part:?} is not in:\n{output}");
        }
        output
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        self.bench.app.shutdown.cancel();
    }
}

// S36: everything of onboarding from a shell.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customer_is_onboarded_command_by_command() {
    let shell = Shell::open("cli-onboard").await;
    let password = shell.file("password", "trunk-secret\n");
    let trunk = [
        "trunk",
        "set",
        "carrier-a",
        "--host",
        "::1",
        "--transport",
        "udp",
        "--media",
        "rtp",
        "--allow-plaintext",
        "true",
    ];
    let more = ["--number-format", "prefix:77", "--username", "u", "--password-file", &password];
    let output = shell.run(&[&trunk[..], &more[..]].concat()).await;
    Shell::check(
        output,
        &[
            "host                  ::1",
            "number_format.prefix  77",
            "has_password          yes",
            "warning: audio is not encrypted",
        ],
    );
    Shell::check(
        shell.run(&["trunk", "list"]).await,
        &["ID         ADDRESS", "carrier-a  udp:[::1]:5060", "WARNING: plaintext"],
    );
    let networks = [
        "--signal-from",
        "203.0.113.9",
        "--signal-from",
        "2001:db8::1/32",
        "--media-from",
        "198.51.100.7/24",
    ];
    let output = shell.run(&[&["trunk", "set", "carrier-a"][..], &networks].concat()).await;
    Shell::check(
        output,
        &[
            "signal_from           203.0.113.9/32, 2001:db8::/32",
            "media_from            198.51.100.0/24",
        ],
    );
    let output = shell
        .run(&["trunk", "set", "carrier-a", "--number-format", "e164-plus", "--media-from", ""])
        .await;
    Shell::check(
        output,
        &[
            "number_format      e164_plus",
            "signal_from        203.0.113.9/32, 2001:db8::/32",
            "media_from         -",
        ],
    );
    let kept = ["--register-s", "300", "--probe-interval-s", "30", "--priority", "2"];
    let chosen = ["--weight", "7", "--prefix", "+91", "--prefix", "971", "--max-calls-per-s", "5"];
    let follows = ["--follows-redirects", "true", "--hides-caller", "true"];
    let told = ["--trusted", "true", "--forwarding", "history-info", "--dtmf", "info"];
    let told = [&told[..], &["--comfort-noise", "true", "--interface", "carrier-v6"]].concat();
    let output = shell
        .run(&[&["trunk", "set", "carrier-a"][..], &kept, &chosen, &follows, &told].concat())
        .await;
    Shell::check(
        output,
        &[
            "register_s         300",
            "probe_interval_s   30",
            "priority           2",
            "weight             7",
            "prefixes           +91, +971",
            "max_calls_per_s    5",
            "follows_redirects  yes",
            "hides_caller       yes",
            "trusted            yes",
            "forwarding         history_info",
            "dtmf               info",
            "comfort_noise      yes",
            "interface          carrier-v6",
        ],
    );
    let none = ["--interface", "", "--register-s", "0", "--probe-interval-s", "0", "--prefix", ""];
    Shell::check(
        shell.run(&[&["trunk", "set", "carrier-a"][..], &none].concat()).await,
        &[
            "register_s         0",
            "probe_interval_s   0",
            "prefixes           -",
            "interface          -",
        ],
    );
    let secure = ["--transport", "tls", "--media", "sdes-srtp", "--srv", "true"];
    Shell::check(
        shell.run(&[&["trunk", "set", "carrier-a"][..], &secure].concat()).await,
        &["transport          tls", "media              sdes_srtp", "srv                yes"],
    );
    Shell::check(shell.run(&["trunk", "list"]).await, &["carrier-a  tls:[::1] (SRV)", "encrypted"]);

    let account = [
        "account",
        "set",
        "demo",
        "--name",
        "Demo",
        "--trunk",
        "carrier-a",
        "--record",
        "false",
        "--calls-per-second",
        "3",
    ];
    Shell::check(
        shell.run(&account).await,
        &[
            "limits.calls_per_second      3",
            "record                       no",
            "trunks                       carrier-a",
        ],
    );
    Shell::check(shell.run(&["account", "list"]).await, &["demo  Demo  IN"]);
    Shell::check(
        shell.run(&["account", "show", "demo"]).await,
        &["max_duration_s               14400", "agent_confirm                no"],
    );
    Shell::check(
        shell.run(&["account", "set", "demo", "--agent-confirm", "true"]).await,
        &["agent_confirm                yes"],
    );
    Shell::check(
        shell.run(&["account", "set", "demo", "--opus", "false"]).await,
        &["opus                         no"],
    );
    Shell::check(
        shell.run(&["number", "add", "demo", "098765-43210", "+91 22 2778 2183"]).await,
        &["+919876543210, +912227782183"],
    );
    Shell::check(
        shell.run(&["number", "remove", "demo", "+919876543210"]).await,
        &["removed number"],
    );
    Shell::check(shell.run(&["number", "list", "demo"]).await, &["+912227782183\n"]);
    Shell::check(
        shell.run(&["agent", "set", "demo", "agent/017 ü", "--display-name", "Asha"]).await,
        &["agent/017 ü   Asha"],
    );
    Shell::check(shell.run(&["agent", "list", "demo"]).await, &["CRM_USERNAME  NAME"]);

    let made = shell
        .run(&["key", "create", "demo", "backend", "--class", "server", "--cidr", "203.0.113.7"])
        .await;
    Shell::check(made, &["demo.backend.1", "203.0.113.7/32", "key (shown only now): cds_"]);
    Shell::check(
        shell.run(&["key", "rotate", "demo", "backend", "--overlap-s", "60"]).await,
        &["demo.backend.2", "cds_"],
    );
    Shell::check(shell.run(&["key", "cidrs", "demo", "backend"]).await, &["any"]);
    let one = Shell::check(
        shell.run(&["key", "cidrs", "demo", "demo.backend.1", "203.0.113.8"]).await,
        &["demo.backend.1"],
    );
    assert!(!one.contains("demo.backend.2"), "an id names one generation: {one}");
    Shell::check(
        shell.run(&["key", "rotate", "demo", "demo.backend.1"]).await,
        &["demo.backend.3"],
    );
    Shell::check(
        shell.run(&["key", "revoke", "demo", "demo.backend.1"]).await,
        &["revoked key demo.backend.1"],
    );
    let listed = Shell::check(
        shell.run(&["key", "list", "demo"]).await,
        &["demo.backend.2", "demo.backend.3", "EXPIRES"],
    );
    assert!(!listed.contains("demo.backend.1"), "{listed}");
    assert!(!listed.contains("shown only now"));
    Shell::check(shell.run(&["key", "revoke", "demo", "backend"]).await, &["revoked key backend"]);
    Shell::check(shell.run(&["key", "list", "demo"]).await, &["none"]);

    let token = shell.file("token", "Bearer crm");
    let callback = [
        "callback",
        "set",
        "demo",
        "--target",
        "https://crm.example.com/",
        "--auth-header",
        "Authorization",
        "--auth-value-file",
    ];
    let output = shell.run(&[&callback[..], &[token.as_str()]].concat()).await;
    Shell::check(
        output,
        &["https://crm.example.com/", "Authorization", "signing secret (shown only now): whsec_"],
    );
    Shell::check(
        shell.run(&["callback", "new-secret", "demo", "--overlap-s", "600"]).await,
        &["whsec_", "signs until  20"],
    );
    let shown = Shell::check(
        shell.run(&["callback", "show", "demo"]).await,
        &["retries                    3", "signs until  20"],
    );
    Shell::check(shell.run(&["callback", "end-overlap", "demo"]).await, &["signs alone"]);
    Shell::check(shell.run(&["callback", "show", "demo"]).await, &["signs until  -"]);
    Shell::check(shell.run(&["live"]).await, &["none"]);
    Shell::check(shell.run(&["calls", "demo", "--callback", "exhausted"]).await, &["none"]);
    Shell::check(shell.run(&["deliveries", "list", "--account", "demo"]).await, &["none"]);
    Shell::check(
        shell.run(&["deliveries", "redeliver", "--account", "demo"]).await,
        &["0 results are pushed again"],
    );
    assert!(!shown.contains("whsec_") && !shown.contains("Bearer"));
    Shell::check(shell.run(&["callback", "remove", "demo"]).await, &["removed the callback"]);
    Shell::check(shell.run(&["agent", "remove", "demo", "agent/017 ü"]).await, &["removed agent"]);
    let refused = shell.run(&["account", "remove", "demo"]).await.unwrap_err();
    assert!(
        refused.contains("confirmation_needed")
            && refused.contains("1 numbers")
            && refused.contains("--yes"),
        "{refused}"
    );
    Shell::check(
        shell.run(&["account", "remove", "demo", "--dry-run"]).await,
        &["nothing removed: demo has 1 numbers"],
    );
    Shell::check(shell.run(&["account", "show", "demo"]).await, &["Demo"]);
    Shell::check(
        shell.run(&["account", "remove", "demo", "--yes"]).await,
        &["removed account demo: 1 numbers"],
    );
    Shell::check(shell.run(&["trunk", "remove", "carrier-a"]).await, &["removed trunk"]);
    Shell::check(shell.run(&["trunk", "list"]).await, &["none"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn json_is_the_answer_of_the_api() {
    let shell = Shell::open("cli-json").await;
    shell.run(&["account", "set", "demo"]).await.unwrap();
    let answer: Value =
        serde_json::from_str(&shell.run(&["account", "show", "demo", "--json"]).await.unwrap())
            .unwrap();
    assert_eq!(answer, shell.bench.get("/admin/accounts/demo").await);
    let answer: Value = serde_json::from_str(
        &shell.run(&["--json", "account", "remove", "demo", "--yes"]).await.unwrap(),
    )
    .unwrap();
    assert_eq!((&answer["removed"], &answer["calls"]), (&true.into(), &0.into()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_say_what_is_wrong_and_what_is_allowed() {
    let shell = Shell::open("cli-errors").await;
    shell.run(&["account", "set", "demo"]).await.unwrap();
    let syntax = shell.file("syntax.toml", "[accounts.demo\nname = 1");
    let unknown = shell.file("unknown.toml", "[accounts.demo]\nnmae = \"x\"\n");
    let several = shell
        .file("several.toml", "[accounts.demo]\nregion = \"x\"\nrecord = true\nagent_ring_s = 0\n");
    let variable =
        shell.file("variable.toml", "[trunks.a]\npassword = { env = \"NO_SUCH_VARIABLE\" }\n");
    let deaf = shell.file("deaf.toml", "[accounts.demo]\nhold_audio = \"no-such.wav\"\n");
    shell.file("stereo.wav", wav(1, 2, 8_000, 16, 1));
    let stereo = shell.file("stereo.toml", "[accounts.demo]\nhold_audio = \"stereo.wav\"\n");
    let tls = shell.url.replace("http:", "https:");
    let missing =
        shell.file("missing.toml", "[trunks.a]\npassword = { file = \"no-such-file\" }\n");
    for (line, expected) in [
        (vec!["account", "show", "nobody"], "404 not_found: there is no account \"nobody\""),
        (
            vec!["account", "set", "demo", "--region", "xx"],
            "422 invalid_settings: region: not a country",
        ),
        (vec!["account", "set", "demo", "--agent-ring-s", "abc"], "--agent-ring-s"),
        (vec!["callback", "set", "demo", "--auth-header", "X"], "--auth-value-file"),
        (
            vec!["key", "create", "demo", "k", "--class", "admin"],
            "[possible values: browser, server]",
        ),
        (vec!["apply", &syntax], "syntax.toml: TOML parse error at line 1"),
        (
            vec!["apply", &unknown],
            "accounts.demo.nmae: unknown field `nmae`, expected one of `name`",
        ),
        (vec!["apply", &several], "accounts.demo.agent_ring_s: 0 is refused; allowed is 1 to 300"),
        (vec!["apply", &variable], "NO_SUCH_VARIABLE is not set"),
        (vec!["apply", &missing], "no-such-file"),
        (
            vec!["apply", &deaf],
            "/no-such.wav: No such file or directory (os error 2) (a WAV file: one channel, 8 or \
                16 kHz",
        ),
        (vec!["apply", &stereo], "/stereo.wav: allowed is one channel (a WAV file"),
        (vec!["apply", "/nowhere/file.toml"], "/nowhere/file.toml"),
        (vec!["--url", "ftp://x", "trunk", "list"], "--url ftp://x: not an HTTP address"),
        (
            vec!["--url", "http://127.0.0.1:1", "trunk", "list"],
            "the admin API cannot be reached at http://127.0.0.1:1/",
        ),
        (
            vec!["--url", "http://127.0.0.1:1", "trunk", "list"],
            "--url or CONTROL_API_ADMIN_URL says where admin.listen",
        ),
        (
            vec!["--token-file", "/nowhere/token", "trunk", "list"],
            "/nowhere/token: No such file or directory (os error 2); the token",
        ),
        (
            vec!["--token-file", "/nowhere/token", "trunk", "list"],
            "--token-file or CONTROL_API_ADMIN_TOKEN_FILE",
        ),
        (vec!["--url", &tls, "trunk", "list"], "it speaks plain HTTP there: use http://"),
        (
            vec!["trunk", "set", "t", "--number-format", "foo"],
            "allowed are e164-plus, e164, national0",
        ),
        (vec!["deliveries", "list", "--account", "nobody"], "404 not_found: there is no account"),
        (vec!["deliveries", "redeliver", "no-such-call"], "404 not_found: there is no call"),
        (vec!["deliveries", "redeliver"], "CALL_ID"),
        (vec!["deliveries", "redeliver", "--account", "demo"], "409 no_callback"),
        (vec!["calls", "demo", "--from", "yesterday"], "RFC 3339"),
        (vec!["live", "--limit", "1"], "--limit"),
        (
            vec!["--ca", &syntax, "--url", "https://127.0.0.1:1", "trunk", "list"],
            "cannot be reached",
        ),
    ] {
        let error = shell.run(&line).await.expect_err("the command fails");
        assert!(error.contains(expected), "{line:?}: {error}");
        if expected.contains("WAV") {
            assert!(
                error.starts_with("accounts.demo.hold_audio: ") && error.lines().count() == 1,
                "{error}"
            );
        }
    }
    let problem: Value =
        serde_json::from_str(&shell.failure(&["account", "show", "nobody"]).await.json()).unwrap();
    assert_eq!((&problem["status"], &problem["code"]), (&404.into(), &"not_found".into()));
    let local: Value =
        serde_json::from_str(&shell.failure(&["apply", "/nowhere/file.toml"]).await.json())
            .unwrap();
    assert!(local["detail"].as_str().unwrap().starts_with("/nowhere/file.toml"), "{local}");
    let wrong = shell.file("wrong-token", "cda_wrong");
    let error = shell.run(&["--token-file", &wrong, "trunk", "list"]).await.unwrap_err();
    assert!(error.contains("401 unauthorized") && !error.contains("cda_wrong"), "{error}");
}

/// The file that documents every key applies as it stands, and again without a change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_file_applies() {
    let shell = Shell::open("cli-example").await;
    let example =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("example-account.toml"))
            .unwrap();
    let example = shell.file("example-account.toml", &example);
    let dry = Shell::check(
        shell.run(&["apply", "--dry-run", &example]).await,
        &["dry run, nothing written: 9 created, 0 changed"],
    );
    assert!(!dry.contains("shown only now"));
    Shell::check(
        shell.run(&["apply", &example]).await,
        &[
            "created    trunk     carrier-a\n             warning: SIP is not encrypted",
            "created    agent     acme/agent.017",
            "9 created, 0 changed, 0 unchanged",
            "key of acme/backend (shown only now): cds_",
            "key of acme/crm-button (shown only now): cdb_",
            "signing secret of acme (shown only now): whsec_",
        ],
    );
    Shell::check(shell.run(&["apply", &example]).await, &["0 created, 0 changed, 9 unchanged"]);
}

/// With the lines that name files of one's own, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_example_file_applies_with_its_secrets() {
    let shell = Shell::open("cli-example-secrets").await;
    let example =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("example-account.toml"))
            .unwrap();
    let example =
        ["username", "password", "register_s", "hold_audio", "auth_header", "signing_secret"]
            .iter()
            .fold(example, |text, key| {
                text.replace(&format!("\n# {key} = "), &format!("\n{key} = "))
            })
            .replace("{ env = \"ACME_SIGNING_SECRET\" }", "{ file = \"signing\" }");
    let without_trunk = example.replace("trunks = [\"carrier-a\"]", "trunks = [\"carrier-b\"]");
    let wrong = shell.file("wrong.toml", &without_trunk);
    for line in [&["apply", "--dry-run", &wrong][..], &["apply", &wrong][..]] {
        let error = shell.run(line).await.unwrap_err();
        for problem in [
            "carrier-a.password",
            "crm.authorization",
            "hold.wav",
            "/signing",
            "accounts.acme.trunks",
        ] {
            assert!(error.contains(problem), "{line:?} does not tell of {problem}: {error}");
        }
        assert_eq!(error.lines().count(), 5, "nothing else is wrong: {error}");
    }
    assert_eq!(shell.bench.app.records.blocking().accounts().unwrap(), []);
    let example = shell.file("example-account.toml", &example);
    shell.file("carrier-a.password", "pass-of-carrier\n");
    shell.file("crm.authorization", "Bearer of-crm\n");
    shell.file("signing", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n");
    shell.file("hold.wav", wav(1, 1, 8_000, 16, 1));
    let first =
        Shell::check(shell.run(&["apply", &example]).await, &["9 created, 0 changed, 0 unchanged"]);
    assert!(
        !first.contains("pass-of-carrier")
            && !first.contains("of-crm")
            && !first.contains("whsec_")
    );
    Shell::check(shell.run(&["apply", &example]).await, &["0 created, 0 changed, 9 unchanged"]);
    let store = &shell.bench.app.records.blocking();
    let hold_audio = store.account(&"acme".into()).unwrap().unwrap().hold_audio.unwrap();
    let held = std::fs::read(shell.bench.app.config.hold_audio.folder.join(hold_audio)).unwrap();
    assert!(held == wav(1, 1, 8_000, 16, 1));
    let password = store.trunk(&"carrier-a".into()).unwrap().unwrap().password.unwrap();
    let password = shell
        .bench
        .app
        .secrets
        .master_key
        .open(crate::secret::Purpose::TrunkPassword, &password)
        .unwrap();
    assert_eq!(password.expose(), "pass-of-carrier");
    let from_variable = shell
        .file("change.toml", "[trunks.carrier-a]\nport = 5080\npassword = { env = \"PATH\" }\n");
    let output = Shell::check(
        shell.run(&["apply", &from_variable]).await,
        &["port: 5060 -> 5080\n", "\n             password\n"],
    );
    assert!(!output.contains(&std::env::var("PATH").unwrap()));
}

// S09
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pack_has_all_that_a_customer_pastes() {
    let shell = Shell::open("cli-pack").await;
    shell.run(&["account", "set", "demo", "--name", "Demo"]).await.unwrap();
    let empty = shell.run(&["pack", "demo"]).await;
    Shell::check(
        empty,
        &[
            "YOUR_BROWSER_KEY",
            "YOUR_SERVER_KEY",
            "none assigned yet",
            "none registered yet",
            "No callback URL is set",
        ],
    );
    shell.run(&["number", "add", "demo", "+912227782183"]).await.unwrap();
    shell.run(&["agent", "set", "demo", "agent.017"]).await.unwrap();
    shell
        .run(&["callback", "set", "demo", "--target", "https://crm.example.com/hook"])
        .await
        .unwrap();
    let pack = Shell::check(
        shell.run(&["pack", "demo", "--create-keys", "main"]).await,
        &[
            "Onboarding pack: Demo (demo)",
            "http://127.0.0.1:8080/CRM_API/webphone/launch?crm_username={AGENT_ID}&api_key=cdb_",
            "&to_number={CUSTOMER_NUMBER}&from_number=%2B912227782183",
            "curl -X POST http://127.0.0.1:8080/calls",
            "-H 'Authorization: Bearer cds_",
            "\"from_number\": \"+912227782183\"",
            "agent.017",
            "POST https://crm.example.com/hook",
            "HMAC-SHA256",
        ],
    );
    // The keys in the pack are the ones that open the API.
    let key = pack.split("Bearer ").nth(1).and_then(|rest| rest.split('\'').next()).unwrap();
    let known = shell
        .bench
        .app
        .records
        .blocking()
        .authenticate(&crate::secret::hash(key), 0)
        .unwrap()
        .unwrap();
    assert_eq!((known.id.as_str(), known.class), ("demo.main-server.1", storage::KeyClass::Server));
    let again = shell.run(&["pack", "demo"]).await.unwrap();
    assert!(again.contains("YOUR_SERVER_KEY") && !again.contains(key), "clear keys are shown once");
}

#[test]
fn the_command_line_is_well_formed() {
    use clap::CommandFactory;
    Line::command().debug_assert();
}
