//! The link's sockets: accepts shards on a Unix socket, frames, the greeting, and the
//! acknowledgement of events once they are durable.

use super::{events, reconcile, trunks};
use crate::agent::presence;
use crate::app::App;
use crate::call::ladder;
use crate::clock::now_ms;
use crate::link::{ControlFailure, OUTGOING_CAP, ShardId};
use control_wire::{Event, FrameDecoder, FromEdge, Hello, ToEdge, VERSION, encode};
use futures_util::future::OptionFuture;
use std::collections::VecDeque;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Shards that may be connected at once.
const MAX_CONNECTIONS: usize = 1024;
/// Time in which a shard has to say Hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);
/// Silence after which a connection is dead: shards report their status once a second.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(15);
/// Time in which a shard has to take what is written to it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(15);
/// Longest name of an edge in bytes.
const MAX_NAME_LEN: usize = 64;
const READ_LEN: usize = 64 * 1024;
/// Reads whose events are being written; with as many the next waits.
const BEING_WRITTEN_CAP: usize = 16;
/// Most names, of calls and softphones, that a Hello may have: several times what a shard may hold.
const MAX_HELLO_NAMES: usize = 200_000;

/// Binds the socket, for the owner's processes alone. A stale socket is removed; one that answers
/// is another process's.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(io::Error::new(
            io::ErrorKind::AddrInUse,
            "another process listens on the socket",
        ));
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // Between bind and chmod the socket has the process's umask; it is bound under another name and
    // renamed when it is closed to others.
    let unfinished = path.with_extension("binding");
    let _ = std::fs::remove_file(&unfinished);
    let listener = UnixListener::bind(&unfinished)?;
    std::fs::set_permissions(&unfinished, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&unfinished, path)?;
    Ok(listener)
}

