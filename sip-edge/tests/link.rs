//! The control link against a scripted control-api: hello, commands, events, acknowledgements, and
//! replay after a loss.

use call_words::{AgentName, CallId};
use control_wire::{
    Command, Control, ControlRefusal, Event, FrameDecoder, FromEdge, Hello, Milestone, ShardStatus,
    ToEdge, VERSION, Verb, encode,
};
use glommio::{LocalExecutorBuilder, Placement};
use sip_edge::link::{self, LinkPeer, Mailbox};
use std::cell::RefCell;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A control-api that blocks; it runs on a thread of its own.
struct Server {
    stream: UnixStream,
    decoder: FrameDecoder,
}

impl Server {
    fn accept(listener: &UnixListener) -> Self {
        let deadline = Instant::now() + Duration::from_secs(10);
        listener.set_nonblocking(true).unwrap();
        let (stream, _) = loop {
            match listener.accept() {
                Err(error)
                    if error.kind() == ErrorKind::WouldBlock && Instant::now() < deadline =>
                {
                    std::thread::sleep(Duration::from_millis(5));
                }
                accepted => break accepted.expect("the edge connects"),
            }
        };
        stream.set_nonblocking(false).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self { stream, decoder: FrameDecoder::default() }
    }

    fn next(&mut self) -> FromEdge {
        let mut bytes = [0; 4096];
        loop {
            if let Some(message) = self.decoder.poll().unwrap() {
                return message;
            }
            let len = self.stream.read(&mut bytes).unwrap();
            assert_ne!(len, 0, "the edge closed the connection");
            self.decoder.push(&bytes[..len]);
        }
    }

    /// The next message that is no status.
    fn next_but_status(&mut self) -> FromEdge {
        loop {
            match self.next() {
                FromEdge::Status(_) => {}
                message => return message,
            }
        }
    }

    fn send(&mut self, message: &ToEdge) {
        let mut bytes = Vec::new();
        encode(message, &mut bytes).unwrap();
        self.stream.write_all(&bytes).unwrap();
    }

    fn welcome(&mut self) {
        assert!(matches!(self.next(), FromEdge::Hello(Hello { shard: 3, .. })));
        self.send(&ToEdge::Welcome { version: VERSION });
    }
}

#[derive(Default)]
struct Peer {
    softphones: Vec<AgentName>,
    mailbox: Option<Rc<Mailbox>>,
    commands: RefCell<Vec<Command>>,
}

impl LinkPeer for Peer {
    fn hello(&self) -> Hello {
        let (edge, live_calls) = ("edge".into(), Vec::new());
        Hello {
            version: VERSION,
            edge,
            epoch: 1,
            shard: 3,
            live_calls,
            status: self.status(),
            softphone_service: None,
            softphones: self.softphones.clone(),
            folders: None,
            keeps_trunks: false,
            tells_ladders: false,
            more: false,
        }
    }

    fn status(&self) -> ShardStatus {
        ShardStatus { call_capacity: 7, ..ShardStatus::default() }
    }

    /// Answers with an event, as a placed call does.
    fn command(&self, command: Command) -> Result<(), ControlRefusal> {
        if let Command::Control(_) = &command {
            return Err(ControlRefusal {
                code: "unknown_call".into(),
                detail: "no such call".into(),
            });
        }
        let Command::HangUp { call_id } = &command else { panic!("not commanded") };
        self.mailbox.iter().for_each(|mailbox| mailbox.tell(milestone(call_id)));
        self.commands.borrow_mut().push(command);
        Ok(())
    }
}

fn milestone(call_id: &CallId) -> Event {
    Event::Milestone(Milestone {
        call_id: call_id.clone(),
        sequence: 1,
        at_ms: 0,
        leg: None,
        kind: "hung_up".into(),
        sip_code: None,
        trunk: None,
        detail: None,
        party: None,
        conversation: None,
    })
}

fn hang_up(id: u64, call_id: &str) -> ToEdge {
    ToEdge::Command { id, command: Command::HangUp { call_id: call_id.into() } }
}

