//! What a shard reports of itself on the control link.

use super::Shard;
use crate::link::LinkPeer;
use control_wire::{Command, ControlRefusal, Folder, Folders, Hello, ShardStatus, VERSION};
use sip_core::flow::Transport;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// A shard as its link sees it.
pub(crate) struct LinkedShard {
    pub shard: Rc<RefCell<Shard>>,
    pub recordings: PathBuf,
    pub hold_audio: PathBuf,
}

impl LinkPeer for LinkedShard {
    fn hello(&self) -> Hello {
        let shard = self.shard.borrow();
        let outbox = shard.mailbox.outbox();
        Hello {
            version: VERSION,
            edge: shard.name.clone().into(),
            epoch: shard.epoch,
            shard: shard.plan.index,
            live_calls: shard.edge.live_calls().chain(outbox.ended_calls()).cloned().collect(),
            status: shard.status(),
            softphone_service: shard.softphone_service.clone(),
            softphones: shard.edge.softphones().cloned().collect(),
            folders: Some(Folders {
                recordings: folder(&self.recordings),
                hold_audio: folder(&self.hold_audio),
            }),
            keeps_trunks: true,
            tells_ladders: true,
            more: false,
        }
    }

    fn status(&self) -> ShardStatus {
        self.shard.borrow().status()
    }

    fn command(&self, command: Command) -> Result<(), ControlRefusal> {
        let Some(reading) = self.shard.borrow_mut().hold_audio_to_read(&command) else {
            return self.shard.borrow_mut().command(command);
        };
        glommio::spawn_local(reading.run(Rc::downgrade(&self.shard))).detach();
        self.shard.borrow_mut().command(command)
    }
}

fn folder(path: &Path) -> Folder {
    let identity = std::fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()));
    Folder {
        path: std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string(),
        identity,
    }
}

impl Shard {
    fn status(&self) -> ShardStatus {
        ShardStatus {
            draining: self.edge.is_draining(),
            call_count: self.edge.call_count() as u32,
            call_capacity: self.plan.call_capacity.into(),
            free_port_pairs: usize::from(self.plan.pair_count)
                .saturating_sub(self.edge.relay().leg_count()) as u32,
            counters: self.counters(),
        }
    }

    fn counters(&self) -> BTreeMap<String, u64> {
        let engine = self.engine.counters();
        let recorder = self.recorder.counters();
        let (handed_over, handover_full) = self.handover.as_ref().map_or((0, 0), |handover| {
            (handover.counters().handed.get(), handover.counters().full.get())
        });
        let own = [
            ("udp_received", engine.received),
            ("udp_sent", engine.sent),
            ("udp_send_would_block", engine.send_would_block),
            ("udp_send_failed", engine.send_failed),
            ("udp_receive_failed", engine.receive_failed),
            ("udp_discarded", engine.discarded),
            ("udp_batches", engine.batches),
            ("recording_written_len", recorder.written_len.get()),
            ("recording_overflowed", recorder.overflowed.get()),
            ("recording_failed", recorder.failed.get()),
            ("recording_finished", recorder.finished.get()),
            ("recording_damaged", recorder.damaged.get()),
            ("sip_handed_over", handed_over),
            ("sip_handover_full", handover_full),
            ("captures_started", self.captures.counts().started.get()),
            ("capture_dropped", self.captures.counts().dropped.get()),
            ("capture_failed", self.captures.counts().failed.get()),
            ("leg_notes_failed", self.journal.failed_count()),
            ("hold_audio_failed", self.hold_audio.failed_count()),
            // The process has one log.
            ("log_lines_lost", if self.plan.index == 0 { journal::lost_count() } else { 0 }),
            ("link_losses", self.mailbox.losses.get()),
            ("link_dropped_ladders", self.mailbox.dropped_ladders.get()),
            ("link_dropped_milestones", self.mailbox.outbox().dropped_milestones()),
        ];
        let websockets = self.websockets.iter().flat_map(|sockets| sockets.counters().iter());
        let hep = self.hep.iter().flat_map(|hep| {
            [("hep_sent", hep.sent_count.get()), ("hep_dropped", hep.dropped_count.get())]
        });
        let mut streams = BTreeMap::new();
        for interface in &self.streams {
            for (name, transport) in [("tcp", Transport::Tcp), ("tls", Transport::Tls)] {
                for (counter, count) in interface.of(transport).counters().iter() {
                    *streams.entry(format!("{name}_{counter}")).or_default() += count;
                }
            }
        }
        let websockets = websockets.map(|(name, count)| (name.to_string(), count));
        let streams = streams.into_iter().chain(websockets);
        let media =
            self.edge.relay().counters().map(|(name, count)| (format!("media_drop_{name}"), count));
        let sip = self.edge.counters().map(|(name, count)| (name.to_string(), count));
        own.into_iter()
            .chain(hep)
            .map(|(name, count)| (name.to_string(), count))
            .chain(media)
            .chain(sip)
            .chain(streams)
            .filter(|(_, count)| *count > 0)
            .collect()
    }
}
