//! The recording files of one shard: each is written by its own task through glommio's direct I/O,
//! in the order given, from a bounded queue. Running files are named `NAME.part`; a final one is
//! cut to its length, synced and renamed to `NAME`. One of which something could not be written is
//! cut to what is in it, and told so. What is written where is decided by `media_core::recording`.

use crate::foreign::lock;
use crate::recovery::{self, PART_SUFFIX};
use crate::signal::Signal;
use glommio::io::{BufferedFile, DmaBuffer, DmaFile, OpenOptions};
use media_core::recording::{Gaps, HEADER_LEN, Repair, duration_of};
use media_core::relay::RecordingId;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// Most writes that wait for the disk per recording: several seconds of both channels.
const QUEUE_LEN: usize = 64;
/// Bytes of a file that is read to learn about its device: at least one block of any.
const PROBE_LEN: usize = 4096;
/// Recordings that cannot be written are warned of at most this often.
const WARNING_PERIOD: Duration = Duration::from_secs(60);

/// What becomes of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Something of it could not be written; told once, while it runs or as it ends.
    Damaged { recording: RecordingId },
    /// Its file has its final name.
    Final { recording: RecordingId, file: FinalFile },
    /// There is no file of it.
    Lost { recording: RecordingId },
}

/// A file as it is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FinalFile {
    pub len: u64,
    /// How long it plays.
    pub duration: Duration,
    /// How much of that was written; the rest is silence.
    pub written: Duration,
    /// Whether all that was recorded is in it.
    pub is_whole: bool,
}

/// What the recorder did since it was made.
#[derive(Debug, Default)]
pub struct RecorderCounters {
    pub written_len: Cell<u64>,
    /// Writes dropped because the disk was too slow; they leave silence.
    pub overflowed: Cell<u64>,
    /// Writes, or steps of opening and finishing, that the system refused.
    pub failed: Cell<u64>,
    pub finished: Cell<u64>,
    /// Recordings of which something could not be written.
    pub damaged: Cell<u64>,
    /// When was warned last, and how many were damaged by then.
    warned: Cell<Option<(Instant, u64)>>,
}

impl RecorderCounters {
    /// Counts a recording that cannot be written, and says so unless it was said a short while ago.
    fn damage(&self, step: &str, error: &dyn Display) {
        count(&self.damaged);
        let (now, damaged) = (Instant::now(), self.damaged.get());
        let said = match self.warned.get() {
            Some((at, _)) if now < at + WARNING_PERIOD => return,
            Some((_, said)) => said,
            None => 0,
        };
        self.warned.set(Some((now, damaged)));
        tracing::warn!(step, %error, recordings = damaged - said,
            "recordings cannot be written whole");
    }
}

enum Job {
    Write { offset: u64, buffer: DmaBuffer },
    Finish { len: u64, duration: Duration },
    Abandon,
}

impl Job {
    fn is_for(&self, at: u64, len: usize) -> bool {
        matches!(self, Job::Write { offset, buffer } if *offset == at && buffer.len() == len)
    }
}

#[derive(Default)]
struct Queue {
    jobs: RefCell<VecDeque<Job>>,
    /// What could not be written.
    gaps: RefCell<Gaps>,
    filled: Signal,
}

/// Lets glommio learn, before the first recording of an executor is opened, whether the folder's
/// device can be polled for completions. It asks by reading the first file that is opened on a
/// device, and an empty one can be read anywhere; an executor that waits for completions by polling
/// never sleeps. Errors: the folder cannot be written.
pub async fn learn_device(folder: &Path) -> io::Result<()> {
    let path = folder.join(format!(".sip-edge-device-{}", glommio::executor().id()));
    std::fs::write(&path, [0; PROBE_LEN])?;
    // Without direct I/O there is nothing to learn.
    if let Ok(file) = DmaFile::open(&path).await {
        let _ = file.close().await;
    }
    std::fs::remove_file(&path)
}

/// Opens, feeds and finishes the recordings of one shard. Lives inside a glommio executor.
pub struct Recorder {
    folder: PathBuf,
    open: HashMap<RecordingId, Rc<Queue>>,
    counters: Rc<RecorderCounters>,
    tell: Rc<dyn Fn(Progress)>,
}

