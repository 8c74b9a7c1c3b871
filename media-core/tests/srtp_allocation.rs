//! Proves that protecting and unprotecting packets touches no heap.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use media_core::srtp::{Inbound, Keys, Outbound, Suite};

thread_local! {
    static ALLOCATION_COUNT: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call goes to the system allocator unchanged; counting touches only a
// constant-initialised thread local.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATION_COUNT.set(ALLOCATION_COUNT.get() + 1);
        // SAFETY: the caller's promises are those that the system allocator needs.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above; `pointer` came from the system allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn packets_cost_no_allocation() {
    for suite in Suite::ALL {
        let keys = Keys::new(suite, &vec![1; suite.material_len()]).unwrap();
        let (mut outbound, mut inbound) = (Outbound::new(&keys), Inbound::new(&keys));
        let mut buffer = [0; 256];
        let before = ALLOCATION_COUNT.get();
        for sequence in 0..1000_u16 {
            buffer[..2].copy_from_slice(&[0x80, 0]);
            buffer[2..4].copy_from_slice(&sequence.to_be_bytes());
            let len = outbound.protect_rtp(&mut buffer, 172).unwrap();
            assert_eq!(inbound.unprotect_rtp(&mut buffer, len), Ok(172));
            buffer[..4].copy_from_slice(&[0x80, 201, 0, 6]);
            let len = outbound.protect_rtcp(&mut buffer, 28).unwrap();
            assert_eq!(inbound.unprotect_rtcp(&mut buffer, len), Ok(28));
        }
        assert_eq!(ALLOCATION_COUNT.get() - before, 0, "{suite:?}");
    }
}
