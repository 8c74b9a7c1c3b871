//! A shard that a test plays: the edge's end of the link, and what it tells of a call.

use super::{DEADLINE, Rig};
use call_words::{
    AgentName, CallStatus, Joining, LegKind, PartyRole, PartyState, RecordingState, SupervisorRole,
};
use control_api::clock::now_ms;
use control_wire::{
    Command, Control, ControlRefusal, Conversation, Ended, Event, FrameDecoder, FromEdge, Hello,
    KeptTrunk, Milestone, Party, PlaceCall, Presence, ShardStatus, SoftphoneGrant,
    SoftphoneService, ToEdge, VERSION, encode,
};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

impl Rig {
    pub async fn shard(&self, epoch: u64, live_calls: &[&str]) -> Shard {
        self.ready(hello(epoch, live_calls)).await
    }

    /// A shard that takes softphones and has these.
    pub async fn softphone_shard(&self, live_calls: &[&str], softphones: &[&str]) -> Shard {
        let softphones = softphones.iter().map(|agent| (*agent).into()).collect();
        self.ready(Hello {
            softphone_service: Some(service(8443)),
            softphones,
            ..hello(1, live_calls)
        })
        .await
    }

    async fn ready(&self, hello: Hello) -> Shard {
        let shard = self.greet(hello).await;
        let ready = async {
            while !self.app.link.is_ready() {
                sleep(Duration::from_millis(1)).await
            }
        };
        timeout(DEADLINE, ready).await.expect("the shard never became ready");
        shard
    }

    /// Connects and says Hello; expects to be welcome.
    pub async fn greet(&self, hello: Hello) -> Shard {
        let mut shard = self.connect().await;
        let (edge, number) = (hello.edge.clone(), hello.shard);
        for message in hello.split() {
            shard.write(&message).await;
        }
        assert_eq!(shard.read().await, Some(ToEdge::Welcome { version: VERSION }));
        // It gets calls once what went on before is reconciled.
        let is_open = || {
            let shards = self.app.link.shards();
            shards.iter().any(|it| it.edge == edge && it.shard == number && it.is_connected)
        };
        while !is_open() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        shard
    }

    pub async fn connect(&self) -> Shard {
        let stream = UnixStream::connect(&self.app.config.link.socket).await.unwrap();
        Shard { stream, decoder: FrameDecoder::default(), last_event_id: 0 }
    }
}

pub fn hello(epoch: u64, live_calls: &[&str]) -> Hello {
    Hello {
        version: VERSION,
        edge: "edge-1".into(),
        epoch,
        shard: 0,
        live_calls: live_calls.iter().map(|call_id| (*call_id).into()).collect(),
        status: status(),
        softphone_service: None,
        softphones: Vec::new(),
        folders: None,
        keeps_trunks: false,
        tells_ladders: false,
        more: false,
    }
}

/// Where softphones reach a shard.
pub fn service(port: u16) -> SoftphoneService {
    SoftphoneService { url: format!("wss://edge.example:{port}/"), domain: "dialer.invalid".into() }
}

pub fn status() -> ShardStatus {
    ShardStatus {
        draining: false,
        call_count: 0,
        call_capacity: 100,
        free_port_pairs: 200,
        counters: [("drop_unknown_source".to_owned(), 7)].into(),
    }
}

/// The edge's end of the link, played by a test.
pub struct Shard {
    stream: UnixStream,
    decoder: FrameDecoder,
    last_event_id: u64,
}

impl Shard {
    pub async fn write(&mut self, message: &FromEdge) {
        let mut bytes = Vec::new();
        encode(message, &mut bytes).unwrap();
        self.write_bytes(&bytes).await;
    }

    pub async fn write_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The next message; `None` when the connection is closed.
    pub async fn read(&mut self) -> Option<ToEdge> {
        let read = async {
            loop {
                if let Some(message) = self.decoder.poll().unwrap() {
                    return Some(message);
                }
                let mut buffer = [0; 4096];
                match self.stream.read(&mut buffer).await {
                    Ok(0) | Err(_) => return None,
                    Ok(len) => self.decoder.push(&buffer[..len]),
                }
            }
        };
        timeout(DEADLINE, read).await.expect("nothing came over the link")
    }

    /// The next command, without acknowledging it.
    pub async fn command(&mut self) -> (u64, Command) {
        match self.read().await {
            Some(ToEdge::Command { id, command }) => (id, command),
            other => panic!("expected a command, got {other:?}"),
        }
    }

    /// The next command, which places a call, acknowledged.
    pub async fn expect_call(&mut self) -> PlaceCall {
        match self.command().await {
            (command_id, Command::PlaceCall(place)) => {
                self.write(&FromEdge::Ack { command_id }).await;
                *place
            }
            other => panic!("expected PlaceCall, got {other:?}"),
        }
    }

    /// The next command, which hangs a call up, acknowledged.
    pub async fn expect_hang_up(&mut self) -> String {
        match self.command().await {
            (command_id, Command::HangUp { call_id }) => {
                self.write(&FromEdge::Ack { command_id }).await;
                call_id.into()
            }
            other => panic!("expected HangUp, got {other:?}"),
        }
    }

    /// The next command, which lets a softphone register, acknowledged.
    pub async fn expect_grant(&mut self) -> SoftphoneGrant {
        match self.command().await {
            (command_id, Command::GrantSoftphone(grant)) => {
                self.write(&FromEdge::Ack { command_id }).await;
                grant
            }
            other => panic!("expected GrantSoftphone, got {other:?}"),
        }
    }

