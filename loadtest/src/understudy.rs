//! Stands in for the edge on the control link where control-api is measured by itself: it takes
//! each call, and ends it at once as the edge does when the agent is busy, with the same steps.

use anyhow::{Context, bail};
use call_words::{AttemptResult, CallStatus, HangupBy, LegKind, MilestoneKind, Reason, TrunkId};
use control_wire::{
    AgentTarget, Attempt, Command, Ended, Event, FrameDecoder, FromEdge, Hello, Milestone,
    PlaceCall, ShardStatus, ToEdge, VERSION, encode,
};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Calls that it takes at once.
const CALL_CAPACITY: u32 = 1_000_000;
const BUSY: u16 = 486;

/// Takes calls until its task is aborted, or the link breaks.
pub async fn start(socket: &Path) -> anyhow::Result<JoinHandle<anyhow::Result<()>>> {
    let mut stream = UnixStream::connect(socket).await.context("the control link")?;
    let mut frames = Vec::new();
    encode(&FromEdge::Hello(hello()), &mut frames)?;
    stream.write_all(&frames).await?;
    let mut decoder = FrameDecoder::default();
    match read(&mut stream, &mut decoder).await? {
        ToEdge::Welcome { version: VERSION } => {}
        other => bail!("control-api does not welcome the understudy: {other:?}"),
    }
    Ok(tokio::spawn(serve(stream, decoder)))
}

fn hello() -> Hello {
    Hello {
        version: VERSION,
        edge: "understudy".into(),
        epoch: now_ms(),
        shard: 0,
        live_calls: Vec::new(),
        status: status(),
        softphone_service: None,
        softphones: Vec::new(),
        folders: None,
        keeps_trunks: false,
        tells_ladders: false,
        more: false,
    }
}

fn status() -> ShardStatus {
    ShardStatus {
        call_capacity: CALL_CAPACITY,
        free_port_pairs: CALL_CAPACITY,
        ..ShardStatus::default()
    }
}

/// Reads while it writes: neither end waits for the other.
async fn serve(stream: UnixStream, decoder: FrameDecoder) -> anyhow::Result<()> {
    let (reader, writer) = stream.into_split();
    let (told, to_tell) = mpsc::unbounded_channel();
    tokio::try_join!(take(reader, decoder, told), tell(writer, to_tell)).map(|_| ())
}

async fn take(
    mut reader: OwnedReadHalf,
    mut decoder: FrameDecoder,
    told: mpsc::UnboundedSender<Vec<u8>>,
) -> anyhow::Result<()> {
    let mut next_id = 1;
    loop {
        let mut frames = Vec::new();
        let mut message = Some(read(&mut reader, &mut decoder).await?);
        while let Some(each) = message {
            if let ToEdge::Command { id: command_id, command } = each {
                encode(&FromEdge::Ack { command_id }, &mut frames)?;
                if let Command::PlaceCall(call) = command {
                    for event in busy(&call) {
                        encode(&FromEdge::Event { id: next_id, event }, &mut frames)?;
                        next_id += 1;
                    }
                }
            }
            message = decoder.poll()?;
        }
        told.send(frames)?;
    }
}

async fn tell(
    mut writer: OwnedWriteHalf,
    mut to_tell: mpsc::UnboundedReceiver<Vec<u8>>,
) -> anyhow::Result<()> {
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    loop {
        tokio::select! {
            Some(frames) = to_tell.recv() => writer.write_all(&frames).await?,
            // Who tells nothing for long is taken for dead.
            _ = seconds.tick() => {
                let mut frame = Vec::new();
                encode(&FromEdge::Status(status()), &mut frame)?;
                writer.write_all(&frame).await?;
            }
        }
    }
}

/// The next message.
async fn read(
    stream: &mut (impl AsyncRead + Unpin),
    decoder: &mut FrameDecoder,
) -> anyhow::Result<ToEdge> {
    let mut bytes = vec![0; 64 * 1024];
    loop {
        if let Some(message) = decoder.poll()? {
            return Ok(message);
        }
        let len = stream.read(&mut bytes).await?;
        anyhow::ensure!(len > 0, "control-api closed the link");
        decoder.push(&bytes[..len]);
    }
}

/// What the edge tells of a call whose agent is busy.
fn busy(call: &PlaceCall) -> Vec<Event> {
    let trunk: TrunkId = match &call.agent {
        AgentTarget::Phone(phone) => phone.routes.first().map(|route| route.trunk.clone()),
        AgentTarget::Softphone { .. } => None,
    }
    .unwrap_or_default();
    let at_ms = now_ms();
    let steps = [
        (MilestoneKind::InviteSent, None),
        (MilestoneKind::Trying, Some(100)),
        (MilestoneKind::Rejected, Some(BUSY)),
    ];
    let step = |(sequence, (kind, sip_code)): (u32, (MilestoneKind, Option<u16>))| {
        Event::Milestone(Milestone {
            call_id: call.call_id.clone(),
            sequence,
            at_ms,
            leg: Some(LegKind::Agent),
            party: None,
            conversation: None,
            kind: kind.into(),
            sip_code,
            trunk: Some(trunk.clone()),
            detail: None,
        })
    };
    let attempt = Attempt {
        leg: LegKind::Agent,
        trunk: trunk.clone(),
        started_at_ms: at_ms,
        ended_at_ms: at_ms,
        sip_code: Some(BUSY),
        result: AttemptResult::Failed(Reason::Busy).into(),
    };
    let ended = Ended {
        call_id: call.call_id.clone(),
        status: CallStatus::Busy,
        reason: Some(Reason::Busy.into()),
        failed_leg: Some(LegKind::Agent),
        sip_code: Some(BUSY),
        hangup_by: Some(HangupBy::Agent),
        answered_at_ms: None,
        ended_at_ms: at_ms,
        duration_s: 0,
        attempts: vec![attempt],
        recording: None,
        agent_media: None,
        customer_media: None,
        others: Vec::new(),
        detail: None,
        recording_written: None,
    };
    let end = Event::Ended(Box::new(ended));
    (1..).zip(steps).map(step).chain(std::iter::once(end)).collect()
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
