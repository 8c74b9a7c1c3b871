//! The recording files of one shard: each is written by its own task through glommio's direct I/O, in the order given, from a bounded
//! queue. Running files are named `NAME.part`; a final one is cut to its length, synced and renamed to `NAME`.
//! What is written where is decided by `media_core::recording`.

use crate::foreign::lock;
use crate::signal::Signal;
use glommio::io::{BufferedFile, DmaBuffer, DmaFile, OpenOptions};
use media_core::relay::RecordingId;
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

/// Suffix of a file that is still written.
pub const PART_SUFFIX: &str = ".part";
/// Most writes that wait for the disk per recording: several seconds of both channels.
const QUEUE_LEN: usize = 64;
/// Bytes of a file that is read to learn about its device: at least one block of any.
const PROBE_LEN: usize = 4096;

/// What became of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finished {
    /// Its file has its final name and length.
    Final { recording: RecordingId, file_len: u64, duration: Duration },
    /// Its file cannot be written.
    Lost { recording: RecordingId },
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
    filled: Signal,
}

/// Lets glommio learn, before the first recording of an executor is opened, whether the folder's device can be polled for completions.
/// It asks by reading the first file that is opened on a device, and an empty one can be read anywhere; an executor that waits for
/// completions by polling never sleeps. Errors: the folder cannot be written.
pub async fn learn_device(folder: &Path) -> std::io::Result<()> {
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
    finished: Rc<dyn Fn(Finished)>,
}

impl Recorder {
    /// `finished` is called from a task of its own once a file is final, or lost.
    pub fn new(folder: PathBuf, finished: impl Fn(Finished) + 'static) -> Self {
        Self { folder, open: HashMap::new(), counters: Rc::default(), finished: Rc::new(finished) }
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
            finished: self.finished.clone(),
        };
        glommio::spawn_local(file.run()).detach();
    }

    /// Queues a write, in place of one that waits for the same bytes of the file (a header whose lengths have grown since); dropped and
    /// counted if the disk is too far behind.
    pub fn write(&mut self, recording: RecordingId, offset: u64, bytes: &[u8]) {
        let Some(queue) = self.open.get(&recording) else { return };
        let mut jobs = queue.jobs.borrow_mut();
        jobs.retain(|job| !job.is_for(offset, bytes.len()));
        if jobs.len() >= QUEUE_LEN {
            count(&self.counters.overflowed);
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
    finished: Rc<dyn Fn(Finished)>,
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
                    let Some(open) = &file else { continue };
                    let len = buffer.len() as u64;
                    if self.checked("write", open.write(buffer, offset).await).is_some() {
                        self.counters.written_len.set(self.counters.written_len.get() + len);
                    }
                }
                Some(Job::Finish { len, duration }) => {
                    let is_final = match file.take() {
                        Some(open) => self.checked("finish", open.finish(len, &part, &self.path).await).is_some(),
                        None => false,
                    };
                    let recording = self.recording;
                    if is_final {
                        count(&self.counters.finished);
                        (self.finished)(Finished::Final { recording, file_len: len, duration });
                    } else {
                        (self.finished)(Finished::Lost { recording });
                    }
                    return;
                }
                Some(Job::Abandon) => return,
            }
        }
    }

    fn checked<T>(&self, step: &str, result: glommio::Result<T, ()>) -> Option<T> {
        result
            .inspect_err(|error| {
                if self.counters.failed.get() == 0 {
                    tracing::warn!(step, %error, "recordings cannot be written");
                }
                count(&self.counters.failed);
            })
            .ok()
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
        // So that recovery can wait for what the kernel still writes for a process that was killed. A file system without locks
        // only has less of that.
        let _ = match &file {
            File::Direct(file) => lock(file),
            File::Buffered(file) => lock(file),
        };
        Ok(file)
    }

    async fn write(&self, buffer: DmaBuffer, offset: u64) -> glommio::Result<(), ()> {
        let len = buffer.len();
        let written = match self {
            File::Direct(file) => file.write_at(buffer, offset).await?,
            File::Buffered(file) => file.write_at(buffer.as_bytes().to_vec(), offset).await?,
        };
        if written == len { Ok(()) } else { Err(std::io::Error::from(std::io::ErrorKind::WriteZero).into()) }
    }

    async fn finish(self, len: u64, part: &Path, path: &Path) -> glommio::Result<(), ()> {
        match self {
            File::Direct(file) => {
                file.truncate(len).await?;
                file.fdatasync().await?;
                glommio::io::rename(part, path).await?;
                file.close().await
            }
            File::Buffered(file) => {
                file.truncate(len).await?;
                file.fdatasync().await?;
                glommio::io::rename(part, path).await?;
                file.close().await
            }
        }
    }
}

fn count(counter: &Cell<u64>) {
    counter.set(counter.get() + 1);
}
