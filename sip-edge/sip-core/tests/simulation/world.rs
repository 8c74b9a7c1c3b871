//! The edge, the network and the phones on one clock, and a reference model that watches the edge's
//! boundary: what came in, what went out, and what the end of each call must therefore be.

mod pages;
mod verbs;
mod watch;

use crate::model::{Dialogs, Input, Model};
use crate::network::{Dice, Kind, Network, Packet};
use crate::page::{self, Page};
use crate::peer::Phone;
use crate::plan::{Finish, Plan};
use crate::reached::{self, Reached};
use crate::session::{self, EDGE, FIRST_PORT, address, recorded};
use media_core::relay::{
    self, Forward, RecordingId, RelayConfig, SocketId, UNFOLDED_LEN, WebRtcConfig,
};
use pages::Life;
use sip_core::command::{AgentTarget, Credentials, PlaceCall, Route};
use sip_core::edge::Edge;
use sip_core::event::{Event, Output};
use sip_core::flow::{Flow, FlowFault, Transport};
use sip_core::message::{self, Limits, Method, SipMessage, View};
use sip_core::outcome::{LegName, Slot};
use sip_core::remains::{self, Remains};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const AGENTS: &str = "10.0.1.1:5060";
const CARRIER: &str = "10.0.2.1:5060";
const BACKUP: &str = "10.0.3.1:5060";
const THIRDS: &str = "10.0.4.1:5060";
const SUPERVISORS: &str = "10.0.5.1:5060";
pub const ATTACKER: &str = "10.66.6.6:6666";

/// Every third party of a call, and every supervisor.
const THIRD: LegName = LegName::Participant(FIRST);
const SUPERVISOR: LegName = LegName::Supervisor(FIRST);
const FIRST: Slot = Slot::new(0).expect("below the most");

pub struct World {
    seed: u64,
    pub now: Instant,
    pub edge: Edge,
    dice: Dice,
    network: Network,
    phones: BTreeMap<(SocketAddr, String), Phone>,
    plans: BTreeMap<(SocketAddr, usize), Plan>,
    pages: Vec<Page>,
    /// WebSockets whose end the edge knows.
    lost_sockets: BTreeSet<SocketAddr>,
    socket_count: u16,
    calls: Vec<Model>,
    dialogs: BTreeMap<String, Dialogs>,
    connected: BTreeMap<SocketId, SocketAddr>,
    /// Addresses that may be sent to: signalled, or the phones' own.
    sip_addresses: BTreeSet<SocketAddr>,
    media_addresses: BTreeSet<SocketAddr>,
    finals: Vec<(Instant, RecordingId, Duration)>,
    actions: Vec<(Instant, Action)>,
    transports: BTreeMap<SocketAddr, Transport>,
    control_count: u64,
    pub is_broken: bool,
    /// What is noted for the next process.
    journal: Vec<u8>,
    /// The process is dead, and the next one not yet there.
    is_down: bool,
    is_crashed: bool,
    pub reached: Reached,
}

#[derive(Debug, Clone, Copy)]
enum Action {
    Place(usize),
    HangUp(usize),
    Attack,
    BreakCarrier,
    Control(usize),
    Crash,
    Restart,
    /// Something in the life of an agent's newest page.
    Live(usize, Life),
    /// A page is connected again.
    Reconnect(usize),
    /// The edge notices that a WebSocket is gone.
    LoseSocket(SocketAddr),
}

impl World {
    /// Nobody registers here: a certificate less to make.
    pub fn new(seed: u64, call_count: usize) -> World {
        World::of(seed, call_count, None)
    }

