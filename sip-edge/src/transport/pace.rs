//! What every connection's task runs in: it works only in its turn, for a short piece at a time,
//! and strangers at a rate besides, so that no stream keeps the media or another stream waiting.
//! The order of turns is `lanes`'; this measures, sleeps and wakes.

use super::lanes::{Lane, Lanes};
use super::rate::{Rate, RateLimit};
use futures_lite::future::yield_now;
use futures_lite::{AsyncRead, AsyncWrite};
use glommio::timer::Timer;
use media_shard::signal::Signal;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Work of one connection before another has its turn.
const PIECE: Duration = Duration::from_micros(200);
/// Bytes read in one piece.
const PIECE_LEN: usize = 16 * 1024;
/// What one stranger's connection may bring. The bursts let a page register and the longest message
/// pass.
const MESSAGES: RateLimit = RateLimit { per_second: 20, burst: 60 };
const BYTES: RateLimit = RateLimit { per_second: 32 * 1024, burst: 128 * 1024 };
/// What all strangers of a shard may bring together: more than those of one address can.
const ALL_MESSAGES: RateLimit = RateLimit { per_second: 2_000, burst: 2_000 };
const ALL_BYTES: RateLimit = RateLimit { per_second: 4 * 1024 * 1024, burst: 4 * 1024 * 1024 };

/// The turns of one shard. Cheap to clone.
#[derive(Clone)]
pub struct Pace(Rc<State>);

struct State {
    lanes: RefCell<Lanes>,
    waiting: RefCell<HashMap<u64, Waker>>,
    next_id: Cell<u64>,
    messages: RefCell<Rate>,
    bytes: RefCell<Rate>,
    /// Set when somebody waits for the next turn.
    wanted: Rc<Signal>,
}

impl Pace {
    /// `wanted` wakes whoever calls `renew`.
    pub fn new(wanted: Rc<Signal>) -> Self {
        let now = Instant::now();
        Self(Rc::new(State {
            lanes: RefCell::new(Lanes::new()),
            waiting: RefCell::default(),
            next_id: Cell::new(0),
            messages: RefCell::new(Rate::new(ALL_MESSAGES, now)),
            bytes: RefCell::new(Rate::new(ALL_BYTES, now)),
            wanted,
        }))
    }

    /// The media had their turn: the others may work again.
    pub fn renew(&self) {
        self.0.lanes.borrow_mut().renew();
        self.wake_next();
    }

    /// Whether somebody waits for the next turn.
    pub fn is_wanted(&self) -> bool {
        self.0.lanes.borrow().is_wanted()
    }

    /// A new source of bytes.
    pub fn source(&self, lane: Lane) -> Rc<Source> {
        let now = Instant::now();
        Rc::new(Source {
            pace: self.clone(),
            id: self.0.next_id.replace(self.0.next_id.get() + 1),
            lane: Cell::new(lane),
            waits_in: Cell::new(None),
            is_parting: Cell::new(false),
            began: Cell::new(now),
            read_len: Cell::new(0),
            has_read: Cell::new(false),
            messages: RefCell::new(Rate::new(MESSAGES, now)),
            bytes: RefCell::new(Rate::new(BYTES, now)),
        })
    }

    fn wake_next(&self) {
        for source in self.0.lanes.borrow().next() {
            if let Some(waker) = self.0.waiting.borrow_mut().remove(&source) {
                waker.wake();
            }
        }
    }
}

/// One source of bytes.
pub struct Source {
    pace: Pace,
    id: u64,
    lane: Cell<Lane>,
    /// The line that it waits in.
    waits_in: Cell<Option<Lane>>,
    is_parting: Cell<bool>,
    /// When the running piece of work began, and what it has read.
    began: Cell<Instant>,
    read_len: Cell<usize>,
    has_read: Cell<bool>,
    messages: RefCell<Rate>,
    bytes: RefCell<Rate>,
}

impl Source {
    /// Runs the source's task in its turns.
    pub fn run<F: Future>(self: &Rc<Self>, task: F) -> Paced<F> {
        Paced { source: self.clone(), task: Box::pin(task) }
    }

    /// Reads in pieces, and at the rate of the source.
    pub fn meter<S>(self: &Rc<Self>, stream: S) -> Metered<S> {
        Metered { source: self.clone(), stream, pause: None }
    }

    /// It is known to be of a trunk or a registered softphone from now on.
    pub fn become_own(&self) {
        self.lane.set(Lane::Own);
    }

    /// Whether it is known to be of a trunk or a registered softphone.
    pub fn is_own(&self) -> bool {
        self.lane.get() == Lane::Own
    }

    /// What still comes is thrown away: it needs no rate.
    pub fn part(&self) {
        self.is_parting.set(true);
    }

    /// Whether any byte has come.
    pub fn has_read(&self) -> bool {
        self.has_read.get()
    }

