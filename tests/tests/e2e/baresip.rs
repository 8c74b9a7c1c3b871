//! Calls with baresip, a SIP and media stack of others, as the agent's phone and as the customer's
//! (S12, S14, S19, S34, S42, A10). SIPp's phones fail what is dialled to baresip's number, and the
//! second trunk leads there.

use loadtest::children::{TlsFiles, Trunk};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tests::audio::{Wav, assert_absent, heard_ms};
use tests::authority::{Authority, Identity};
use tests::baresip::{Baresip, Media};
use tests::eventually;
use tests::party::{AGENT_HZ, CUSTOMER_HZ, Party};
use tests::rig::{Placed, Rig};
use tests::sink::{Received, Sink};
use tests::sipp::Phone::{Keys, Talks};
use tests::sipp::{Law, Phone, agent_number, customer_number};

/// Numbers of baresip; the first trunk fails what ends in 08.
const AGENT_NUMBER: &str = "9876499908";
const CUSTOMER_NUMBER: &str = "9876599908";
/// After how long a party is missed, and for how long baresip holds: it sends nothing meanwhile.
const NO_MEDIA: &str = "no_media_s = 4\n";
const HOLD: Duration = Duration::from_secs(6);

/// Both processes, SIPp and baresip; with an authority, baresip is called over TLS and shows a
/// certificate for this host.
async fn start(
    number: &str,
    media: Media,
    authority: Option<&Authority>,
    host: &str,
) -> (Rig, Baresip) {
    let hz = if number == AGENT_NUMBER { AGENT_HZ } else { CUSTOMER_HZ };
    let identity = authority.map(|authority| authority.issue(host));
    let baresip = Baresip::start(&format!("+91{number}"), hz, media, identity.as_ref()).await;
    let media = if media == Media::Srtp { "sdes_srtp" } else { "rtp" };
    let rig = Rig::with(Sink::ok().await, Law::Mu, |spec| {
        spec.account_settings = NO_MEDIA;
        spec.backup = Some(match authority {
            None => Trunk { address: baresip.address, transport: "udp", media },
            Some(_) => Trunk { address: baresip.tls_address(), transport: "tls", media },
        });
        spec.tls = authority.map(|authority| {
            let Identity { certificate, private_key } = authority.issue("127.0.0.1");
            TlsFiles { certificate, private_key, extra_roots: authority.root() }
        });
    });
    (rig.await, baresip)
}

/// A call with baresip as one party, and a phone of SIPp's as the other.
struct Call {
    rig: Rig,
    baresip: Baresip,
    placed: Placed,
    /// Of the certificates of both sides, where SIP is in TLS.
    _authority: Option<Authority>,
}

impl Call {
    /// Two who have just been bridged; the number says which of them baresip is.
    async fn bridged(number: &str, media: Media, other: Phone) -> Call {
        Call::bridged_by(number, media, other, None).await
    }

    /// The same; with an authority over TLS.
    async fn bridged_by(
        number: &str,
        media: Media,
        other: Phone,
        authority: Option<Authority>,
    ) -> Call {
        let is_agent = number == AGENT_NUMBER;
        let (rig, baresip) = start(number, media, authority.as_ref(), "127.0.0.1").await;
        let (agent, customer) = if is_agent {
            (number.into(), customer_number(other))
        } else {
            (agent_number(other), number.into())
        };
        let placed = rig.place_between(agent, customer).await;
        let (other, party) = if is_agent {
            (&placed.customer_number, &rig.customer)
        } else {
            (&placed.agent_number, &rig.agent)
        };
        rig.let_speak(other, party).await;
        rig.state(&placed, "bridged").await;
        Call { rig, baresip, placed, _authority: authority }
    }

    /// Whom baresip talks to, whose tone that is, and baresip's own.
    fn other(&self) -> (&Party, f64, f64) {
        match self.placed.agent_number == AGENT_NUMBER {
            true => (&self.rig.customer, CUSTOMER_HZ, AGENT_HZ),
            false => (&self.rig.agent, AGENT_HZ, CUSTOMER_HZ),
        }
    }

    /// Waits until each hears the other and nobody else, of what arrives from now on.
    async fn both_hear_each_other(&self) {
        let (party, other, own) = self.other();
        self.rig.hears(party, &[own]).await;
        self.baresip_hears(Some(other)).await;
    }

    /// Waits until baresip hears this party, or neither, for 300 ms on end, of what it plays from
    /// now on.
    async fn baresip_hears(&self, tone: Option<f64>) {
        let since = Instant::now();
        eventually(&format!("{tone:?} Hz and nothing else at baresip"), async || {
            let is_so = |window: &[i16], hz: f64| {
                heard_ms(window, hz) == if tone == Some(hz) { 300 } else { 0 }
            };
            let heard = self.baresip.heard_since(since);
            heard
                .windows(2400)
                .step_by(160)
                .any(|window| is_so(window, AGENT_HZ) && is_so(window, CUSTOMER_HZ))
                .then_some(())
        })
        .await;
    }

    /// Waits until the timeline tells of a hold by the phone itself.
    async fn told(&self, kind: &str) {
        eventually(kind, async || {
            let timeline = self.rig.timeline(&self.placed).await;
            timeline.iter().any(|entry| entry["kind"] == kind).then_some(())
        })
        .await;
    }

    /// baresip holds by re-INVITE, is silent for long, and resumes: the call goes on as before.
    async fn hold_and_resume(&self) {
        self.baresip.hold();
        self.told("held").await;
        tokio::time::sleep(HOLD).await;
        self.baresip.resume();
        self.told("resumed").await;
        self.both_hear_each_other().await;
        assert_eq!(self.baresip.directions(), ["sendrecv", "sendonly", "sendrecv"]);
    }

