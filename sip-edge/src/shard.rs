//! One shard: its edge machine, its datagram engine, its recordings and streams, and what waits for
//! control-api. `pump` carries what the machines put out to where it belongs; nothing in here waits
//! (see `run`).

mod capture;
mod ends;
mod handover;
mod hep;
mod hold_audio;
mod leg_journal;
mod run;
mod status;
mod streams;

pub use handover::{Handover, handovers};
pub use leg_journal::{Inherited, inherit};
pub use run::{ShardInput, run};

use crate::config::{self, Config, ShardPlan, SoftphonePlan};
use crate::link::{ClockPair, Mailbox, Told, grant, kept_trunk, place_call, refusal, told, verb};
use crate::transport::{
    Certificate, Pace, Security, StreamConfig, StreamEvent, StreamLimits, Tls, WebSocketConfig,
    WebSocketLimits, WebSockets, web_acceptor,
};
use anyhow::Context;
use call_words::{TransportKind, TrunkId};
use capture::{Audio, Captures, Sockets};
use control_wire::{
    AgentTarget, Command, ControlRefusal, Destination, KeptTrunk, SoftphoneService, Verb,
};
use handover::{Handed, Way};
use hep::{Hep, Packet};
use hold_audio::{HoldAudio, Reading};
use leg_journal::LegJournal;
use media_core::relay::{RelayConfig, WebRtcConfig};
use media_shard::engine::{Engine, EngineConfig, Received};
use media_shard::recorder::{FinalFile, Progress, Recorder};
use media_shard::signal::Signal;
use sip_core::command::{EdgeConfig, Interface};
use sip_core::edge::Edge;
use sip_core::event::{Ended, Event, Output, RecordedFile, RecordingWritten, SourceKind};
use sip_core::flow::{Flow, FlowFault, Transport};
use sip_core::message::View;
use sip_core::registrar::{CloseReason, RegistrarConfig};
use sip_core::remains::Remains;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant};
use streams::InterfaceStreams;

/// Longest wait for datagrams while media flows, after which the shard's other tasks run.
const BUSY_WAIT: Duration = Duration::from_millis(1);
/// A timer that fires this much after its time is late.
const LATE: Duration = Duration::from_millis(20);
/// Milestones kept for an absent control-api, per call that the shard can take.
const MILESTONES_PER_CALL: usize = 48;
/// Transactions of a running call: INVITEs and what comes inside its dialogs.
const TRANSACTIONS_PER_CALL: usize = 12;
/// Transactions of calls that are over: each absorbs retransmissions for 32 s (RFC 3261 timers D, J
/// and RFC 6026's L, M), and a short call leaves five, so that this is room for 200 calls a second.
/// About 7 KB each.
const LINGERING_TRANSACTIONS: usize = 200 * 32 * 5;

/// Unpredictable bytes.
#[derive(Clone, Copy)]
pub struct Secrets {
    /// Feeds the shard's random source.
    pub seed: [u8; 32],
    /// Makes the softphones' certificate and ICE names.
    pub media: [u8; 32],
}

/// What the shard's task does after a turn.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Media flows: take the next turn as soon as other tasks had theirs.
    Again,
    /// Wait for a datagram, for another task, or for this moment.
    Park(Option<Instant>),
}

/// All that one executor owns.
pub(crate) struct Shard {
    edge: Edge,
    engine: Engine,
    /// The ways to the other shards, if all share one SIP port.
    handover: Option<Handover>,
    recorder: Recorder,
    journal: LegJournal,
    hold_audio: HoldAudio,
    captures: Captures,
    /// Where calls' SIP is copied to.
    hep: Option<Hep>,
    /// Of each interface.
    streams: Vec<InterfaceStreams>,
    /// Their certificate, and whom those that are called must prove to be.
    tls: Rc<Tls>,
    websockets: Option<WebSockets>,
    /// The turns of the streams and of the control link.
    pace: Pace,
    /// Where browsers reach the softphones' listener.
    softphone_service: Option<SoftphoneService>,
    mailbox: Rc<Mailbox>,
    /// Wakes the shard's task after a mutation by another task.
    wake: Rc<Signal>,
    /// Of each interface.
    sip_addresses: Vec<SocketAddr>,
    plan: ShardPlan,
    name: String,
    epoch: u64,
}

