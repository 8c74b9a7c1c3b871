//! One INVITE and all that grows out of it: provisional responses, reliable ones too (RFC 3262),
//! forks, what it is sent again for, CANCEL, the 2xx's ACK and the BYE (RFC 3261 §9.1, §13.2,
//! §15.1.1, §22), and our requests inside its dialog. Once abandoned it leaves whatever dialog
//! still arises. Knows no media and no other leg.

pub mod credentials;
pub mod echo;
mod farewell;
pub mod identity;
mod inside;
mod reach;
mod remains;
pub mod request;
mod retry;
pub mod session_timer;

use super::context::Context;
use super::release::Release;
use super::shard::Owner;
use crate::dialog::Dialog;
use crate::flow::{Flow, Transport};
use crate::message::{self, Body, Method, Request, RequestParts, Response, View};
use crate::outcome::{Failure, Rang};
use crate::transaction::TransactionId;
use call_words::MilestoneKind;
use credentials::Authority;
use inside::{Errand, Reinvite};
use ipnet::IpNet;
use session_timer::{SessionTimer, Watch};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Most forks of one INVITE; early dialogs beyond it are not followed, a 2xx always is.
const MAX_FORK_COUNT: usize = 8;
/// 64·T1: how long the final response to a cancelled INVITE is waited for (RFC 3261 §9.1).
const CANCEL_WAIT: Duration = Duration::from_secs(32);

/// What came of an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    Nothing,
    /// A provisional response above 100, with its SDP.
    /// `first` is set for the first 180 or its kin: the phone begins to ring.
    Ringing {
        code: u16,
        first: bool,
        sdp: Option<Vec<u8>>,
    },
    /// The first 2xx, already acknowledged, with its SDP, or that of its early dialog; `fork` is
    /// the place of its dialog.
    Answered {
        code: u16,
        fork: usize,
        sdp: Option<Vec<u8>>,
    },
    /// With the contacts of a 3xx, the best first.
    Failed(Failure, Vec<String>),
    /// The final response to our INFO, `None` after a timeout.
    Informed {
        code: Option<u16>,
    },
    /// The final response to our UPDATE, `None` after a timeout.
    Refreshed {
        code: Option<u16>,
    },
    /// The final response to our re-INVITE, `None` after a timeout; a 2xx is acknowledged.
    Reoffered {
        code: Option<u16>,
        sdp: Option<Vec<u8>>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// No response yet.
    Calling,
    /// A provisional response came, so that CANCEL may be sent.
    Proceeding,
    Answered,
    /// A final failure, or none in time.
    Over,
}

/// How far one dialog of an INVITE has come (RFC 3261 §13.2.2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForkState {
    Early,
    Confirmed,
    /// BYE is sent in this transaction.
    Leaving(TransactionId),
    Over,
}

/// A dialog of this INVITE, one for each To tag.
pub struct Fork {
    pub dialog: Dialog,
    pub state: ForkState,
    /// Kept for retransmissions of the 2xx (RFC 3261 §13.2.2.4).
    ack: Option<Arc<[u8]>>,
    /// RSeq of the last provisional response that PRACK has acknowledged (RFC 3262 §4).
    rseq: Option<u32>,
    /// The last description of a provisional response.
    early_sdp: Option<Vec<u8>>,
    /// It came reliably, so that our offer is answered (RFC 3262 §5).
    is_offer_answered: bool,
    bye: Option<Request>,
    bye_challenged: bool,
    /// Our CSeq number and the remote target as they were noted for the next process, if they were.
    noted: Option<(u32, String)>,
}

/// One INVITE of ours with all dialogs that it makes, until each is confirmed or left.
pub struct Invitation {
    owner: Owner,
    flow: Flow,
    signal_from: Vec<IpNet>,
    authority: Authority,
    contact: String,
    invite: Request,
    /// Gone when the transaction has ended, which for a 2xx is only after its retransmissions (RFC
    /// 6026).
    transaction: Option<TransactionId>,
    stage: Stage,
    pub rang: Rang,
    /// A 180, 181 or 182 came.
    alerted: bool,
    challenged: bool,
    stale_challenged: bool,
    abandoned: bool,
    /// Why, once it is.
    release: Release,
    cancel_deadline: Option<Instant>,
    forks: Vec<Fork>,
    reinvite: Option<Reinvite>,
    errands: Vec<Errand>,
    pub timer: SessionTimer,
    /// That responses are ignored is told once.
    is_ignoring_told: bool,
    /// Whether the next process would know that it is to be cancelled.
    is_noted: bool,
}