    fn of(seed: u64, call_count: usize, webrtc: Option<WebRtcConfig>) -> World {
        let mut dice = Dice::new(seed);
        let now = session::start();
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let carrier = dice.pick(&[Transport::Udp, Transport::Udp, Transport::Tcp]);
        let udp = Transport::Udp;
        let transports =
            [(AGENTS, udp), (CARRIER, carrier), (BACKUP, udp), (THIRDS, udp), (SUPERVISORS, udp)];
        let relay_config = RelayConfig { webrtc, ..session::relay_config(4 * call_count as u16) };
        let mut world = World {
            seed,
            now,
            edge: Edge::new(session::edge_config(call_count), relay_config, bytes, now),
            network: Network::new(Dice::new(dice.roll())),
            phones: BTreeMap::new(),
            plans: BTreeMap::new(),
            pages: Vec::new(),
            lost_sockets: BTreeSet::new(),
            socket_count: 0,
            calls: Vec::new(),
            dialogs: BTreeMap::new(),
            connected: BTreeMap::new(),
            sip_addresses: transports.iter().map(|(at, _)| address(at)).collect(),
            media_addresses: BTreeSet::new(),
            finals: Vec::new(),
            actions: Vec::new(),
            transports: transports.map(|(at, transport)| (address(at), transport)).into(),
            control_count: 0,
            is_broken: false,
            journal: Vec::new(),
            is_down: false,
            is_crashed: false,
            reached: Reached::new(),
            dice,
        };
        for number in 0..call_count {
            world.plan_call(number);
        }
        for _ in 0..5 {
            let at = world.after(0, 40_000);
            world.actions.push((at, Action::Attack));
        }
        if world.dice.chance(10) {
            let at = world.after(0, 40_000);
            world.actions.push((at, Action::BreakCarrier));
        }
        world
    }

    /// The same with phones that are reliable while they ring, and have sessions that end.
    pub fn with_sessions(seed: u64, call_count: usize) -> World {
        let mut world = World::new(seed, call_count);
        let mut dice = Dice::new(!seed);
        for plan in world.plans.values_mut() {
            plan.is_reliable = dice.chance(70);
            plan.session = dice.pick(&[None, Some("12;refresher=uac"), Some("20;refresher=uas")]);
            plan.serves_update = dice.chance(50);
        }
        world
    }

    /// The same with phones whose addresses change in the middle of their calls, and that die.
    pub fn that_moves(seed: u64, call_count: usize) -> World {
        let mut world = World::new(seed, call_count);
        world.roll_moves();
        world
    }

    fn roll_moves(&mut self) {
        let mut dice = Dice::new(!self.seed);
        let transports = &self.transports;
        for ((home, _), plan) in &mut self.plans {
            let after = |dice: &mut Dice| Some(Duration::from_millis(dice.between(0, 20_000)));
            plan.rebinds_after = if dice.chance(50) { after(&mut dice) } else { None };
            plan.rebinds_signalling = dice.chance(60) && transports[home] == Transport::Udp;
            // Of two phones that answer, only one tells of its new address.
            plan.forks &= !plan.rebinds_signalling;
            plan.dies_after = if dice.chance(20) { after(&mut dice) } else { None };
        }
    }

    /// The same with verbs asked of the calls at any time.
    pub fn with_verbs(seed: u64, call_count: usize) -> World {
        let mut world = World::new(seed, call_count);
        for number in 0..call_count {
            world.calls[number].is_controlled = true;
            // Talkative calls: what is tested begins with the bridge.
            for at in [AGENTS, CARRIER] {
                let plan = world.plans.get_mut(&(address(at), number)).unwrap();
                *plan = Plan {
                    finish: Finish::Answer,
                    is_dead: false,
                    has_bad_sdp: false,
                    has_media: true,
                    ..*plan
                };
            }
            for _ in 0..world.dice.between(5, 25) {
                let at = world.after(0, 60_000);
                world.actions.push((at, Action::Control(number)));
            }
        }
        world
    }

    /// The same with a process that dies at any time, and another one two seconds later.
    pub fn that_crashes(seed: u64, call_count: usize) -> World {
        let mut world = World::with_verbs(seed, call_count);
        // A second phone that answers an INVITE after the crash, when the first had answered before
        // it, is beyond what is noted.
        world.plans.values_mut().for_each(|plan| plan.forks = false);
        let at = world.after(0, 60_000);
        world.actions.push((at, Action::Crash));
        world
    }

