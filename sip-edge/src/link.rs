//! One shard's connection to control-api: says hello, takes commands, tells events until they are
//! acknowledged, and reports the shard's state each second. Calls go on while control-api is away;
//! the link comes back by itself.

mod outbox;
mod translate;

pub use outbox::Outbox;
pub use translate::{ClockPair, Told, grant, kept_trunk, place_call, refusal, told, verb};

use call_words::{AgentName, TrunkId};
use control_wire::{
    Command, ControlRefusal, Event, FrameDecoder, FrameError, FromEdge, Hello, Ladder, Presence,
    ShardStatus, Speaking, ToEdge, TrunkState, VERSION, encode,
};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use glommio::net::UnixStream;
use glommio::timer::Timer;
use media_shard::signal::Signal;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Waits between attempts to connect, doubled from the first to the last.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
const STATUS_PERIOD: Duration = Duration::from_secs(1);
/// Longest wait for the answer to Hello.
const WELCOME_LIMIT: Duration = Duration::from_secs(5);
/// Commands are done for about so long before others have their turn.
const PIECE: Duration = Duration::from_micros(200);
/// Frames are gathered up to about this many bytes for one write.
const WRITE_LEN: usize = 64 * 1024;
/// Most answers to commands that wait for a control-api that does not read.
const ANSWER_CAPACITY: usize = 4096;
/// Most news of who speaks that wait; beyond it the oldest are left out.
const SPEAKING_CAPACITY: usize = 256;
/// Most ladders that wait: each has at most 32 KB, of a plain call 8 KB. Beyond it the oldest are
/// left out.
const LADDER_CAPACITY: usize = 256;

/// What the link asks of its shard.
pub trait LinkPeer {
    fn hello(&self) -> Hello;
    fn status(&self) -> ShardStatus;
    /// Does what is commanded, or says why not; a repeated command has no effect.
    fn command(&self, command: Command) -> Result<(), ControlRefusal>;
}

/// What waits to be sent to control-api.
pub struct Mailbox {
    outbox: RefCell<Outbox>,
    /// What came of the commands, by their ids.
    answers: RefCell<Vec<(u64, Result<(), ControlRefusal>)>>,
    status_due: Cell<bool>,
    /// Who came or went since it was told last, each agent once.
    presences: RefCell<BTreeMap<AgentName, bool>>,
    /// How the trunks stand that were not told so, each once.
    trunks: RefCell<BTreeMap<TrunkId, TrunkState>>,
    speaking: RefCell<VecDeque<Speaking>>,
    ladders: RefCell<VecDeque<Box<Ladder>>>,
    filled: Signal,
    /// Connections to control-api that were lost.
    pub losses: Cell<u64>,
    /// Ladders that were left out because too many waited.
    pub dropped_ladders: Cell<u64>,
}

impl Mailbox {
    pub fn new(capacity: usize) -> Self {
        Self {
            outbox: RefCell::new(Outbox::new(capacity)),
            answers: RefCell::default(),
            status_due: Cell::new(false),
            presences: RefCell::default(),
            trunks: RefCell::default(),
            speaking: RefCell::default(),
            ladders: RefCell::default(),
            filled: Signal::default(),
            losses: Cell::new(0),
            dropped_ladders: Cell::new(0),
        }
    }

    /// Queues an event for control-api.
    pub fn tell(&self, event: Event) {
        self.outbox.borrow_mut().push(event);
        self.filled.set();
    }

    /// Tells who came or went; who is there anyway is told by Hello after a reconnect.
    pub fn tell_presence(&self, presence: Presence) {
        self.presences.borrow_mut().insert(presence.agent, presence.online);
        self.filled.set();
    }

    /// Tells how a trunk stands; control-api asks for all of them after a reconnect.
    pub fn tell_trunk(&self, state: TrunkState) {
        self.trunks.borrow_mut().insert(state.trunk.clone(), state);
        self.filled.set();
    }