impl Invitation {
    /// Sends the INVITE with this offer; `None` when the table of transactions is full.
    pub fn send(
        cx: &mut Context<'_>,
        owner: Owner,
        target: request::Target,
        sdp: &str,
    ) -> Option<Invitation> {
        let request::Target { flow, uri, from, to, headers, credentials, signal_from } = target;
        let contact = request::contact(cx, owner.call, flow);
        let call_id = cx.shard.entropy.token();
        let tag = cx.shard.entropy.token();
        let via = request::via(cx, flow);
        let invite = message::request(&RequestParts {
            method: Method::Invite,
            target: &uri,
            routes: &[],
            via: &via,
            from: &format!("{from};tag={tag}"),
            to: &to,
            call_id: &call_id,
            cseq: 1,
            contact: Some(&contact),
            extra: headers,
            body: Some(Body { content_type: request::SDP, bytes: sdp.as_bytes() }),
        });
        let transaction = cx.shard.send_request(cx.now, invite.clone(), flow, owner)?;
        cx.shard.dialogs.insert(call_id, owner);
        let sent = Invitation::sent(owner, flow, invite, transaction);
        Some(Invitation { signal_from, authority: Authority::new(credentials), contact, ..sent })
    }

    /// An INVITE that is on its way, without what is known of its trunk.
    fn sent(owner: Owner, flow: Flow, invite: Request, transaction: TransactionId) -> Invitation {
        Invitation {
            owner,
            flow,
            signal_from: Vec::new(),
            authority: Authority::new(None),
            contact: String::new(),
            invite,
            transaction: Some(transaction),
            stage: Stage::Calling,
            rang: Rang::No,
            alerted: false,
            challenged: false,
            stale_challenged: false,
            abandoned: false,
            release: Release::Normal,
            cancel_deadline: None,
            forks: Vec::new(),
            reinvite: None,
            errands: Vec::new(),
            timer: SessionTimer::new(match flow.transport {
                Transport::Wss => Watch::Nobody,
                _ => Watch::Peer,
            }),
            is_ignoring_told: false,
            is_noted: false,
        }
    }

    /// Whether any response came.
    pub fn is_proceeding(&self) -> bool {
        self.stage != Stage::Calling
    }

    /// Nothing more can come of it.
    pub fn is_over(&self) -> bool {
        self.transaction.is_none() && self.is_left()
    }

    /// Keeps no more than what answers its late responses.
    pub fn shed(&mut self) {
        self.invite.body = Vec::new();
    }

    /// Call-ID under which its requests are found.
    pub fn call_id(&self) -> &str {
        self.invite.call_id().unwrap_or_default()
    }

    /// Via of the INVITE.
    fn invite_via(&self) -> &str {
        self.invite.value("Via").unwrap_or_default()
    }

    /// The dialog that a request of the peer belongs to.
    pub fn fork_of(&mut self, request: &Request) -> Option<&mut Fork> {
        self.forks.iter_mut().find(|fork| fork.dialog.owns(request))
    }

    /// The place of the early dialog that a request of the peer belongs to, if our offer is
    /// answered in it: then the peer may offer (RFC 3311 §5.1).
    pub fn agreed_early(&self, request: &Request) -> Option<usize> {
        let at = self.forks.iter().position(|fork| fork.dialog.owns(request))?;
        let fork = &self.forks[at];
        let may_offer = fork.state == ForkState::Early && fork.is_offer_answered;
        (!self.abandoned && may_offer).then_some(at)
    }

    /// Takes a response to the INVITE, to a re-INVITE, to a BYE or to an errand; those to CANCEL
    /// need nothing (RFC 3261 §9.1).
    pub fn handle_response(
        &mut self,
        cx: &mut Context<'_>,
        transaction: TransactionId,
        response: &Response,
    ) -> Progress {
        if self.transaction != Some(transaction) {
            if let Some(progress) = self.handle_reinvite_response(cx, transaction, response) {
                return progress;
            }
            self.handle_bye_response(cx, transaction, response);
            return self.handle_errand_response(cx, transaction, response);
        }
        match response.status_code.code() {
            100..200 => self.handle_provisional(cx, response),
            200..300 => self.handle_success(cx, response),
            _ => self.handle_failure(cx, response),
        }
    }

