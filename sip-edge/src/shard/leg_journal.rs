//! The journal of one shard: which legs stand at carriers, so that the next process can leave them
//! if this one dies (B10). Notes are gathered and written by a task of its own; nobody waits for
//! the disk, and a disk that takes nothing stops no call. They are not synced: the page cache
//! outlives a process, and calls do not outlive their machine. The file is made anew when most of
//! it is about legs that are gone. It holds numbers, and is its owner's alone.

use glommio::io::{BufferedFile, OpenOptions};
use glommio::timer::Timer;
use media_shard::signal::Signal;
use sip_core::remains::{self, Note, Remains};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

/// A file's name is this and the shard's number.
const NAME: &str = ".sip-edge-legs-";
const UNFINISHED_SUFFIX: &str = ".new";
/// Most notes that wait for the disk; beyond it they are dropped, and the file is made anew.
const MAX_WAITING_LEN: usize = 4 << 20;
/// A file up to this length is never made anew; a longer one is once it is four times as long as
/// what stands.
const MIN_REWRITTEN_LEN: u64 = 1 << 20;
/// Most that is read of a file: several times what a shard's legs take.
const MAX_READ_LEN: u64 = 256 << 20;
const RETRY_PERIOD: Duration = Duration::from_secs(1);

/// What a shard takes over of the process before.
#[derive(Debug, Default)]
pub struct Inherited {
    pub remains: Vec<Remains>,
    /// Files of shards that are no more.
    superseded: Vec<PathBuf>,
}

/// Reads the journals of the process before, for each of `shard_count` shards. What cannot be read
/// is passed over.
pub fn inherit(folder: &Path, shard_count: usize) -> Vec<Inherited> {
    let mut inherited: Vec<Inherited> = (0..shard_count).map(|_| Inherited::default()).collect();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let Some(shard) =
            name.to_str().and_then(|name| name.strip_prefix(NAME)?.parse::<usize>().ok())
        else {
            continue;
        };
        let heir = &mut inherited[shard % shard_count];
        match read(&path) {
            Ok(journal) => heir.remains.extend(remains::read(&journal)),
            Err(error) => {
                tracing::warn!(%error, "which legs an earlier run left at carriers cannot be read")
            }
        }
        if shard >= shard_count {
            heir.superseded.push(path);
        }
    }
    inherited
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut journal = Vec::new();
    std::fs::File::open(path)?.take(MAX_READ_LEN).read_to_end(&mut journal)?;
    Ok(journal)
}

/// Keeps one shard's file. Cheap to clone; lives inside a glommio executor.
#[derive(Clone)]
pub struct LegJournal(Rc<Inner>);

struct Inner {
    path: PathBuf,
    superseded: RefCell<Vec<PathBuf>>,
    /// The note of each leg that stands, and their length together.
    standing: RefCell<BTreeMap<String, Vec<u8>>>,
    standing_len: Cell<usize>,
    /// Notes that are not in the file.
    waiting: RefCell<Vec<u8>>,
    /// The file does not hold what it should.
    is_stale: Cell<bool>,
    filled: Signal,
    failed: Cell<u64>,
}

/// The file, and how much is in it.
struct Open {
    file: BufferedFile,
    len: u64,
}

impl LegJournal {
    /// A journal that begins with what was inherited; `run` writes it.
    pub fn new(folder: &Path, shard: u16, inherited: &Inherited) -> Self {
        let journal = Self(Rc::new(Inner {
            path: folder.join(format!("{NAME}{shard}")),
            superseded: RefCell::new(inherited.superseded.clone()),
            standing: RefCell::default(),
            standing_len: Cell::new(0),
            waiting: RefCell::default(),
            is_stale: Cell::new(true),
            filled: Signal::default(),
            failed: Cell::new(0),
        }));
        for remains in &inherited.remains {
            journal.note(&Note::Standing(remains.clone()));
        }
        journal.0.filled.set();
        journal
    }

