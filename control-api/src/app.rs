//! What the parts of the process share: configuration, store, link, use of limits, metrics. Owns no
//! behaviour of its own.

use crate::callback::{self, Callbacks};
use crate::clock::now_ms;
use crate::config::Config;
use crate::idempotency::Turns;
use crate::limits::rate::UseRate;
use crate::limits::{LimitUse, TrunkUse};
use crate::link::Link;
use crate::metrics::Metrics;
use crate::minutes::Minutes;
use crate::probe::Probe;
use crate::repeats::Repeats;
use crate::routing::Resolver;
use crate::secret::{self, MasterKey, Secret, SecretError};
use crate::speaking::Speakers;
use crate::streams::Streams;
use crate::watch::Softphones;
use bytes::Bytes;
use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use storage::Storage;
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
    pub store: Storage,
    pub master_key: Arc<MasterKey>,
    /// Opens the admin API.
    pub admin_token: Secret,
    pub link: Link,
    pub lines: LimitUse,
    pub trunk_lines: TrunkUse,
    pub minutes: Minutes,
    pub softphones: Softphones,
    pub speakers: Speakers,
    pub streams: Streams,
    pub repeats: Repeats,
    pub turns: Turns,
    pub launch_rate: UseRate,
    /// Wrong keys, secrets and names of each address.
    pub guess_rate: UseRate,
    pub probe: Probe,
    pub metrics: Metrics,
    /// The OpenAPI document of the public API, made when it is first asked for.
    pub document: OnceLock<Bytes>,
    pub resolver: Resolver,
    pub callbacks: Callbacks,
    /// Cancelled when the process is to stop: nothing new is begun.
    pub shutdown: CancellationToken,
    /// Cancelled when what was begun is done, so that calls that were just accepted still reach
    /// their shard.
    pub link_shutdown: CancellationToken,
}

impl App {
    /// Opens the store and the secrets that the configuration names; makes what does not exist.
    /// Blocks.
    pub fn open(config: Config) -> Result<Arc<Self>, OpenError> {
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
        let store = Storage::open(&config.storage.folder)?;
        let master_key = Arc::new(MasterKey::load_or_create(&config.storage.secret_key_file)?);
        let metrics = Metrics::default();
        let delivery = callback::Settings::of(&config);
        let streams = Streams::default();
        Ok(Arc::new(Self {
            callbacks: Callbacks::new(
                &delivery,
                store.clone(),
                Arc::clone(&master_key),
                metrics.clone(),
                streams.clone(),
            )?,
            softphones: Softphones::load(&store, &master_key)?,
            minutes: Minutes::load(&store, now_ms())?,
            speakers: Speakers::default(),
            streams,
            repeats: Repeats::default(),
            turns: Turns::default(),
            probe: Probe::default(),
            launch_rate: UseRate::default(),
            guess_rate: UseRate::default(),
            store,
            master_key,
            admin_token: secret::load_or_create_admin_token(&config.admin.token_file)?,
            link: Link::default(),
            lines: LimitUse::default(),
            trunk_lines: TrunkUse::default(),
            metrics,
            document: OnceLock::new(),
            resolver: Resolver::new(&config.calls),
            shutdown: CancellationToken::new(),
            link_shutdown: CancellationToken::new(),
            config,
        }))
    }

    /// Runs a storage operation on a thread that may block: writes wait for the disk.
    pub async fn with_store<T, F>(&self, operation: F) -> Result<T, storage::Error>
    where
        T: Send + 'static,
        F: FnOnce(&Storage) -> Result<T, storage::Error> + Send + 'static,
    {
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || operation(&store))
            .await
            .expect("storage operations do not panic")
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
