//! The shell under `media-core`: the UDP sockets of one shard and their epoll set (`engine`), what
//! lets a glommio executor park until a datagram or another thread calls (`doorbell`), the
//! recording files (`recorder`, `recovery`), sockets of ours as glommio's streams, and the way
//! between them and the relay (`carry`). Decides nothing about packets; knows no SIP.

pub mod carry;
pub mod doorbell;
pub mod engine;
mod foreign;
pub mod recorder;
pub mod recovery;
pub mod signal;

pub use foreign::glommio_stream;

use std::net::SocketAddr;

/// Whether the kernel lets this process have an io_uring.
pub fn ring_is_available() -> std::io::Result<()> {
    io_uring::IoUring::new(2).map(drop)
}

/// Why the engine's sockets could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("cannot bind UDP {address}: {error}")]
    Bind { address: SocketAddr, error: std::io::Error },
    #[error("the media ports reach beyond 65535")]
    PortRange,
    #[error("epoll: {0}")]
    Epoll(std::io::Error),
    #[error("io_uring: {0}")]
    Ring(std::io::Error),
}
