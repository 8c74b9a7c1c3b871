//! What the parts of the process share: configuration, records, link, who is told, secrets, limits.
//! Owns no behaviour of its own.

use crate::callback::{self, Announcements, Callbacks};
use crate::clock::now_ms;
use crate::config::Config;
use crate::idempotency::Turns;
use crate::limits::{Limits, TrunkUse};
use crate::link::Link;
use crate::metrics::Metrics;
use crate::notices::Notices;
use crate::probe::Probe;
use crate::records::Records;
use crate::repeats::Repeats;
use crate::resolver::Resolver;
use crate::secret::{self, MasterKey, SecretError, Secrets};
use crate::speaking::Speakers;
use crate::streams::{Patience, Streams};
use crate::watch::Watchers;
use bytes::Bytes;
use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Why the process cannot start on its files.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("storage.folder: {0}")]
    Storage(#[from] storage::Error),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Callback(#[from] callback::StartError),
    #[error("{key}: {path}: {error}")]
    Folder { key: &'static str, path: String, error: io::Error },
}

/// Shared by all requests and tasks of the process.
pub struct App {
    pub config: Config,
    pub records: Records,
    pub secrets: Secrets,
    pub link: Link,
    pub notices: Notices,
    pub limits: Limits,
    /// Requests that are known again by their names.
    pub turns: Turns,
    /// Requests for parties that are being done.
    pub repeats: Repeats,
    pub resolver: Resolver,
    /// Told when trunks were set or removed.
    pub trunk_changes: Notify,
    pub probe: Probe,
    pub metrics: Metrics,
    /// The OpenAPI document of the public API, made when it is first asked for.
    pub document: OnceLock<Bytes>,
    /// Cancelled when the process is to stop: nothing new is begun.
    pub shutdown: CancellationToken,
    /// Cancelled when what was begun is done, so that calls that were just accepted still reach
    /// their shard.
    pub link_shutdown: CancellationToken,
}

impl App {
    /// Opens the records and the secrets that the configuration names; makes what does not exist.
    /// Blocks.
    pub fn open(config: Config) -> Result<Arc<Self>, OpenError> {
        Self::open_with(config, Patience::default())
    }

    /// The same with another patience of event streams.
    pub fn open_with(config: Config, patience: Patience) -> Result<Arc<Self>, OpenError> {
        let folders = [
            ("storage.folder", &config.storage.folder, 0o700),
            ("recordings.folder", &config.recordings.folder, 0o750),
            ("hold_audio.folder", &config.hold_audio.folder, 0o750),
        ];
        for (key, folder, mode) in folders {
            private_folder(folder, mode).map_err(|error| OpenError::Folder {
                key,
                path: folder.display().to_string(),
                error,
            })?;
        }
        let announcements = Announcements { public_url: config.public.url.clone() };
        let records = Records::open(&config.storage.folder, announcements)?;
        let secrets = Secrets {
            master_key: Arc::new(MasterKey::load_or_create(&config.storage.secret_key_file)?),
            admin_token: secret::load_or_create_admin_token(&config.admin.token_file)?,
        };
        let (metrics, streams) = (Metrics::default(), Streams::new(patience));
        let callbacks = Callbacks::new(
            &callback::Settings::of(&config),
            records.clone(),
            Arc::clone(&secrets.master_key),
            metrics.clone(),
            streams.clone(),
        )?;
        let notices = Notices {
            softphones: Watchers::load(records.blocking(), &secrets.master_key)?,
            speakers: Speakers::default(),
            streams,
            callbacks,
            trunk_lines: TrunkUse::default(),
        };
        Ok(Arc::new(Self {
            limits: Limits::load(records.blocking(), now_ms())?,
            records,
            secrets,
            link: Link::default(),
            notices,
            turns: Turns::default(),
            repeats: Repeats::default(),
            resolver: Resolver::new(&config.calls),
            trunk_changes: Notify::new(),
            probe: Probe::default(),
            metrics,
            document: OnceLock::new(),
            shutdown: CancellationToken::new(),
            link_shutdown: CancellationToken::new(),
            config,
        }))
    }
}

/// Makes a folder that others cannot look into, or takes the rights beyond `mode` from one which is
/// there and from its files: names of recordings are the permission to hear them. Of what another
/// user owns, only the operator can.
fn private_folder(folder: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(mode).create(folder)?;
    let narrow = |path: &Path, mode: u32| {
        let present = std::fs::metadata(path)?.permissions().mode() & 0o777;
        if present & !mode == 0 {
            Ok(())
        } else {
            std::fs::set_permissions(path, Permissions::from_mode(present & mode))
        }
    };
    let mut narrowed = narrow(folder, mode);
    for entry in std::fs::read_dir(folder)?.flatten() {
        // A file that was removed meanwhile is nobody's to read.
        if entry.file_type().is_ok_and(|kind| kind.is_file()) && entry.path().exists() {
            narrowed = narrowed.and(narrow(&entry.path(), mode & 0o666));
        }
    }
    if let Err(error) = narrowed {
        tracing::warn!(folder = %folder.display(), %error,
            "other users of this machine may read here: rights cannot be taken away");
    }
    Ok(())
}