/// Serves shards until the process is to stop. Their calls go on without this process.
pub async fn serve(app: Arc<App>, listener: UnixListener) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let slot = tokio::select! {
            slot = Arc::clone(&slots).acquire_owned() => slot.expect("the semaphore is never \
                closed"),
            () = app.link_shutdown.cancelled() => break,
        };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = app.link_shutdown.cancelled() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                let app = Arc::clone(&app);
                connections.spawn(async move {
                    serve_connection(&app, stream).await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "control link: cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
    while connections.join_next().await.is_some() {}
}

async fn serve_connection(app: &Arc<App>, stream: UnixStream) {
    let (read_half, write_half) = stream.into_split();
    let mut reader =
        Reader { stream: read_half, decoder: FrameDecoder::default(), buffer: vec![0; READ_LEN] };
    let (outgoing, queue) = mpsc::channel(OUTGOING_CAP);
    let writer = tokio::spawn(write_messages(write_half, queue));
    if let Err(error) = converse(app, &mut reader, outgoing).await {
        tracing::warn!(%error, "control link: connection closed");
    }
    // All senders are gone: the writer ends when it has written what waits.
    let _ = timeout(WRITE_TIMEOUT, writer).await;
}

async fn converse(
    app: &Arc<App>,
    reader: &mut Reader,
    outgoing: mpsc::Sender<ToEdge>,
) -> io::Result<()> {
    let greeting = timeout(HELLO_TIMEOUT, reader.read_hello())
        .await
        .map_err(|_| invalid(&format!("no Hello within {} s", HELLO_TIMEOUT.as_secs())))??;
    let Some((hello, messages)) = greeting else { return Ok(()) };
    if let Some(reason) = refusal(&hello) {
        let _ = outgoing.send(ToEdge::Refused { reason: reason.clone() }).await;
        return Err(invalid(&reason));
    }
    let id = ShardId { edge: hello.edge.clone(), shard: hello.shard };
    let last_seen_ms = app.link.last_seen_ms(&id);
    let generation =
        app.link.connect(&id, hello.epoch, hello.status.clone(), outgoing.clone(), Instant::now());
    tracing::info!(edge = %id.edge, shard = id.shard, epoch = hello.epoch,
        live_calls = hello.live_calls.len(), "edge shard connected");
    app.link.compare_folders(&id, hello.folders.as_ref(), &app.config).await;
    app.link.meet_keeper(&id, hello.keeps_trunks);
    app.link.meet_teller(&id, hello.tells_ladders);
    let presence =
        app.link.meet_softphones(&id, hello.softphone_service.clone(), &hello.softphones);
    let result = async {
        presence::presence_changed(app, presence).await;
        send(&outgoing, ToEdge::Welcome { version: VERSION }).await?;
        let stray_calls =
            reconcile::greet(app, &hello, last_seen_ms).await.map_err(io::Error::other)?;
        app.link.open(&id, generation, stray_calls);
        serve_shard(app, reader, messages, outgoing, &id).await
    };
    let result = result.await;
    app.link.disconnect(&id, generation, Instant::now());
    tracing::info!(edge = %id.edge, shard = id.shard, "edge shard disconnected");
    result
}

fn refusal(hello: &Hello) -> Option<String> {
    if hello.version != VERSION {
        return Some(format!(
            "link version {} is not spoken here; this is version {VERSION}",
            hello.version
        ));
    }
    let named = (1..=MAX_NAME_LEN).contains(&hello.edge.as_str().len());
    (!named).then(|| format!("the edge's name must have 1 to {MAX_NAME_LEN} bytes"))
}

async fn serve_shard(
    app: &Arc<App>,
    reader: &mut Reader,
    messages: Vec<FromEdge>,
    outgoing: mpsc::Sender<ToEdge>,
    id: &ShardId,
) -> io::Result<()> {
    let mut being_written = VecDeque::from([take_messages(app, messages, id).await?]);
    let served = loop {
        let has_room = being_written.len() < BEING_WRITTEN_CAP;
        let first = being_written.front_mut().map(|taken| &mut taken.written);
        tokio::select! {
            biased;
            Some(written) = OptionFuture::from(first) => {
                let taken = being_written.pop_front().expect("the first was written");
                let acknowledged = match written {
                    Ok(()) => acknowledge(taken.event_ids, &outgoing).await,
                    Err(error) => Err(io::Error::other(error)),
                };
                if acknowledged.is_err() {
                    break acknowledged;
                }
            }
            () = app.link_shutdown.cancelled() => break Ok(()),
            read = timeout(SILENCE_TIMEOUT, reader.read()), if has_room => match read {
                Err(_) => {
                    let silence = format!("silent for {} s", SILENCE_TIMEOUT.as_secs());
                    break Err(invalid(&silence));
                }
                Ok(Ok(messages)) if messages.is_empty() => break Ok(()),
                Ok(Ok(messages)) => match take_messages(app, messages, id).await {
                    Ok(taken) => being_written.push_back(taken),
                    Err(error) => break Err(error),
                },
                Ok(Err(error)) => break Err(error),
            },
            () = outgoing.closed() => break Err(io::ErrorKind::BrokenPipe.into()),
        }
    };
    // What was asked for is written anyway: who waits for it is told, though the shard is not.
    for taken in being_written {
        let _ = taken.written.await;
    }
    served
}

/// What one read brought, while its events are being written.
struct Taken<'a> {
    written: Pin<Box<dyn Future<Output = Result<(), storage::Error>> + Send + 'a>>,
    event_ids: Vec<u64>,
}

