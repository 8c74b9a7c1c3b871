//! Why an operation was not done.

/// Why an operation was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("database: {0}")]
    Database(#[from] rocksdb::Error),
    /// A record on disk cannot be read.
    #[error("unreadable {kind} record: {reason}")]
    Corrupt { kind: &'static str, reason: String },
    /// The record was written by a newer release.
    #[error("{kind} record of version {version}, newer than this release")]
    NewerVersion { kind: &'static str, version: u8 },
    /// The operation contradicts what is stored; the text says how.
    #[error("{0}")]
    Conflict(&'static str),
    /// A page cursor that this storage did not make.
    #[error("not a cursor of this listing")]
    BadCursor,
}

/// What storage gives back.
pub type Result<T> = std::result::Result<T, Error>;
