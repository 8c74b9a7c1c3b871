//! The process under test: a folder of its own, one account, ports that the system gives.

use super::answer::Document;
use super::onboard::onboard;
use super::{DEADLINE, Rig};
use control_api::app::App;
use control_api::config::Config;
use control_api::server;
use control_api::streams::Patience;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::{sleep, timeout};

impl Rig {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// With a changed configuration, also after a restart.
    pub async fn start_with(change: fn(&mut Config)) -> Self {
        Self::open(change, Patience::default()).await
    }

    /// With streams of events that wait as long as this.
    pub async fn start_patient(patience: Patience) -> Self {
        Self::open(|_| {}, patience).await
    }

    async fn open(change: fn(&mut Config), patience: Patience) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("control-api-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let app = App::open_with(config(&folder, change), patience).unwrap();
        let [server_key, browser_key] = onboard(&app);
        Self::serve(app, folder, server_key, browser_key, change).await
    }

    async fn serve(
        app: Arc<App>,
        folder: PathBuf,
        server_key: String,
        browser_key: String,
        change: fn(&mut Config),
    ) -> Self {
        let running = server::start(Arc::clone(&app)).await.unwrap();
        let document = Document(server::public_document("https://api.example"));
        Self {
            app,
            folder,
            server_key,
            browser_key,
            running: Some(running),
            client: reqwest::Client::new(),
            document,
            change,
        }
    }

    /// Stops the process and starts another on the same files.
    pub async fn restart(mut self) -> Self {
        self.running.take().unwrap().stop().await;
        let Self { app, folder, server_key, browser_key, change, .. } = self;
        // Connections that were closed a moment ago may still hold the store.
        timeout(DEADLINE, async {
            while Arc::strong_count(&app) > 1 {
                sleep(Duration::from_millis(1)).await
            }
        })
        .await
        .unwrap();
        drop(app);
        let app = timeout(DEADLINE, async {
            loop {
                match App::open(config(&folder, change)) {
                    Ok(app) => return app,
                    Err(_) => sleep(Duration::from_millis(5)).await,
                }
            }
        });
        Self::serve(app.await.unwrap(), folder, server_key, browser_key, change).await
    }

    pub async fn stop(mut self) {
        self.running.take().unwrap().stop().await;
        std::fs::remove_dir_all(&self.folder).unwrap();
    }
}

fn config(folder: &Path, change: fn(&mut Config)) -> Config {
    let mut config = Config::default();
    config.public.listen.set_port(0);
    config.public.url = "https://api.example".into();
    config.public.trusted_proxies = vec!["127.0.0.1/32".parse().unwrap()];
    config.admin.listen.set_port(0);
    config.admin.token_file = folder.join("admin.token");
    config.link.socket = folder.join("control.sock");
    config.link.edge_lost_after_s = 1;
    config.storage.folder = folder.join("db");
    config.storage.secret_key_file = folder.join("secret.key");
    config.recordings.folder = folder.join("recordings");
    config.hold_audio.folder = folder.join("hold-audio");
    change(&mut config);
    config
}
