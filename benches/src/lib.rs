//! What the benches share: the clock they measure with.

use std::time::Duration;

/// CPU time of this thread: other work on the machine disturbs it less than wall time. Reading it costs a system call.
pub fn thread_cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writes and the clock exists on Linux since 2.6.12.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(result, 0, "the thread has a CPU clock");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
