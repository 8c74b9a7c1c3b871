//! The non-INVITE server transaction: RFC 3261 §17.2.2.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::{Output, Reliability, ServerInput, Timers};
use crate::message::{Response, print_response};

#[derive(Debug)]
enum State {
    Trying,
    Proceeding { last: Arc<[u8]> },
    Completed { last: Arc<[u8]>, timer_j: Instant },
    Terminated,
}

/// One request other than INVITE and ACK that came to us.
#[derive(Debug)]
pub struct ServerNonInvite {
    timers: Timers,
    reliability: Reliability,
    state: State,
    outputs: VecDeque<Output>,
}

impl ServerNonInvite {
    /// Starts with a request that the user already has.
    pub fn new(reliability: Reliability, timers: Timers) -> Self {
        Self { timers, reliability, state: State::Trying, outputs: VecDeque::new() }
    }

    pub fn handle_input(&mut self, now: Instant, input: ServerInput) {
        match input {
            ServerInput::Request(_) => match &self.state {
                State::Proceeding { last } | State::Completed { last, .. } => {
                    self.outputs.push_back(Output::Transmit(last.clone()));
                }
                State::Trying | State::Terminated => {}
            },
            ServerInput::Response(response) => self.handle_response(now, &response),
            ServerInput::TransportError if matches!(self.state, State::Terminated) => {}
            ServerInput::TransportError => {
                self.outputs.push_back(Output::TransportError);
                self.terminate();
            }
        }
    }

    fn handle_response(&mut self, now: Instant, response: &Response) {
        if !matches!(self.state, State::Trying | State::Proceeding { .. }) {
            return;
        }
        let last: Arc<[u8]> = print_response(response).into();
        self.outputs.push_back(Output::Transmit(last.clone()));
        match self.reliability {
            _ if response.status_code.code() < 200 => self.state = State::Proceeding { last },
            Reliability::Reliable => self.terminate(),
            Reliability::Unreliable => {
                self.state = State::Completed { last, timer_j: now + self.timers.patience() }
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
            State::Completed { timer_j, .. } => Some(timer_j),
            State::Trying | State::Proceeding { .. } | State::Terminated => None,
        }
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        if matches!(self.state, State::Completed { timer_j, .. } if timer_j <= now) {
            self.terminate();
        }
    }
}
