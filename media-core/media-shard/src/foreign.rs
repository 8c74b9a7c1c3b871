//! The `unsafe` between us and glommio (that of datagrams is in `engine/burst`): handing it a
//! foreign descriptor, locking its files, and a one-entry ring that turns "this descriptor is
//! readable" into an eventfd that glommio can read.

use glommio::io::BufferedFile;
use glommio::net::TcpStream;
use io_uring::{IoUring, opcode, types};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};

/// Gives a descriptor to glommio, whose file then owns and closes it. Must run inside a glommio
/// executor.
pub fn glommio_file(descriptor: OwnedFd) -> BufferedFile {
    // SAFETY: the descriptor is open, and `into_raw_fd` gives up its ownership, so the file becomes
    // the only owner.
    unsafe { BufferedFile::from_raw_fd(descriptor.into_raw_fd()) }
}

/// Gives a connected or connecting socket to glommio, whose stream then owns and closes it. Must
/// run inside a glommio executor.
pub fn glommio_stream(socket: OwnedFd) -> TcpStream {
    // SAFETY: the descriptor is open, and `into_raw_fd` gives up its ownership, so the stream
    // becomes the only owner.
    unsafe { TcpStream::from_raw_fd(socket.into_raw_fd()) }
}

/// Locks one of glommio's files until nothing refers to it any more, the kernel's writes for a
/// process that was killed included.
pub fn lock(file: &impl AsRawFd) -> io::Result<()> {
    // SAFETY: the file owns the descriptor, and is borrowed for as long as this is.
    let descriptor = unsafe { BorrowedFd::borrow_raw(file.as_raw_fd()) };
    Ok(rustix::fs::flock(descriptor, rustix::fs::FlockOperation::NonBlockingLockExclusive)?)
}

/// Rings an eventfd when a descriptor becomes readable. One-shot: armed again for each wait.
pub struct ReadinessRing {
    watched: OwnedFd,
    ring: IoUring,
    armed: bool,
}

impl ReadinessRing {
    pub fn new(watched: OwnedFd, eventfd: &OwnedFd) -> io::Result<Self> {
        let ring = IoUring::new(2)?;
        ring.submitter().register_eventfd(eventfd.as_raw_fd())?;
        Ok(Self { watched, ring, armed: false })
    }

    /// Asks for one signal; nothing if it is asked for already.
    pub fn arm(&mut self) -> io::Result<()> {
        self.armed &= self.ring.completion().count() == 0;
        if self.armed {
            return Ok(());
        }
        let poll = opcode::PollAdd::new(
            types::Fd(self.watched.as_raw_fd()),
            rustix::event::PollFlags::IN.bits().into(),
        )
        .build();
        // SAFETY: the entry refers to no memory, and `self.watched` stays open as long as the ring.
        unsafe { self.ring.submission().push(&poll) }.map_err(io::Error::other)?;
        self.ring.submit()?;
        self.armed = true;
        Ok(())
    }
}
