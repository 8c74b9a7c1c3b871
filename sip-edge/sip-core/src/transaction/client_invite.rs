//! The INVITE client transaction: RFC 3261 §17.1.1 and RFC 6026 §7.2 (Accepted, timer M).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use super::{ClientInput, Output, Reliability, Timers};
use crate::message::{Request, Response, ack_for, print_request};

#[derive(Debug)]
enum State {
    /// `interval` is timer A's present length; the bytes are the INVITE's.
    Calling {
        invite: Box<Request>,
        bytes: Arc<[u8]>,
        timer_a: Option<Instant>,
        interval: std::time::Duration,
        timer_b: Instant,
    },
    Proceeding {
        invite: Box<Request>,
    },
    Completed {
        ack: Arc<[u8]>,
        timer_d: Instant,
    },
    Accepted {
        timer_m: Instant,
    },
    Terminated,
}

/// One INVITE on its way to one hop.
#[derive(Debug)]
pub struct ClientInvite {
    timers: Timers,
    reliability: Reliability,
    state: State,
    outputs: VecDeque<Output>,
}

impl ClientInvite {
    /// Sends the INVITE, whose top Via holds this transaction's branch.
    pub fn new(now: Instant, invite: Request, reliability: Reliability, timers: Timers) -> Self {
        let bytes: Arc<[u8]> = print_request(&invite).into();
        let state = State::Calling {
            invite: Box::new(invite),
            bytes: bytes.clone(),
            timer_a: (reliability == Reliability::Unreliable).then(|| now + timers.t1),
            interval: timers.t1,
            timer_b: now + timers.patience(),
        };
        Self { timers, reliability, state, outputs: VecDeque::from([Output::Transmit(bytes)]) }
    }

    /// Goes on with an INVITE that an earlier process sent and that may have been answered
    /// provisionally: nothing is sent again.
    pub fn inherited(invite: Request, reliability: Reliability, timers: Timers) -> Self {
        Self {
            timers,
            reliability,
            state: State::Proceeding { invite: Box::new(invite) },
            outputs: VecDeque::new(),
        }
    }

    pub fn handle_input(&mut self, now: Instant, input: ClientInput) {
        match input {
            ClientInput::Response(response) => self.handle_response(now, response),
            ClientInput::TransportError
                if matches!(self.state, State::Terminated | State::Accepted { .. }) => {}
            // §17.1.4, and for the ACK §17.1.1.2: the user is told and the transaction ends.
            ClientInput::TransportError => {
                self.outputs.push_back(Output::TransportError);
                self.terminate();
            }
        }
    }

    fn handle_response(&mut self, now: Instant, response: Response) {
        let code = response.status_code.code();
        match std::mem::replace(&mut self.state, State::Terminated) {
            State::Calling { invite, .. } | State::Proceeding { invite } => match code {
                100..200 => {
                    self.outputs.push_back(Output::Response(response));
                    self.state = State::Proceeding { invite };
                }
                200..300 => {
                    self.outputs.push_back(Output::Response(response));
                    self.state = State::Accepted { timer_m: now + self.timers.patience() };
                }
                _ => {
                    let ack: Arc<[u8]> = print_request(&ack_for(&invite, &response)).into();
                    self.outputs.push_back(Output::Transmit(ack.clone()));
                    self.outputs.push_back(Output::Response(response));
                    match self.reliability {
                        Reliability::Reliable => self.terminate(),
                        Reliability::Unreliable => {
                            self.state =
                                State::Completed { ack, timer_d: now + self.timers.timer_d() }
                        }
                    }
                }
            },
            State::Completed { ack, timer_d } => {
                if code >= 300 {
                    self.outputs.push_back(Output::Transmit(ack.clone()));
                }
                self.state = State::Completed { ack, timer_d };
            }
            State::Accepted { timer_m } => {
                if (200..300).contains(&code) {
                    self.outputs.push_back(Output::Response(response));
                }
                self.state = State::Accepted { timer_m };
            }
            State::Terminated => {}
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
        match &self.state {
            State::Calling { timer_a, timer_b, .. } => {
                Some(timer_a.map_or(*timer_b, |timer_a| timer_a.min(*timer_b)))
            }
            State::Proceeding { .. } | State::Terminated => None,
            State::Completed { timer_d, .. } => Some(*timer_d),
            State::Accepted { timer_m } => Some(*timer_m),
        }
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        match &mut self.state {
            State::Calling { timer_b, .. } if *timer_b <= now => {
                self.outputs.push_back(Output::Timeout);
                self.terminate();
            }
            State::Calling { bytes, timer_a: Some(timer_a), interval, .. } if *timer_a <= now => {
                *interval *= 2;
                *timer_a = now + *interval;
                self.outputs.push_back(Output::Transmit(bytes.clone()));
            }
            State::Completed { timer_d: due, .. } | State::Accepted { timer_m: due }
                if *due <= now =>
            {
                self.terminate()
            }
            _ => {}
        }
    }
}