    /// Runs until nothing more comes of a crash: whom the first process called, the second has
    /// left.
    pub fn run_crashed(&mut self) {
        let mut until = None;
        while let Some(at) = self.next_at() {
            self.now = at.max(self.now + Duration::from_nanos(1));
            self.step();
            if until.is_none() && self.is_crashed && !self.is_down {
                until = Some(self.now + Duration::from_secs(300));
            }
            if until.is_some_and(|until| self.now > until) {
                break;
            }
        }
        assert!(until.is_some());
        self.check_left();
    }

    fn after(&mut self, from: u64, to: u64) -> Instant {
        self.now + Duration::from_micros(self.dice.between(from * 1000, to * 1000))
    }

    fn plan_call(&mut self, number: usize) {
        for (at, leg) in
            [(AGENTS, LegName::Agent), (CARRIER, LegName::Customer), (BACKUP, LegName::Customer)]
        {
            let plan = Plan::roll(&mut self.dice, leg);
            self.plans.insert((address(at), number), plan);
        }
        for (at, leg) in [(THIRDS, THIRD), (SUPERVISORS, SUPERVISOR)] {
            let plan = Plan {
                challenges: false,
                ..Plan::roll(&mut Dice::new(self.seed * 64 + number as u64), leg)
            };
            self.plans.insert((address(at), number), plan);
        }
        let mut dice = Dice::new(!(self.seed * 64 + number as u64));
        let agent_confirm = dice.chance(30);
        let confirms_after =
            dice.chance(80).then(|| Duration::from_millis(dice.between(0, 16_000)));
        let plan = self.plans.get_mut(&(address(AGENTS), number)).unwrap();
        plan.confirms_after = confirms_after.filter(|_| agent_confirm);
        let at = self.after(0, 20_000);
        self.actions.push((at, Action::Place(number)));
        if self.dice.chance(25) {
            let at = self.after(0, 60_000);
            self.actions.push((at, Action::HangUp(number)));
        }
        self.calls.push(Model { agent_confirm, ..Model::default() });
    }

    fn route(&self, trunk: &str, at: &str, user: String) -> Route {
        Route {
            transport: self.transports[&address(at)],
            credentials: Some(Credentials { username: "u".into(), password: "p".into() }),
            ..session::route(trunk, address(at), &user)
        }
    }

    fn place(&mut self, number: usize) {
        let agent = vec![self.route("agents", AGENTS, format!("1{number}"))];
        let customer = vec![
            self.route("carrier", CARRIER, format!("2{number}")),
            self.route("backup", BACKUP, format!("2{number}")),
        ];
        let mut call = PlaceCall {
            recording: number
                .is_multiple_of(2)
                .then(|| format!("crm_{number}.wav"))
                .map(Into::into),
            no_media: Duration::from_secs(20),
            max_duration: Duration::from_secs(120),
            agent_confirm: self.calls[number].agent_confirm,
            keeps_ladder: true,
            ..session::call(&number.to_string(), agent, customer)
        };
        if self.calls[number].has_softphone {
            let ring = Duration::from_secs(30);
            call.agent =
                AgentTarget::Softphone { agent: page::agent(number).into(), ring, opus: false };
        }
        let placed = self.edge.place_call(self.now, call);
        assert!(placed.is_ok() || self.calls[number].has_softphone, "{placed:?}");
        self.calls[number].is_refused = placed.is_err();
        self.reached.insert(("placed".to_owned(), reached::answer(&placed)));
    }

    /// Runs until every call has ended and everything has run out.
    pub fn run(&mut self) {
        let deadline = self.now + Duration::from_secs(600);
        let mut quiet_until = None;
        while let Some(at) = self.next_at() {
            if quiet_until.is_some_and(|until| at > until) {
                break;
            }
            // Each input has an instant of its own, so that the end of a call names its cause.
            self.now = at.max(self.now + Duration::from_nanos(1));
            self.step();
            self.check_invariants();
            if quiet_until.is_none()
                && self.actions.is_empty()
                && self.calls.iter().all(Model::is_over)
            {
                quiet_until = Some(self.now + Duration::from_secs(100));
            }
            assert!(self.now < deadline, "a call never ended");
        }
        self.check_end();
    }