    /// Takes a note; it is in the file a moment later.
    pub fn note(&self, note: &Note) {
        let Inner { standing, standing_len, waiting, is_stale, filled, .. } = &*self.0;
        let bytes = note.print();
        if !is_stale.get() {
            let mut waiting = waiting.borrow_mut();
            waiting.extend_from_slice(&bytes);
            if waiting.len() > MAX_WAITING_LEN {
                is_stale.set(true);
                *waiting = Vec::new();
            }
        }
        let len = bytes.len();
        let mut standing = standing.borrow_mut();
        let former = match note {
            Note::Standing(_) => {
                standing_len.set(standing_len.get() + len);
                standing.insert(note.key().to_owned(), bytes)
            }
            Note::Gone { key } => standing.remove(key),
        };
        standing_len.set(standing_len.get() - former.map_or(0, |former| former.len()));
        filled.set();
    }

    /// Times that the disk took nothing.
    pub fn failed_count(&self) -> u64 {
        self.0.failed.get()
    }

    /// Writes what comes, for ever.
    pub async fn run(self) {
        let inner = &*self.0;
        let mut open = None;
        let mut is_failing = false;
        loop {
            if inner.is_written() {
                inner.filled.wait().await;
                continue;
            }
            match inner.write(&mut open).await {
                Ok(()) => is_failing = false,
                Err(error) => {
                    inner.failed.set(inner.failed.get() + 1);
                    inner.is_stale.set(true);
                    inner.waiting.take();
                    if !std::mem::replace(&mut is_failing, true) {
                        tracing::warn!(%error,
                            "legs at carriers cannot be noted: after a crash their phones would \
                                not be hung up");
                    }
                    Timer::new(RETRY_PERIOD).await;
                }
            }
        }
    }
}

impl Inner {
    fn is_written(&self) -> bool {
        !self.is_stale.get() && self.waiting.borrow().is_empty()
    }

    async fn write(&self, open: &mut Option<Open>) -> io::Result<()> {
        let longest = MIN_REWRITTEN_LEN.max(4 * self.standing_len.get() as u64);
        match open {
            Some(open) if !self.is_stale.get() && open.len <= longest => {
                let notes = self.waiting.take();
                append(open, notes).await
            }
            _ => {
                if let Some(former) = open.take() {
                    former.file.close().await?;
                }
                *open = Some(self.rewrite().await?);
                Ok(())
            }
        }
    }

    /// Makes the file anew, with what stands now.
    async fn rewrite(&self) -> io::Result<Open> {
        self.is_stale.set(false);
        self.waiting.take();
        let notes = self.standing.borrow().values().flatten().copied().collect();
        let mut unfinished = self.path.clone().into_os_string();
        unfinished.push(UNFINISHED_SUFFIX);
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut open = Open { file: options.buffered_open(&unfinished).await?, len: 0 };
        append(&mut open, notes).await?;
        glommio::io::rename(&unfinished, &self.path).await?;
        for path in self.superseded.take() {
            let _ = glommio::io::remove(path).await;
        }
        Ok(open)
    }
}