impl Recorder {
    /// `tell` is called from a task of its own: once a file is final or lost, and before if it will
    /// not be whole.
    pub fn new(folder: PathBuf, tell: impl Fn(Progress) + 'static) -> Self {
        Self { folder, open: HashMap::new(), counters: Rc::default(), tell: Rc::new(tell) }
    }

    /// Begins a file in the folder; `file_name` must be a plain name.
    pub fn open(&mut self, recording: RecordingId, file_name: &str) {
        if Path::new(file_name).file_name().is_none_or(|name| name != file_name) {
            count(&self.counters.failed);
            tracing::warn!("a recording's file name is not a plain name; it is not recorded");
            return;
        }
        let queue = Rc::<Queue>::default();
        self.open.insert(recording, queue.clone());
        let file = RunningFile {
            recording,
            path: self.folder.join(file_name),
            queue,
            counters: self.counters.clone(),
            tell: self.tell.clone(),
            is_damaged: Cell::new(false),
        };
        glommio::spawn_local(file.run()).detach();
    }

    /// Queues a write, in place of one that waits for the same bytes of the file (a header whose
    /// lengths have grown since); dropped and counted if the disk is too far behind.
    pub fn write(&mut self, recording: RecordingId, offset: u64, bytes: &[u8]) {
        let Some(queue) = self.open.get(&recording) else { return };
        let mut jobs = queue.jobs.borrow_mut();
        jobs.retain(|job| !job.is_for(offset, bytes.len()));
        if jobs.len() >= QUEUE_LEN {
            count(&self.counters.overflowed);
            queue.gaps.borrow_mut().add(offset..offset + bytes.len() as u64);
            return;
        }
        let mut buffer = glommio::allocate_dma_buffer(bytes.len());
        buffer.as_bytes_mut().copy_from_slice(bytes);
        jobs.push_back(Job::Write { offset, buffer });
        queue.filled.set();
    }

    /// Queues the end of the file after all that was written.
    pub fn finish(&mut self, recording: RecordingId, len: u64, duration: Duration) {
        if let Some(queue) = self.open.remove(&recording) {
            queue.jobs.borrow_mut().push_back(Job::Finish { len, duration });
            queue.filled.set();
        }
    }

    /// Recordings that are still written.
    pub fn open_count(&self) -> usize {
        self.open.len()
    }

    /// Counted since the start.
    pub fn counters(&self) -> &RecorderCounters {
        &self.counters
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        for queue in self.open.values() {
            queue.jobs.borrow_mut().push_back(Job::Abandon);
            queue.filled.set();
        }
    }
}

struct RunningFile {
    recording: RecordingId,
    path: PathBuf,
    queue: Rc<Queue>,
    counters: Rc<RecorderCounters>,
    tell: Rc<dyn Fn(Progress)>,
    is_damaged: Cell<bool>,
}

impl RunningFile {
    async fn run(self) {
        let mut part = self.path.clone().into_os_string();
        part.push(PART_SUFFIX);
        let part = PathBuf::from(part);
        let mut file = self.checked("open", File::create(&part).await);
        loop {
            let job = self.queue.jobs.borrow_mut().pop_front();
            match job {
                None => self.queue.filled.wait().await,
                Some(Job::Write { offset, buffer }) => {
                    if let Some(file) = &file {
                        self.write(file, offset, buffer).await;
                    }
                }
                Some(Job::Finish { len, duration }) => {
                    let (recording, file) = (self.recording, file.take());
                    match self.finish(file, part, len, duration).await {
                        Some(file) => {
                            count(&self.counters.finished);
                            (self.tell)(Progress::Final { recording, file });
                        }
                        None => (self.tell)(Progress::Lost { recording }),
                    }
                    return;
                }
                Some(Job::Abandon) => return,
            }
        }
    }

