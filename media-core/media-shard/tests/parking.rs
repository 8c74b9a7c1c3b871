//! A parked executor wakes for a datagram and for another thread.

use glommio::{LocalExecutorBuilder, Placement};
use media_shard::doorbell::{Doorbell, EngineBell, doorbell};
use media_shard::engine::{Engine, EngineConfig, Received};
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;

fn run<F: Future<Output = ()> + 'static>(test: F) {
    LocalExecutorBuilder::new(Placement::Unbound).make().expect("an executor").run(test);
}

#[test]
fn a_datagram_rings_each_time_that_is_waited_for() {
    run(async {
        let config = EngineConfig {
            sip: vec![(Ipv4Addr::LOCALHOST, 0).into()],
            sip_is_shared: false,
            media_addresses: vec![Ipv4Addr::LOCALHOST.into()],
            first_port: 0,
            pair_count: 0,
            webrtc: None,
        };
        let mut engine = Engine::open(&config).unwrap();
        let mut bell = EngineBell::new(&engine).unwrap();
        let phone = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let sip = engine.sip_addresses().unwrap()[0];
        for round in 0..3u8 {
            let phone = phone.try_clone().unwrap();
            let sender = glommio::spawn_local(async move {
                phone.send_to(&[round], sip).unwrap();
            });
            bell.rung().await.unwrap();
            sender.await;
            assert!(engine.wait(Duration::from_secs(5)));
            assert!(matches!(engine.receive(), Some(Received::Sip { len: 1, .. })));
            assert_eq!(engine.sip_message(1), [round]);
        }
    });
}

#[test]
fn another_thread_rings() {
    run(async {
        let (button, bell) = doorbell().unwrap();
        let bell = Doorbell::open(bell);
        let thread = std::thread::spawn(move || button.ring().unwrap());
        bell.rung().await.unwrap();
        thread.join().unwrap();
    });
}
