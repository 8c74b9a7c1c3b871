//! Recordings on one clock: alignment, silence, late packets, and repair at any point of a crash.

use super::*;
use crate::tone::{self, Tone};
use crate::{clock, g711};

const A: Tone = Tone::steady(400.0, 8000.0);
const B: Tone = Tone::steady(1000.0, 8000.0);
const PACKET: u32 = 160;
const LEFT: TrackId = TrackId(0);
const RIGHT: TrackId = TrackId(1);

/// A disk that checks what direct I/O demands.
#[derive(Default)]
struct Disk(Vec<u8>);

impl Disk {
    #[track_caller]
    fn write(&mut self, write: &Write, buffer: &[u8]) {
        let bytes = &buffer[write.bytes.clone()];
        assert_eq!((write.offset as usize % BLOCK_LEN, bytes.len() % BLOCK_LEN), (0, 0));
        let end = write.offset as usize + bytes.len();
        if self.0.len() < end {
            self.0.resize(end, 0);
        }
        self.0[write.offset as usize..end].copy_from_slice(bytes);
    }

    /// What a reader of the file hears: left and right samples up to the promised length.
    #[track_caller]
    fn read(&self) -> (Vec<i16>, Vec<i16>) {
        let word = |at: usize| u32::from_le_bytes(self.0[at..at + 4].try_into().unwrap()) as usize;
        assert_eq!(
            (&self.0[..4], &self.0[8..16], &self.0[36..40]),
            (&b"RIFF"[..], &b"WAVEfmt "[..], &b"data"[..])
        );
        assert_eq!((word(4), word(24), word(28)), (word(40) + 36, 8000, 32_000));
        let frames = self.0[HEADER_LEN..HEADER_LEN + word(40)].chunks_exact(4);
        frames.map(|f| (i16::from_le_bytes([f[0], f[1]]), i16::from_le_bytes([f[2], f[3]]))).unzip()
    }
}

struct Rig {
    start: Instant,
    recording: Recording,
    disk: Disk,
    buffer: Vec<u8>,
}

