//! What of an INVITE the next process must know to leave its phones if this one dies, and an INVITE
//! of a process that died. A softphone's dialog ends with its connection, so nothing is noted of
//! it.

use super::{ForkState, Invitation, Stage};
use crate::call::shard::{Owner, Resources};
use crate::event::Output;
use crate::flow::{Flow, Transport};
use crate::message::{self, Method, Request};
use crate::remains::{Note, Remains};
use crate::transaction::TransactionId;
use ipnet::IpNet;
use std::net::IpAddr;

impl Invitation {
    /// An INVITE that an earlier process sent and that got no final response as far as that one
    /// noted, whose transaction was taken over.
    pub fn inherited(
        owner: Owner,
        flow: Flow,
        signal_from: Vec<IpNet>,
        invite: Request,
        transaction: TransactionId,
    ) -> Invitation {
        let sent = Invitation::sent(owner, flow, invite, transaction);
        Invitation { signal_from, stage: Stage::Proceeding, is_noted: true, ..sent }
    }

    /// Notes what has changed of what there is to say to its peers.
    pub fn note_remains(&mut self, shard: &mut Resources) {
        if self.flow.transport == Transport::Wss {
            return;
        }
        for index in 0..self.forks.len() {
            let fork = &self.forks[index];
            let course = (fork.dialog.local_cseq(), fork.dialog.target());
            let noted = fork.noted.as_ref().map(|(cseq, target)| (*cseq, target.as_str()));
            let stands = match fork.state {
                ForkState::Confirmed => noted != Some(course),
                ForkState::Leaving(_) => noted.is_none(),
                ForkState::Early | ForkState::Over => false,
            };
            let is_gone =
                noted.is_some() && matches!(fork.state, ForkState::Early | ForkState::Over);
            let key = || format!("{}/{index}", self.call_id());
            if stands {
                let mut request = fork.dialog.next_bye(self.invite_via());
                self.authority.sign_ahead(shard, &mut request);
                let flow @ Flow { transport, remote, .. } = self.flow_in(index);
                let (local, signal_from) = (local(shard, flow), self.signal_from.clone());
                let remains =
                    Remains { key: key(), transport, remote, local, signal_from, request };
                shard.output.push_back(Output::Note(Note::Standing(remains)));
                let noted = (course.0, course.1.to_owned());
                self.forks[index].noted = Some(noted);
            } else if is_gone {
                shard.output.push_back(Output::Note(Note::Gone { key: key() }));
                self.forks[index].noted = None;
            }
        }
        let is_out = matches!(self.stage, Stage::Calling | Stage::Proceeding);
        if is_out != self.is_noted {
            self.is_noted = is_out;
            let key = self.call_id().to_owned();
            let note = if is_out {
                let request = message::same_hop(&self.invite, Method::Invite);
                Note::Standing(Remains {
                    key,
                    transport: self.flow.transport,
                    remote: self.flow.remote,
                    local: local(shard, self.flow),
                    signal_from: self.signal_from.clone(),
                    request,
                })
            } else {
                Note::Gone { key }
            };
            shard.output.push_back(Output::Note(note));
        }
    }
}

/// Address of the interface of a flow, unless that is the default one.
fn local(shard: &Resources, flow: Flow) -> Option<IpAddr> {
    (shard.config.interface_of(flow) != 0).then_some(flow.local.ip())
}
