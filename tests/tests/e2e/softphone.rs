//! The browser softphone in a real browser: one link, and two people talk (S02, S03, S05, S10, S11,
//! S18, S21, A4, A5, A10).

use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tests::audio::{Wav, assert_absent, heard_ms};
use tests::browser::{Browser, CODECS, Microphone, Page};
use tests::eventually;
use tests::party::{AGENT_HZ, CUSTOMER_HZ};
use tests::rig::{Placed, Rig};
use tests::sink::Sink;
use tests::sipp::Phone::{self, *};
use tests::sipp::{Law, customer_number};

pub const AGENT: &str = "agent.017";
/// How the page's newest connection is secured, by its own statistics (W3C WebRTC statistics,
/// `RTCTransportStats`).
const SECURED: &str = "(async () => { for (const one of (await \
    window.__heard.connections.at(-1).getStats()).values()) \
     if (one.type === 'transport') return { srtpCipher: one.srtpCipher, tlsVersion: \
     one.tlsVersion }; })()";
/// Sizes of a CRM's popup, of a narrow one and of a tab.
const SIZES: [(u32, u32); 3] = [(420, 640), (320, 560), (1100, 700)];

pub async fn rig() -> Rig {
    Rig::with(Sink::ok().await, Law::Mu, |spec| {
        spec.softphones = loadtest::children::Softphones::SelfSigned;
        spec.more_agents = 3;
    })
    .await
}

/// Opens the launch link for a fresh number of this phone; gives the page and the call once there
/// is one.
pub async fn launch<'a>(
    rig: &Rig,
    browser: &'a Browser,
    agent: &str,
    phone: Phone,
) -> (Page<'a>, Placed) {
    let number = customer_number(phone);
    let page = browser.open(&rig.stack.launch_url(agent, &number)).await;
    assert_eq!(page.status, Some(200));
    let call = placed(rig, &number).await;
    (page, call)
}

/// The call to this number, once it is on record.
async fn placed(rig: &Rig, number: &str) -> Placed {
    let call_id = eventually(&format!("a call to {number}"), async || {
        let calls = calls_to(rig, number).await;
        Some(calls.first()?["call_id"].as_str()?.to_owned())
    })
    .await;
    Placed { call_id, agent_number: String::new(), customer_number: number.to_owned() }
}

async fn calls_to(rig: &Rig, number: &str) -> Vec<Value> {
    let mut list: Value =
        rig.request(Method::GET, "/calls?limit=100", None).await.json().await.expect("JSON");
    let Value::Array(calls) = list["calls"].take() else {
        panic!("a list of calls is expected: {list}")
    };
    calls.into_iter().filter(|call| call["customer_number"] == number).collect()
}

/// Lets the customer speak and waits until each hears the other.
pub async fn both_talk(rig: &Rig, page: &Page<'_>, call: &Placed) {
    let invite = rig.message(&call.customer_number, "ACK").await.0;
    rig.customer.speak_to(invite.media_address().expect("an address in the offer"));
    page.says("Talking").await;
    page.hears(CUSTOMER_HZ).await;
    customer_hears(rig, AGENT_HZ).await;
}

/// Waits until the customer hears half a second of this tone, of what arrives from now on.
async fn customer_hears(rig: &Rig, frequency: f64) {
    let since = Instant::now();
    eventually(&format!("{frequency} Hz at the customer"), async || {
        let heard = rig.customer.heard_since(since);
        heard
            .windows(4000)
            .step_by(160)
            .any(|window| tests::audio::heard_ms(window, frequency) >= 460)
            .then_some(())
    })
    .await;
}

pub async fn pictures(page: &Page<'_>, name: &str) {
    for size in SIZES {
        for scheme in ["light", "dark"] {
            page.screenshot(name, size, scheme).await;
        }
    }
}