impl Rig {
    fn new() -> Rig {
        let start = clock::start();
        let mut recording = Recording::new(start, Layout::Stereo);
        assert_eq!(recording.add_track(start, Channel::Agent, Law::Pcmu), Some(LEFT));
        assert_eq!(recording.add_track(start, Channel::Customer, Law::Pcma), Some(RIGHT));
        Rig { start, recording, disk: Disk::default(), buffer: Vec::new() }
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    fn flush(&mut self, ms: u64) {
        self.buffer.clear();
        for write in self.recording.flush(self.at(ms), &mut self.buffer).iter().flatten() {
            self.disk.write(write, &self.buffer);
        }
    }

    /// Packet `n` of a tone, arriving at `ms`.
    fn packet(&mut self, ms: u64, track: TrackId, tone: &Tone, n: u32) -> Result<(), DropReason> {
        let codec = if track == LEFT { Law::Pcmu } else { Law::Pcma };
        let mut audio = [0; PACKET as usize];
        tone.fill_encoded((n * PACKET).into(), codec, &mut audio);
        let timestamp = 0xffff_fc00u32.wrapping_add(n * PACKET);
        self.recording.tap(self.at(ms), track, StreamId(1), timestamp, codec, &audio)
    }

    fn finish(&mut self, ms: u64) -> (Vec<i16>, Vec<i16>) {
        self.flush(ms);
        self.disk.0.truncate(self.recording.file_len(self.at(ms)) as usize);
        self.disk.read()
    }
}

#[track_caller]
fn check_tone(samples: &[i16], frequency: f64) {
    for window in samples.chunks_exact(400) {
        let heard = tone::level(window, frequency);
        assert!((7700.0..8300.0).contains(&heard), "{frequency} Hz at {heard}");
    }
}

#[track_caller]
fn check_silence(samples: &[i16]) {
    assert!(samples.iter().all(|sample| sample.abs() <= 8), "not silent");
}

#[test]
fn both_parties_are_on_their_channel_at_their_time() {
    let mut rig = Rig::new();
    for n in 0..200u32 {
        let ms = u64::from(n) * 20;
        if (25..150).contains(&n) {
            rig.packet(ms, LEFT, &A, n - 25).unwrap();
        }
        if (50..175).contains(&n) {
            rig.packet(ms, RIGHT, &B, n - 50).unwrap();
        }
        if n % 40 == 39 {
            rig.flush(ms);
        }
    }
    let (left, right) = rig.finish(4000);
    assert_eq!(left.len(), 32_000);
    check_silence(&left[..4000]);
    check_tone(&left[4000..24_000], 400.0);
    check_silence(&left[24_000..]);
    check_silence(&right[..8000]);
    check_tone(&right[8000..28_000], 1000.0);
    check_silence(&right[28_000..]);
    assert_eq!(rig.recording.duration(rig.at(4000)), Duration::from_secs(4));
}

#[test]
fn jitter_makes_no_gaps() {
    let mut rig = Rig::new();
    let mut random = crate::random::Random::new(5);
    let mut arrivals: Vec<(u64, u32)> =
        (0..500).map(|n| (u64::from(n) * 20 + random.next_u64() % 50, n)).collect();
    arrivals.sort();
    let mut flushed = 0;
    for (ms, n) in arrivals {
        rig.packet(ms, LEFT, &A, n).unwrap();
        if ms >= flushed + 800 {
            rig.flush(ms);
            flushed = ms;
        }
    }
    let (left, _) = rig.finish(10_000);
    check_tone(&left[800..79_200], 400.0);
}

#[test]
fn a_late_packet_is_written_in_its_place_while_its_block_is_held() {
    let mut rig = Rig::new();
    for n in (0..60).filter(|n| *n != 50) {
        rig.packet(u64::from(n) * 20, LEFT, &A, n).unwrap();
    }
    rig.flush(1180);
    rig.packet(1190, LEFT, &A, 50).unwrap();
    // Its block is final: the file must not change.
    assert_eq!(rig.packet(1190, LEFT, &A, 2), Err(DropReason::RecordingLate));
    let (left, _) = rig.finish(1200);
    check_tone(&left[..9600], 400.0);
}

#[test]
fn a_lost_packet_leaves_silence_of_its_length() {
    let mut rig = Rig::new();
    for n in (0..100).filter(|n| *n != 50) {
        rig.packet(u64::from(n) * 20, LEFT, &A, n).unwrap();
        if n % 40 == 39 {
            rig.flush(u64::from(n) * 20);
        }
    }
    let (left, _) = rig.finish(2000);
    check_tone(&left[..8000], 400.0);
    check_silence(&left[8000..8160]);
    check_tone(&left[8160..], 400.0);
}

#[test]
fn a_jump_of_the_clock_or_a_new_source_is_anchored_at_its_arrival() {
    let mut rig = Rig::new();
    for n in 0..25 {
        rig.packet(u64::from(n) * 20, LEFT, &A, n).unwrap();
    }
    // The timestamp jumps by 100 s, then back: the first packets back may be stragglers, so they
    // wait for confirmation.
    for n in 0..25 {
        rig.packet(500 + u64::from(n) * 20, LEFT, &A, 5000 + n).unwrap();
    }
    for n in 0..25 {
        let refused = Err(DropReason::RecordingLate);
        assert_eq!(
            rig.packet(1000 + u64::from(n) * 20, LEFT, &A, n),
            if n < 5 { refused } else { Ok(()) }
        );
    }
    let (left, _) = rig.finish(1500);
    check_tone(&left[..4000], 400.0);
    check_tone(&left[4000..8000], 400.0);
    check_silence(&left[8000..8800]);
    check_tone(&left[8800..], 400.0);
}

#[test]
fn a_delay_in_the_network_moves_nothing_but_a_drifting_clock_is_followed() {
    let mut rig = Rig::new();
    for n in 0..50u32 {
        // Ten packets stuck behind 300 ms of congestion.
        let ms = if (20..30).contains(&n) { 700 } else { u64::from(n) * 20 };
        rig.packet(ms.max(if n >= 30 { 700 } else { 0 }), LEFT, &A, n).unwrap();
    }
    check_tone(&rig.finish(1000).0, 400.0);

    let mut rig = Rig::new();
    for n in 0..100u32 {
        rig.packet(u64::from(n) * 20 + if n >= 20 { 100 } else { 0 }, LEFT, &A, n).unwrap();
        if n % 40 == 39 {
            rig.flush(u64::from(n) * 20 + 100);
        }
    }
    let (left, _) = rig.finish(2100);
    check_tone(&left[left.len() - 4000..], 400.0);
}

#[test]
fn the_file_is_valid_after_each_flush_and_reads_silence_after_a_stall() {
    let mut rig = Rig::new();
    for n in 0..40 {
        rig.packet(u64::from(n) * 20, LEFT, &A, n).unwrap();
    }
    rig.flush(800);
    assert_eq!(rig.disk.read().0.len(), 6400);
    check_tone(&rig.disk.read().0, 400.0);
    // Nothing for ten seconds, not even a flush.
    rig.flush(10_800);
    let (left, _) = rig.disk.read();
    assert_eq!(left.len(), 86_400);
    check_tone(&left[..6400], 400.0);
    check_silence(&left[6400..]);
    rig.packet(10_820, LEFT, &A, 541).unwrap();
    let (left, _) = rig.finish(10_840);
    check_tone(&left[86_560..86_720], 400.0);
}

#[test]
fn audio_beyond_the_buffer_is_refused() {
    let mut rig = Rig::new();
    assert_eq!(rig.packet(5000, LEFT, &A, 0), Err(DropReason::RecordingFull));
    rig.flush(5000);
    assert_eq!(rig.packet(5020, LEFT, &A, 1), Ok(()));
}

#[test]
fn an_empty_recording_is_a_valid_file() {
    let mut rig = Rig::new();
    assert_eq!(rig.finish(0), (vec![], vec![]));
    assert_eq!(rig.disk.0.len(), HEADER_LEN);
}

#[test]
fn a_file_cut_anywhere_is_repaired_to_the_longest_valid_one() {
    let mut rig = Rig::new();
    for n in 0..50 {
        rig.packet(u64::from(n) * 20, LEFT, &A, n).unwrap();
    }
    rig.flush(1000);
    let whole = rig.disk.0.clone();
    let promised = HEADER_LEN as u64 + 8000 * 4;
    for file_len in 0..=whole.len() {
        let file = &whole[..file_len];
        match repair(&file[..file_len.min(HEADER_LEN)], file_len as u64) {
            Repair::Finalise { header, len } => {
                assert_eq!(len, promised.min((file_len as u64 - 44) / 4 * 4 + 44));
                let mut repaired = Disk(file[..len as usize].to_vec());
                repaired.0[..HEADER_LEN].copy_from_slice(&header);
                assert_eq!(repaired.read().0.len() as u64, (len - 44) / 4);
            }
            Repair::Empty => assert!(file_len < HEADER_LEN + 4, "{file_len}"),
            Repair::Foreign => panic!("{file_len} bytes taken for foreign"),
        }
    }
}

#[test]
fn files_without_header_and_foreign_files() {
    #[track_caller]
    fn check(head: &[u8], file_len: u64, expected: Repair) {
        assert_eq!(repair(head, file_len), expected);
    }
    check(
        &[0; HEADER_LEN],
        8192,
        Repair::Finalise { header: header(Layout::Stereo, 2037), len: 8192 },
    );
    check(&header(Layout::Stereo, 0), 8192, Repair::Empty);
    assert_eq!(duration_of(&header(Layout::Stereo, 9), 16_000), Duration::from_millis(500));
    assert_eq!(duration_of(&header(Layout::ThreeChannel, 9), 24_000), Duration::from_millis(500));
    check(
        &header(Layout::Stereo, 100),
        44 + 400,
        Repair::Finalise { header: header(Layout::Stereo, 100), len: 444 },
    );
    check(b"RIFF", 8192, Repair::Foreign);
    check(&[b'x'; HEADER_LEN], 8192, Repair::Foreign);
    let mut mono = header(Layout::Stereo, 100);
    mono[22] = 1;
    check(&mono, 8192, Repair::Foreign);
}

/// A packet of one value for a track of any recording.
fn level_packet(
    rig: &mut Rig,
    ms: u64,
    track: TrackId,
    stream: u32,
    n: u32,
    sample: i16,
) -> Result<(), DropReason> {
    let audio = [g711::encode(Law::Pcmu, sample); PACKET as usize];
    rig.recording.tap(rig.at(ms), track, StreamId(stream), n * PACKET, Law::Pcmu, &audio)
}

/// A file of any layout, by channels.
fn channels(disk: &Disk, count: usize) -> Vec<Vec<i16>> {
    let word = |at: usize| u32::from_le_bytes(disk.0[at..at + 4].try_into().unwrap()) as usize;
    assert_eq!(
        (word(4), word(22) & 0xffff, word(28), word(32) & 0xffff),
        (word(40) + 36, count, 16_000 * count, 2 * count)
    );
    let frames = disk.0[HEADER_LEN..HEADER_LEN + word(40)].chunks_exact(2 * count);
    let of = |channel: usize| {
        frames.clone().map(|f| i16::from_le_bytes([f[2 * channel], f[2 * channel + 1]])).collect()
    };
    (0..count).map(of).collect()
}

impl Rig {
    fn three() -> Rig {
        Rig { recording: Recording::new(clock::start(), Layout::ThreeChannel), ..Rig::new() }
    }

