//! The INVITE server transaction: RFC 3261 §17.2.1 and RFC 6026 §7.1 (Accepted, timer L).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Output, Reliability, ServerInput, Timers};
use crate::message::{Method, Request, Response, print_response, respond};

/// How long the user may take before a 100 is sent for it (§17.2.1).
const TRYING_AFTER: Duration = Duration::from_millis(200);

#[derive(Debug)]
enum State {
    /// `trying` is the 100 that is sent unless the user is quicker; `last` what a retransmission is
    /// answered with.
    Proceeding {
        trying: Option<(Instant, Arc<[u8]>)>,
        last: Option<Arc<[u8]>>,
    },
    /// `interval` is timer G's present length.
    Completed {
        bytes: Arc<[u8]>,
        timer_g: Option<Instant>,
        interval: Duration,
        timer_h: Instant,
    },
    Confirmed {
        timer_i: Instant,
    },
    Accepted {
        timer_l: Instant,
    },
    Terminated,
}

/// One INVITE that came to us.
#[derive(Debug)]
pub struct ServerInvite {
    timers: Timers,
    reliability: Reliability,
    state: State,
    outputs: VecDeque<Output>,
}

impl ServerInvite {
    /// Starts with an INVITE that the user already has.
    pub fn new(now: Instant, invite: &Request, reliability: Reliability, timers: Timers) -> Self {
        let trying: Arc<[u8]> = print_response(&respond(invite, 100, "")).into();
        let state = State::Proceeding { trying: Some((now + TRYING_AFTER, trying)), last: None };
        Self { timers, reliability, state, outputs: VecDeque::new() }
    }

    pub fn handle_input(&mut self, now: Instant, input: ServerInput) {
        match input {
            ServerInput::Request(request) if request.method == Method::Ack => {
                self.handle_ack(now, request)
            }
            ServerInput::Request(_) => self.handle_retransmission(),
            ServerInput::Response(response) => self.handle_response(now, &response),
            ServerInput::TransportError if matches!(self.state, State::Terminated) => {}
            // RFC 6026 §7.1: the user is told, the transaction stays.
            ServerInput::TransportError => self.outputs.push_back(Output::TransportError),
        }
    }

    fn handle_ack(&mut self, now: Instant, ack: Request) {
        match self.state {
            State::Completed { .. } => match self.reliability {
                Reliability::Reliable => self.terminate(),
                Reliability::Unreliable => {
                    self.state = State::Confirmed { timer_i: now + self.timers.t4 }
                }
            },
            State::Accepted { .. } => self.outputs.push_back(Output::Request(ack)),
            State::Proceeding { .. } | State::Confirmed { .. } | State::Terminated => {}
        }
    }

    fn handle_retransmission(&mut self) {
        match &mut self.state {
            State::Proceeding { last: Some(bytes), .. } | State::Completed { bytes, .. } => {
                self.outputs.push_back(Output::Transmit(bytes.clone()));
            }
            // The peer waits already: the 100 need not wait any more.
            State::Proceeding { trying, last } => {
                if let Some((_, bytes)) = trying.take() {
                    self.outputs.push_back(Output::Transmit(bytes.clone()));
                    *last = Some(bytes);
                }
            }
            State::Confirmed { .. } | State::Accepted { .. } | State::Terminated => {}
        }
    }

    fn handle_response(&mut self, now: Instant, response: &Response) {
        let code = response.status_code.code();
        match &mut self.state {
            State::Proceeding { trying, last } => {
                let bytes: Arc<[u8]> = print_response(response).into();
                self.outputs.push_back(Output::Transmit(bytes.clone()));
                match code {
                    100..200 => {
                        *trying = None;
                        *last = Some(bytes);
                    }
                    200..300 => {
                        self.state = State::Accepted { timer_l: now + self.timers.patience() }
                    }
                    _ => {
                        self.state = State::Completed {
                            bytes,
                            timer_g: (self.reliability == Reliability::Unreliable)
                                .then(|| now + self.timers.t1),
                            interval: self.timers.t1,
                            timer_h: now + self.timers.patience(),
                        };
                    }
                }
            }
            // The user retransmits its 2xx through us until the ACK comes (RFC 6026 §7.1, RFC 3261
            // §13.3.1.4).
            State::Accepted { .. } if (200..300).contains(&code) => {
                self.outputs.push_back(Output::Transmit(print_response(response).into()));
            }
            State::Accepted { .. }
            | State::Completed { .. }
            | State::Confirmed { .. }
            | State::Terminated => {}
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
            State::Proceeding { trying, .. } => trying.as_ref().map(|(due, _)| *due),
            State::Completed { timer_g, timer_h, .. } => {
                Some(timer_g.map_or(*timer_h, |timer_g| timer_g.min(*timer_h)))
            }
            State::Confirmed { timer_i } => Some(*timer_i),
            State::Accepted { timer_l } => Some(*timer_l),
            State::Terminated => None,
        }
    }

    pub fn handle_timeout(&mut self, now: Instant) {
        match &mut self.state {
            State::Proceeding { trying: Some((due, _)), .. } if *due <= now => {
                self.handle_retransmission()
            }
            State::Completed { timer_h, .. } if *timer_h <= now => {
                self.outputs.push_back(Output::Timeout);
                self.terminate();
            }
            State::Completed { bytes, timer_g: Some(timer_g), interval, .. } if *timer_g <= now => {
                *interval = (*interval * 2).min(self.timers.t2);
                *timer_g = now + *interval;
                self.outputs.push_back(Output::Transmit(bytes.clone()));
            }
            State::Confirmed { timer_i: due } | State::Accepted { timer_l: due } if *due <= now => {
                self.terminate()
            }
            _ => {}
        }
    }
}