    fn handle_provisional(&mut self, cx: &mut Context<'_>, response: &Response) -> Progress {
        let code = response.status_code.code();
        let first = self.stage == Stage::Calling;
        if first {
            self.stage = Stage::Proceeding;
        }
        if self.abandoned {
            // §9.1: CANCEL waits for the first provisional response.
            if first {
                self.send_cancel(cx);
            }
            return Progress::Nothing;
        }
        if self.stage != Stage::Proceeding {
            return Progress::Nothing;
        }
        if code == 100 {
            if first {
                cx.milestone(Some(self.owner.leg), MilestoneKind::Trying, Some(code), None);
            }
            return Progress::Nothing;
        }
        if (180..190).contains(&code) {
            self.rang = Rang::Yes;
        }
        let rings = matches!(code, 180..=182);
        let first = rings && !self.alerted;
        self.alerted |= rings;
        let tag = response.to_tag().unwrap_or_default().to_owned();
        if self.forks.len() < MAX_FORK_COUNT
            && !self.forks.iter().any(|fork| fork.dialog.remote_tag() == tag)
        {
            let fork = Dialog::of_response(&self.invite, response).map(Fork::new);
            self.forks.reserve_exact(fork.iter().len());
            self.forks.extend(fork);
        }
        let at = self.forks.iter().position(|fork| fork.dialog.remote_tag() == tag);
        let rseq = response.rseq().filter(|_| response.requires("100rel"));
        if let (Some(at), Some(rseq)) = (at, rseq)
            && !self.acknowledge_provisional(cx, at, rseq)
        {
            // Repeated, or ahead of one that is still to come (RFC 3262 §4).
            return Progress::Nothing;
        }
        let sdp = request::sdp_of(response);
        if let (Some(at), Some(sdp)) = (at, &sdp) {
            self.forks[at].early_sdp = Some(sdp.clone());
            self.forks[at].is_offer_answered |= rseq.is_some();
        }
        Progress::Ringing { code, first, sdp }
    }

    fn handle_success(&mut self, cx: &mut Context<'_>, response: &Response) -> Progress {
        let tag = response.to_tag().unwrap_or_default().to_owned();
        let index = match self.forks.iter().position(|fork| fork.dialog.remote_tag() == tag) {
            Some(index) => index,
            None => match Dialog::of_response(&self.invite, response)
                .filter(|_| self.forks.len() < 2 * MAX_FORK_COUNT)
            {
                Some(dialog) => {
                    self.forks.reserve_exact(1);
                    self.forks.push(Fork::new(dialog));
                    self.forks.len() - 1
                }
                None => {
                    self.ignore_response(cx, response);
                    return Progress::Nothing;
                }
            },
        };
        let fork = &mut self.forks[index];
        if let Some(ack) = fork.ack.clone() {
            // A retransmission of the 2xx gets the ACK again, whatever became of the dialog.
            cx.shard.send(cx.now, self.flow_in(index), ack, Some(self.owner));
            return Progress::Nothing;
        }
        fork.dialog.confirm(response);
        fork.state = ForkState::Confirmed;
        let via = request::via(cx, self.flow);
        let ack = fork.dialog.ack(&via, request::credentials_of(&self.invite));
        let ack: Arc<[u8]> = message::print_request(&ack).into();
        fork.ack = Some(ack.clone());
        cx.shard.send(cx.now, self.flow_in(index), ack, Some(self.owner));
        let first = self.stage != Stage::Answered;
        self.stage = Stage::Answered;
        self.cancel_deadline = None;
        if self.abandoned || !first {
            // A 200 that crossed our CANCEL, or another fork's: that phone is hung up at once.
            let release = if self.abandoned { self.release } else { Release::Elsewhere };
            self.leave(cx, index, release);
            return Progress::Nothing;
        }
        self.timer.take_answer(cx.now, response);
        let early = self.forks[index].early_sdp.take();
        Progress::Answered {
            code: response.status_code.code(),
            fork: index,
            sdp: request::sdp_of(response).or(early),
        }
    }

    fn handle_failure(&mut self, cx: &mut Context<'_>, response: &Response) -> Progress {
        let code = response.status_code.code();
        if self.stage == Stage::Answered {
            return Progress::Nothing;
        }
        self.stage = Stage::Over;
        // The transaction acknowledges retransmissions by itself.
        self.transaction = None;
        self.cancel_deadline = None;
        self.forks.clear();
        if self.abandoned {
            return Progress::Nothing;
        }
        if self.try_again(cx, response) {
            return Progress::Nothing;
        }
        let failure = Failure::Response { code, q850: response.q850_cause() };
        Progress::Failed(failure, request::redirections(response))
    }

