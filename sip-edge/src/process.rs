//! The process: preflight, recovery of recordings and of legs at carriers, one pinned executor per
//! shard, and the signals that end it.

use crate::config::{Config, ShardPlan};
use crate::preflight::{self, Lack};
use crate::shard::{Secrets, ShardInput, handovers, inherit, run as run_shard};
use anyhow::{Context, bail};
use glommio::{LocalExecutorBuilder, Placement};
use media_shard::doorbell::{BellButton, doorbell};
use media_shard::recovery::{OwnedFolder, Recovered, own};
use ring::rand::{SecureRandom, SystemRandom};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io;
use std::sync::mpsc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long a busy shard's task may run before the executor looks at its files, timers and streams.
/// glommio 0.9 takes an executor for idle, and sleeps with tasks ready, when this has run out
/// before the first task's turn: short values make that likely.
const PREEMPTION: Duration = Duration::from_millis(10);
/// Registered memory of an executor for recordings; what is beyond comes from the heap.
const IO_MEMORY: usize = 2 << 20;

/// Checks what the file alone cannot tell, without making anything and without touching a port:
/// whether this machine has what the edge needs, and each of its shards gets its ports.
pub fn check_config(config: &Config) -> anyhow::Result<()> {
    let plans = plan(config, &cores()?)?;
    refuse(&preflight::look(config, &plans))
}

fn refuse(lacks: &[Lack]) -> anyhow::Result<()> {
    let lines: Vec<_> = lacks.iter().map(|lack| format!("\n  {lack}")).collect();
    match lines[..] {
        [] => Ok(()),
        _ => bail!("this machine lacks what the edge needs:{}", lines.concat()),
    }
}

fn plan(config: &Config, cores: &[usize]) -> anyhow::Result<Vec<ShardPlan>> {
    let shard_count = if config.shards == 0 { cores.len() as u16 } else { config.shards };
    Ok(ShardPlan::cut(config, shard_count)?)
}

/// Runs the edge until it was told to stop.
pub fn run(config: Config) -> anyhow::Result<()> {
    abort_on_panic();
    let cores = cores()?;
    let plans = plan(&config, &cores)?;
    let shard_count = plans.len();
    refuse(&preflight::check(&config, &plans))?;
    let _folder = own_recordings(&config)?;
    let epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .context("the clock is before 1970")?
        .as_millis() as u64;
    let (ended, ends) = mpsc::channel();
    let mut buttons = Vec::new();
    let inherited = inherit(&config.recordings.folder, shard_count);
    let has_ways = config.sip.one_port && shard_count > 1;
    let ways_count = if has_ways { shard_count as u16 } else { 0 };
    let mut ways = handovers(ways_count)?.into_iter();
    for ((plan, inherited), core) in plans.into_iter().zip(inherited).zip(cores.iter().cycle()) {
        let (button, stop) = doorbell()?;
        buttons.push(button);
        let secrets = Secrets { seed: random()?, media: random()? };
        let (config, handover) = (config.clone(), ways.next());
        let input = ShardInput { config, plan, epoch, secrets, inherited, handover, stop };
        let ended = ended.clone();
        LocalExecutorBuilder::new(Placement::Fixed(*core))
            .name(&format!("shard-{}", plan.index))
            .preempt_timer(PREEMPTION)
            .io_memory(IO_MEMORY)
            .spawn(move || async move {
                // The receiver only leaves when the process does.
                let _ = ended.send(run_shard(input).await);
            })
            .map_err(io::Error::from)
            .with_context(|| format!("shard {}", plan.index))?;
    }
    drop(ended);
    let signals = Signals::new([SIGTERM, SIGINT]).context("signals")?;
    std::thread::spawn(move || pass_on(signals, &buttons));
    for end in ends.iter().take(shard_count) {
        end?;
    }
    tracing::info!("done");
    Ok(())
}

fn random() -> anyhow::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    SystemRandom::new().fill(&mut bytes).ok().context("no random bytes")?;
    Ok(bytes)
}

/// Each signal rings every shard: the first to drain, the second to hang up.
fn pass_on(mut signals: Signals, buttons: &[BellButton]) {
    for _ in signals.forever() {
        for button in buttons {
            if let Err(error) = button.ring() {
                tracing::warn!(%error, "a shard cannot be told to stop");
            }
        }
    }
}

/// The cores that this process may run on.
fn cores() -> anyhow::Result<Vec<usize>> {
    let allowed = rustix::thread::sched_getaffinity(None).context("cores")?;
    Ok((0..rustix::thread::CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect())
}

fn own_recordings(config: &Config) -> anyhow::Result<OwnedFolder> {
    let folder = own(&config.recordings.folder)
        .with_context(|| format!("recordings.folder {}", config.recordings.folder.display()))?;
    let Recovered { repaired, removed, left } = folder.recovered;
    if folder.recovered != Recovered::default() {
        tracing::info!(repaired, removed, left, "recordings of an earlier run looked after");
    }
    Ok(folder)
}

/// A shard that panicked would leave its calls silent for ever; the process ends instead and
/// control-api ends the calls.
fn abort_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        journal::flush();
        std::process::abort();
    }));
}
