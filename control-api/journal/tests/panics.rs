//! A panic is a line of the log like any other: standard error may be one that nobody reads.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// What is logged.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<String>>);

impl Visit for Seen {
    fn record_debug(&mut self, _: &Field, value: &dyn Debug) {
        self.0.lock().unwrap().push_str(&format!("{value:?}\n"));
    }
}

impl Subscriber for Seen {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

// B12
#[test]
fn panics_are_told_by_the_log() {
    journal::tell_panics();
    let seen = Seen::default();
    let messages = ["a shard is amiss", "a request is amiss"];
    tracing::subscriber::with_default(seen.clone(), || {
        for message in messages {
            assert!(std::panic::catch_unwind(|| panic!("{message}")).is_err());
        }
    });
    let seen = seen.0.lock().unwrap();
    for message in messages {
        assert!(seen.contains(message), "{seen}");
    }
}