// S02, S03, S08, S10, S11, S12, S15, S34
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_link_and_two_people_talk() {
    let rig = rig().await;
    let browser = Browser::start(Microphone::Granted, AGENT_HZ).await;
    let clicked_ms = unix_ms();
    let (page, call) = launch(&rig, &browser, AGENT, Talks).await;
    assert_eq!(page.headers["cache-control"], "no-store");
    assert_eq!(page.headers["referrer-policy"], "no-referrer");
    both_talk(&rig, &page, &call).await;
    let secured = page.evaluate(SECURED).await;
    println!("Chromium's connection: {secured}");
    assert!(
        secured["srtpCipher"].as_str().is_some_and(|suite| suite.contains("AEAD_AES_")),
        "{secured}"
    );
    let codecs = page.evaluate(CODECS).await;
    assert_eq!(codecs, json!(["audio/opus", "audio/opus"]), "the customer speaks G.711");
    pictures(&page, "talking").await;
    let url = page.url().await;
    assert!(!url.contains(&rig.stack.browser_key) && !url.contains("api_key"), "{url}");
    check_steps(&rig, &call, clicked_ms).await;
    page.click("button", "Hang up").await;
    page.says("Call ended").await;
    pictures(&page, "ended").await;
    let callback = rig.callback(&call).await;
    for (key, value) in [
        ("status", json!("ANSWER")),
        ("call_type", json!("browser")),
        ("crm_username", json!(AGENT)),
        ("agent_number", Value::Null),
        ("customer_number", json!(call.customer_number)),
        ("hangup_by", json!("agent")),
    ] {
        assert_eq!(callback.body[key], value, "{key}: {}", callback.text);
    }
    let wav =
        Wav::parse(&callback.recording.as_ref().expect("a recording").bytes).expect("a WAV file");
    assert!(
        heard_ms(&wav.customer, CUSTOMER_HZ) * 2 > (wav.duration_s() * 1e3) as usize,
        "the customer's channel"
    );
    assert!(
        heard_ms(&wav.agent, AGENT_HZ) * 2 > (wav.duration_s() * 1e3) as usize,
        "the agent's channel"
    );
    assert_absent(&wav.agent, CUSTOMER_HZ);
    assert_absent(&wav.customer, AGENT_HZ);
    for log in ["control-api.log", "sip-edge.log"] {
        let log = std::fs::read_to_string(rig.stack.folder.join(log)).expect("a log");
        assert!(!log.contains(&rig.stack.browser_key), "a key in a log");
    }
    browser.stop().await;
    rig.stop().await;
}

// An account may do without Opus.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_without_opus_talks_in_g711() {
    let rig = Rig::with(Sink::ok().await, Law::Mu, |spec| {
        spec.softphones = loadtest::children::Softphones::SelfSigned;
        spec.account_settings = "opus = false\n";
    })
    .await;
    let browser = Browser::start(Microphone::Granted, AGENT_HZ).await;
    let (page, call) = launch(&rig, &browser, AGENT, Talks).await;
    both_talk(&rig, &page, &call).await;
    let codecs = page.evaluate(CODECS).await;
    assert_eq!(codecs, json!(["audio/PCMU", "audio/PCMU"]));
    page.click("button", "Hang up").await;
    rig.callback(&call).await;
    browser.stop().await;
    rig.stop().await;
}

/// S11: the customer is dialled after the agent's decrypted audio came; prints how long each step
/// took from the click.
async fn check_steps(rig: &Rig, call: &Placed, clicked_ms: u64) {
    let timeline = rig.timeline(call).await;
    let at = |leg: &str, kind: &str| {
        let step = timeline.iter().find(|step| step["kind"] == kind && step["leg"] == leg);
        let step = step.unwrap_or_else(|| panic!("no {kind} of the {leg} in {timeline:#?}"));
        chrono_ms(step["time"].as_str().expect("a time"))
    };
    let (media, dialled) = (at("agent", "agent_media"), at("customer", "invite_sent"));
    assert!(at("agent", "answered") <= media && media <= dialled, "{timeline:#?}");
    println!(
        "S11: from the click to the agent's INVITE {} ms, its answer {} ms, its media {} ms, the \
            customer's INVITE {} ms",
        at("agent", "invite_sent") - clicked_ms,
        at("agent", "answered") - clicked_ms,
        media - clicked_ms,
        dialled - clicked_ms
    );
}

