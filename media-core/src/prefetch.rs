//! Asks the processor for memory before it is used, so that the waits for several places pass side
//! by side.

use std::mem::size_of;

const LINE_LEN: usize = 64;

/// Asks for the cache lines of the first `len` bytes of `value`.
pub(crate) fn prefetch_start<T>(value: &T, len: usize) {
    prefetch_lines(std::ptr::from_ref(value).cast(), len.min(size_of::<T>()));
}

/// Asks for all of `value`.
pub(crate) fn prefetch<T>(value: &T) {
    prefetch_lines(std::ptr::from_ref(value).cast(), size_of::<T>());
}

/// Asks for `bytes`.
pub(crate) fn prefetch_bytes(bytes: &[u8]) {
    prefetch_lines(bytes.as_ptr(), bytes.len());
}

/// Where no instruction for it is known, nothing happens.
fn prefetch_lines(start: *const u8, len: usize) {
    #[cfg(target_arch = "x86_64")]
    for offset in (0..len + start.addr() % LINE_LEN).step_by(LINE_LEN) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let line = start.wrapping_sub(start.addr() % LINE_LEN).wrapping_add(offset);
        // SAFETY: the instruction takes every address, and has no effect that can be seen.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (start, len);
}