/// Takes what one read brought. Its events are asked for at once, together, and behind those of the
/// read before, so that they share a disk write.
async fn take_messages<'a>(
    app: &'a Arc<App>,
    messages: Vec<FromEdge>,
    id: &'a ShardId,
) -> io::Result<Taken<'a>> {
    app.link.touch(id, now_ms());
    let mut events: Vec<Event> = Vec::new();
    let mut event_ids = Vec::new();
    let mut presence = Vec::new();
    let mut answers = Vec::new();
    let mut ladders = Vec::new();
    for message in messages {
        match message {
            FromEdge::Event { id, event } => {
                event_ids.push(id);
                events.push(event);
            }
            FromEdge::Ack { command_id } => answers.push((command_id, Ok(()))),
            FromEdge::Refused { command_id, refusal } => {
                answers.push((command_id, Err(ControlFailure::Refused(refusal))))
            }
            FromEdge::Speaking(speaking) => app.notices.speakers.tell(speaking),
            FromEdge::Status(status) => app.link.update(id, status),
            FromEdge::Ladder(ladder) => ladders.push(*ladder),
            FromEdge::Trunk(state) => trunks::state_told(app, id, state),
            FromEdge::Presence(told) => presence.extend(app.link.set_presence(id, told)),
            FromEdge::Hello(_) | FromEdge::HelloMore(_) => return Err(invalid("a second Hello")),
        }
    }
    presence::presence_changed(app, presence).await;
    let kept = ladder::keep(app, ladders);
    let applied = events::apply(app, events);
    let written = Box::pin(async move {
        applied.await.and(kept.await)?;
        // After the events, so that who is answered finds the effect in the record.
        for (command_id, answer) in answers {
            app.link.answer(id, command_id, answer);
        }
        Ok(())
    });
    Ok(Taken { written, event_ids })
}

/// Acknowledges events, which are durable by now.
async fn acknowledge(event_ids: Vec<u64>, outgoing: &mpsc::Sender<ToEdge>) -> io::Result<()> {
    for event_id in event_ids {
        send(outgoing, ToEdge::Ack { event_id }).await?;
    }
    Ok(())
}

async fn send(outgoing: &mpsc::Sender<ToEdge>, message: ToEdge) -> io::Result<()> {
    outgoing.send(message).await.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.to_owned())
}

struct Reader {
    stream: OwnedReadHalf,
    decoder: FrameDecoder,
    buffer: Vec<u8>,
}

impl Reader {
    /// Reads a whole Hello and returns it with what came after it; `None` at the end of the stream.
    async fn read_hello(&mut self) -> io::Result<Option<(Hello, Vec<FromEdge>)>> {
        let mut hello: Option<Hello> = None;
        loop {
            let messages = self.read().await?;
            if messages.is_empty() {
                return Ok(None);
            }
            let mut messages = messages.into_iter();
            while let Some(message) = messages.next() {
                let so_far = match (hello.take(), message) {
                    (None, FromEdge::Hello(first)) => first,
                    (None, _) => return Err(invalid("the first message is not Hello")),
                    (Some(mut so_far), FromEdge::HelloMore(next)) => {
                        so_far.join(next);
                        so_far
                    }
                    (Some(_), _) => return Err(invalid("the Hello is not whole")),
                };
                if so_far.live_calls.len() + so_far.softphones.len() > MAX_HELLO_NAMES {
                    return Err(invalid("the Hello has too many names"));
                }
                if !so_far.more {
                    return Ok(Some((so_far, messages.collect())));
                }
                hello = Some(so_far);
            }
        }
    }

    /// Reads until at least one whole message is there; empty at the end of the stream.
    async fn read(&mut self) -> io::Result<Vec<FromEdge>> {
        let mut messages = Vec::new();
        while messages.is_empty() {
            let len = self.stream.read(&mut self.buffer).await?;
            if len == 0 {
                break;
            }
            self.decoder.push(&self.buffer[..len]);
            while let Some(message) = self.decoder.poll().map_err(io::Error::other)? {
                messages.push(message);
            }
        }
        Ok(messages)
    }
}

/// Writes what is queued, many messages to a system call when many wait.
async fn write_messages(mut stream: OwnedWriteHalf, mut queue: mpsc::Receiver<ToEdge>) {
    let mut messages = Vec::with_capacity(64);
    let mut bytes = Vec::new();
    while queue.recv_many(&mut messages, 64).await > 0 {
        bytes.clear();
        for message in messages.drain(..) {
            if let Err(error) = encode(&message, &mut bytes) {
                tracing::error!(%error, "control link: a message cannot be sent");
            }
        }
        if !matches!(timeout(WRITE_TIMEOUT, stream.write_all(&bytes)).await, Ok(Ok(()))) {
            return;
        }
    }
}