    /// One message came; how long no other may be taken.
    pub fn take_message(&self) -> Duration {
        let now = Instant::now();
        if self.is_own() {
            return Duration::ZERO;
        }
        self.messages.borrow_mut().take(now, 1).max(self.pace.0.messages.borrow_mut().take(now, 1))
    }

    /// Lets others have their turn, if it is time.
    pub async fn rest(&self) {
        if self.is_over() {
            yield_now().await;
        }
    }

    fn is_over(&self) -> bool {
        let is_much = !self.is_parting.get() && self.read_len.get() >= PIECE_LEN;
        is_much || self.began.get().elapsed() >= PIECE
    }

    fn take_bytes(&self, len: usize) -> Duration {
        self.has_read.set(true);
        self.read_len.set(self.read_len.get() + len);
        if self.is_own() || self.is_parting.get() {
            return Duration::ZERO;
        }
        let now = Instant::now();
        self.bytes.borrow_mut().take(now, len).max(self.pace.0.bytes.borrow_mut().take(now, len))
    }

    /// Whether the next piece of work may begin; else the waker is called when it may.
    fn begin(&self, waker: &Waker) -> bool {
        let state = &*self.pace.0;
        let lane = self.waits_in.get().unwrap_or(self.lane.get());
        if !state.lanes.borrow_mut().admits(lane, self.id) {
            state.waiting.borrow_mut().insert(self.id, waker.clone());
            if self.waits_in.replace(Some(lane)).is_none() {
                state.lanes.borrow_mut().wait(lane, self.id);
                state.wanted.set();
            }
            return false;
        }
        if self.waits_in.take().is_some() {
            state.waiting.borrow_mut().remove(&self.id);
        }
        self.began.set(Instant::now());
        self.read_len.set(0);
        true
    }

    fn end(&self, lane: Lane) {
        self.pace.0.lanes.borrow_mut().spend(lane, self.began.get().elapsed());
        self.pace.wake_next();
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        if let Some(lane) = self.waits_in.get() {
            self.pace.0.lanes.borrow_mut().leave(lane, self.id);
            self.pace.0.waiting.borrow_mut().remove(&self.id);
            self.pace.wake_next();
        }
    }
}

/// A task that works in its turns.
pub struct Paced<F> {
    source: Rc<Source>,
    task: Pin<Box<F>>,
}

impl<F: Future> Future for Paced<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        if !self.source.begin(context.waker()) {
            return Poll::Pending;
        }
        let lane = self.source.lane.get();
        let polled = self.task.as_mut().poll(context);
        self.source.end(lane);
        polled
    }
}

/// A stream that is read in pieces.
pub struct Metered<S> {
    source: Rc<Source>,
    stream: S,
    /// Until the rate allows more.
    pause: Option<Timer>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let Metered { source, stream, pause } = &mut *self;
        if let Some(pause) = pause
            && !source.is_parting.get()
            && Pin::new(pause).poll(context).is_pending()
        {
            return Poll::Pending;
        }
        *pause = None;
        if source.is_over() {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let read = Pin::new(stream).poll_read(context, bytes);
        if let Poll::Ready(Ok(len)) = read {
            let wait = source.take_bytes(len);
            *pause = (!wait.is_zero()).then(|| Timer::new(wait));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // B01
    #[test]
    fn strangers_have_a_rate_each_and_all_together_and_nobody_else_has() {
        let pace = Pace::new(Rc::default());
        let take = |lane: Lane, messages: usize, len: usize| {
            let source = pace.source(lane);
            let waits = (0..messages).map(|_| source.take_message());
            waits.max().unwrap_or_default().max(source.take_bytes(len))
        };
        assert_eq!(take(Lane::Strangers, 60, 128 * 1024), Duration::ZERO, "the bursts");
        assert!(take(Lane::Strangers, 70, 0) > Duration::from_millis(200));
        assert!(take(Lane::Strangers, 0, 192 * 1024) > Duration::from_secs(1));
        assert_eq!(take(Lane::Own, 10_000, 100 << 20), Duration::ZERO);
        let source = pace.source(Lane::Strangers);
        source.take_bytes(1 << 20);
        source.become_own();
        assert_eq!(source.take_message().max(source.take_bytes(1)), Duration::ZERO);

        // Those of many addresses, none of whom has more than its own burst.
        let wait = (0..100).map(|_| take(Lane::Strangers, 60, 0)).max();
        assert!(wait > Some(Duration::from_secs(1)), "{wait:?}");
        let wait = (0..100).map(|_| take(Lane::Strangers, 0, 128 * 1024)).max();
        assert!(wait > Some(Duration::from_secs(1)), "{wait:?}");
        assert_eq!(take(Lane::Own, 10_000, 100 << 20), Duration::ZERO);
    }
}