    /// Tells that a final response changes nothing.
    pub fn ignore_response(&mut self, cx: &mut Context<'_>, response: &Response) {
        if !std::mem::replace(&mut self.is_ignoring_told, true) {
            let code = Some(response.status_code.code());
            let why = Some("the response belongs to no open request");
            cx.explained(Some(self.owner.leg), MilestoneKind::ResponseIgnored, code, None, why);
        }
    }

    /// The transaction got no final response, or its message could not be sent.
    pub fn handle_failed_transaction(
        &mut self,
        cx: &mut Context<'_>,
        transaction: TransactionId,
        failure: Failure,
    ) -> Progress {
        if self.transaction == Some(transaction) {
            self.transaction = None;
            if self.stage == Stage::Answered || self.stage == Stage::Over {
                return Progress::Nothing;
            }
            if self.stage == Stage::Proceeding
                && !self.abandoned
                && self.flow.transport != Transport::Wss
            {
                // The peer had the INVITE before its connection broke: over a new one, its phone is
                // kept from ringing on.
                self.release = Release::Unavailable;
                self.send_cancel(cx);
            }
            self.stage = Stage::Over;
            self.cancel_deadline = None;
            self.forks.clear();
            return if self.abandoned {
                Progress::Nothing
            } else {
                Progress::Failed(failure, Vec::new())
            };
        }
        if let Some(progress) = self.handle_failed_reinvite(transaction, failure) {
            return progress;
        }
        self.end_bye(transaction);
        self.end_errand(transaction, failure)
    }

    /// The transaction has ended in order.
    pub fn handle_terminated(&mut self, transaction: TransactionId) {
        if self.transaction == Some(transaction) {
            self.transaction = None;
        }
        self.end_reinvite(transaction);
        self.end_bye(transaction);
    }

    /// The flow is gone. Without an answer so far none will come; a dialog stays, for the softphone
    /// may come back to it.
    pub fn handle_lost_flow(&mut self, cx: &mut Context<'_>) {
        if let Some(transaction) = self.transaction.take() {
            cx.shard.transactions.terminate(transaction);
        }
        for fork in &mut self.forks {
            if let ForkState::Leaving(transaction) = fork.state {
                cx.shard.transactions.terminate(transaction);
                fork.end();
            }
        }
        if matches!(self.stage, Stage::Calling | Stage::Proceeding) {
            self.stage = Stage::Over;
            self.cancel_deadline = None;
            self.forks.clear();
        }
    }

    /// Requests inside the dialog go over this flow from now on (RFC 5626 §5.3, §6: the flow that a
    /// registration came over).
    pub fn rebind(&mut self, flow: Flow) {
        self.flow = flow;
    }

    /// Whether a 180, 181 or 182 came.
    pub fn is_alerted(&self) -> bool {
        self.alerted
    }

    /// Where the peer's messages come from.
    pub fn peer(&self) -> IpAddr {
        self.flow.remote.ip()
    }

    /// Whether its dialog stands and nobody has left it.
    pub fn is_answered(&self) -> bool {
        self.stage == Stage::Answered && !self.abandoned
    }

    /// Whether its messages may come from here.
    pub fn is_signalled_from(&self, source: IpAddr) -> bool {
        reach::is_signalled_from(self.flow, &self.signal_from, source)
    }

    /// Where requests inside a fork's dialog go.
    fn flow_in(&self, index: usize) -> Flow {
        reach::toward(&self.forks[index].dialog, self.flow, &self.signal_from)
    }

    /// Our Contact in its dialogs.
    pub fn contact(&self) -> &str {
        &self.contact
    }
}

impl Fork {
    fn new(dialog: Dialog) -> Fork {
        Fork {
            dialog,
            state: ForkState::Early,
            ack: None,
            rseq: None,
            early_sdp: None,
            is_offer_answered: false,
            bye: None,
            bye_challenged: false,
            noted: None,
        }
    }

    /// Its dialog is over: only its ACK may be asked for again.
    pub fn end(&mut self) {
        self.state = ForkState::Over;
        (self.bye, self.early_sdp) = (None, None);
    }
}
