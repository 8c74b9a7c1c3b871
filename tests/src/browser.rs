//! Chromium as an agent's browser: started and driven through `tests/browser/driver.mjs`, one
//! command at a time.

use crate::{PATIENCE, eventually};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Mutex;

/// Longest time of one command.
const COMMAND_LIMIT: Duration = Duration::from_secs(40);

/// What the page's newest connection speaks and hears, by its statistics.
pub const CODECS: &str = "(async () => { const stats = await \
     window.__heard.connections.at(-1).getStats(); const codecs = []; stats.forEach(one => { \
     if (['outbound-rtp', 'inbound-rtp'].includes(one.type)) \
     codecs.push(stats.get(one.codecId).mimeType); }); return codecs; })()";

/// What the agent's microphone is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Microphone {
    /// Granted, and it brings the agent's tone.
    Granted,
    Denied,
    Missing,
}

/// A browser with a profile of its own; ended when dropped.
pub struct Browser {
    pipe: Mutex<Pipe>,
    child: Child,
    tone: PathBuf,
}

struct Pipe {
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

/// One page of a browser.
pub struct Page<'a> {
    browser: &'a Browser,
    name: String,
    /// Of the navigation that opened it.
    pub status: Option<u64>,
    pub headers: Value,
}

/// What a page plays.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    /// In decibels of full scale, one for each frequency that was asked for.
    pub levels: Vec<f64>,
    pub strongest_hz: f64,
    pub strongest_db: f64,
}

impl Browser {
    /// Starts Chromium; its microphone speaks with a tone of this frequency, if it speaks at all.
    pub async fn start(microphone: Microphone, frequency: f64) -> Browser {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "microphone-{}-{}.wav",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let tone = std::env::temp_dir().join(name);
        std::fs::write(&tone, tone_file(frequency)).expect("a file for the tone");
        let driver = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser/driver.mjs");
        let mut child = Command::new("node")
            .arg(driver)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node: run `make install` first");
        let input = child.stdin.take().expect("a pipe");
        let output = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let browser = Browser { pipe: Mutex::new(Pipe { input, output }), child, tone };
        let microphone = match microphone {
            Microphone::Granted => "granted",
            Microphone::Denied => "denied",
            Microphone::Missing => "missing",
        };
        browser
            .ask(json!({ "op": "profile", "profile": "agent", "microphone": microphone,
            "tone": browser.tone }))
            .await;
        browser
    }

    /// Opens a page, as a click on a link does.
    pub async fn open(&self, url: &str) -> Page<'_> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("page-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let answer =
            self.ask(json!({ "op": "open", "profile": "agent", "page": name, "url": url })).await;
        Page {
            browser: self,
            name,
            status: answer["status"].as_u64(),
            headers: answer["headers"].clone(),
        }
    }

    /// Ends the browser and removes its profile.
    pub async fn stop(mut self) {
        let Pipe { mut input, .. } = self.pipe.into_inner();
        let _ = input.shutdown().await;
        drop(input);
        let ended = tokio::time::timeout(COMMAND_LIMIT, self.child.wait()).await;
        assert!(
            ended.is_ok_and(|status| status.is_ok_and(|status| status.success())),
            "the browser ends"
        );
        let _ = std::fs::remove_file(&self.tone);
    }

    #[track_caller]
    fn ask(&self, command: Value) -> impl Future<Output = Value> {
        let caller = std::panic::Location::caller();
        async move {
            let answer = tokio::time::timeout(COMMAND_LIMIT, async {
                let mut pipe = self.pipe.lock().await;
                pipe.input
                    .write_all(format!("{command}\n").as_bytes())
                    .await
                    .expect("the driver reads");
                let line = pipe
                    .output
                    .next_line()
                    .await
                    .expect("the driver writes")
                    .expect("an answer of the driver");
                serde_json::from_str::<Value>(&line).expect("JSON")
            });
            let mut answer = answer
                .await
                .unwrap_or_else(|_| panic!("{caller}: no answer of the browser to {command}"));
            assert!(answer["error"].is_null(), "{caller}: {command}: {}", answer["error"]);
            answer["ok"].take()
        }
    }
}

