//! A whole system for one test: both processes, SIPp as carrier, a callback endpoint, and the API
//! as a customer's backend uses it.

use crate::eventually;
use crate::party::{AGENT_HZ, CUSTOMER_HZ, Party, SUPERVISOR_HZ, THIRD_HZ};
use crate::sink::{Received, Sink};
use crate::sipp::{
    Law, MediaPorts, Message, Phone, Sipp, agent_number, customer_number, third_number,
};
use loadtest::children::{Stack, StackSpec};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

/// Everything that runs; `stop` at the end of a test that passed, dropping it kills the processes.
pub struct Rig {
    pub stack: Stack,
    pub sipp: Sipp,
    pub sink: Sink,
    pub agent: Party,
    pub customer: Party,
    pub third: Party,
    pub supervisor: Party,
    client: reqwest::Client,
}

/// A call that was accepted.
#[derive(Debug, Clone)]
pub struct Placed {
    pub call_id: String,
    pub agent_number: String,
    pub customer_number: String,
}

impl Rig {
    /// With an endpoint that takes every callback.
    pub async fn start() -> Rig {
        Rig::with(Sink::ok().await, Law::Mu, |_| {}).await
    }

    /// With changes to what `StackSpec::test` says.
    pub async fn with(sink: Sink, law: Law, change: impl FnOnce(&mut StackSpec)) -> Rig {
        Rig::at(Ipv4Addr::LOCALHOST.into(), sink, law, change).await
    }

    /// With phones at this address.
    pub async fn at(ip: IpAddr, sink: Sink, law: Law, change: impl FnOnce(&mut StackSpec)) -> Rig {
        let agent = Party::start(ip, AGENT_HZ, law).expect("the agent's ports");
        let customer = Party::start(ip, CUSTOMER_HZ, law).expect("the customer's ports");
        let third = Party::start(ip, THIRD_HZ, law).expect("the third party's ports");
        let supervisor = Party::start(ip, SUPERVISOR_HZ, law).expect("the supervisor's ports");
        let ports = MediaPorts {
            agent: agent.port,
            customer: customer.port,
            third: third.port,
            supervisor: supervisor.port,
        };
        let sipp = Sipp::start(ip, ports, law).await.expect("sipp");
        let mut spec = StackSpec::test(sipp.address, sink.url.clone());
        spec.callback_roots = sink.roots();
        change(&mut spec);
        let stack = Stack::start(spec).await.expect("the processes");
        Rig {
            stack,
            sipp,
            sink,
            agent,
            customer,
            third,
            supervisor,
            client: reqwest::Client::new(),
        }
    }

    /// Ends everything; fails if a process did not end cleanly or a phone saw what it did not
    /// expect.
    pub async fn stop(self) {
        let Rig { stack, sipp, sink, .. } = self;
        stack.stop().await.expect("a clean end of the processes");
        assert_eq!(sipp.errors(), "", "unexpected by the phones");
        sipp.stop().expect("sipp's folder");
        drop(sink);
    }

    /// A request with the account's server key.
    pub async fn request(&self, method: Method, path: &str, body: Option<Value>) -> Response {
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.stack.api_url))
            .bearer_auth(&self.stack.server_key);
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.expect("an answer of the API")
    }

    /// `POST /calls` for these phones.
    pub async fn post(&self, agent_number: &str, customer_number: &str) -> Response {
        let body = json!({ "from_number": self.stack.from_number, "to_number": customer_number,
            "agent_number": agent_number });
        self.request(Method::POST, "/calls", Some(body)).await
    }

    /// Places a call between fresh numbers of these phones.
    pub async fn place(&self, agent: Phone, customer: Phone) -> Placed {
        self.place_between(agent_number(agent), customer_number(customer)).await
    }

    /// Places a call between these numbers.
    pub async fn place_between(&self, agent_number: String, customer_number: String) -> Placed {
        let answer = self.post(&agent_number, &customer_number).await;
        assert_eq!(answer.status(), 201);
        let view: Value = answer.json().await.expect("JSON");
        Placed {
            call_id: view["call_id"].as_str().expect("call_id").to_owned(),
            agent_number,
            customer_number,
        }
    }

    /// Places a call, waits until it is bridged, and lets both parties speak.
    pub async fn talk(&self, agent: Phone, customer: Phone) -> Placed {
        let call = self.place(agent, customer).await;
        for (number, party) in
            [(&call.agent_number, &self.agent), (&call.customer_number, &self.customer)]
        {
            self.let_speak(number, party).await;
        }
        self.state(&call, "bridged").await;
        call
    }

    /// Waits until the number's phone has answered, and lets the party speak through it.
    pub async fn let_speak(&self, number: &str, party: &Party) {
        let invite = self.message(number, "ACK").await.0;
        party.speak_to(invite.media_address().expect("an address in the offer"));
    }

    /// Waits until the number's phone received or sent the message; gives its INVITE and it.
    pub async fn message(&self, number: &str, name: &str) -> (Message, Message) {
        eventually(&format!("{name} at {number}"), async || {
            let messages = self.sipp.messages_of(number);
            let found = messages.iter().find(|message| message.name() == name)?;
            Some((messages[0].clone(), found.clone()))
        })
        .await
    }

    /// The call as the API shows it.
    pub async fn call(&self, call: &Placed) -> Value {
        self.request(Method::GET, &format!("/calls/{}", call.call_id), None)
            .await
            .json()
            .await
            .expect("JSON")
    }

    /// Waits until the call stands there.
    pub async fn state(&self, call: &Placed, state: &str) {
        eventually(state, async || (self.call(call).await["state"] == state).then_some(())).await;
    }

    /// Ends the call by the API.
    pub async fn hang_up(&self, call: &Placed) {
        let answer = self.request(Method::DELETE, &format!("/calls/{}", call.call_id), None).await;
        assert_eq!(answer.status(), 204);
    }

    /// The first callback of the call.
    pub async fn callback(&self, call: &Placed) -> Received {
        self.sink.wait_for(&call.call_id, 1).await.remove(0)
    }

    /// The lines of the call's timeline.
    pub async fn timeline(&self, call: &Placed) -> Vec<Value> {
        let path = format!("/calls/{}/timeline", call.call_id);
        let mut timeline: Value =
            self.request(Method::GET, &path, None).await.json().await.expect("JSON");
        match timeline["entries"].take() {
            Value::Array(entries) => entries,
            other => panic!("a list of entries is expected, not {other}"),
        }
    }

    /// Sum of the samples of a metric whose labels hold this text; 0 if there are none.
    pub async fn metric(&self, name: &str, labels: &str) -> f64 {
        let text = self
            .client
            .get(format!("{}/metrics", self.stack.admin_url))
            .send()
            .await
            .expect("metrics");
        let text = text.text().await.expect("text");
        let lines = text
            .lines()
            .filter(|line| line.split(['{', ' ']).next() == Some(name) && line.contains(labels));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Waits until each party hears the other's tone for half a second on end, of what arrives from
    /// now on.
    pub async fn both_hear_each_other(&self) {
        let since = Instant::now();
        for (party, frequency) in [(&self.agent, CUSTOMER_HZ), (&self.customer, AGENT_HZ)] {
            eventually(&format!("a tone of {frequency} Hz"), async || {
                let heard = party.heard_since(since);
                heard
                    .windows(4000)
                    .step_by(160)
                    .any(|window| crate::audio::heard_ms(window, frequency) == 500)
                    .then_some(())
            })
            .await;
        }
    }
}

