//! The tasks of one shard's executor: turns of the shard, its link to control-api, and its way out.
//! A glommio file read keeps one waker per poll until it completes, so doorbells are awaited by
//! tasks of their own and never beside another future.

use super::status::LinkedShard;
use super::{Handover, Inherited, Next, Secrets, Shard};
use crate::config::{Config, ShardPlan};
use crate::link;
use crate::transport::Lane;
use anyhow::Context;
use futures_lite::future;
use glommio::timer::Timer;
use media_shard::doorbell::{ClosedDoorbell, Doorbell, EngineBell};
use media_shard::recorder::learn_device;
use media_shard::signal::Signal;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How often a draining shard looks whether it is done.
const DRAIN_PERIOD: Duration = Duration::from_millis(50);
/// Time for hung-up calls to say goodbye and for their ends to be acknowledged.
const GOODBYE_LIMIT: Duration = Duration::from_secs(5);
/// Time for the last BYEs to be repeated once.
const LINGER: Duration = Duration::from_millis(600);
/// Longest mistaken sleep of the executor while a call is up.
const MISTAKEN_SLEEP_LIMIT: Duration = Duration::from_millis(2);

/// What a shard is started with.
pub struct ShardInput {
    pub config: Config,
    pub plan: ShardPlan,
    pub epoch: u64,
    pub secrets: Secrets,
    /// Legs that an earlier process left at their carriers.
    pub inherited: Inherited,
    /// The ways to the other shards, if all share one SIP port.
    pub handover: Option<Handover>,
    /// Rings to drain; rings again to hang up at once.
    pub stop: ClosedDoorbell,
}

/// Runs a shard until it was told to stop and is done. Must be the main task of a pinned executor.
pub async fn run(mut input: ShardInput) -> anyhow::Result<()> {
    learn_device(&input.config.recordings.folder).await.context("recordings.folder")?;
    let shard = Shard::open(&mut input).with_context(|| format!("shard {}", input.plan.index))?;
    let ShardInput { config, plan, inherited, stop, .. } = input;
    let bell = EngineBell::new(&shard.borrow().engine)?;
    tracing::info!(shard = plan.index, sip = %shard.borrow().sip_addresses[0],
        calls = plan.call_capacity, "shard is up");
    let mailbox = shard.borrow().mailbox.clone();
    let linked = Rc::new(LinkedShard {
        shard: shard.clone(),
        recordings: config.recordings.folder.clone(),
        hold_audio: config.hold_audio.folder.clone(),
    });
    let socket = config.link.socket.clone();
    let source = shard.borrow().pace.source(Lane::Own);
    glommio::spawn_local(source.run(async move { link::run(&socket, mailbox, linked).await }))
        .detach();
    glommio::spawn_local(turns(shard.clone(), bell)).detach();
    let journal = shard.borrow().journal.clone();
    glommio::spawn_local(journal.run()).detach();
    if !inherited.remains.is_empty() {
        tracing::info!(
            shard = plan.index,
            legs = inherited.remains.len(),
            "legs of an earlier run are cancelled or hung up"
        );
        shard.borrow_mut().bid_farewell(inherited.remains);
    }
    let told = Rc::new(Signal::default());
    glommio::spawn_local(pass_on(Doorbell::open(stop), told.clone())).detach();
    drain(shard, told, Duration::from_secs(config.drain_limit_s.into())).await;
    Ok(())
}

async fn turns(shard: Rc<RefCell<Shard>>, bell: EngineBell) {
    let wake = shard.borrow().wake.clone();
    let parked = Rc::new(Signal::default());
    glommio::spawn_local(ring_when_parked(bell, parked.clone(), wake.clone())).detach();
    let (is_busy, began) = (Rc::new(Cell::new(false)), Rc::new(Signal::default()));
    glommio::spawn_local(bound_sleep(is_busy.clone(), began.clone())).detach();
    let pace = shard.borrow().pace.clone();
    loop {
        let next = shard.borrow_mut().turn();
        pace.renew();
        match next {
            // Streams have more than fits between two turns.
            Next::Park(_) if pace.is_wanted() => stay(&is_busy, &began).await,
            Next::Again => stay(&is_busy, &began).await,
            Next::Park(deadline) => {
                is_busy.set(false);
                parked.set();
                let timer = async {
                    match deadline {
                        Some(deadline) => {
                            Timer::new(deadline.saturating_duration_since(Instant::now())).await
                        }
                        None => future::pending().await,
                    };
                };
                future::or(wake.wait(), timer).await;
            }
        }
    }
}

/// Lets tasks that this turn woke run; the reactor polls once per preemption period.
async fn stay(is_busy: &Cell<bool>, began: &Signal) {
    if !is_busy.replace(true) {
        began.set();
    }
    future::yield_now().await;
    glommio::yield_if_needed().await;
}

/// Keeps a short timer set while the shard is busy. glommio 0.9 takes an executor for idle when its
/// preemption timer has already run out before the first task got its turn (the thread was
/// descheduled in between), and then sleeps until the next event although tasks are ready: without
/// this timer, that is the status report, up to a second later.
async fn bound_sleep(is_busy: Rc<Cell<bool>>, began: Rc<Signal>) {
    loop {
        began.wait().await;
        while is_busy.get() {
            Timer::new(MISTAKEN_SLEEP_LIMIT).await;
        }
    }
}

async fn ring_when_parked(mut bell: EngineBell, parked: Rc<Signal>, wake: Rc<Signal>) {
    loop {
        parked.wait().await;
        if let Err(error) = bell.rung().await {
            tracing::warn!(%error, "the engine's bell failed; datagrams are looked for each 5 ms \
                instead");
            loop {
                Timer::new(Duration::from_millis(5)).await;
                wake.set();
            }
        }
        wake.set();
    }
}

async fn pass_on(stop: Doorbell, told: Rc<Signal>) {
    loop {
        if let Err(error) = stop.rung().await {
            return tracing::warn!(%error, "the shard cannot hear that it is to stop");
        }
        told.set();
    }
}

/// Waits until the shard is told to stop, then until it is done.
async fn drain(shard: Rc<RefCell<Shard>>, told: Rc<Signal>, limit: Duration) {
    told.wait().await;
    shard.borrow_mut().drain();
    tracing::info!(calls = shard.borrow().call_count(), "draining");
    let all_ended = async {
        while shard.borrow().call_count() > 0 {
            Timer::new(DRAIN_PERIOD).await;
        }
    };
    let limit = async {
        Timer::new(limit).await;
    };
    future::or(all_ended, future::or(told.wait(), limit)).await;
    if shard.borrow().call_count() > 0 {
        tracing::info!(calls = shard.borrow().call_count(), "hanging up");
        shard.borrow_mut().end_calls();
        Timer::new(LINGER).await;
    }
    shard.borrow().close_softphones();
    shard.borrow_mut().leave_trunks();
    let goodbye = Instant::now() + GOODBYE_LIMIT;
    while !shard.borrow().is_done() && Instant::now() < goodbye {
        Timer::new(DRAIN_PERIOD).await;
    }
}