    async fn write(&self, file: &File, offset: u64, buffer: DmaBuffer) {
        let end = offset + buffer.len() as u64;
        let written_len = self.checked("write", file.write(buffer, offset).await).unwrap_or(0);
        let written_end = end.min(offset + written_len);
        self.counters.written_len.set(self.counters.written_len.get() + written_len);
        let mut gaps = self.queue.gaps.borrow_mut();
        gaps.remove(offset..written_end);
        gaps.add(written_end..end);
        drop(gaps);
        if written_end < end {
            self.damaged("write", &"the disk took a part of it only");
        } else if self.missing_len(u64::MAX) > 0 {
            self.damaged("write", &"the disk is too slow");
        }
    }

    /// Gives the file its final name, whole or with what is in it; `None` if there is none.
    async fn finish(
        &self,
        file: Option<File>,
        part: PathBuf,
        len: u64,
        duration: Duration,
    ) -> Option<FinalFile> {
        let file = file?;
        if self.missing_len(len) > 0 {
            self.damaged("write", &"the disk is too slow");
            self.checked("close", file.close().await);
        } else if self.checked("finish", file.finish(len, &part, &self.path).await).is_some() {
            return Some(FinalFile { len, duration, written: duration, is_whole: true });
        }
        // On a thread of its own: what a broken disk does may take long.
        let path = self.path.clone();
        let repaired = glommio::executor()
            .spawn_blocking(move || {
                recovery::finish(&part, &path, Instant::now() + recovery::LATE_WRITE_LIMIT)
            })
            .await;
        let Repair::Finalise { header, len } =
            self.checked("repair", repaired.map_err(Into::into))?
        else {
            return None;
        };
        let samples_len = len.saturating_sub(HEADER_LEN as u64);
        let written_len = samples_len.saturating_sub(self.missing_len(len));
        let (duration, written) =
            (duration_of(&header, samples_len), duration_of(&header, written_len));
        Some(FinalFile { len, duration, written, is_whole: false })
    }

    fn missing_len(&self, end: u64) -> u64 {
        self.queue.gaps.borrow().len_before(end)
    }

    fn checked<T>(&self, step: &str, result: glommio::Result<T, ()>) -> Option<T> {
        result
            .inspect_err(|error| {
                count(&self.counters.failed);
                self.damaged(step, error);
            })
            .ok()
    }

    fn damaged(&self, step: &str, error: &dyn Display) {
        if !self.is_damaged.replace(true) {
            self.counters.damage(step, error);
            (self.tell)(Progress::Damaged { recording: self.recording });
        }
    }
}

/// Direct I/O where the file system allows it, the page cache elsewhere.
enum File {
    Direct(DmaFile),
    Buffered(BufferedFile),
}

impl File {
    async fn create(path: &Path) -> glommio::Result<Self, ()> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(0o640);
        let file = match options.dma_open(path).await {
            Ok(file) => File::Direct(file),
            Err(_) => File::Buffered(options.buffered_open(path).await?),
        };
        // So that recovery can wait for what the kernel still writes for a process that was killed.
        // A file system without locks only has less of that.
        let _ = match &file {
            File::Direct(file) => lock(file),
            File::Buffered(file) => lock(file),
        };
        Ok(file)
    }

    /// Writes as much as there is room for, and says how many bytes.
    async fn write(&self, buffer: DmaBuffer, offset: u64) -> glommio::Result<u64, ()> {
        let written_len = match self {
            File::Direct(file) => file.write_at(buffer, offset).await?,
            File::Buffered(file) => file.write_at(buffer.as_bytes().to_vec(), offset).await?,
        };
        Ok(written_len as u64)
    }

    async fn close(self) -> glommio::Result<(), ()> {
        match self {
            File::Direct(file) => file.close().await,
            File::Buffered(file) => file.close().await,
        }
    }

    async fn finish(self, len: u64, part: &Path, path: &Path) -> glommio::Result<(), ()> {
        match self {
            File::Direct(file) => {
                file.truncate(len).await?;
                file.fdatasync().await?;
                glommio::io::rename(part, path).await?;
                // All is on the disk already.
                let _ = file.close().await;
            }
            File::Buffered(file) => {
                file.truncate(len).await?;
                file.fdatasync().await?;
                glommio::io::rename(part, path).await?;
                // All is on the disk already.
                let _ = file.close().await;
            }
        }
        Ok(())
    }
}

fn count(counter: &Cell<u64>) {
    counter.set(counter.get() + 1);
}