impl Shard {
    /// Opens all sockets and files. Must run inside the shard's executor.
    pub(crate) fn open(input: &mut ShardInput) -> anyhow::Result<Rc<RefCell<Self>>> {
        let mut handover = input.handover.take();
        let ShardInput { config, plan, epoch, secrets, inherited, .. } = input;
        let (plan, epoch, Secrets { seed, media: media_secret }) = (*plan, *epoch, *secrets);
        let interfaces = config.interfaces();
        let mut engine = Engine::open(&EngineConfig {
            sip: interfaces.iter().map(|one| SocketAddr::new(one.bind, plan.sip.port())).collect(),
            sip_is_shared: handover.is_some(),
            media_addresses: interfaces.iter().map(|one| one.media_bind).collect(),
            first_port: plan.first_port,
            pair_count: plan.pair_count,
            webrtc: plan.softphone.map(|softphone| softphone.media),
        })?;
        handover.as_mut().map_or(Ok(()), |handover| handover.listen(&mut engine))?;
        let sip_addresses = engine.sip_addresses()?;
        let own = interfaces.iter().zip(&sip_addresses).map(|(one, local)| Interface {
            name: one.name.clone(),
            local: *local,
            public: SocketAddr::new(one.public, local.port()),
        });
        let capacity = usize::from(plan.call_capacity);
        let edge_config = EdgeConfig {
            shard: plan.index,
            interfaces: own.collect(),
            tls_port: plan.sip_tls.port(),
            user_agent: concat!("sip-edge/", env!("CARGO_PKG_VERSION")).into(),
            wideband: config.media.wideband,
            copies_sip: config.hep.collector().is_some(),
            call_capacity: capacity,
            transaction_capacity: capacity * TRANSACTIONS_PER_CALL + LINGERING_TRANSACTIONS,
            softphones: plan.softphone.map(|softphone| RegistrarConfig {
                domain: config.softphone.domain.clone(),
                capacity: softphone.capacity.into(),
            }),
        };
        let relay_config = RelayConfig {
            public_addresses: interfaces.iter().map(|one| one.media_public).collect(),
            first_port: plan.first_port,
            pair_count: plan.pair_count,
            quarantine: Duration::from_millis(config.media.quarantine_ms.into()),
            own_sockets: own_sockets(config, &interfaces),
            opus_legs: config.softphone.max_opus,
            webrtc: plan.softphone.map(|softphone| WebRtcConfig {
                port: softphone.media.port(),
                capacity: 2 * plan.call_capacity,
                secret: media_secret,
            }),
        };
        let websocket_config =
            plan.softphone.map(|softphone| websocket_config(config, softphone)).transpose()?;
        let stream_config = |(interface, local): (u8, &SocketAddr)| StreamConfig {
            local: *local,
            interface,
            shard: plan.index,
            max_connections: config.limits.max_tcp_connections.into(),
            max_per_address: config.limits.max_tcp_per_address.into(),
            limits: StreamLimits::new(config.tcp_idle()),
        };
        let tls = Rc::new(Tls::open(&config.sip.tls.source()).context("sip.tls")?);
        let hep = Hep::open(&config.hep).context("hep.address")?;
        let sockets = Sockets {
            ips: interfaces.iter().map(|one| one.media_bind).collect(),
            first_port: plan.first_port,
            webrtc_port: plan.softphone.map_or(0, |softphone| softphone.media.port()),
        };
        let mut edge = Edge::new(edge_config, relay_config, seed, Instant::now());
        if config.hep.rtcp {
            edge.relay_mut().copy_rtcp();
        }
        let wake = Rc::<Signal>::default();
        let pace = Pace::new(wake.clone());
        let shard = Rc::new_cyclic(|shard: &Weak<RefCell<Self>>| {
            let (for_recorder, for_websockets) = (shard.clone(), shard.clone());
            let recorder = Recorder::new(config.recordings.folder.clone(), move |progress| {
                on(&for_recorder, |shard| shard.recording_progress(progress));
            });
            let streams = (0..).zip(&sip_addresses).map(stream_config).map(|config| {
                InterfaceStreams::new(config, plan.sip_tls.port(), tls.clone(), &pace, shard)
            });
            let streams = streams.collect();
            let websockets = websocket_config.map(|config| {
                WebSockets::new(config, pace.clone(), move |event| {
                    on(&for_websockets, |shard| shard.stream_event(event))
                })
            });
            RefCell::new(Self {
                edge,
                engine,
                handover,
                recorder,
                journal: LegJournal::new(&config.recordings.folder, plan.index, inherited),
                hold_audio: HoldAudio::new(config.hold_audio.folder.clone()),
                captures: Captures::new(&config.recordings.folder, sockets),
                hep,
                streams,
                tls: tls.clone(),
                websockets,
                pace,
                softphone_service: None,
                mailbox: Rc::new(Mailbox::new((capacity * MILESTONES_PER_CALL).max(1024))),
                wake,
                sip_addresses,
                plan,
                name: config.name.clone(),
                epoch,
            })
        });
        let is_certified = tls.is_certified();
        shard.borrow().streams.iter().try_for_each(|streams| streams.listen(is_certified))?;
        let websockets = shard.borrow().websockets.clone();
        if let (Some(websockets), Some(softphone)) = (websockets, plan.softphone) {
            let listener = websockets
                .listen()
                .with_context(|| format!("TCP {} cannot be bound", softphone.listener))?;
            let url = config.softphone.url(config.sip.public_address, &plan, listener.port());
            let domain = config.softphone.domain.clone();
            shard.borrow_mut().softphone_service = Some(SoftphoneService { url, domain });
        }
        Ok(shard)
    }