    /// Tells who speaks; it is not kept for an absent control-api.
    pub fn tell_speaking(&self, speaking: Speaking) {
        let mut waiting = self.speaking.borrow_mut();
        if waiting.len() >= SPEAKING_CAPACITY {
            waiting.pop_front();
        }
        waiting.push_back(speaking);
        self.filled.set();
    }

    /// Tells the SIP messages of a call; those that wait are kept for an absent control-api.
    pub fn tell_ladder(&self, ladder: Box<Ladder>) {
        let mut waiting = self.ladders.borrow_mut();
        if waiting.len() >= LADDER_CAPACITY {
            waiting.pop_front();
            self.dropped_ladders.set(self.dropped_ladders.get() + 1);
        }
        waiting.push_back(ladder);
        self.filled.set();
    }

    /// Reports the shard's state now instead of at the next second.
    pub fn report_status(&self) {
        self.status_due.set(true);
        self.filled.set();
    }

    /// Events that control-api has not acknowledged.
    pub fn outbox(&self) -> std::cell::Ref<'_, Outbox> {
        self.outbox.borrow()
    }
}

/// Why a connection to control-api ended.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Frame(#[from] FrameError),
    #[error("control-api closed the connection")]
    Closed,
    #[error("control-api refused this edge: {0}")]
    Refused(String),
    #[error("control-api speaks version {0} of the link, this edge version {VERSION}")]
    Version(u16),
    #[error("control-api sent something else than an answer to hello")]
    Unexpected,
    #[error("control-api did not answer hello in time")]
    NoWelcome,
    #[error("control-api does not read its acknowledgements")]
    Stuck,
}

impl<T> From<glommio::GlommioError<T>> for LinkError {
    fn from(error: glommio::GlommioError<T>) -> Self {
        LinkError::Io(error.into())
    }
}

/// Keeps the shard connected for ever.
pub async fn run(socket: &Path, mailbox: Rc<Mailbox>, peer: Rc<dyn LinkPeer>) {
    let mut wait = BACK_OFF.0;
    let mut last_error = String::new();
    loop {
        let welcome = Cell::new(false);
        let error = match connection(socket, &mailbox, &*peer, &welcome).await {
            Err(error) => error.to_string(),
            Ok(never) => match never {},
        };
        // Said when it changes, not at each attempt.
        if error != last_error {
            let socket = std::path::absolute(socket).unwrap_or_else(|_| socket.to_owned());
            tracing::warn!(socket = %socket.display(), error,
                "no control link; running calls go on");
            last_error = error;
        }
        if welcome.get() {
            mailbox.losses.set(mailbox.losses.get() + 1);
            wait = BACK_OFF.0;
        }
        Timer::new(wait).await;
        wait = (wait * 2).min(BACK_OFF.1);
    }
}

async fn connection(
    socket: &Path,
    mailbox: &Mailbox,
    peer: &dyn LinkPeer,
    welcome: &Cell<bool>,
) -> Result<std::convert::Infallible, LinkError> {
    let mut stream = UnixStream::connect(socket).await?;
    let mut frames = Vec::new();
    // Hello tells who is there; what changes after it is told by the writer.
    mailbox.presences.borrow_mut().clear();
    for message in peer.hello().split() {
        encode(&message, &mut frames)?;
    }
    stream.write_all(&frames).await?;
    let mut decoder = FrameDecoder::default();
    future::or(greeting(&mut stream, &mut decoder), async {
        Timer::new(WELCOME_LIMIT).await;
        Err(LinkError::NoWelcome)
    })
    .await?;
    welcome.set(true);
    tracing::info!("control link is up");
    mailbox.outbox.borrow_mut().rewind();
    mailbox.answers.borrow_mut().clear();
    mailbox.speaking.borrow_mut().clear();
    mailbox.trunks.borrow_mut().clear();
    let (mut reader, mut writer) = futures_lite::io::split(stream);
    future::or(read(&mut reader, decoder, mailbox, peer), write(&mut writer, frames, mailbox, peer))
        .await
}