/// Unix milliseconds of `2026-01-02T03:04:05.678Z`.
fn chrono_ms(text: &str) -> u64 {
    let number = |from: usize, to: usize| text[from..to].parse::<u64>().expect("digits");
    let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
    // Days from civil date, with years that begin in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days =
        365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    let seconds = days * 86_400 + number(11, 13) * 3_600 + number(14, 16) * 60 + number(17, 19);
    seconds * 1000 + text.get(20..23).and_then(|millis| millis.parse::<u64>().ok()).unwrap_or(0)
}

// S10: prints how long an agent waits after a click, over a dozen of them in a warm browser.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_click_leads_to_a_call() {
    const CLICKS: usize = 12;
    let rig = rig().await;
    let browser = Browser::start(Microphone::Granted, AGENT_HZ).await;
    let mut waits: [Vec<u64>; 4] = Default::default();
    for _ in 0..CLICKS {
        let clicked_ms = unix_ms();
        let (page, call) = launch(&rig, &browser, AGENT, Talks).await;
        page.says("Talking").await;
        let registered =
            page.evaluate("performance.getEntriesByName('registered')[0].startTime").await;
        waits[0].push(registered.as_f64().expect("milliseconds") as u64);
        let timeline = rig.timeline(&call).await;
        for (waited, (leg, kind)) in waits[1..].iter_mut().zip([
            ("agent", "invite_sent"),
            ("agent", "agent_media"),
            ("customer", "answered"),
        ]) {
            let step = timeline
                .iter()
                .find(|step| step["kind"] == kind && step["leg"] == leg)
                .expect("the step");
            waited.push(chrono_ms(step["time"].as_str().expect("a time")) - clicked_ms);
        }
        page.click("button", "Hang up").await;
        rig.callback(&call).await;
        page.close().await;
    }
    let names =
        ["registered, by the page's own clock", "called", "agent's audio", "customer's answer"];
    for (name, mut waited) in names.into_iter().zip(waits) {
        waited.sort_unstable();
        println!(
            "S10: from the click to {name}: median {} ms, longest {} ms",
            waited[CLICKS / 2],
            waited[CLICKS - 1]
        );
    }
    browser.stop().await;
    rig.stop().await;
}

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis() as u64
}

// S21: browser calls
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_end_is_told_to_the_agent_and_to_the_crm() {
    let rig = rig().await;
    let browser = Browser::start(Microphone::Granted, AGENT_HZ).await;
    let cases: [(Phone, &str, [Option<&str>; 4]); 6] = [
        (HangsUp, "The customer hung up", [Some("ANSWER"), None, None, Some("customer")]),
        (Busy, "Busy", [Some("BUSY"), Some("busy"), Some("customer"), Some("customer")]),
        (
            Declines,
            "Declined",
            [Some("BUSY"), Some("declined"), Some("customer"), Some("customer")],
        ),
        (
            Rings,
            "No answer",
            [Some("NO_ANSWER"), Some("no_answer"), Some("customer"), Some("system")],
        ),
        (
            Unknown,
            "does not exist",
            [Some("FAILED"), Some("invalid_number"), Some("customer"), Some("network")],
        ),
        (
            Fails,
            "Call failed",
            [Some("FAILED"), Some("trunk_failed"), Some("customer"), Some("network")],
        ),
    ];
    let mut ended = Vec::new();
    for (phone, words, expected) in cases {
        let (page, call) = launch(&rig, &browser, AGENT, phone).await;
        page.says(words).await;
        page.screenshot(&format!("end-{phone:?}").to_lowercase(), SIZES[0], "light").await;
        check_end(&rig, &call, expected).await;
        page.close().await;
        ended.push(call);
    }
    let (page, call) = launch(&rig, &browser, AGENT, Rings).await;
    page.says("Ringing").await;
    pictures(&page, "ringing").await;
    page.click("button", "Hang up").await;
    check_end(&rig, &call, [Some("CANCELED"), Some("canceled"), None, Some("agent")]).await;
    rig.message(&call.customer_number, "CANCEL").await;
    page.close().await;
    ended.push(call);
    let (page, call) = launch(&rig, &browser, AGENT, Rings).await;
    page.says("Ringing").await;
    rig.hang_up(&call).await;
    check_end(&rig, &call, [Some("CANCELED"), Some("canceled"), None, Some("api")]).await;
    page.says("Canceled").await;
    ended.push(call);
    check_told_once(&rig, &ended).await;
    browser.stop().await;
    rig.stop().await;
}