    /// Fires due timers, then takes one batch of datagrams. After a delay the datagrams come first:
    /// they may answer what a timer would repeat.
    pub(crate) fn turn(&mut self) -> Next {
        let deadline = self.edge.poll_timeout();
        let is_late = deadline.is_some_and(|deadline| deadline + LATE <= Instant::now());
        if is_late && self.engine.wait(Duration::ZERO) {
            self.take_batch();
        }
        let now = Instant::now();
        if self.edge.poll_timeout().is_some_and(|deadline| deadline <= now) {
            self.edge.handle_timeout(now);
            self.pump(now);
        }
        let is_busy = self.edge.relay().leg_count() > 0;
        self.take_handed(now, is_busy);
        let wait = match self.edge.poll_timeout() {
            _ if !is_busy => Duration::ZERO,
            Some(deadline) => deadline.saturating_duration_since(now).min(BUSY_WAIT),
            None => BUSY_WAIT,
        };
        let received = self.engine.wait(wait);
        if received {
            self.take_batch();
        }
        if is_busy || received { Next::Again } else { Next::Park(self.edge.poll_timeout()) }
    }

    fn take_batch(&mut self) {
        let now = Instant::now();
        while let Some(received) = self.engine.receive() {
            match received {
                Received::Burst if !self.captures.is_empty() => self.relay_captured(now),
                Received::Burst => {
                    let relay = self.edge.relay_mut();
                    relay.expect(self.engine.burst());
                    self.engine.relay_burst(|socket, source, buffer, len| {
                        relay.forward(now, socket, source, buffer, len)
                    });
                }
                Received::Sip { interface, remote, len } => {
                    let flow = Flow {
                        transport: Transport::Udp,
                        local: self.sip_addresses[interface],
                        remote,
                        connection: None,
                    };
                    let bytes = self.engine.sip_message(len);
                    hear(&mut self.edge, self.handover.as_ref(), now, flow, bytes);
                    self.pump(now);
                }
                // The next turn begins with what was handed over.
                Received::Rung => {}
            }
        }
        self.pump(now);
    }

