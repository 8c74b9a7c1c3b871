//! Asks the processor for memory before it is used, so that the waits for several places pass side by side.

use std::mem::size_of;

const LINE_LEN: usize = 64;

/// Asks for the cache lines of the first `len` bytes of `value`; where no instruction for it is known, nothing happens.
pub(crate) fn prefetch_start<T>(value: &T, len: usize) {
    #[cfg(target_arch = "x86_64")]
    for offset in (0..len.min(size_of::<T>())).step_by(LINE_LEN) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: the offset is inside of `value`; the instruction needs nothing but the address, and has no effect that can be seen.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).byte_add(offset).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (value, len);
}

/// Asks for all of `value`.
pub(crate) fn prefetch<T>(value: &T) {
    prefetch_start(value, size_of::<T>());
}