    /// The next command, which cuts a softphone off, acknowledged.
    pub async fn expect_revocation(&mut self) -> AgentName {
        match self.command().await {
            (command_id, Command::RevokeSoftphone { agent }) => {
                self.write(&FromEdge::Ack { command_id }).await;
                agent
            }
            other => panic!("expected RevokeSoftphone, got {other:?}"),
        }
    }

    /// The next command, which says which trunks to keep, acknowledged.
    pub async fn expect_trunks(&mut self) -> Vec<KeptTrunk> {
        match self.command().await {
            (command_id, Command::KeepTrunks(trunks)) => {
                self.write(&FromEdge::Ack { command_id }).await;
                trunks
            }
            other => panic!("expected KeepTrunks, got {other:?}"),
        }
    }

    /// The next command, which is a verb on a running call, not yet answered.
    pub async fn expect_verb(&mut self) -> (u64, Control) {
        match self.command().await {
            (command_id, Command::Control(control)) => (command_id, *control),
            other => panic!("expected Control, got {other:?}"),
        }
    }

    /// Takes the next verb, and tells how the parties stand after it before it acknowledges.
    pub async fn obey(
        &mut self,
        kind: &str,
        sequence: u32,
        party: Option<&str>,
        conversation: Conversation,
    ) -> Control {
        let (command_id, control) = self.expect_verb().await;
        let step = told(control.call_id.as_str(), sequence, kind, party, conversation);
        self.tell(Event::Milestone(step)).await;
        self.write(&FromEdge::Ack { command_id }).await;
        control
    }

    /// Refuses the next verb.
    pub async fn refuse(&mut self, code: &str) -> Control {
        let (command_id, control) = self.expect_verb().await;
        let refusal = ControlRefusal { code: code.into(), detail: "not now".into() };
        self.write(&FromEdge::Refused { command_id, refusal }).await;
        control
    }

    /// Tells that a softphone came or went.
    pub async fn presence(&mut self, agent: &str, online: bool) {
        self.write(&FromEdge::Presence(Presence { agent: agent.to_owned().into(), online })).await;
    }

    /// Tells an event and waits until it is acknowledged.
    pub async fn tell(&mut self, event: Event) {
        self.last_event_id += 1;
        let id = self.last_event_id;
        self.write(&FromEdge::Event { id, event }).await;
        assert_eq!(self.read().await, Some(ToEdge::Ack { event_id: id }));
    }

    pub async fn milestone(
        &mut self,
        call_id: &str,
        sequence: u32,
        leg: Option<LegKind>,
        kind: &str,
    ) {
        self.tell(Event::Milestone(milestone(call_id, sequence, leg, kind))).await;
    }

    /// Brings a call to the bridge.
    pub async fn bridge(&mut self, call_id: &str) {
        let steps = [
            (Some(LegKind::Agent), "ringing"),
            (Some(LegKind::Agent), "answered"),
            (Some(LegKind::Customer), "ringing"),
        ];
        for (sequence, (leg, kind)) in (1..).zip(steps) {
            self.milestone(call_id, sequence, leg, kind).await;
        }
        self.tell(Event::Milestone(told(call_id, 4, "bridged", None, two_talk()))).await;
    }

    pub async fn end(&mut self, call_id: &str, status: CallStatus) {
        self.tell(Event::Ended(Box::new(ended(call_id, status)))).await;
    }
}

pub fn milestone(call_id: &str, sequence: u32, leg: Option<LegKind>, kind: &str) -> Milestone {
    Milestone {
        call_id: call_id.into(),
        sequence,
        at_ms: now_ms(),
        leg,
        party: None,
        conversation: None,
        kind: kind.into(),
        sip_code: None,
        trunk: Some("carrier".into()),
        detail: None,
    }
}

/// A milestone that changes how the parties stand.
pub fn told(
    call_id: &str,
    sequence: u32,
    kind: &str,
    party: Option<&str>,
    conversation: Conversation,
) -> Milestone {
    let leg = match party {
        Some("agent") => Some(LegKind::Agent),
        Some("customer") => Some(LegKind::Customer),
        Some(name) if name.starts_with("supervisor") => Some(LegKind::Supervisor),
        Some(_) => Some(LegKind::Participant),
        None => None,
    };
    Milestone {
        party: party.map(str::to_owned),
        conversation: Some(Box::new(conversation)),
        ..milestone(call_id, sequence, leg, kind)
    }
}

/// How parties stand, each `name:state`, with the recording running.
pub fn conversation(parties: &[(&str, PartyState)]) -> Conversation {
    let party = |(name, state): &(&str, PartyState)| Party {
        party: (*name).to_owned(),
        role: match *name {
            "agent" => PartyRole::Agent,
            "customer" => PartyRole::Customer,
            name if name.starts_with("supervisor") => PartyRole::Supervisor,
            _ => PartyRole::Participant,
        },
        state: *state,
        muted: false,
        joining: name.starts_with("participant").then_some(Joining::Consult),
        supervisor_role: name.starts_with("supervisor").then_some(SupervisorRole::Listen),
        reason: (*state == PartyState::Left).then(|| "busy".into()),
    };
    Conversation {
        parties: parties.iter().map(party).collect(),
        recording: RecordingState::Running,
    }
}

/// Agent and customer talk.
pub fn two_talk() -> Conversation {
    conversation(&[("agent", PartyState::Talking), ("customer", PartyState::Talking)])
}

pub fn ended(call_id: &str, status: CallStatus) -> Ended {
    Ended {
        call_id: call_id.into(),
        status,
        reason: None,
        failed_leg: None,
        sip_code: None,
        hangup_by: None,
        answered_at_ms: None,
        ended_at_ms: now_ms(),
        duration_s: 0,
        attempts: Vec::new(),
        recording: None,
        agent_media: None,
        customer_media: None,
        others: Vec::new(),
        detail: None,
        recording_written: None,
    }
}
