//! What the parts of the process share: configuration, store, link, use of limits, metrics. Owns no behaviour of its own.

use crate::{
    callback::{self, Callbacks},
    config::Config,
    limits::{LimitUse, TrunkUse},
    link::Link,
    metrics::Metrics,
    routing::Resolver,
    secret::{self, MasterKey, Secret, SecretError},
    softphone::Softphones,
    speaking::Speakers,
    streams::Streams,
    verbs::Repeats,
    webphone::rate::LaunchRate,
};
use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};
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
    Folder { key: &'static str, path: String, error: std::io::Error },
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
    pub softphones: Softphones,
    pub speakers: Speakers,
    pub streams: Streams,
    pub repeats: Repeats,
    pub launch_rate: LaunchRate,
    pub metrics: Metrics,
    pub resolver: Resolver,
    pub callbacks: Callbacks,
    /// Cancelled when the process is to stop: nothing new is begun.
    pub shutdown: CancellationToken,
    /// Cancelled when what was begun is done, so that calls that were just accepted still reach their shard.
    pub link_shutdown: CancellationToken,
}

impl App {
    /// Opens the store and the secrets that the configuration names; makes what does not exist. Blocks.
    pub fn open(config: Config) -> Result<Arc<Self>, OpenError> {
        let folders = [
            ("storage.folder", &config.storage.folder),
            ("recordings.folder", &config.recordings.folder),
            ("hold_audio.folder", &config.hold_audio.folder),
        ];
        for (key, folder) in folders {
            std::fs::create_dir_all(folder).map_err(|error| OpenError::Folder {
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
            callbacks: Callbacks::new(&delivery, store.clone(), Arc::clone(&master_key), metrics.clone(), streams.clone())?,
            softphones: Softphones::load(&store, &master_key)?,
            speakers: Speakers::default(),
            streams,
            repeats: Repeats::default(),
            launch_rate: LaunchRate::default(),
            store,
            master_key,
            admin_token: secret::load_or_create_admin_token(&config.admin.token_file)?,
            link: Link::default(),
            lines: LimitUse::default(),
            trunk_lines: TrunkUse::default(),
            metrics,
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
        tokio::task::spawn_blocking(move || operation(&store)).await.expect("storage operations do not panic")
    }
}

/// Unix milliseconds of the system's clock.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
