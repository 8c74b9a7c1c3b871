//! A disk that is full for a while (B11). The room that this process's files have is bounded for
//! all of it, so this test is alone here.

#[path = "stereo/header.rs"]
mod header;

use glommio::timer::Timer;
use glommio::{LocalExecutorBuilder, Placement};
use media_core::recording::{BLOCK_LEN, HEADER_LEN};
use media_core::relay::RecordingId;
use media_shard::recorder::{FinalFile, Progress, Recorder};
use media_shard::signal::Signal;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use signal_hook::consts::SIGXFSZ;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

const RECORDING: RecordingId = RecordingId { index: 0, generation: 1 };
const BLOCK: u64 = BLOCK_LEN as u64;

fn give_room(len: u64) {
    let maximum = getrlimit(Resource::Fsize).maximum;
    setrlimit(Resource::Fsize, Rlimit { current: Some(len), maximum }).unwrap();
}

/// The first block of a recording that ends with the block before `end`.
fn first_block(end: u64) -> Vec<u8> {
    header::first_block((end * BLOCK - HEADER_LEN as u64) as u32)
}

/// Records the blocks 1 to 9 with room for the blocks before `full_from` only, until those before
/// `full_until` were tried. Returns what was told and the file.
fn record(name: &'static str, full_from: u64, full_until: u64) -> (Vec<Progress>, Vec<u8>) {
    let folder = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("full-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join(name);
    let told = Rc::new(RefCell::new(Vec::new()));
    let told = LocalExecutorBuilder::new(Placement::Unbound).make().unwrap().run(async move {
        let (tell, over) = (told.clone(), Rc::new(Signal::default()));
        let ended = over.clone();
        let mut recorder = Recorder::new(folder, move |progress| {
            tell.borrow_mut().push(progress);
            if !matches!(progress, Progress::Damaged { .. }) {
                ended.set();
            }
        });
        recorder.open(RECORDING, name);
        give_room(full_from * BLOCK);
        for n in 1..10 {
            if n == full_until {
                give_room(1 << 30);
            }
            recorder.write(RECORDING, n * BLOCK, &vec![n as u8; BLOCK_LEN]);
            recorder.write(RECORDING, 0, &first_block(n + 1));
            let tried = |recorder: &Recorder| {
                recorder.counters().written_len.get() / BLOCK + recorder.counters().failed.get()
            };
            while tried(&recorder) < 2 * n {
                Timer::new(Duration::from_millis(1)).await;
            }
        }
        assert_eq!(
            told.borrow().len(),
            usize::from(full_from < full_until),
            "it is told at once, and once"
        );
        recorder.finish(RECORDING, 10 * BLOCK, Duration::from_millis((10 * BLOCK - 44) / 32));
        over.wait().await;
        assert_eq!(recorder.counters().damaged.get(), u64::from(full_from < full_until));
        told.take()
    });
    give_room(1 << 30);
    let file = std::fs::read(&path).unwrap();
    std::fs::remove_file(path).unwrap();
    (told, file)
}

fn ms(len: u64) -> Duration {
    Duration::from_millis(len / 32)
}

#[test]
fn a_recording_says_what_a_full_disk_cost() {
    // Where a system does not bound a file's length by a signal alone, its default would end the
    // process.
    signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false))).unwrap();
    let damaged = Progress::Damaged { recording: RECORDING };
    let is = |file| Progress::Final { recording: RECORDING, file };
    let whole = FinalFile {
        len: 10 * BLOCK,
        duration: ms(10 * BLOCK - 44),
        written: ms(10 * BLOCK - 44),
        is_whole: true,
    };

    let (told, file) = record("whole.wav", 20, 0);
    assert_eq!(told, [is(whole)]);
    assert_eq!(file[..BLOCK_LEN], first_block(10));

    // To its end: the file ends where the room did, and its header is true.
    let (told, file) = record("end.wav", 6, 10);
    let cut = FinalFile {
        len: 6 * BLOCK,
        duration: ms(6 * BLOCK - 44),
        written: ms(6 * BLOCK - 44),
        is_whole: false,
    };
    assert_eq!(told, [damaged, is(cut)]);
    assert_eq!(file[..BLOCK_LEN], first_block(6));
    assert_eq!(file[BLOCK_LEN..], (1..6).flat_map(|n| [n; BLOCK_LEN]).collect::<Vec<_>>());

    // For a while: what came after it is where it belongs, after silence.
    let (told, file) = record("hole.wav", 4, 7);
    assert_eq!(
        told,
        [damaged, is(FinalFile { written: ms(7 * BLOCK - 44), is_whole: false, ..whole })]
    );
    assert_eq!(file[..BLOCK_LEN], first_block(10));
    let blocks = [1, 2, 3, 0, 0, 0, 7, 8, 9];
    assert_eq!(
        file[BLOCK_LEN..],
        blocks.into_iter().flat_map(|n| [n; BLOCK_LEN]).collect::<Vec<_>>()
    );
}