    /// Takes what other shards handed over; what comes later wakes the shard, unless it `returns`
    /// soon by itself.
    fn take_handed(&mut self, now: Instant, returns: bool) {
        let Some(handover) = &self.handover else { return };
        handover.begin_batch(returns);
        while let Some(handed) = self.handover.as_ref().and_then(Handover::poll) {
            match handed {
                Handed::Arrived(flow, bytes) => hear(&mut self.edge, None, now, flow, &bytes),
                Handed::ToSend(flow, bytes) => self.transmit(flow, &bytes),
                Handed::ToCut(flow) => self.cut(flow),
                Handed::Failed(flow, fault) => self.edge.handle_flow_error(now, flow, fault),
            }
            self.pump(now);
        }
    }

    /// Sends one message: over a connection that another shard serves by its hands.
    fn send(&mut self, now: Instant, flow: Flow, bytes: Arc<[u8]>) {
        let handover = self.handover.as_ref();
        let Some((handover, server)) =
            handover.and_then(|handover| Some((handover, handover.server(flow)?)))
        else {
            return self.transmit(flow, &bytes);
        };
        if handover.hand(server, Handed::ToSend(flow, bytes), false) != Way::Taken {
            self.edge.handle_flow_error(now, flow, FlowFault::Broken);
        }
    }

    /// Closes a stream, over which nothing is said.
    fn cut(&self, flow: Flow) {
        let handover = self.handover.as_ref();
        match handover.and_then(|handover| Some((handover, handover.server(flow)?))) {
            Some((handover, server)) => {
                handover.hand(server, Handed::ToCut(flow), true);
            }
            None => self.streams(flow).of(flow.transport).cut(flow),
        }
    }

    fn transmit(&mut self, flow: Flow, bytes: &Arc<[u8]>) {
        match flow.transport {
            Transport::Udp => {
                self.engine.send_sip(self.edge.interface_of(flow), flow.remote, bytes)
            }
            Transport::Tcp | Transport::Tls => {
                self.streams(flow).of(flow.transport).send(flow, bytes)
            }
            Transport::Wss => self.with_websockets(|sockets| sockets.send(flow, bytes)),
        }
    }

    /// Those of the interface that the flow goes by.
    fn streams(&self, flow: Flow) -> &InterfaceStreams {
        &self.streams[self.edge.interface_of(flow)]
    }

    /// Carries out all that the edge and its relay ask, in order, until nothing is left.
    fn pump(&mut self, now: Instant) {
        if !self.captures.is_empty() {
            self.look_at_captured(now);
        }
        loop {
            self.edge.handle_media(now);
            let mut is_quiet = true;
            while let Some(output) = self.edge.poll_output() {
                is_quiet = false;
                match output {
                    Output::Sip { flow, bytes } => self.send(now, flow, bytes),
                    Output::Copied(copied) => {
                        let at = capture::unix_now();
                        self.captures.add_sip(at, &copied);
                        if let Some(hep) = &self.hep {
                            hep.export(at, &Packet::sip(&copied));
                        }
                    }
                    Output::CopiedRtcp(copied) => {
                        let local = self.captures.local(copied.socket);
                        if let Some(hep) = &self.hep {
                            hep.export(capture::unix_now(), &Packet::rtcp(&copied, local));
                        }
                    }
                    Output::CutFlow { flow } => self.cut(flow),
                    Output::CloseFlow { flow, reason } => {
                        self.with_websockets(|sockets| {
                            sockets.close(flow, reason.code(), reason.text())
                        });
                    }
                    Output::OpenRecording { recording, file_name } => {
                        self.recorder.open(recording, file_name.as_str())
                    }
                    Output::Note(note) => self.journal.note(&note),
                    Output::SourceRefused { trunk, source, kind } => tracing::warn!(
                        %trunk,
                        %source,
                        "{} from an address that is not the trunk's is not taken; if it is the \
                            carrier's, name its network in the \
                         trunk's `{}`",
                        match kind {
                            SourceKind::Signalling => "SIP",
                            SourceKind::Media => "audio",
                        },
                        kind.setting()
                    ),
                    Output::InterfaceLacking { trunk, interface, fault } => tracing::warn!(
                        %trunk,
                        interface = interface.as_deref().unwrap_or("default"),
                        %fault,
                        "calls pass the trunk by: name one of `[[interfaces]]` of this edge, of \
                            the IP version of the trunk's host, in the trunk's `interface`"
                    ),
                    Output::Event(event) => tell(&self.mailbox, event),
                }
            }
            is_quiet &= !self.carry_out();
            if is_quiet {
                return;
            }
        }
    }

