//! The agents' softphones: how they live, and their WebSockets and media on the network.

use super::{Action, World};
use crate::network::{Dice, Kind, Packet};
use crate::page::{self, Page, PagePlan};
use crate::session::{EDGE, address};
use crate::softphone::PASSWORD;
use media_core::relay::WebRtcConfig;
use sip_core::flow::{Flow, Transport};
use sip_core::message::{self, Limits};
use sip_core::registrar::Grant;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

pub const MEDIA_PORT: u16 = 30_000;

/// What may become of an agent's newest page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// One is opened: the first, or a second tab beside the one that is there.
    Open,
    /// Its connection breaks, and comes back mostly.
    Disconnect,
    /// It is closed, and opened again mostly.
    Reload,
    /// Nothing comes from it any more, and its connection seems to stand for some time.
    Freeze,
    /// Its media come from another address.
    Rebind,
}

/// A WebSocket as the edge has it.
pub fn flow(socket: SocketAddr) -> Flow {
    Flow {
        transport: Transport::Wss,
        local: address(EDGE),
        remote: socket,
        connection: Some(socket.port().into()),
    }
}

impl World {
    /// Agents with softphones, which are lost and come back in every state of their calls.
    pub fn with_softphones(seed: u64, call_count: usize) -> World {
        let webrtc =
            WebRtcConfig { port: MEDIA_PORT, capacity: 4 * call_count as u16, secret: [5; 32] };
        let mut world = World::of(seed, call_count, Some(webrtc));
        world.roll_moves();
        for number in 0..call_count {
            let call = &mut world.calls[number];
            (call.has_softphone, call.agent_confirm) = (true, false);
            call.may_be_unheard = world.network.is_lossy();
            let grant = Grant {
                agent: page::agent(number).into(),
                password: PASSWORD.into(),
                expires_at: world.now + Duration::from_secs(3_600),
            };
            world.edge.grant_softphone(world.now, grant);
            let at = world.after(0, 5_000);
            world.actions.push((at, Action::Live(number, Life::Open)));
            for _ in 0..world.dice.between(0, 5) {
                let at = world.after(3_000, 60_000);
                let life = world.dice.pick(&[
                    Life::Open,
                    Life::Disconnect,
                    Life::Disconnect,
                    Life::Reload,
                    Life::Reload,
                    Life::Freeze,
                    Life::Rebind,
                    Life::Rebind,
                ]);
                world.actions.push((at, Action::Live(number, life)));
            }
        }
        world
    }

    pub(super) fn live(&mut self, number: usize, life: Life) {
        if life == Life::Open {
            return self.open(number);
        }
        let is_there = |page: &Page| page.number == number && !page.is_gone;
        let Some(index) = self.pages.iter().rposition(is_there) else { return };
        self.reached.insert(("lived".to_owned(), format!("{life:?}")));
        self.calls[number].losses.push(self.now);
        let page = &mut self.pages[index];
        let socket = page.socket;
        let (noticed, next) = match life {
            Life::Disconnect => {
                page.socket = None;
                ((0, 20_000), Action::Reconnect(index))
            }
            Life::Reload => {
                page.leave();
                ((0, 200), Action::Live(number, Life::Open))
            }
            Life::Freeze => {
                page.leave();
                ((10_000, 30_000), Action::Live(number, Life::Open))
            }
            Life::Rebind => {
                page.rebind();
                return;
            }
            Life::Open => unreachable!("it is done"),
        };
        if let Some(socket) = socket {
            let at = self.after(noticed.0, noticed.1);
            self.actions.push((at, Action::LoseSocket(socket)));
        }
        if self.dice.chance(75) {
            let at = self.after(100, 14_000);
            self.actions.push((at, next));
        }
    }

    fn open(&mut self, number: usize) {
        let tab = self.pages.len();
        let plan = PagePlan::roll(&mut Dice::new(!self.seed.wrapping_mul(64) - tab as u64));
        let call = &mut self.calls[number];
        call.may_be_unheard |= !plan.has_microphone;
        // Another tab is taken over by it.
        if self.pages.iter().any(|page| page.number == number) {
            call.losses.push(self.now);
        }
        self.pages.push(Page::new(number, tab, plan));
        self.connect(tab);
    }

    pub(super) fn connect(&mut self, index: usize) {
        if self.pages[index].is_gone || self.pages[index].socket.is_some() {
            return;
        }
        self.socket_count += 1;
        let host = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7));
        let socket = SocketAddr::new(host, 40_000 + self.socket_count);
        self.sip_addresses.insert(socket);
        self.pages[index].connect(socket);
        self.post(index);
    }

    /// The edge closes a WebSocket: its agent has another page, or may not be there any more.
    pub(super) fn close_socket(&mut self, socket: SocketAddr) {
        if let Some(page) = self.pages.iter_mut().find(|page| page.socket == Some(socket)) {
            self.calls[page.number].losses.push(self.now);
            page.leave();
        }
        let at = self.after(1, 200);
        self.actions.push((at, Action::LoseSocket(socket)));
    }

    pub(super) fn run_pages(&mut self) {
        for index in 0..self.pages.len() {
            if self.pages[index].next_at().is_some_and(|at| at <= self.now) {
                self.pages[index].handle_timeout(self.now);
                self.post(index);
            }
        }
    }

    /// Sends what a page has to say.
    fn post(&mut self, index: usize) {
        let page = &mut self.pages[index];
        let (socket, media) = (page.socket, page.media);
        let (out, datagrams) = (std::mem::take(&mut page.out), std::mem::take(&mut page.datagrams));
        self.media_addresses.insert(media);
        let to = SocketAddr::new(address(EDGE).ip(), MEDIA_PORT);
        for bytes in datagrams {
            self.network.send(self.now, Packet { kind: Kind::Rtp, from: media, to, bytes });
        }
        let Some(from) = socket else { return };
        let (kind, to) = (Kind::Sip(Transport::Wss), address(EDGE));
        for bytes in out {
            self.network.send(self.now, Packet { kind, from, to, bytes });
        }
    }

    /// Whether a media packet goes to a page's host.
    pub(super) fn deliver_to_page(&mut self, packet: &Packet) -> bool {
        let is_it = |page: &Page| page.media == packet.to && !page.is_gone;
        if let Some(index) = self.pages.iter().position(is_it) {
            self.pages[index].handle_datagram(self.now, &packet.bytes);
            self.post(index);
        }
        packet.to.ip() == IpAddr::V4(Ipv4Addr::new(203, 0, 113, 7))
    }

    /// What was in flight over a connection when it broke is lost.
    pub(super) fn deliver_over_socket(&mut self, packet: Packet) {
        let message = message::parse(&packet.bytes, &Limits::default()).unwrap();
        if packet.to == address(EDGE) {
            if !self.lost_sockets.contains(&packet.from) {
                self.note_input(&message);
                self.edge.handle_sip(self.now, flow(packet.from), &packet.bytes);
            }
        } else if let Some(index) =
            self.pages.iter().position(|page| page.socket == Some(packet.to))
        {
            self.pages[index].handle(self.now, message);
            self.check_rung_once(index);
            self.post(index);
        }
    }

    /// A page that was not away is called once.
    fn check_rung_once(&self, index: usize) {
        let page = &self.pages[index];
        assert!(
            page.rung_count <= page.connection_count,
            "seed {}: page {index} of call {} was rung {} times",
            self.seed,
            page.number,
            page.rung_count
        );
    }
}
