//! Flows that failed, told once each after whoever found out has returned: one task for all,
//! however many failures a peer causes.

use super::StreamEvent;
use futures_lite::future::yield_now;
use media_shard::signal::Signal;
use sip_core::flow::{Flow, FlowFault};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

/// Flows whose failure is still to be told.
#[derive(Default)]
pub struct Failures {
    flows: RefCell<HashMap<Flow, FlowFault>>,
    filled: Signal,
}

impl Failures {
    /// Notes a flow; it is told once, after the caller has returned.
    pub fn tell_later(&self, flow: Flow, fault: FlowFault) {
        self.flows.borrow_mut().insert(flow, fault);
        self.filled.set();
    }

    /// Tells them for ever.
    pub async fn tell(self: Rc<Self>, events: Rc<dyn Fn(StreamEvent<'_>)>) {
        loop {
            self.filled.wait().await;
            // A woken task may run at once, within the caller.
            yield_now().await;
            for (flow, fault) in self.flows.take() {
                events(StreamEvent::Failed { flow, fault });
            }
        }
    }
}