    fn next_at(&self) -> Option<Instant> {
        let phones = self.phones.values().filter_map(Phone::next_at);
        let phones = phones.chain(self.pages.iter().filter_map(Page::next_at));
        let finals = self.finals.iter().map(|(at, ..)| *at);
        let actions = self.actions.iter().map(|(at, _)| *at);
        let machines = [self.edge.poll_timeout(), self.network.next_at()];
        phones.chain(finals).chain(actions).chain(machines.into_iter().flatten()).min()
    }

    /// Handles one thing that is due.
    fn step(&mut self) {
        if let Some(packet) = self.network.receive(self.now) {
            self.deliver(packet);
        } else if let Some(index) = self.actions.iter().position(|(at, _)| *at <= self.now) {
            let (_, action) = self.actions.swap_remove(index);
            self.act(action);
        } else if let Some(index) = self.finals.iter().position(|(at, ..)| *at <= self.now) {
            let (_, recording, duration) = self.finals.swap_remove(index);
            self.edge.recording_finished(self.now, recording, recorded(duration));
        } else if self.edge.poll_timeout().is_some_and(|at| at <= self.now) {
            self.edge.handle_timeout(self.now);
        } else {
            self.run_phones();
            self.run_pages();
        }
        self.drain();
    }

    fn run_phones(&mut self) {
        let now = self.now;
        let mut packets = Vec::new();
        for phone in
            self.phones.values_mut().filter(|phone| phone.next_at().is_some_and(|at| at <= now))
        {
            let kind = Kind::Sip(self.transports[&phone.home]);
            let to = phone.edge_media();
            packets.extend(
                phone
                    .handle_timeout(now)
                    .into_iter()
                    .map(|bytes| (Kind::Rtp, phone.source, to, bytes)),
            );
            packets.extend(
                phone.out.drain(..).map(|bytes| (kind, phone.outside, address(EDGE), bytes)),
            );
            self.sip_addresses.insert(phone.outside);
            self.media_addresses.insert(phone.source);
        }
        for (kind, from, to, bytes) in packets {
            self.network.send(now, Packet { kind, from, to, bytes });
        }
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Place(number) => self.place(number),
            Action::HangUp(number) => {
                self.calls[number].inputs.push((self.now, Input::HangUp));
                self.edge.hang_up(self.now, &number.to_string().into());
            }
            Action::Control(number) => self.control(number),
            Action::Attack => {
                for port in 0..20 {
                    for sequence in 0..3 {
                        let to = SocketAddr::new(address(EDGE).ip(), FIRST_PORT + port);
                        let bytes = session::rtp(0, sequence, 666);
                        self.network.send(
                            self.now,
                            Packet { kind: Kind::Rtp, from: address(ATTACKER), to, bytes },
                        );
                    }
                }
            }
            Action::Crash => {
                (self.is_down, self.is_crashed) = (true, true);
                self.edge = self.next_edge();
                self.finals.clear();
                self.actions = vec![(self.now + Duration::from_secs(2), Action::Restart)];
            }
            Action::Restart => {
                self.is_down = false;
                let left = remains::read(&self.journal);
                let method = |leg: &Remains| format!("{:?}", leg.request.method);
                self.reached.extend(left.iter().map(|leg| ("left at".to_owned(), method(leg))));
                self.edge.bid_farewell(self.now, left);
            }
            Action::Live(number, life) => self.live(number, life),
            Action::Reconnect(page) => self.connect(page),
            Action::LoseSocket(socket) => {
                self.lost_sockets.insert(socket);
                self.edge.handle_flow_error(self.now, pages::flow(socket), FlowFault::Broken);
            }
            Action::BreakCarrier => {
                self.is_broken = true;
                let remote = address(CARRIER);
                let flow = Flow {
                    transport: self.transports[&remote],
                    local: address(EDGE),
                    remote,
                    connection: None,
                };
                for call in &mut self.calls {
                    call.inputs.push((self.now, Input::FlowError));
                }
                self.edge.handle_flow_error(self.now, flow, FlowFault::Broken);
            }
        }
    }

    /// The edge of the next process, with other secrets.
    fn next_edge(&self) -> Edge {
        let relay_config =
            RelayConfig { webrtc: None, ..session::relay_config(4 * self.calls.len() as u16) };
        let mut bytes = [1; 32];
        bytes[..8].copy_from_slice(&self.seed.to_le_bytes());
        Edge::new(session::edge_config(self.calls.len()), relay_config, bytes, self.now)
    }

    fn deliver(&mut self, packet: Packet) {
        if self.is_down && packet.to.ip() == address(EDGE).ip() {
            return;
        }
        match packet.kind {
            Kind::Rtp if packet.to.ip() == address(EDGE).ip() => self.deliver_rtp(packet),
            Kind::Rtp if self.deliver_to_page(&packet) => {}
            Kind::Rtp => {
                for phone in self.phones.values_mut() {
                    let is_anew = phone.rebound_at.is_some() && phone.source == packet.to;
                    phone.heard_anew += u64::from(is_anew);
                }
                let phones = self
                    .phones
                    .values_mut()
                    .filter(|phone| phone.source == packet.to || phone.media == packet.to);
                phones.for_each(|phone| phone.heard += 1);
            }
            Kind::Sip(Transport::Wss) => self.deliver_over_socket(packet),
            Kind::Sip(transport) if packet.to == address(EDGE) => {
                let message = message::parse(&packet.bytes, &Limits::default()).unwrap();
                self.note_input(&message);
                let connection = (transport == Transport::Tcp).then_some(1);
                let flow = Flow { transport, local: packet.to, remote: packet.from, connection };
                self.edge.handle_sip(self.now, flow, &packet.bytes);
            }
            Kind::Sip(_) => self.deliver_to_phone(packet),
        }
    }

    fn deliver_rtp(&mut self, packet: Packet) {
        let socket = match packet.to.port() {
            pages::MEDIA_PORT => SocketId::WEBRTC,
            port => SocketId(u32::from(port - FIRST_PORT)),
        };
        if self.connected.get(&socket).is_some_and(|peer| *peer != packet.from) {
            return;
        }
        let len = packet.bytes.len();
        let mut buffer = packet.bytes;
        buffer.resize(len.max(UNFOLDED_LEN) + relay::TAIL_ROOM, 0);
        if let Forward::To { socket, remote, start, len } =
            self.edge.relay_mut().forward(self.now, socket, packet.from, &mut buffer, len)
        {
            self.send_rtp(media_address(socket), remote, buffer[start..start + len].to_vec());
        }
        self.edge.handle_media(self.now);
    }

    fn send_rtp(&mut self, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        // RTCP goes to the port above.
        let rtp = SocketAddr::new(to.ip(), to.port() & !1);
        assert!(
            self.media_addresses.contains(&rtp),
            "seed {}: media to {to}, neither signalled nor latched",
            self.seed
        );
        self.check_privacy(to, &bytes);
        self.network.send(self.now, Packet { kind: Kind::Rtp, from, to, bytes });
    }

    fn deliver_to_phone(&mut self, packet: Packet) {
        let message = message::parse(&packet.bytes, &Limits::default()).unwrap();
        let key = (packet.to, call_id(&message).to_owned());
        if let SipMessage::Request(request) = &message
            && request.method == Method::Invite
            && !self.phones.contains_key(&key)
        {
            let dialogs = &self.dialogs[&key.1];
            let plan = self.plans[&(packet.to, dialogs.call)];
            self.phones.insert(
                key.clone(),
                Phone::new(dialogs.call, dialogs.leg, plan, packet.to, request.clone()),
            );
        }
        let reached = |phone: &&mut Phone| phone.outside == packet.to;
        let of_call = self.phones.iter_mut().filter(|((_, id), _)| *id == key.1);
        let Some(phone) = of_call.map(|(_, phone)| phone).find(reached) else { return };
        phone.handle(self.now, message);
        let (kind, from) = (packet.kind, phone.outside);
        for bytes in std::mem::take(&mut phone.out) {
            self.network.send(self.now, Packet { kind, from, to: address(EDGE), bytes });
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.edge.poll_output() {
            match output {
                Output::Sip { flow, bytes } => self.send_sip(flow, &bytes),
                Output::OpenRecording { .. } => {}
                Output::Note(note) => self.journal.extend(note.print()),
                Output::Event(Event::Milestone(milestone)) => {
                    let call =
                        &mut self.calls[milestone.call_id.as_str().parse::<usize>().unwrap()];
                    call.sequence += 1;
                    assert_eq!(
                        milestone.sequence, call.sequence,
                        "seed {}: a milestone is missing",
                        self.seed
                    );
                    assert!(
                        call.ended.is_none(),
                        "seed {}: {:?} after the end",
                        self.seed,
                        milestone
                    );
                    if let Some(conversation) = milestone.conversation {
                        call.conversations.push((self.now, *conversation));
                    }
                }
                Output::Event(Event::Ended(ended)) => self.note_end(*ended),
                Output::InterfaceLacking { trunk, fault, .. } => panic!("{trunk}: {fault}"),
                Output::SourceRefused { trunk, source, kind } => {
                    panic!("{source} was refused on {trunk}: {kind:?}")
                }
                Output::Event(Event::Presence { .. }) => {}
                Output::CloseFlow { flow, .. } => self.close_socket(flow.remote),
                Output::Event(Event::Trunk(_)) | Output::CutFlow { .. } => {
                    panic!("no trunk is kept here")
                }
                Output::Event(Event::Speaking { call_id, .. }) => {
                    assert!(self.calls[call_id.as_str().parse::<usize>().unwrap()].is_controlled);
                }
                Output::Event(Event::TransferRequested { .. }) => panic!("nobody refers here"),
                Output::Copied(_) | Output::CopiedRtcp(_) => panic!("nobody watches"),
                Output::Event(Event::Ladder(ladder)) => {
                    assert!(ladder.is_whole && !ladder.rungs.is_empty(), "{ladder:?}");
                }
            }
        }
        let mut sent = Vec::new();
        while let Some(output) = self.edge.relay_mut().poll_output() {
            match output {
                relay::Output::Transmit { socket, remote, bytes } => {
                    sent.push((socket, remote, bytes.to_vec()))
                }
                relay::Output::Connect { socket, remote } => {
                    self.connected.insert(socket, remote);
                }
                relay::Output::Open { socket }
                | relay::Output::Disconnect { socket }
                | relay::Output::Release { socket } => {
                    self.connected.remove(&socket);
                }
                relay::Output::Finish { recording, duration, .. } => {
                    // Sometimes the disk takes longer than the end may wait.
                    let wait = if self.dice.chance(10) { 5_000 } else { self.dice.between(1, 500) };
                    self.finals.push((self.now + Duration::from_millis(wait), recording, duration));
                }
                relay::Output::Record { .. } => {}
            }
        }
        for (socket, remote, bytes) in sent {
            self.send_rtp(media_address(socket), remote, bytes);
        }
    }

    fn send_sip(&mut self, flow: Flow, bytes: &[u8]) {
        assert!(
            self.sip_addresses.contains(&flow.remote),
            "seed {}: SIP to {}",
            self.seed,
            flow.remote
        );
        let message = message::parse(bytes, &Limits::default()).unwrap();
        if let SipMessage::Request(request) = &message {
            self.note_request(request);
        }
        let kind = Kind::Sip(flow.transport);
        self.network.send(
            self.now,
            Packet { kind, from: flow.local, to: flow.remote, bytes: bytes.to_vec() },
        );
    }
}

/// Where the edge's media socket is.
fn media_address(socket: SocketId) -> SocketAddr {
    let port = match socket {
        SocketId::WEBRTC => pages::MEDIA_PORT,
        socket => FIRST_PORT + socket.0 as u16,
    };
    SocketAddr::new(address(EDGE).ip(), port)
}

fn call_id(message: &SipMessage) -> &str {
    match message {
        SipMessage::Request(request) => request.call_id().unwrap(),
        SipMessage::Response(response) => response.call_id().unwrap(),
    }
}
