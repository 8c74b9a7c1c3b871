//! The non-INVITE client transaction: RFC 3261 §17.1.2.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{ClientInput, Output, Reliability, Timers};
use crate::message::{Request, print_request};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// `interval` is timer E's present length.
    Trying {
        timer_e: Option<Instant>,
        interval: Duration,
        timer_f: Instant,
    },
    Proceeding {
        timer_e: Option<Instant>,
        timer_f: Instant,
    },
    Completed {
        timer_k: Instant,
    },
    Terminated,
}

/// One request other than INVITE and ACK on its way to one hop.
#[derive(Debug)]
pub struct ClientNonInvite {
    timers: Timers,
    reliability: Reliability,
    bytes: Arc<[u8]>,
    state: State,
    outputs: VecDeque<Output>,
}

impl ClientNonInvite {
    /// Sends the request, whose top Via holds this transaction's branch.
    pub fn new(now: Instant, request: &Request, reliability: Reliability, timers: Timers) -> Self {
        let bytes: Arc<[u8]> = print_request(request).into();
        let state = State::Trying {
            timer_e: (reliability == Reliability::Unreliable).then(|| now + timers.t1),
            interval: timers.t1,
            timer_f: now + timers.patience(),
        };
        let outputs = VecDeque::from([Output::Transmit(bytes.clone())]);
        Self { timers, reliability, bytes, state, outputs }
    }

    pub fn handle_input(&mut self, now: Instant, input: ClientInput) {
        match (input, self.state) {
            (
                ClientInput::Response(_) | ClientInput::TransportError,
                State::Completed { .. } | State::Terminated,
            ) => {}
            (
                ClientInput::Response(response),
                State::Trying { timer_e, timer_f, .. } | State::Proceeding { timer_e, timer_f },
            ) => {
                let is_final = response.status_code.code() >= 200;
                self.outputs.push_back(Output::Response(response));
                match self.reliability {
                    _ if !is_final => self.state = State::Proceeding { timer_e, timer_f },
                    Reliability::Reliable => self.terminate(),
                    Reliability::Unreliable => {
                        self.bytes = Arc::default();
                        self.state = State::Completed { timer_k: now + self.timers.t4 }
                    }
                }
            }
            (ClientInput::TransportError, State::Trying { .. } | State::Proceeding { .. }) => {
                self.outputs.push_back(Output::TransportError);
                self.terminate();
            }
        }
    }

    fn terminate(&mut self) {
        self.state = State::Terminated;
        self.outputs.push_back(Output::Terminated);
    }

    pub fn poll_output(&mut self) -> Option<Output> {
        super::take_first(&mut self.outputs)
    }

    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.state {
            State::Trying { timer_e, timer_f, .. } | State::Proceeding { timer_e, timer_f } => {
                Some(timer_e.map_or(timer_f, |timer_e| timer_e.min(timer_f)))
            }
            State::Completed { timer_k } => Some(timer_k),
            State::Terminated => None,
        }
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        match &mut self.state {
            State::Trying { timer_f, .. } | State::Proceeding { timer_f, .. }
                if *timer_f <= now =>
            {
                self.outputs.push_back(Output::Timeout);
                self.terminate();
            }
            State::Trying { timer_e: Some(timer_e), interval, .. } if *timer_e <= now => {
                *interval = (*interval * 2).min(self.timers.t2);
                *timer_e = now + *interval;
                self.outputs.push_back(Output::Transmit(self.bytes.clone()));
            }
            State::Proceeding { timer_e: Some(timer_e), .. } if *timer_e <= now => {
                *timer_e = now + self.timers.t2;
                self.outputs.push_back(Output::Transmit(self.bytes.clone()));
            }
            State::Completed { timer_k } if *timer_k <= now => self.terminate(),
            _ => {}
        }
    }
}
