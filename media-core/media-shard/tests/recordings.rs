//! Recording files: written while they run, final after the end, and finished after a kill.

#[path = "stereo/header.rs"]
mod header;

use glommio::timer::Timer;
use glommio::{LocalExecutorBuilder, Placement};
use media_core::recording::{BLOCK_LEN, HEADER_LEN};
use media_core::relay::RecordingId;
use media_shard::recorder::{FinalFile, Progress, Recorder, learn_device};
use media_shard::recovery::{Recovered, own};
use media_shard::signal::Signal;
use std::cell::{Cell, RefCell};
use std::io::Write;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

const RECORDING: RecordingId = RecordingId { index: 0, generation: 1 };

fn run<F: Future<Output = ()> + 'static>(test: F) {
    LocalExecutorBuilder::new(Placement::Unbound).make().expect("an executor").run(test);
}

/// An empty folder of this test on a real disk.
fn folder(name: &str) -> PathBuf {
    let folder =
        PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn block(fill: u8) -> Vec<u8> {
    vec![fill; BLOCK_LEN]
}

/// The first block of a recording of one block.
fn first_block() -> Vec<u8> {
    first_block_of(0)
}

/// The first block of a recording with this much after it.
fn first_block_of(more_len: u32) -> Vec<u8> {
    header::first_block((BLOCK_LEN - HEADER_LEN) as u32 + more_len)
}

#[test]
fn a_finished_recording_has_its_name_its_length_and_its_bytes_in_order() {
    let folder = folder("finished");
    let path = folder.join("crm_a.wav");
    run(async move {
        let finished = Rc::new((RefCell::new(None), Signal::default()));
        let told = finished.clone();
        let mut recorder = Recorder::new(folder, move |file| {
            told.0.replace(Some(file));
            told.1.set();
        });
        recorder.open(RECORDING, "crm_a.wav");
        recorder.write(RECORDING, BLOCK_LEN as u64, &block(1));
        recorder.write(RECORDING, 0, &block(2));
        recorder.write(RECORDING, 0, &block(3));
        recorder.finish(RECORDING, BLOCK_LEN as u64 + 100, Duration::from_secs(1));
        finished.1.wait().await;
        let duration = Duration::from_secs(1);
        let file =
            FinalFile { len: BLOCK_LEN as u64 + 100, duration, written: duration, is_whole: true };
        assert_eq!(*finished.0.borrow(), Some(Progress::Final { recording: RECORDING, file }));
        // The third took the second's place before it was written.
        assert_eq!(recorder.counters().written_len.get(), 2 * BLOCK_LEN as u64);
        assert_eq!(recorder.counters().failed.get(), 0);
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes, [block(3), vec![1; 100]].concat());
        assert!(!path.with_file_name("crm_a.wav.part").exists());
    });
}

#[test]
fn a_device_that_cannot_be_polled_is_not_polled() {
    let folder = folder("polled");
    let device = std::os::linux::fs::MetadataExt::st_dev(&std::fs::metadata(&folder).unwrap());
    let io_poll = std::fs::read_to_string(format!(
        "/sys/dev/block/{}:0/queue/io_poll",
        rustix::fs::major(device)
    ));
    run(async move {
        learn_device(&folder).await.unwrap();
        let finished = Rc::new(Signal::default());
        let told = finished.clone();
        let mut recorder = Recorder::new(folder, move |_| told.set());
        recorder.open(RECORDING, "crm_p.wav");
        recorder.write(RECORDING, 0, &block(1));
        recorder.finish(RECORDING, BLOCK_LEN as u64, Duration::ZERO);
        finished.wait().await;
        assert_eq!(recorder.counters().failed.get(), 0);
        let polled = glommio::executor().io_stats().poll_ring.file_writes().0;
        assert!(
            polled == 0 || io_poll.is_ok_and(|io_poll| io_poll.trim() == "1"),
            "{polled} writes were polled for"
        );
    });
}

/// Writes and finishes one recording, and returns all that was told of it with the recorder's
/// counters.
async fn record(
    folder: PathBuf,
    name: &str,
    writes: impl FnOnce(&mut Recorder),
    len: u64,
) -> (Vec<Progress>, Recorder) {
    let told = Rc::new((RefCell::new(Vec::new()), Signal::default()));
    let tell = told.clone();
    let mut recorder = Recorder::new(folder, move |progress| {
        tell.0.borrow_mut().push(progress);
        if !matches!(progress, Progress::Damaged { .. }) {
            tell.1.set();
        }
    });
    recorder.open(RECORDING, name);
    writes(&mut recorder);
    recorder.finish(RECORDING, len, Duration::from_secs(1));
    told.1.wait().await;
    let told = told.0.take();
    (told, recorder)
}

// B11
#[test]
fn a_slow_disk_costs_writes_and_never_the_end() {
    let folder = folder("overflow");
    let path = folder.join("crm_b.wav");
    run(async move {
        let writes = |recorder: &mut Recorder| {
            // The writer had no turn yet.
            for count in 1..=100 {
                recorder.write(RECORDING, count * BLOCK_LEN as u64, &block(count as u8));
                recorder.write(RECORDING, 0, &first_block_of(100 * BLOCK_LEN as u32));
            }
            assert_eq!(recorder.counters().overflowed.get(), 37);
        };
        let (told, recorder) = record(folder, "crm_b.wav", writes, 101 * BLOCK_LEN as u64).await;
        assert_eq!(recorder.counters().written_len.get(), 64 * BLOCK_LEN as u64);
        // What was dropped lies at the end: the file ends before it, and its header says so.
        let file = std::fs::read(&path).unwrap();
        assert_eq!(file[..BLOCK_LEN], first_block_of(63 * BLOCK_LEN as u32));
        assert_eq!(file[BLOCK_LEN..], (1..=63).flat_map(block).collect::<Vec<_>>());
        let duration = Duration::from_millis((64 * BLOCK_LEN as u64 - 44) * 1000 / 32_000);
        let file =
            FinalFile { len: 64 * BLOCK_LEN as u64, duration, written: duration, is_whole: false };
        assert_eq!(
            told,
            [
                Progress::Damaged { recording: RECORDING },
                Progress::Final { recording: RECORDING, file }
            ]
        );
        assert_eq!((recorder.counters().damaged.get(), recorder.counters().failed.get()), (1, 0));
    });
}

