//! Calls with linphone, which is neither ours nor baresip, as the agent's phone: SDES-SRTP and
//! G.722, hold, keys and a transfer of its own (S19, S42).

use loadtest::children::{TlsFiles, Trunk, free_address};
use std::net::{Ipv4Addr, SocketAddr};
use tests::audio::heard_ms;
use tests::authority::{Authority, Identity};
use tests::eventually;
use tests::kamailio::{Kamailio, Next, Over, Takes};
use tests::linphone::Linphone;
use tests::party::{AGENT_HZ, CUSTOMER_HZ, THIRD_HZ};
use tests::rig::Rig;
use tests::sink::Sink;
use tests::sipp::Phone::Talks;
use tests::sipp::{Law, TRANSFER_TARGET, customer_number};

/// The first trunk fails what ends in 08.
const NUMBER: &str = "9876499908";

/// Its log's words of a certificate that it does not take, and of a registration.
const UNTRUSTED: &str = "flags=[not-trusted ]";
const REGISTERED: &str = "to [LinphoneRegistrationOk]";

/// Waits until linphone hears this tone for 300 ms on end, of what comes from now on.
async fn linphone_hears(linphone: &Linphone, frequency: f64) {
    let from = linphone.heard().len();
    eventually(&format!("{frequency} Hz at linphone"), async || {
        let heard = linphone.heard();
        let heard = heard.get(from..)?;
        heard.windows(2400).step_by(160).any(|part| heard_ms(part, frequency) == 300).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agents_linphone_talks_holds_presses_keys_and_transfers() {
    let mut linphone = Linphone::start(AGENT_HZ).await;
    let rig = Rig::with(Sink::ok().await, Law::Mu, |spec| {
        let (address, media) = (linphone.address, "sdes_srtp");
        spec.backup = Some(Trunk { address, transport: "udp", media });
        spec.wideband = true;
        spec.account_settings = "refer = \"transfer\"\n";
    })
    .await;
    let call = rig.place_between(NUMBER.into(), customer_number(Talks)).await;
    rig.let_speak(&call.customer_number, &rig.customer).await;
    rig.state(&call, "bridged").await;
    linphone.speak();
    rig.hears(&rig.customer, &[AGENT_HZ]).await;
    linphone_hears(&linphone, CUSTOMER_HZ).await;
    assert!(linphone.log().contains("a=rtpmap:9 G722/8000"), "{}", linphone.log());

    let told = async |kind: &str| {
        eventually(kind, async || {
            let timeline = rig.timeline(&call).await;
            timeline.iter().any(|entry| entry["kind"] == kind).then_some(())
        })
        .await;
    };
    linphone.say("pause");
    told("held").await;
    // It holds with music of its own (RFC 3264 §8.4): the same file.
    rig.hears(&rig.customer, &[AGENT_HZ]).await;
    linphone.say("resume");
    told("resumed").await;
    linphone.speak();
    rig.hears(&rig.customer, &[AGENT_HZ]).await;
    linphone_hears(&linphone, CUSTOMER_HZ).await;

    linphone.say("5");
    eventually("the key", async || (rig.customer.keys() == [5]).then_some(())).await;

    linphone.say(&format!("transfer sip:{TRANSFER_TARGET}@127.0.0.1"));
    rig.let_speak(TRANSFER_TARGET, &rig.third).await;
    rig.hears(&rig.customer, &[THIRD_HZ]).await;
    rig.hang_up(&call).await;
    let callback = rig.callback(&call).await;
    assert_eq!(callback.field("status"), "ANSWER", "{}", callback.text);
    rig.stop().await;
}

// S42: no SIP and no key is seen on the way to the phone, and each looks at the other's name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agents_linphone_talks_over_tls_with_keys_of_its_own() {
    let authority = Authority::fresh();
    let carrier: SocketAddr = free_address((Ipv4Addr::LOCALHOST, 0).into()).expect("a port");
    let identity = authority.issue_for(&["127.0.0.1", "localhost"]);
    let _kamailio =
        Kamailio::start(carrier, Over::Tls(&identity), Takes::Everybody, Next::Phone).await;
    // One that believes somebody else does not register.
    let other = Authority::fresh();
    let doubting = Linphone::registered(AGENT_HZ, carrier, &other.root()).await;
    eventually("a certificate that is not believed", async || {
        doubting.log().contains(UNTRUSTED).then_some(())
    })
    .await;
    assert!(!doubting.log().contains(REGISTERED), "{}", doubting.log());
    drop(doubting);

    let mut linphone = Linphone::registered(AGENT_HZ, carrier, &authority.root()).await;
    eventually("a registration", async || linphone.log().contains(REGISTERED).then_some(())).await;
    let rig = Rig::with(Sink::ok().await, Law::Mu, |spec| {
        let Identity { certificate, private_key } = authority.issue("127.0.0.1");
        spec.tls = Some(TlsFiles { certificate, private_key, extra_roots: authority.root() });
        let media = "sdes_srtp";
        spec.backup = Some(Trunk { address: carrier, transport: "tls", media });
        spec.wideband = true;
    })
    .await;
    let call = rig.place_between(NUMBER.into(), customer_number(Talks)).await;
    rig.let_speak(&call.customer_number, &rig.customer).await;
    rig.state(&call, "bridged").await;
    linphone.speak();
    rig.hears(&rig.customer, &[AGENT_HZ]).await;
    linphone_hears(&linphone, CUSTOMER_HZ).await;
    let log = linphone.log();
    for line in ["RTP/SAVP", "a=crypto:", "SIP/2.0/TLS"] {
        assert!(log.contains(line), "no {line} in {log}");
    }
    linphone.say("terminate");
    let callback = rig.callback(&call).await;
    let told = ["status", "hangup_by"].map(|key| callback.field(key).to_owned());
    assert_eq!(told, ["ANSWER", "agent"], "{}", callback.text);
    rig.stop().await;
}