    fn with_websockets(&self, act: impl FnOnce(&WebSockets)) {
        if let Some(websockets) = &self.websockets {
            act(websockets);
        }
    }

    /// The file that a command's call plays to parties on hold, if it has not been read yet.
    pub(crate) fn hold_audio_to_read(&mut self, command: &Command) -> Option<Reading> {
        match command {
            Command::PlaceCall(call) => self.hold_audio.admit(call.hold_audio.as_deref()?),
            _ => None,
        }
    }

    /// A party that is on hold by then hears the bundled tone until its next hold.
    fn keep_hold_audio(&mut self, name: &str, samples: &[i16]) {
        if !self.edge.add_hold_audio(name, samples) {
            self.hold_audio.count_failure("the relay keeps its most");
        }
    }

    /// Does what control-api commands, or says why not; a repeated command has no effect.
    pub(crate) fn command(&mut self, command: Command) -> Result<(), ControlRefusal> {
        let now = Instant::now();
        for (address, transport, domain) in trunks(&command) {
            self.streams.iter().for_each(|one| one.know(address.ip(), transport));
            if transport == TransportKind::Tls {
                self.tls.know(address, host_of(domain));
            }
        }
        if let Command::KeepTrunks(trunks) = &command {
            for streams in &self.streams {
                streams.of(Transport::Tcp).keep_alive(kept_over(trunks, TransportKind::Tcp));
                streams.of(Transport::Tls).keep_alive(kept_over(trunks, TransportKind::Tls));
            }
        }
        let mut answer = Ok(());
        match command {
            Command::PlaceCall(call) if self.mailbox.outbox().holds_end_of(&call.call_id) => {}
            Command::PlaceCall(call) => {
                let call_id = call.call_id.clone();
                if let Err(refusal) = self.edge.place_call(now, place_call(*call)) {
                    tracing::info!(%call_id, %refusal, "call refused");
                    tell(
                        &self.mailbox,
                        Event::Ended(Box::new(Ended::refused(call_id, refusal, now))),
                    );
                }
            }
            Command::Control(control) => {
                let wire = *control;
                let done = self.edge.control(now, &wire.call_id, &wire.control_id, verb(wire.verb));
                answer = done.map_err(refusal);
            }
            Command::HangUp { call_id } => self.edge.hang_up(now, &call_id),
            Command::TellLadder { call_id } => {
                answer = self.edge.tell_ladder(&call_id).map_err(refusal)
            }
            Command::StartCapture { call_id, file_name, with_audio } => {
                let audio = if with_audio { Audio::Kept } else { Audio::LeftOut };
                answer = self.start_capture(&call_id, &file_name, audio).map_err(refusal)
            }
            Command::StopCapture { call_id } => self.stop_capture(&call_id),
            Command::GrantSoftphone(granted) => {
                self.edge.grant_softphone(now, grant(ClockPair::now(), granted))
            }
            Command::RevokeSoftphone { agent } => self.edge.revoke_softphone(now, &agent),
            Command::KeepTrunks(trunks) => {
                self.edge.keep_trunks(now, trunks.into_iter().map(kept_trunk).collect())
            }
        }
        self.settle(now);
        answer
    }

    /// Leaves the legs that an earlier process left at their carriers.
    pub(crate) fn bid_farewell(&mut self, remains: Vec<Remains>) {
        let now = Instant::now();
        for left in remains.iter().filter(|left| left.transport == Transport::Tls) {
            if let Some(to) = left.request.to_addr() {
                self.tls.know(left.remote, to.uri.host);
            }
        }
        self.edge.bid_farewell(now, remains);
        self.settle(now);
    }

    fn recording_progress(&mut self, progress: Progress) {
        let now = Instant::now();
        match progress {
            Progress::Damaged { recording } => self.edge.recording_damaged(now, recording),
            Progress::Final { recording, file: FinalFile { len, duration, written, is_whole } } => {
                let written = RecordingWritten { is_whole, duration: Some(written) };
                self.edge.recording_finished(
                    now,
                    recording,
                    RecordedFile { len, duration, written },
                );
            }
            Progress::Lost { recording } => self.edge.recording_lost(now, recording),
        }
        self.settle(now);
    }