    /// Takes the callback; each channel of its recording must hold its own party's tone and not the
    /// other's.
    async fn check_recording(&self) -> Received {
        let callback = self.rig.callback(&self.placed).await;
        let wav = Wav::parse(&callback.recording.as_ref().expect("a recording").bytes)
            .expect("a WAV file");
        for (channel, own, other) in
            [(&wav.agent, AGENT_HZ, CUSTOMER_HZ), (&wav.customer, CUSTOMER_HZ, AGENT_HZ)]
        {
            let heard = heard_ms(channel, own);
            assert!(heard > 500, "{own} Hz in {heard} ms of {} s", wav.duration_s());
            assert_absent(channel, other);
        }
        callback
    }

    async fn end(self) -> Received {
        self.rig.hang_up(&self.placed).await;
        let callback = self.check_recording().await;
        self.rig.stop().await;
        callback
    }
}

// S12, S34; also a hold by the phone that lasts longer than a party may be silent
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agents_baresip_talks_holds_and_resumes() {
    let call = Call::bridged(AGENT_NUMBER, Media::Rtp, Talks).await;
    call.both_hear_each_other().await;
    call.hold_and_resume().await;
    call.end().await;
}

// S19: our re-INVITE towards baresip; S14, S21, A10: its BYE
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_customers_baresip_is_held_resumed_and_hangs_up() {
    let call = Call::bridged(CUSTOMER_NUMBER, Media::Rtp, Talks).await;
    call.both_hear_each_other().await;

    call.rig.does(&call.placed, "hold", None).await;
    call.baresip_hears(None).await;
    call.rig.hears(&call.rig.agent, &[]).await;
    call.rig.does(&call.placed, "resume", None).await;
    call.both_hear_each_other().await;
    eventually("hold and resume in baresip's answers", async || {
        (call.baresip.directions() == ["sendrecv", "recvonly", "sendrecv"]).then_some(())
    })
    .await;

    call.baresip.hang_up();
    let callback = call.check_recording().await;
    let ending = ["status", "hangup_by"].map(|key| callback.field(key));
    assert_eq!(
        (ending, &callback.body["reason"]),
        (["ANSWER", "customer"], &Value::Null),
        "{}",
        callback.text
    );
    call.rig.stop().await;
}

// S19: telephone events (RFC 4733) from baresip, and INFO and the API's digits to it
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_reach_the_other_party_and_baresip() {
    let call = Call::bridged(AGENT_NUMBER, Media::Rtp, Keys).await;
    call.baresip.dial("1*0#").await;
    eventually("four keys", async || (call.rig.customer.keys() == [1, 10, 0, 11]).then_some(()))
        .await;
    eventually("the customer's key", async || (call.baresip.keys() == "5").then_some(())).await;
    call.rig.does(&call.placed, "dtmf", Some(json!({ "party": "agent", "digits": "7#" }))).await;
    eventually("the digits", async || (call.baresip.keys() == "57#").then_some(())).await;
    call.both_hear_each_other().await;
    call.end().await;
}

// S42: the agent's leg is SRTP by SDES (RFC 4568), the customer's RTP
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secure_trunk_talks_srtp_with_baresip() {
    let call = Call::bridged(AGENT_NUMBER, Media::Srtp, Talks).await;
    assert!(call.baresip.log().contains("SRTP is Enabled (cryptosuite=AEAD_AES_128_GCM)"));
    call.both_hear_each_other().await;
    call.hold_and_resume().await;
    call.end().await;
}

// S42, A14: signalling and audio are encrypted, and each request of baresip's comes by TLS, too
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trunk_by_tls_talks_srtp_with_baresip() {
    let authority = Some(Authority::fresh());
    let call = Call::bridged_by(CUSTOMER_NUMBER, Media::Srtp, Talks, authority).await;
    call.both_hear_each_other().await;
    call.hold_and_resume().await;
    call.baresip.hang_up();
    let callback = call.check_recording().await;
    assert_eq!([callback.field("status"), callback.field("hangup_by")], ["ANSWER", "customer"]);
    let log = call.baresip.log();
    let carried = ["UDP", "TCP", "TLS"].map(|name| log.contains(&format!("\n{name} 127.0.0.1:")));
    assert_eq!(carried, [false, false, true], "{log}");
    call.rig.stop().await;
}

// A11, A14: whoever does not prove the trunk's name is told nothing
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trunk_that_does_not_prove_its_name_gets_no_call() {
    let authority = Authority::fresh();
    let (rig, baresip) =
        start(CUSTOMER_NUMBER, Media::Srtp, Some(&authority), "other.example").await;
    let placed = rig.place_between(agent_number(Talks), CUSTOMER_NUMBER.into()).await;
    let callback = rig.callback(&placed).await;
    let ending = ["status", "reason", "failed_leg"].map(|key| callback.field(key));
    assert_eq!(ending, ["FAILED", "trunk_tls", "customer"], "{}", callback.text);
    let attempts = callback.body["attempts"].as_array().expect("attempts");
    let tried: Vec<_> =
        attempts.iter().map(|one| (one["trunk"].as_str(), one["result"].as_str())).collect();
    let expected = [("carrier", "answered"), ("carrier", "trunk_failed"), ("backup", "trunk_tls")];
    assert_eq!(tried, expected.map(|(trunk, result)| (Some(trunk), Some(result))));
    assert!(!baresip.log().contains("INVITE"), "{}", baresip.log());
    eventually("a count of it", async || {
        let name = "name=\"tls_handshake_failed\"";
        (rig.metric("control_api_edge_events_total", name).await >= 1.0).then_some(())
    })
    .await;
    rig.stop().await;
}