// B11
#[test]
fn a_file_that_cannot_be_made_is_told_as_lost() {
    let folder = folder("lost");
    run(async move {
        let writes = |recorder: &mut Recorder| recorder.write(RECORDING, 0, &block(1));
        let (told, _) = record(folder.join("nowhere"), "crm_c.wav", writes, 5).await;
        assert_eq!(
            told,
            [Progress::Damaged { recording: RECORDING }, Progress::Lost { recording: RECORDING }]
        );
    });
}

// B11
#[test]
fn a_device_that_takes_nothing_leaves_no_recording() {
    let folder = folder("no-room");
    std::os::unix::fs::symlink("/dev/full", folder.join("crm_f.wav.part")).unwrap();
    run(async move {
        let writes = |recorder: &mut Recorder| {
            recorder.write(RECORDING, BLOCK_LEN as u64, &block(1));
            recorder.write(RECORDING, 0, &first_block());
        };
        let (told, recorder) = record(folder, "crm_f.wav", writes, 2 * BLOCK_LEN as u64).await;
        assert_eq!(
            told,
            [Progress::Damaged { recording: RECORDING }, Progress::Lost { recording: RECORDING }]
        );
        assert_eq!((recorder.counters().failed.get(), recorder.counters().damaged.get()), (2, 1));
    });
}

#[test]
fn a_name_with_a_path_is_refused() {
    let folder = folder("name");
    run(async move {
        let mut recorder = Recorder::new(folder.join("inner"), |_| panic!("nothing is finished"));
        for name in ["../crm.wav", "a/b.wav", "/tmp/c.wav", "..", ""] {
            recorder.open(RECORDING, name);
            assert_eq!(recorder.open_count(), 0, "{name}");
        }
        assert_eq!(recorder.counters().failed.get(), 5);
    });
}

#[test]
fn what_a_killed_process_left_is_finished_by_the_next() {
    let folder = folder("killed");
    let in_executor = folder.clone();
    run(async move {
        let mut recorder = Recorder::new(in_executor, |_| panic!("nothing is finished"));
        recorder.open(RECORDING, "crm_c.wav");
        recorder.write(RECORDING, BLOCK_LEN as u64, &block(1));
        recorder.write(RECORDING, 0, &first_block());
        let patience = Cell::new(1000);
        while recorder.counters().written_len.get() < 2 * BLOCK_LEN as u64 && patience.get() > 0 {
            patience.set(patience.get() - 1);
            Timer::new(Duration::from_millis(5)).await;
        }
        // The executor ends here, as a killed process does, with the file open.
    });
    std::fs::write(folder.join("crm_empty.wav.part"), b"").unwrap();
    std::fs::write(folder.join("notes.part"), vec![9; 100]).unwrap();
    let owned = own(&folder).unwrap();
    assert_eq!(owned.recovered, Recovered { repaired: 1, removed: 1, left: 1 });
    // What the header promised: the first block.
    assert_eq!(std::fs::read(folder.join("crm_c.wav")).unwrap(), first_block());
    let busy = own(&folder).unwrap_err();
    assert!(busy.to_string().contains("another edge"), "{busy}");
    drop(owned);
    assert_eq!(own(&folder).unwrap().recovered, Recovered { repaired: 0, removed: 0, left: 1 });
}

#[test]
fn recovery_waits_for_a_write_that_was_on_its_way() {
    let folder = folder("late-write");
    let part = folder.join("crm_late.wav.part");
    let mut writer = std::fs::File::create(&part).unwrap();
    writer.lock().unwrap();
    writer.write_all(&first_block()).unwrap();
    let late = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        writer.write_all(&block(9)).unwrap();
    });
    let owned = own(&folder).unwrap();
    assert_eq!(owned.recovered, Recovered { repaired: 1, removed: 0, left: 0 });
    late.join().unwrap();
    let file = std::fs::read(folder.join("crm_late.wav")).unwrap();
    let declared = u32::from_le_bytes(*file[40..].first_chunk().unwrap()) as usize;
    assert_eq!(file.len(), 44 + declared);
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_recording_is_locked_while_it_is_written() {
    run(async {
        let folder = folder("locked");
        let finished = Rc::new(Signal::default());
        let told = finished.clone();
        let mut recorder = Recorder::new(folder.clone(), move |_| told.set());
        recorder.open(RECORDING, "crm_locked.wav");
        recorder.write(RECORDING, 0, &first_block());
        let part = folder.join("crm_locked.wav.part");
        let deadline = std::time::Instant::now() + Duration::from_secs(10);
        while std::fs::metadata(&part).map_or(0, |part| part.len()) == 0 {
            assert!(std::time::Instant::now() < deadline, "nothing was written");
            Timer::new(Duration::from_millis(1)).await;
        }
        let other = std::fs::File::open(&part).unwrap();
        assert!(matches!(other.try_lock(), Err(std::fs::TryLockError::WouldBlock)));
        recorder.finish(RECORDING, 4096, Duration::from_secs(1));
        finished.wait().await;
        std::fs::remove_dir_all(&folder).unwrap();
    });
}
