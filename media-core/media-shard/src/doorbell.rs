//! Wakes a task of a glommio executor from outside of it: by another thread, or by the first
//! datagram of a parked engine.

use crate::EngineError;
use crate::engine::Engine;
use crate::foreign::{ReadinessRing, glommio_file};
use glommio::io::BufferedFile;
use rustix::event::{EventfdFlags, eventfd};
use std::io;
use std::os::fd::OwnedFd;

/// The side that rings, from any thread.
#[derive(Debug)]
pub struct BellButton(OwnedFd);

impl BellButton {
    /// Makes the matching [`Doorbell`] ring once, also if nobody waits yet.
    pub fn ring(&self) -> io::Result<()> {
        rustix::io::write(&self.0, &1u64.to_ne_bytes())?;
        Ok(())
    }
}

/// The side that waits; opened inside the executor.
pub struct Doorbell {
    file: BufferedFile,
}

/// A bell that another executor's thread can open with [`Doorbell::open`].
pub struct ClosedDoorbell(OwnedFd);

impl ClosedDoorbell {
    /// Lets an engine hear it, instead of a task of its own: `Received::Rung`.
    pub fn hang_in(self, engine: &mut Engine) -> Result<(), EngineError> {
        engine.hear(self.0)
    }
}

/// Makes a bell and its button.
pub fn doorbell() -> io::Result<(BellButton, ClosedDoorbell)> {
    let descriptor = eventfd(0, EventfdFlags::CLOEXEC)?;
    Ok((BellButton(descriptor.try_clone()?), ClosedDoorbell(descriptor)))
}

impl Doorbell {
    /// Must run inside a glommio executor.
    pub fn open(bell: ClosedDoorbell) -> Self {
        Self { file: glommio_file(bell.0) }
    }

    /// Waits for the next ring.
    pub async fn rung(&self) -> io::Result<()> {
        self.file.read_at(0, 8).await.map_err(io::Error::from)?;
        Ok(())
    }
}

/// Rings when a datagram waits in a parked engine.
pub struct EngineBell {
    ring: ReadinessRing,
    bell: Doorbell,
}

impl EngineBell {
    /// Must run inside a glommio executor.
    pub fn new(engine: &Engine) -> io::Result<Self> {
        let descriptor = eventfd(0, EventfdFlags::CLOEXEC)?;
        let ring = ReadinessRing::new(engine.readiness()?, &descriptor)?;
        Ok(Self { ring, bell: Doorbell::open(ClosedDoorbell(descriptor)) })
    }

    /// Waits until the engine has something to receive. May return early.
    pub async fn rung(&mut self) -> io::Result<()> {
        self.ring.arm()?;
        self.bell.rung().await
    }
}