    fn add(&mut self, ms: u64, channel: Channel) -> TrackId {
        self.recording.add_track(self.at(ms), channel, Law::Pcmu).unwrap()
    }
}

fn near(sample: i16) -> i16 {
    g711::decode_table(Law::Pcmu)[usize::from(g711::encode(Law::Pcmu, sample))]
}

#[test]
fn frames_of_three_channels_lie_across_blocks_and_lose_nothing() {
    let mut rig = Rig::three();
    let tracks =
        [Channel::Agent, Channel::Customer, Channel::Third].map(|channel| rig.add(0, channel));
    let value = |n: u32, channel: u32| ((n * 7 + channel * 31) % 200) as i16 * 100 - 10_000;
    for n in 0..500 {
        let ms = u64::from(n) * 20;
        for (channel, track) in tracks.into_iter().enumerate() {
            level_packet(&mut rig, ms, track, 1 + channel as u32, n, value(n, channel as u32))
                .unwrap();
        }
        if n % 13 == 12 {
            rig.flush(ms + 20);
            assert_eq!(channels(&rig.disk, 3)[0].len() as u64, (ms + 20) * 8);
        }
    }
    rig.flush(10_000);
    let heard = channels(&rig.disk, 3);
    for (channel, samples) in heard.iter().enumerate() {
        assert_eq!(samples.len(), 80_000);
        let wrong =
            (0..80_000).find(|at| samples[*at] != near(value(*at as u32 / PACKET, channel as u32)));
        assert_eq!(wrong, None, "channel {channel}");
    }
    assert_eq!(rig.recording.file_len(rig.at(10_000)), 44 + 80_000 * 6);
}

#[test]
fn tracks_of_one_channel_are_summed_and_limited() {
    let mut rig = Rig::new();
    let beside = rig.add(0, Channel::Customer);
    let third = rig.add(0, Channel::Third);
    for n in 0..50 {
        let ms = u64::from(n) * 20;
        level_packet(&mut rig, ms, LEFT, 1, n, 20_000).unwrap();
        level_packet(&mut rig, ms, beside, 2, n, 1000).unwrap();
        level_packet(&mut rig, ms, third, 3, n, if n < 25 { 2000 } else { 32_000 }).unwrap();
        level_packet(&mut rig, ms, RIGHT, 4, n, 3000).unwrap();
    }
    // The right track is A-law, which keeps µ-law as near as it can.
    let mut kept = [g711::encode(Law::Pcmu, 3000)];
    g711::transcode(&mut kept, Law::Pcmu, Law::Pcma);
    let right = g711::decode_table(Law::Pcma)[usize::from(kept[0])];
    let (left, both) = rig.finish(1000);
    assert!(left.iter().all(|sample| *sample == near(20_000)));
    assert!(both[..4000].iter().all(|sample| *sample == near(1000) + near(2000) + right));
    let loud =
        (i32::from(near(32_000)) + i32::from(near(1000)) + i32::from(right)).clamp(-32_768, 32_767);
    assert!(both[4000..].iter().all(|sample| i32::from(*sample) == loud));
}

#[test]
fn a_track_that_ended_keeps_its_part_and_its_place_serves_again() {
    let mut rig = Rig::new();
    let first = rig.add(0, Channel::Third);
    for n in 0..25 {
        level_packet(&mut rig, u64::from(n) * 20, first, 1, n, 4000).unwrap();
    }
    rig.recording.end_track(first);
    // At once another begins: its place must not be that of the first, whose last packet reaches
    // beyond now.
    let second = rig.add(490, Channel::Third);
    assert_ne!(first, second);
    for n in 0..25 {
        level_packet(&mut rig, 500 + u64::from(n) * 20, second, 2, n, 6000).unwrap();
    }
    rig.recording.end_track(second);
    assert!([first, second].contains(&rig.add(1000, Channel::Third)));
    assert!(![first, second].contains(&rig.add(1000, Channel::Agent)));
    let (_, right) = rig.finish(1000);
    assert!(right[..4000].iter().all(|sample| *sample == near(4000)));
    assert!(right[4000..].iter().all(|sample| *sample == near(6000)));
}

#[test]
fn there_are_only_so_many_tracks() {
    let mut rig = Rig::new();
    let at = rig.at(0);
    let more = (0..100)
        .filter(|_| rig.recording.add_track(at, Channel::Third, Law::Pcmu).is_some())
        .count();
    assert_eq!(more, MAX_TRACK_COUNT - 2);
}

#[test]
fn a_pause_is_silence_of_its_length() {
    let mut rig = Rig::new();
    for n in 0..100 {
        match n {
            30 => rig.recording.pause(),
            70 => rig.recording.resume(),
            _ => {}
        }
        rig.packet(u64::from(n) * 20, LEFT, &A, n).unwrap();
        if n % 40 == 39 {
            rig.flush(u64::from(n) * 20);
        }
    }
    let (left, _) = rig.finish(2000);
    assert_eq!(left.len(), 16_000);
    check_tone(&left[..4800], 400.0);
    check_silence(&left[4800..11_200]);
    check_tone(&left[11_200..], 400.0);
}

#[test]
fn a_file_of_three_channels_is_repaired_wherever_its_writer_stopped() {
    let mut rig = Rig::three();
    let track = rig.add(0, Channel::Third);
    for n in 0..50 {
        level_packet(&mut rig, u64::from(n) * 20, track, 1, n, 5000).unwrap();
    }
    // After each write of the first two flushes, and cut anywhere.
    let mut promised = 0;
    for (flush, ms) in [(0, 500), (1, 1000)] {
        rig.buffer.clear();
        let writes = rig.recording.flush(rig.at(ms), &mut rig.buffer);
        assert_eq!(writes[0].is_some(), flush == 0, "the header comes first once");
        for write in writes.iter().flatten() {
            rig.disk.write(write, &rig.buffer);
            if write.offset == 0 {
                promised = u64::from(u32::from_le_bytes(rig.disk.0[40..44].try_into().unwrap()));
            }
            for file_len in (HEADER_LEN + 6..=rig.disk.0.len()).step_by(101) {
                let frame_count = promised.min(file_len as u64 - 44) / 6;
                let expected = Repair::Finalise {
                    header: header(Layout::ThreeChannel, frame_count),
                    len: 44 + frame_count * 6,
                };
                assert_eq!(repair(&rig.disk.0[..HEADER_LEN], file_len as u64), expected);
            }
        }
    }
    assert_eq!(promised, 8000 * 6);
    assert!(channels(&rig.disk, 3)[2].iter().all(|sample| *sample == near(5000)));
    assert_eq!(repair(&header(Layout::ThreeChannel, 9), 44 + 5), Repair::Empty);
}