    fn stream_event(&mut self, event: StreamEvent<'_>) {
        let now = Instant::now();
        match event {
            StreamEvent::Message { flow, bytes } => {
                hear(&mut self.edge, self.handover.as_ref(), now, flow, bytes);
                if self.edge.is_registered(flow) {
                    self.with_websockets(|sockets| sockets.know_agent(flow));
                }
            }
            StreamEvent::Failed { flow, fault } => {
                self.edge.handle_flow_error(now, flow, fault);
                // Strangers have no part in what other shards do.
                if let Some(handover) = &self.handover
                    && flow.transport != Transport::Wss
                    && flow.connection.is_some()
                    && self.edge.is_trunk(flow.remote.ip())
                {
                    handover.tell_failed(flow, fault);
                }
            }
            StreamEvent::Settled { flow } if self.edge.is_registered(flow) => {}
            StreamEvent::Settled { flow } => {
                let reason = CloseReason::Revoked;
                self.with_websockets(|sockets| sockets.close(flow, reason.code(), reason.text()));
            }
        }
        self.settle(now);
    }

    /// Refuses new calls from now on, and says so.
    pub(crate) fn drain(&mut self) {
        let now = Instant::now();
        self.edge.drain(now);
        self.settle(now);
        self.mailbox.report_status();
    }

    /// Hangs up what still runs.
    pub(crate) fn end_calls(&mut self) {
        let now = Instant::now();
        self.edge.end_calls(now);
        self.settle(now);
    }

    /// Tells the softphones that are left that the shard ends.
    pub(crate) fn close_softphones(&self) {
        let reason = CloseReason::ShuttingDown;
        self.with_websockets(|sockets| sockets.close_all(reason.code(), reason.text()));
    }

    /// Ends the registrations with trunks.
    pub(crate) fn leave_trunks(&mut self) {
        let now = Instant::now();
        self.edge.keep_trunks(now, Vec::new());
        self.settle(now);
    }

    /// Whether no call and no registration lives and nothing waits for control-api or the disk.
    pub(crate) fn is_done(&self) -> bool {
        self.edge.call_count() == 0
            && self.edge.held().registration_count == 0
            && self.recorder.open_count() == 0
            && self.mailbox.outbox().is_empty()
    }

    pub(crate) fn call_count(&self) -> usize {
        self.edge.call_count()
    }

    /// After a mutation outside of the shard's own turn.
    fn settle(&mut self, now: Instant) {
        self.pump(now);
        self.wake.set();
    }
}

/// The media sockets of all shards, as a peer would name them.
fn own_sockets(
    config: &Config,
    interfaces: &[config::Interface],
) -> Vec<(IpAddr, RangeInclusive<u16>)> {
    let ports = config.media.first_port..=config.media.last_port;
    let addresses = interfaces.iter().flat_map(|one| [one.media_bind, one.media_public]);
    addresses.map(|address| (address, ports.clone())).collect()
}

/// The softphones' listener. Pages are closed and opened again, so that there are more connections
/// than softphones for a while.
fn websocket_config(config: &Config, softphone: SoftphonePlan) -> anyhow::Result<WebSocketConfig> {
    let security = match config.softphone.certificate_source(config.sip.public_address) {
        None => Security::Plain,
        Some(source) => Security::Tls(Rc::new(
            Certificate::open(source, web_acceptor).context("softphone.certificate")?,
        )),
    };
    Ok(WebSocketConfig {
        local: softphone.listener,
        max_connections: 2 * usize::from(softphone.capacity),
        max_per_address: config.softphone.max_unregistered_per_address.into(),
        security,
        origins: config.softphone.allowed_origins.clone(),
        limits: WebSocketLimits::default(),
    })
}