async fn check_end(rig: &Rig, call: &Placed, expected: [Option<&str>; 4]) {
    let callback = rig.callback(call).await;
    let told =
        ["status", "reason", "failed_leg", "hangup_by"].map(|key| callback.body[key].clone());
    assert_eq!(told, expected.map(|word| json!(word)), "{}", callback.text);
}

/// A later call's result has come, and each of these calls' once.
async fn check_told_once(rig: &Rig, calls: &[Placed]) {
    let later = rig.place(Busy, Talks).await;
    rig.callback(&later).await;
    for call in calls {
        assert_eq!(rig.sink.received(&call.call_id).len(), 1, "told once: {}", call.call_id);
    }
}

// S11, A5: without a microphone nobody is rung, and the result says why.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_microphone_nobody_is_rung() {
    let rig = rig().await;
    for (microphone, words, detail) in [
        (Microphone::Denied, "The microphone is not allowed", "denied"),
        (Microphone::Missing, "No microphone found", "missing"),
    ] {
        let browser = Browser::start(microphone, AGENT_HZ).await;
        let (page, call) = launch(&rig, &browser, AGENT, Talks).await;
        page.says(words).await;
        pictures(&page, &format!("microphone-{detail}")).await;
        check_end(
            &rig,
            &call,
            [Some("FAILED"), Some("agent_media"), Some("agent"), Some("system")],
        )
        .await;
        assert!(rig.sipp.messages_of(&call.customer_number).is_empty(), "the customer was rung");
        let view = rig.call(&call).await.to_string();
        assert!(view.contains("microphone") && view.contains(detail), "{view}");
        browser.stop().await;
        check_told_once(&rig, &[call]).await;
    }
    rig.stop().await;
}

// A4, A10: a reload keeps the customer, who hears a tone, and the call and its recording go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_keeps_the_customer() {
    let rig = rig().await;
    let browser = Browser::start(Microphone::Granted, AGENT_HZ).await;
    let (page, call) = launch(&rig, &browser, AGENT, Talks).await;
    both_talk(&rig, &page, &call).await;
    let reloaded = Instant::now();
    page.reload().await;
    page.says("Talking").await;
    customer_hears(&rig, AGENT_HZ).await;
    println!("A4: the customer hears the agent {:?} after the reload began", reloaded.elapsed());
    page.hears(CUSTOMER_HZ).await;
    let kinds: Vec<String> = rig
        .timeline(&call)
        .await
        .iter()
        .filter_map(|step| Some(step["kind"].as_str()?.to_owned()))
        .collect();
    assert!(kinds.iter().any(|kind| kind == "agent_back"), "{kinds:?}");
    assert_eq!(calls_to(&rig, &call.customer_number).await.len(), 1);
    page.click("button", "Hang up").await;
    let callback = rig.callback(&call).await;
    assert_eq!(callback.body["status"], "ANSWER");
    let wav =
        Wav::parse(&callback.recording.as_ref().expect("a recording").bytes).expect("a WAV file");
    let duration = callback.body["duration"].as_f64().expect("seconds");
    assert!(
        (duration - 0.5..duration + 1.5).contains(&wav.duration_s()),
        "{} s of {duration} s",
        wav.duration_s()
    );
    browser.stop().await;
    rig.stop().await;
}