async fn greeting(stream: &mut UnixStream, decoder: &mut FrameDecoder) -> Result<(), LinkError> {
    let mut bytes = [0; 4096];
    loop {
        let len = stream.read(&mut bytes).await?;
        decoder.push(bytes.get(..len).filter(|read| !read.is_empty()).ok_or(LinkError::Closed)?);
        match decoder.poll::<ToEdge>()? {
            None => {}
            Some(ToEdge::Welcome { version }) if version == VERSION => return Ok(()),
            Some(ToEdge::Welcome { version }) => return Err(LinkError::Version(version)),
            Some(ToEdge::Refused { reason }) => return Err(LinkError::Refused(reason)),
            Some(_) => return Err(LinkError::Unexpected),
        }
    }
}

async fn read<T>(
    reader: &mut (impl futures_lite::AsyncRead + Unpin),
    mut decoder: FrameDecoder,
    mailbox: &Mailbox,
    peer: &dyn LinkPeer,
) -> Result<T, LinkError> {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let mut began = Instant::now();
        while let Some(message) = decoder.poll::<ToEdge>()? {
            match message {
                ToEdge::Ack { event_id } => mailbox.outbox.borrow_mut().acknowledge(event_id),
                ToEdge::Command { id, command } => {
                    let answer = peer.command(command);
                    if mailbox.answers.borrow().len() >= ANSWER_CAPACITY {
                        return Err(LinkError::Stuck);
                    }
                    mailbox.answers.borrow_mut().push((id, answer));
                    mailbox.filled.set();
                }
                ToEdge::Welcome { .. } | ToEdge::Refused { .. } => {
                    return Err(LinkError::Unexpected);
                }
            }
            if began.elapsed() >= PIECE {
                future::yield_now().await;
                began = Instant::now();
            }
        }
        let len = reader.read(&mut bytes).await?;
        decoder.push(bytes.get(..len).filter(|read| !read.is_empty()).ok_or(LinkError::Closed)?);
    }
}

async fn write<T>(
    writer: &mut (impl futures_lite::AsyncWrite + Unpin),
    mut frames: Vec<u8>,
    mailbox: &Mailbox,
    peer: &dyn LinkPeer,
) -> Result<T, LinkError> {
    let mut next_status = Instant::now();
    loop {
        frames.clear();
        // Before the answers: who asked for one finds it told.
        while frames.len() < WRITE_LEN
            && let Some(ladder) = mailbox.ladders.borrow_mut().pop_front()
        {
            encode(&FromEdge::Ladder(ladder), &mut frames)?;
        }
        let answers = match mailbox.ladders.borrow().is_empty() {
            true => mailbox.answers.take(),
            false => Vec::new(),
        };
        for (command_id, answer) in answers {
            let answer = match answer {
                Ok(()) => FromEdge::Ack { command_id },
                Err(refusal) => FromEdge::Refused { command_id, refusal },
            };
            encode(&answer, &mut frames)?;
        }
        for speaking in mailbox.speaking.borrow_mut().drain(..) {
            encode(&FromEdge::Speaking(speaking), &mut frames)?;
        }
        for (agent, online) in mailbox.presences.take() {
            encode(&FromEdge::Presence(Presence { agent, online }), &mut frames)?;
        }
        for (_, state) in mailbox.trunks.take() {
            encode(&FromEdge::Trunk(state), &mut frames)?;
        }
        let now = Instant::now();
        if mailbox.status_due.take() || next_status <= now {
            next_status = now + STATUS_PERIOD;
            encode(&FromEdge::Status(peer.status()), &mut frames)?;
        }
        while frames.len() < WRITE_LEN {
            let mut outbox = mailbox.outbox.borrow_mut();
            let Some((id, event)) = outbox.poll_unsent() else { break };
            encode(&FromEdge::Event { id, event: event.clone() }, &mut frames)?;
        }
        if frames.is_empty() {
            future::or(mailbox.filled.wait(), async {
                Timer::new(next_status.saturating_duration_since(now)).await;
            })
            .await;
        } else {
            writer.write_all(&frames).await?;
        }
    }
}
