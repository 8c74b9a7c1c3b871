//! Server-sent events (WHATWG HTML §9.2), plumbed once: a bounded queue from who tells to one
//! reader.

use axum::http::{HeaderName, HeaderValue};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendTimeoutError;

/// The reader takes nothing more, or is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

/// Tells one reader; the stream ends when it is dropped.
pub struct Outlet {
    sender: mpsc::Sender<Event>,
    is_cut: Arc<AtomicBool>,
}

impl Outlet {
    /// Waits for room as long as the reader is there.
    pub async fn send(&self, event: Event) -> Result<(), Gone> {
        self.sender.send(event).await.map_err(|_| Gone)
    }

    /// Cuts off a reader that makes no room in time.
    pub async fn send_within(&self, event: Event, patience: Duration) -> Result<(), Gone> {
        self.sender.send_timeout(event, patience).await.map_err(|error| {
            let is_slow = matches!(error, SendTimeoutError::Timeout(_));
            self.is_cut.store(is_slow, Ordering::SeqCst);
            Gone
        })
    }

    /// Until the reader is gone.
    pub async fn closed(&self) {
        self.sender.closed().await;
    }
}

/// A stream of events and who tells it; so many wait for a slow reader.
pub fn open(queue_cap: usize, keep_alive: Duration) -> (Outlet, Response) {
    let (sender, receiver) = mpsc::channel(queue_cap);
    let is_cut = Arc::new(AtomicBool::new(false));
    let outlet = Outlet { sender, is_cut: Arc::clone(&is_cut) };
    let events =
        futures_util::stream::unfold((receiver, is_cut), |(mut receiver, is_cut)| async move {
            let event: Option<Event> = receiver.recv().await;
            // Who was too slow reads what had waited for it, and then why it ends.
            let cut = || {
                is_cut
                    .swap(false, Ordering::SeqCst)
                    .then(|| Event::default().comment("too slow: come again with Last-Event-ID"))
            };
            let event = event.or_else(cut)?;
            Some((Ok::<_, Infallible>(event), (receiver, is_cut)))
        });
    let mut response =
        Sse::new(events).keep_alive(KeepAlive::new().interval(keep_alive)).into_response();
    // Proxies must not gather what is meant to arrive at once.
    response
        .headers_mut()
        .insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    (outlet, response)
}