// A10: a tab that is gone ends the call after ten seconds; until then the customer is held.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_tab_ends_the_call_after_ten_seconds() {
    let rig = rig().await;
    let browser = Browser::start(Microphone::Granted, AGENT_HZ).await;
    let (page, call) = launch(&rig, &browser, AGENT, Talks).await;
    both_talk(&rig, &page, &call).await;
    let closed = Instant::now();
    page.close().await;
    let callback = rig.callback(&call).await;
    let held = closed.elapsed();
    assert!((9.0..14.0).contains(&held.as_secs_f64()), "{held:?}");
    assert_eq!(
        (&callback.body["status"], &callback.body["hangup_by"]),
        (&json!("ANSWER"), &json!("agent"))
    );
    browser.stop().await;
    rig.stop().await;
}

// A4, S05: two tabs of an agent are one softphone, and a second click is no second call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_tab_takes_over() {
    let rig = rig().await;
    let browser = Browser::start(Microphone::Granted, AGENT_HZ).await;
    let (first, call) = launch(&rig, &browser, AGENT, Talks).await;
    both_talk(&rig, &first, &call).await;
    let other = customer_number(Talks);
    let second = browser.open(&rig.stack.launch_url(AGENT, &other)).await;
    first.says("Open in another tab").await;
    pictures(&first, "elsewhere").await;
    second.says("Talking").await;
    second.hears(CUSTOMER_HZ).await;
    customer_hears(&rig, AGENT_HZ).await;
    assert!(calls_to(&rig, &other).await.is_empty(), "a second call was placed");
    second.click("button", "Hang up").await;
    assert_eq!(rig.callback(&call).await.body["hangup_by"], "agent");
    browser.stop().await;
    rig.stop().await;
}

// S18: the backend calls an agent whose softphone is online.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_rings_an_online_agent() {
    let rig = rig().await;
    let browser = Browser::start(Microphone::Granted, AGENT_HZ).await;
    let number = customer_number(Talks);
    let body =
        json!({ "from_number": rig.stack.from_number, "to_number": number, "crm_username": AGENT });
    let offline = rig.request(Method::POST, "/calls", Some(body.clone())).await;
    assert_eq!(offline.status(), 409);
    let (page, first) = launch(&rig, &browser, AGENT, Busy).await;
    rig.callback(&first).await;
    page.says("Call again").await;
    let answer = rig.request(Method::POST, "/calls", Some(body.clone())).await;
    assert_eq!(answer.status(), 201);
    let call = placed(&rig, &number).await;
    both_talk(&rig, &page, &call).await;
    assert_eq!(
        rig.request(Method::POST, "/calls", Some(body)).await.status(),
        409,
        "a second call beside the first"
    );
    rig.hang_up(&call).await;
    let callback = rig.callback(&call).await;
    assert_eq!(
        (&callback.body["call_type"], &callback.body["crm_username"]),
        (&json!("server"), &json!(AGENT))
    );
    browser.stop().await;
    rig.stop().await;
}

// The page works inside a CRM's frame.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_works_in_a_frame() {
    let rig = rig().await;
    let browser = Browser::start(Microphone::Granted, AGENT_HZ).await;
    let number = customer_number(HangsUp);
    let link = rig.stack.launch_url(AGENT, &number).replace('&', "&amp;");
    let crm = crm_page(format!(
        "<title>CRM</title><iframe allow=\"microphone; autoplay\" width=420 height=640 \
            src=\"{link}\"></iframe>"
    ));
    let page = browser.open(&crm.await).await;
    let call = placed(&rig, &number).await;
    check_end(&rig, &call, [Some("ANSWER"), None, None, Some("customer")]).await;
    page.screenshot("frame", SIZES[2], "light").await;
    check_told_once(&rig, &[call]).await;
    browser.stop().await;
    rig.stop().await;
}

/// Serves one page on another origin; gives its address.
async fn crm_page(html: String) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://localhost:{}/", listener.local_addr().expect("an address").port());
    let page = axum::response::Html(html);
    let router = axum::Router::new().route("/", axum::routing::get(async move || page.clone()));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}