async fn append(open: &mut Open, notes: Vec<u8>) -> io::Result<()> {
    let len = notes.len();
    if len > 0 && open.file.write_at(notes, open.len).await? != len {
        return Err(io::ErrorKind::WriteZero.into());
    }
    open.len += len as u64;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use glommio::{LocalExecutorBuilder, Placement};
    use std::os::unix::fs::PermissionsExt;

    fn standing(key: &str) -> Note {
        let message = format!(
            "BYE sip:1@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.2;branch=z9hG4bK{key}\r\n\
                Max-Forwards: 70\r\nFrom: <sip:a@b>;tag=1\r\n\
             To: <sip:c@d>;tag=2\r\nCall-ID: {key}\r\nCSeq: 2 BYE\r\nContent-Length: 0\r\n\r\n"
        );
        let journal = format!("STANDING {key} udp 10.0.0.1:5060 {}\n{message}", message.len());
        Note::Standing(remains::read(journal.as_bytes()).pop().expect("a BYE"))
    }

    fn gone(key: &str) -> Note {
        Note::Gone { key: key.into() }
    }

    /// Keeps a journal while `act` runs, which waits for what it wants to see.
    fn keep<F: Future<Output = ()>>(
        folder: &Path,
        shard: u16,
        inherited: Inherited,
        act: impl FnOnce(LegJournal) -> F + 'static,
    ) {
        let folder = folder.to_owned();
        LocalExecutorBuilder::new(Placement::Unbound).make().unwrap().run(async move {
            let journal = LegJournal::new(&folder, shard, &inherited);
            let task = glommio::spawn_local(journal.clone().run());
            act(journal).await;
            task.cancel().await;
        });
    }

    async fn until(what: impl Fn() -> bool) {
        for _ in 0..5_000 {
            if what() {
                return;
            }
            Timer::new(Duration::from_millis(2)).await;
        }
        panic!("never seen");
    }

    fn keys(folder: &Path) -> Vec<String> {
        let mut keys: Vec<String> =
            inherit(folder, 1).remove(0).remains.into_iter().map(|remains| remains.key).collect();
        keys.sort();
        keys
    }

    #[test]
    fn who_stands_is_inherited_by_the_next_process() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().to_owned();
        keep(folder.path(), 0, Inherited::default(), async move |journal| {
            journal.note(&standing("a"));
            journal.note(&standing("b"));
            until(|| keys(&at) == ["a", "b"]).await;
            journal.note(&gone("a"));
            journal.note(&standing("c"));
            until(|| keys(&at) == ["b", "c"]).await;
            // A process that dies here leaves it so.
        });
        let file = folder.path().join(".sip-edge-legs-0");
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        // One that was cut off on its way is written anew.
        let torn = std::fs::read(&file).unwrap();
        std::fs::write(&file, &torn[..torn.len() - 3]).unwrap();
        let at = folder.path().to_owned();
        let inherited = inherit(folder.path(), 1).remove(0);
        keep(folder.path(), 0, inherited, async move |journal| {
            until(|| keys(&at) == ["b"]).await;
            journal.note(&standing("d"));
            until(|| keys(&at) == ["b", "d"]).await;
        });
    }

    #[test]
    fn shards_that_are_no_more_have_heirs() {
        let folder = tempfile::tempdir().unwrap();
        for shard in 0..3_u16 {
            let at = folder.path().join(format!("{NAME}{shard}"));
            std::fs::write(at, standing(&format!("s{shard}")).print()).unwrap();
        }
        std::fs::write(folder.path().join(".sip-edge-legs-x"), b"?").unwrap();
        std::fs::write(folder.path().join(".sip-edge-legs-0.new"), standing("half").print())
            .unwrap();
        let inherited = inherit(folder.path(), 2);
        let names = |inherited: &Inherited| {
            inherited.remains.iter().map(|remains| remains.key.clone()).collect::<Vec<_>>()
        };
        let mut first = names(&inherited[0]);
        first.sort();
        assert_eq!(
            (first, names(&inherited[1])),
            (vec!["s0".to_owned(), "s2".to_owned()], vec!["s1".to_owned()])
        );
        let heir = inherited.into_iter().next().unwrap();
        let at = folder.path().to_owned();
        keep(folder.path(), 0, heir, async move |_| {
            until(|| !at.join(".sip-edge-legs-2").exists()).await
        });
        assert_eq!(keys(folder.path()), ["s0", "s1", "s2"]);
    }

    #[test]
    fn the_file_does_not_grow_with_the_calls_of_a_day() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().to_owned();
        keep(folder.path(), 0, Inherited::default(), async move |journal| {
            journal.note(&standing("stays"));
            for round in 0..20 {
                for call in 0..500 {
                    let key = format!("{round}-{call}");
                    journal.note(&standing(&key));
                    journal.note(&gone(&key));
                }
                let inner = journal.0.clone();
                until(move || inner.is_written()).await;
            }
            until(|| keys(&at) == ["stays"]).await;
            let len = std::fs::metadata(at.join(".sip-edge-legs-0")).unwrap().len();
            assert!(len < 2 * MIN_REWRITTEN_LEN, "{len}");
            // More than may wait at once.
            for call in 0..40_000 {
                journal.note(&standing(&call.to_string()));
            }
            assert!(journal.0.waiting.borrow().len() <= MAX_WAITING_LEN);
            until(|| keys(&at).len() == 40_001).await;
        });
    }

    #[test]
    fn a_disk_that_takes_nothing_is_counted_and_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("unmounted");
        let there = at.clone();
        keep(&at, 0, Inherited::default(), async move |journal| {
            journal.note(&standing("a"));
            let failing = journal.clone();
            until(move || failing.failed_count() > 0).await;
            journal.note(&standing("b"));
            journal.note(&gone("a"));
            std::fs::create_dir(&there).unwrap();
            until(|| keys(&there) == ["b"]).await;
        });
    }
}
