//! The log of a process on its way to standard error. Lines wait in a bounded queue for a thread of
//! their own, so that a pipe that nobody reads, a reader that went away or a full disk costs lines,
//! which are counted, and never the time or the life of whoever wrote them.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::Duration;

/// Most lines that wait.
const QUEUE_CAPACITY: usize = 2_048;
/// Longest line in bytes; what is beyond is cut off.
const LINE_LEN: usize = 8 * 1024;
/// Longest wait for the queue to be written at the end of the process.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);

static JOURNAL: LazyLock<Journal> =
    LazyLock::new(|| Journal::new(io::stderr().as_fd().try_clone_to_owned().map(File::from)));

enum Entry {
    Line(Box<[u8]>),
    /// Answered when all lines before it are written.
    Flush(SyncSender<()>),
}

struct Journal {
    queue: SyncSender<Entry>,
    lost_count: Arc<AtomicU64>,
}

impl Journal {
    /// The file's own descriptor, not the library's locked one, on which a blocked write would
    /// block all others.
    fn new(file: io::Result<File>) -> Self {
        let (queue, entries) = sync_channel(QUEUE_CAPACITY);
        let lost_count = Arc::<AtomicU64>::default();
        let lost = lost_count.clone();
        if let Ok(file) = file {
            // Without the thread, as without the file, each line is lost and counted.
            let _ = thread::Builder::new()
                .name("journal".into())
                .spawn(move || write_all(file, &entries, &lost));
        }
        Self { queue, lost_count }
    }

    fn write(&self, line: &[u8]) {
        let line = match line.get(..LINE_LEN - 1) {
            Some(head) if line.len() > LINE_LEN => [head, b"\n"].concat(),
            _ => line.to_vec(),
        };
        if self.queue.try_send(Entry::Line(line.into_boxed_slice())).is_err() {
            self.lost_count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn flush(&self, limit: Duration) {
        let (answer, answered) = sync_channel(1);
        if self.queue.try_send(Entry::Flush(answer)).is_ok() {
            let _ = answered.recv_timeout(limit);
        }
    }
}

fn write_all(mut file: File, entries: &Receiver<Entry>, lost: &AtomicU64) {
    for entry in entries {
        match entry {
            Entry::Line(line) => {
                if file.write_all(&line).is_err() {
                    lost.fetch_add(1, Ordering::Relaxed);
                }
            }
            Entry::Flush(answer) => drop(answer.try_send(())),
        }
    }
}

/// Writes the lines of a `tracing` subscriber: one at each write, always with success.
pub struct Lines;

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        JOURNAL.write(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lets panics be told by the log, instead of by a write to standard error that may block for ever.
pub fn tell_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let trace = std::backtrace::Backtrace::capture();
        tracing::error!(%trace, "{panic}");
    }));
}

/// Writes one line, such as the reason for the end of the process.
pub fn say(line: &str) {
    JOURNAL.write(format!("{line}\n").as_bytes());
}

/// Waits until all is written, or for a second: to be called before the process ends.
pub fn flush() {
    JOURNAL.flush(FLUSH_LIMIT);
}

/// How many lines could not be written since the start.
pub fn lost_count() -> u64 {
    JOURNAL.lost_count.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::os::fd::OwnedFd;

    fn pipe() -> (File, Journal) {
        let (reader, writer) = io::pipe().unwrap();
        (OwnedFd::from(reader).into(), Journal::new(Ok(OwnedFd::from(writer).into())))
    }

    fn lost(journal: &Journal) -> u64 {
        journal.lost_count.load(Ordering::Relaxed)
    }

    #[test]
    fn lines_come_whole_and_in_order_and_long_ones_are_cut() {
        let (reader, journal) = pipe();
        journal.write(b"first\n");
        journal.write(&[b'x'; 3 * LINE_LEN]);
        journal.write(b"last\n");
        let lines: Vec<String> =
            BufReader::new(reader).lines().take(3).map(Result::unwrap).collect();
        assert_eq!(
            (lines[0].as_str(), lines[1].len(), lines[2].as_str()),
            ("first", LINE_LEN - 1, "last")
        );
        assert_eq!(lost(&journal), 0);
    }

    #[test]
    fn a_pipe_that_nobody_reads_costs_lines_and_no_time() {
        let (reader, journal) = pipe();
        let line = [b"a".repeat(1023).as_slice(), b"\n"].concat();
        let count = 5 * QUEUE_CAPACITY as u64;
        (0..count).for_each(|_| journal.write(&line));
        // Without a reader this returns as well.
        journal.flush(Duration::from_millis(1));
        let lost = lost(&journal);
        assert!(lost > 0 && lost < count, "{lost} of {count}");
        // Who begins to read gets all the others.
        let kept = BufReader::new(reader)
            .lines()
            .take((count - lost) as usize)
            .filter(|line| line.as_ref().unwrap().len() == 1023);
        assert_eq!(kept.count() as u64, count - lost);
    }

    #[test]
    fn closed_pipes_and_full_disks_cost_lines() {
        let (reader, closed) = pipe();
        drop(reader);
        let full = Journal::new(File::options().write(true).open("/dev/full"));
        let none = Journal::new(Err(io::ErrorKind::NotFound.into()));
        for journal in [closed, full, none] {
            journal.write(b"one\n");
            journal.write(b"two\n");
            journal.flush(Duration::from_secs(10));
            assert_eq!(lost(&journal), 2);
        }
    }
}