/// Where the trunks are that a command dials or keeps: their address, transport and host part.
fn trunks(command: &Command) -> impl Iterator<Item = (SocketAddr, TransportKind, &str)> {
    let kept = match command {
        Command::KeepTrunks(trunks) => trunks.as_slice(),
        _ => &[],
    };
    let kept = kept.iter().flat_map(|trunk| {
        let named = |address: &SocketAddr| (*address, trunk.transport, trunk.domain.as_str());
        trunk.addresses.iter().map(named)
    });
    let destinations = match command {
        Command::PlaceCall(call) => [phone_of(&call.agent), Some(&call.customer)],
        Command::Control(control) => match &control.verb {
            Verb::AddParticipant(new) => [Some(&new.destination), None],
            Verb::Supervise(new) => [phone_of(&new.target), None],
            _ => [None, None],
        },
        _ => [None, None],
    };
    let routes = destinations.into_iter().flatten().flat_map(|destination| &destination.routes);
    routes.map(|route| (route.address, route.transport, route.domain.as_str())).chain(kept)
}

/// Addresses of trunks over a transport that are registered with or probed.
fn kept_over(trunks: &[KeptTrunk], transport: TransportKind) -> BTreeSet<SocketAddr> {
    let kept = trunks.iter().filter(|trunk| {
        let is_kept = trunk.register_s.is_some() || trunk.probe_interval_s.is_some();
        is_kept && trunk.transport == transport
    });
    kept.flat_map(|trunk| &trunk.addresses).copied().collect()
}

/// The name or address in a URI's host part.
fn host_of(domain: &str) -> &str {
    match domain.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => domain.split(':').next().unwrap_or(domain),
    }
}

/// Takes one message that came from the network to the shard whose it is: another one's by these
/// ways, if it has not come by them.
fn hear(edge: &mut Edge, handover: Option<&Handover>, now: Instant, flow: Flow, bytes: &[u8]) {
    let elsewhere = handover
        .filter(|_| flow.transport != Transport::Wss)
        .and_then(|handover| Some((handover, handover.owner(bytes)?)));
    if let Some((handover, owner)) = elsewhere {
        let is_stranger = !edge.is_trunk(flow.remote.ip());
        match handover.hand(owner, Handed::Arrived(flow, bytes.into()), is_stranger) {
            Way::Taken | Way::Full => return,
            Way::Gone => {}
        }
    }
    edge.handle_sip(now, flow, bytes);
}

fn phone_of(target: &AgentTarget) -> Option<&Destination> {
    match target {
        AgentTarget::Phone(phone) => Some(phone),
        AgentTarget::Softphone { .. } => None,
    }
}

fn on(shard: &Weak<RefCell<Shard>>, act: impl FnOnce(&mut Shard)) {
    if let Some(shard) = shard.upgrade() {
        act(&mut shard.borrow_mut());
    }
}

fn tell(mailbox: &Mailbox, event: Event) {
    match &event {
        Event::Milestone(milestone) => tracing::info!(
            call_id = %milestone.call_id,
            leg = milestone.leg.map(|leg| format!("{leg:?}")),
            party = milestone.party,
            sip_code = milestone.sip_code,
            trunk = milestone.trunk.as_ref().map(TrunkId::as_str),
            "{}",
            milestone.kind.as_str()
        ),
        Event::Ended(ended) => tracing::info!(
            call_id = %ended.call_id,
            status = ?ended.status,
            reason = ended.reason.map(|reason| reason.as_str()),
            duration_s = ended.duration_s,
            "ended"
        ),
        Event::TransferRequested { call_id, party, .. } => {
            tracing::info!(%call_id, party, "transfer requested")
        }
        Event::Trunk(state) => tracing::debug!(trunk = %state.trunk, ?state, "trunk"),
        // Who works when is not for the log, and who speaks is too much for it.
        Event::Presence { .. } | Event::Speaking { .. } | Event::Ladder(_) => {}
    }
    match told(ClockPair::now(), event) {
        Told::Event(event) => mailbox.tell(event),
        Told::Presence(presence) => mailbox.tell_presence(presence),
        Told::Trunk(state) => mailbox.tell_trunk(state),
        Told::Speaking(speaking) => mailbox.tell_speaking(speaking),
        Told::Ladder(ladder) => mailbox.tell_ladder(ladder),
    }
}