impl Page<'_> {
    /// What can be read on the page.
    pub async fn text(&self) -> String {
        self.look().await["text"].as_str().unwrap_or_default().to_owned()
    }

    /// Where the page is.
    pub async fn url(&self) -> String {
        self.look().await["url"].as_str().unwrap_or_default().to_owned()
    }

    async fn look(&self) -> Value {
        self.browser.ask(json!({ "op": "look", "page": self.name })).await
    }

    /// Waits until the page says this.
    pub async fn says(&self, words: &str) {
        let found = tokio::time::timeout(PATIENCE, async {
            while !self.text().await.contains(words) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        if found.await.is_err() {
            let look = self.look().await;
            panic!(
                "the page does not say {words:?}, but:\n{}\nand logs {}",
                look["text"].as_str().unwrap_or(""),
                look["log"]
            );
        }
    }

    /// Clicks what has this ARIA role and name.
    pub async fn click(&self, role: &str, name: &str) {
        self.browser
            .ask(json!({ "op": "click", "page": self.name, "role": role, "name": name }))
            .await;
    }

    /// Presses the button inside the page's only frame.
    pub async fn click_in_frame(&self, role: &str, name: &str) {
        self.browser
            .ask(json!({ "op": "click", "page": self.name, "role": role, "name": name,
            "frame": "iframe" }))
            .await;
    }

    /// Writes into the field of this label.
    pub async fn fill(&self, label: &str, text: &str) {
        self.browser
            .ask(json!({ "op": "fill", "page": self.name, "label": label, "text": text }))
            .await;
    }

    /// Presses a key of the keyboard.
    pub async fn press(&self, key: &str) {
        self.browser.ask(json!({ "op": "press", "page": self.name, "key": key })).await;
    }

    /// Loads the page again, as F5 does.
    pub async fn reload(&self) {
        self.browser.ask(json!({ "op": "reload", "page": self.name })).await;
    }

    /// The value of an expression in the page.
    pub async fn evaluate(&self, script: &str) -> Value {
        self.browser.ask(json!({ "op": "evaluate", "page": self.name, "script": script })).await
    }

    /// Keeps a picture under `target/screenshots`, at this size and in this colour scheme.
    pub async fn screenshot(&self, name: &str, (width, height): (u32, u32), scheme: &str) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/screenshots");
        std::fs::create_dir_all(&folder).expect("a folder for pictures");
        let path = folder.join(format!("{name}-{scheme}-{width}.png"));
        let size = json!({ "op": "viewport", "page": self.name, "width": width, "height": height,
            "scheme": scheme });
        self.browser.ask(size).await;
        self.browser.ask(json!({ "op": "screenshot", "page": self.name, "path": path })).await;
    }

    /// What the page plays from the far end just now; `None` before there is any.
    pub async fn heard(&self, frequencies: &[f64]) -> Option<Heard> {
        let heard = self
            .browser
            .ask(json!({ "op": "hear", "page": self.name, "frequencies": frequencies }))
            .await;
        let levels = heard["levels"]
            .as_array()?
            .iter()
            .map(|level| level.as_f64().unwrap_or(f64::MIN))
            .collect();
        Some(Heard {
            levels,
            strongest_hz: heard["strongest_hz"].as_f64()?,
            strongest_db: heard["strongest_db"].as_f64()?,
        })
    }

    /// Waits until the strongest thing that the page plays is this tone.
    pub async fn hears(&self, frequency: f64) {
        eventually(&format!("{frequency} Hz in the browser"), async || {
            let heard = self.heard(&[frequency]).await?;
            ((heard.strongest_hz - frequency).abs() < 15.0 && heard.strongest_db > -60.0)
                .then_some(())
        })
        .await;
    }

    /// Closes the page, as its window's button does.
    pub async fn close(self) {
        self.browser.ask(json!({ "op": "close", "page": self.name })).await;
    }
}

/// Ten whole seconds of a tone as 16-bit mono at 48 kHz; the browser repeats it.
fn tone_file(frequency: f64) -> Vec<u8> {
    const RATE: u32 = 48_000;
    let sample_count = RATE * 10;
    let data_len = sample_count * 2;
    let mut file = Vec::with_capacity(44 + data_len as usize);
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&(36 + data_len).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt ");
    file.extend_from_slice(&16u32.to_le_bytes());
    for word in [1u16, 1] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    file.extend_from_slice(&RATE.to_le_bytes());
    file.extend_from_slice(&(RATE * 2).to_le_bytes());
    for word in [2u16, 16] {
        file.extend_from_slice(&word.to_le_bytes());
    }
    file.extend_from_slice(b"data");
    file.extend_from_slice(&data_len.to_le_bytes());
    for n in 0..sample_count {
        let phase = f64::from(n) * frequency / f64::from(RATE) * std::f64::consts::TAU;
        file.extend_from_slice(&((phase.sin() * crate::audio::AMPLITUDE) as i16).to_le_bytes());
    }
    file
}
