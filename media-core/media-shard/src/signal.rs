//! A flag that one task of an executor waits for and others of the same executor set.

use std::cell::{Cell, RefCell};
use std::task::{Poll, Waker};

/// Remembers being set until the next wait. One waiting task at a time.
#[derive(Debug, Default)]
pub struct Signal {
    is_set: Cell<bool>,
    waiting: RefCell<Option<Waker>>,
}

impl Signal {
    /// Lets the waiting task, or else the next wait, go on.
    pub fn set(&self) {
        self.is_set.set(true);
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }

    /// Waits until the signal is set, and clears it.
    pub async fn wait(&self) {
        std::future::poll_fn(|context| {
            if self.is_set.take() {
                return Poll::Ready(());
            }
            self.waiting.replace(Some(context.waker().clone()));
            Poll::Pending
        })
        .await
    }
}
