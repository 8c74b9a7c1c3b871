//! Two phones hear each other through the real relay on real sockets, and their call is recorded.

#[path = "../../tests/relay/pair.rs"]
mod pair;

use glommio::{LocalExecutorBuilder, Placement};
use media_core::codec::{Codec, Format, PayloadType};
use media_core::relay::{self, Relay, RelayConfig, RemoteMedia};
use media_core::sdp::Direction;
use media_shard::carry::carry_out;
use media_shard::engine::{Engine, EngineConfig, Received};
use media_shard::recorder::Recorder;
use media_shard::signal::Signal;
use pair::{bridge, record};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

struct Rig {
    relay: Relay,
    engine: Engine,
    recorder: Recorder,
    first_port: u16,
}

impl Rig {
    fn new(recorder: Recorder) -> Self {
        for first_port in (42_000..60_000).step_by(64) {
            let config = EngineConfig {
                sip: vec![(LOCALHOST, 0).into()],
                sip_is_shared: false,
                media_addresses: vec![LOCALHOST],
                first_port,
                pair_count: 2,
                webrtc: None,
            };
            if let Ok(engine) = Engine::open(&config) {
                let config = RelayConfig {
                    public_addresses: vec![LOCALHOST],
                    first_port,
                    pair_count: 2,
                    quarantine: Duration::ZERO,
                    own_sockets: Vec::new(),
                    opus_legs: 0,
                    webrtc: None,
                };
                return Self {
                    relay: Relay::new(config, 1, Instant::now()),
                    engine,
                    recorder,
                    first_port,
                };
            }
        }
        panic!("no free ports");
    }

    fn pump(&mut self) {
        carry_out(&mut self.relay, &mut self.engine, &mut self.recorder, |_, _, _| {});
    }

    /// Takes the datagrams that were just sent.
    fn turn(&mut self) {
        assert!(self.engine.wait(Duration::from_secs(5)), "nothing came");
        while let Some(received) = self.engine.receive() {
            assert_eq!(received, Received::Burst, "SIP is not spoken here");
            let (relay, now) = (&mut self.relay, Instant::now());
            self.engine.relay_burst(|socket, source, buffer, len| {
                relay.forward(now, socket, source, buffer, len)
            });
        }
        self.pump();
    }
}

fn phone() -> UdpSocket {
    let phone = UdpSocket::bind((LOCALHOST, 0)).unwrap();
    phone.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    phone
}

fn remote(phone: &UdpSocket) -> RemoteMedia {
    let address = phone.local_addr().unwrap();
    let pcmu = PayloadType::new(0).unwrap();
    RemoteMedia {
        rtp: Some(address),
        rtcp: Some(SocketAddr::new(LOCALHOST, 9)),
        rtcp_mux: false,
        codec: Codec::Pcmu,
        audio: pcmu,
        telephone_event: None,
        comfort_noise: None,
        received: [(pcmu, Format::Audio(Codec::Pcmu))].into_iter().collect(),
        direction: Direction::SendRecv,
        srtp: None,
    }
}

fn packet(sequence: u16, fill: u8) -> Vec<u8> {
    let mut packet = vec![0x80, 0];
    packet.extend(sequence.to_be_bytes());
    packet.extend((u32::from(sequence) * 160).to_be_bytes());
    packet.extend([1, 2, 3, 4]);
    packet.resize(172, fill);
    packet
}

#[test]
fn phones_hear_each_other_and_a_released_port_is_silent() {
    let folder =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("relay-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    LocalExecutorBuilder::new(Placement::Unbound).make().unwrap().run(async move {
        let finished = Rc::new(Signal::default());
        let told = finished.clone();
        let mut rig = Rig::new(Recorder::new(folder.clone(), move |_| told.set()));
        let (agent_phone, customer_phone) = (phone(), phone());
        let now = Instant::now();
        let (agent, customer) =
            (rig.relay.open_leg(now).unwrap(), rig.relay.open_leg(now).unwrap());
        rig.relay.set_remote(now, agent, remote(&agent_phone));
        rig.relay.set_remote(now, customer, remote(&customer_phone));
        bridge(&mut rig.relay, now, agent, customer);
        let recording = record(&mut rig.relay, now, agent, customer).unwrap();
        rig.recorder.open(recording, "crm_relay.wav");
        rig.pump();
        let mut bytes = [0; 256];
        for sequence in 0..20 {
            agent_phone.send_to(&packet(sequence, 0x11), (LOCALHOST, rig.first_port)).unwrap();
            rig.turn();
            assert_eq!(customer_phone.recv(&mut bytes).unwrap(), 172);
            assert!(bytes[12..172].iter().all(|byte| *byte == 0x11));
            customer_phone
                .send_to(&packet(sequence, 0x22), (LOCALHOST, rig.first_port + 2))
                .unwrap();
            rig.turn();
            assert_eq!(agent_phone.recv(&mut bytes).unwrap(), 172);
            assert!(bytes[12..172].iter().all(|byte| *byte == 0x22));
        }
        rig.relay.stop_recording(Instant::now(), recording);
        rig.relay.close_leg(Instant::now(), agent);
        rig.relay.close_leg(Instant::now(), customer);
        rig.pump();
        agent_phone.send_to(&packet(20, 0x11), (LOCALHOST, rig.first_port)).unwrap();
        assert!(!rig.engine.wait(Duration::ZERO), "a released port is not read");
        finished.wait().await;
        let file = std::fs::read(folder.join("crm_relay.wav")).unwrap();
        assert_eq!(&file[..4], b"RIFF");
        std::fs::remove_dir_all(&folder).unwrap();
    });
}