/// Every tone that a party of a test can have.
const ALL_HZ: [f64; 4] = [AGENT_HZ, CUSTOMER_HZ, THIRD_HZ, SUPERVISOR_HZ];

impl Rig {
    /// A verb on the call, such as `hold`; gives status and body of the answer.
    pub async fn verb(&self, call: &Placed, verb: &str, body: Option<Value>) -> (u16, Value) {
        let answer =
            self.request(Method::POST, &format!("/calls/{}/{verb}", call.call_id), body).await;
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
    }

    /// A verb that is done; gives the call as it is then.
    #[track_caller]
    pub fn does(
        &self,
        call: &Placed,
        verb: &str,
        body: Option<Value>,
    ) -> impl Future<Output = Value> {
        let caller = std::panic::Location::caller();
        let answer = self.verb(call, verb, body);
        async move {
            let (status, view) = answer.await;
            assert!(matches!(status, 200 | 201), "{caller}: {status} {view}");
            view
        }
    }

    /// A verb that is refused; checks status and code.
    #[track_caller]
    pub fn refuses(
        &self,
        call: &Placed,
        verb: &str,
        body: Option<Value>,
        expected: (u16, &str),
    ) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        let answer = self.verb(call, verb, body);
        async move {
            let (status, problem) = answer.await;
            assert_eq!(
                (status, problem["code"].as_str().unwrap_or("none")),
                expected,
                "{caller}: {problem}"
            );
        }
    }

    /// Dials a third party; gives its name and number. `flow` is `consult`, `join` or `transfer`.
    pub async fn add_third(&self, call: &Placed, flow: &str, phone: Phone) -> (String, String) {
        let number = third_number(phone);
        let view = match flow {
            "transfer" => self.does(call, "transfer", Some(json!({ "to_number": number }))).await,
            flow => {
                self.does(call, "participants", Some(json!({ "to_number": number, "flow": flow })))
                    .await
            }
        };
        let parties = view["conversation"]["parties"].as_array().expect("parties");
        let newest =
            parties.iter().rfind(|party| party["role"] == "participant").expect("a participant");
        (newest["party"].as_str().expect("a name").to_owned(), number)
    }

    /// Waits until the party stands so; gives it as it is then.
    pub async fn party_state(&self, call: &Placed, party: &str, state: &str) -> Value {
        eventually(&format!("{party} {state}"), async || {
            let view = self.call(call).await;
            let parties = view["conversation"]["parties"].as_array()?.clone();
            parties.into_iter().find(|one| one["party"] == party && one["state"] == state)
        })
        .await
    }

    /// Waits until a party hears these tones and no other for 300 ms on end, of what arrives from
    /// now on.
    pub async fn hears(&self, party: &Party, tones: &[f64]) {
        let since = Instant::now();
        eventually(&format!("{tones:?} Hz and nothing else at port {}", party.port), async || {
            let heard = party.heard_since(since);
            let is_so = |window: &[i16]| {
                ALL_HZ.iter().all(|tone| {
                    let heard_ms = crate::audio::heard_ms(window, *tone);
                    if tones.contains(tone) {
                        heard_ms == 300
                    } else {
                        heard_ms == 0 && crate::audio::is_absent(window, *tone)
                    }
                })
            };
            heard.windows(2400).step_by(160).any(is_so).then_some(())
        })
        .await;
    }

    /// Fails if the party heard one of the tones since then.
    #[track_caller]
    pub fn heard_nothing_of(&self, party: &Party, tones: &[f64], since: Instant) {
        for tone in tones {
            crate::audio::assert_absent(&party.heard_since(since), *tone);
        }
    }
}