#[test]
fn events_are_told_until_acknowledged_across_connections() {
    let socket = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("link-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&socket);
    let listener = UnixListener::bind(&socket).unwrap();
    let server = std::thread::spawn(move || {
        let mut server = Server::accept(&listener);
        assert!(matches!(server.next(), FromEdge::Hello(_)));
        server.send(&ToEdge::Refused { reason: "not yet".into() });
        drop(server);

        let mut server = Server::accept(&listener);
        server.welcome();
        assert_eq!(
            server.next(),
            FromEdge::Status(ShardStatus { call_capacity: 7, ..ShardStatus::default() })
        );
        server.send(&hang_up(5, "a"));
        assert_eq!(server.next_but_status(), FromEdge::Ack { command_id: 5 });
        assert_eq!(
            server.next_but_status(),
            FromEdge::Event { id: 1, event: milestone(&"a".into()) }
        );
        server.send(&hang_up(6, "b"));
        assert_eq!(server.next_but_status(), FromEdge::Ack { command_id: 6 });
        assert_eq!(
            server.next_but_status(),
            FromEdge::Event { id: 2, event: milestone(&"b".into()) }
        );
        server.send(&ToEdge::Ack { event_id: 1 });
        let control = Control { call_id: "c".into(), control_id: "1".into(), verb: Verb::Hold };
        server.send(&ToEdge::Command { id: 8, command: Command::Control(Box::new(control)) });
        let refusal = ControlRefusal { code: "unknown_call".into(), detail: "no such call".into() };
        assert_eq!(server.next_but_status(), FromEdge::Refused { command_id: 8, refusal });
        drop(server);

        let mut server = Server::accept(&listener);
        server.welcome();
        assert_eq!(
            server.next_but_status(),
            FromEdge::Event { id: 2, event: milestone(&"b".into()) }
        );
        server.stream.write_all(&[0, 0, 0, 2, b'{', b'}']).unwrap();
        let mut server = Server::accept(&listener);
        server.welcome();
        assert_eq!(
            server.next_but_status(),
            FromEdge::Event { id: 2, event: milestone(&"b".into()) }
        );
        server.send(&ToEdge::Ack { event_id: 2 });
        server.send(&hang_up(7, "stop"));
        assert_eq!(server.next_but_status(), FromEdge::Ack { command_id: 7 });
    });
    LocalExecutorBuilder::new(Placement::Unbound).make().unwrap().run(async move {
        let mailbox = Rc::new(Mailbox::new(16));
        let peer = Rc::new(Peer { mailbox: Some(mailbox.clone()), ..Peer::default() });
        let (linked, its_mailbox) = (peer.clone(), mailbox.clone());
        let link =
            glommio::spawn_local(async move { link::run(&socket, its_mailbox, linked).await });
        while !server.is_finished() {
            glommio::timer::sleep(Duration::from_millis(10)).await;
        }
        server.join().unwrap();
        link.cancel().await;
        assert_eq!(mailbox.losses.get(), 3);
        assert_eq!(mailbox.outbox().len(), 1, "only what nobody acknowledged is kept");
    });
}

#[test]
fn a_shard_with_as_many_softphones_as_it_may_have_says_hello() {
    let socket = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("link-many-{}.sock", std::process::id()));
    let _ = std::fs::remove_file(&socket);
    let listener = UnixListener::bind(&socket).unwrap();
    let softphones: Vec<AgentName> = (0..10_000).map(|n| format!("a{n:035}").into()).collect();
    let expected = softphones.clone();
    let server = std::thread::spawn(move || {
        let mut server = Server::accept(&listener);
        let FromEdge::Hello(mut hello) = server.next() else { panic!("no Hello") };
        while hello.more {
            let FromEdge::HelloMore(next) = server.next() else {
                panic!("not the rest of a Hello")
            };
            hello.join(next);
        }
        assert_eq!(hello.softphones, expected);
        server.send(&ToEdge::Welcome { version: VERSION });
        assert!(matches!(server.next(), FromEdge::Status(_)));
    });
    LocalExecutorBuilder::new(Placement::Unbound).make().unwrap().run(async move {
        let peer = Rc::new(Peer { softphones, ..Peer::default() });
        let link = glommio::spawn_local(async move {
            link::run(&socket, Rc::new(Mailbox::new(16)), peer).await
        });
        while !server.is_finished() {
            glommio::timer::sleep(Duration::from_millis(10)).await;
        }
        server.join().unwrap();
        link.cancel().await;
    });
}
