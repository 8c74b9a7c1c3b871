//! What a call holds in memory while it runs and after its end.

use crate::rig::{AGENT, AGENT_MEDIA, CUSTOMER, CUSTOMER_MEDIA, Rig};
use crate::session;
use sip_core::message::Method;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
}

fn hold(by: isize) {
    HELD.with(|held| held.set(held.get() + by));
}

// SAFETY: every call goes to the system allocator unchanged; the count is a plain integer without
// destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        hold(layout.size() as isize);
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        hold(-(layout.size() as isize));
        // SAFETY: the caller keeps `dealloc`'s contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const CALL_COUNT: usize = 4;

/// Places calls that both answer, and hangs them up. Returns the bytes that each holds while it
/// runs, once its end is told and its BYEs are answered, and when nothing of it is awaited any
/// more.
fn talk(rig: &mut Rig) -> [isize; 3] {
    let held = || HELD.with(Cell::get);
    let before = held();
    let each_call = || (0..CALL_COUNT).map(|n| format!("call-{n}"));
    for call_id in each_call() {
        let agent = vec![session::route("agents", session::address(AGENT), "1001")];
        let customer = vec![session::route("carrier", session::address(CUSTOMER), "9876543210")];
        rig.place(session::call(&call_id, agent, customer));
        rig.answer_invite(AGENT, "agent", AGENT_MEDIA);
        rig.expect_request(Method::Ack, AGENT);
        rig.answer_invite(CUSTOMER, "customer", CUSTOMER_MEDIA);
        rig.expect_request(Method::Ack, CUSTOMER);
    }
    let running = held();
    for call_id in each_call() {
        rig.edge.hang_up(rig.now, &call_id.as_str().into());
        rig.drain();
        for at in [CUSTOMER, AGENT] {
            let bye = rig.expect_request(Method::Bye, at);
            rig.reply(&bye, 200, "");
        }
    }
    rig.ended.clear();
    rig.advance(Duration::from_secs(6));
    let told = held();
    rig.advance(Duration::from_secs(64));
    [running, told, held()].map(|now| (now - before) / CALL_COUNT as isize)
}

#[test]
fn an_ended_call_leaves_less_than_a_running_one_holds() {
    let mut rig = Rig::new();
    // The first calls leave tables that have grown.
    talk(&mut rig);
    let [running, told, over] = talk(&mut rig);
    println!("bytes a call: {running} running, {told} ended, {over} over");
    // What is left then are the test's own copies.
    assert!((1..12_500).contains(&(running - over)), "{}", running - over);
    assert!((1..2_048).contains(&(told - over)), "{}", told - over);
}
