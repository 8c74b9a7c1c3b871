//! Firefox as an agent's browser, a second engine beside Chromium: driven by WebDriver BiDi (W3C)
//! over its WebSocket, with a microphone of its own that brings a tone.

use crate::PATIENCE;
use crate::audio::AMPLITUDE;
use crate::network::{ADDRESS, Wire, behind_the_wire};
use futures_util::{SinkExt, StreamExt};
use media_core::tone;
use serde_json::{Value, json};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::Join;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// A running browser with one page; ended when dropped.
pub struct Firefox {
    pub wire: Wire,
    socket: WebSocketStream<Join<ChildStdout, ChildStdin>>,
    context: String,
    last_id: u64,
    _child: Child,
    _pipe: Child,
    _profile: TempDir,
}

/// The functions of `browser/page.mjs`, by their text.
const PAGE: &str = include_str!("../browser/page.mjs");

/// Of the browser's WebDriver, in a namespace where nothing else listens.
const PORT: u16 = 9222;

/// Half a second of what the page's newest remote track brings, as samples at 8 kHz.
const RECORD: &str = "(async () => { \
    const track = window.__heard.tracks.filter(each => each.readyState === 'live').at(-1); \
    if (!track) return null; \
    const recorder = new MediaRecorder(new MediaStream([track])); \
    const recorded = new Promise(resolve => { recorder.ondataavailable = event => \
    resolve(event.data); }); \
    recorder.start(); \
    await new Promise(resolve => setTimeout(resolve, 500)); \
    recorder.stop(); \
    const sound = await new OfflineAudioContext(1, 1, 8000).decodeAudioData(await (await \
    recorded).arrayBuffer()); \
    return Array.from(sound.getChannelData(0), sample => Math.round(Math.max(-1, Math.min(1, \
    sample)) * 32767)); })()";

impl Firefox {
    /// Starts the browser; its microphone speaks with a tone of this frequency.
    pub async fn start(frequency: u32) -> Firefox {
        let profile = tempfile::tempdir().expect("a folder for the profile");
        let preferences = [
            ("media.navigator.permission.disabled", "true".to_owned()),
            ("media.navigator.streams.fake", "true".to_owned()),
            ("media.navigator.audio.fake_frequency", frequency.to_string()),
            ("media.autoplay.default", "0".to_owned()),
            ("media.peerconnection.ice.obfuscate_host_addresses", "false".to_owned()),
            // The microphone is for pages without TLS, too.
            ("dom.securecontext.allowlist", format!("\"{ADDRESS}\"")),
            ("network.proxy.type", "0".to_owned()),
            ("remote.active-protocols", "1".to_owned()),
            ("browser.shell.checkDefaultBrowser", "false".to_owned()),
            ("datareporting.policy.dataSubmissionEnabled", "false".to_owned()),
            ("app.update.disabledForTesting", "true".to_owned()),
        ];
        let lines: String = preferences
            .iter()
            .map(|(name, value)| format!("user_pref(\"{name}\", {value});\n"))
            .collect();
        std::fs::write(profile.path().join("user.js"), lines).expect("preferences");
        let child = Command::from(behind_the_wire("firefox-esr"))
            .args(["--headless", "--no-remote", "--profile"])
            .arg(profile.path())
            .args(["--remote-debugging-port", &PORT.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("unshare");
        let wire = Wire::of(child.id().expect("a process that runs")).await;
        let mut pipe = wire.pipe(PORT).expect("nsenter");
        let stream = tokio::io::join(
            pipe.stdout.take().expect("a pipe"),
            pipe.stdin.take().expect("a pipe"),
        );
        let opening =
            tokio_tungstenite::client_async(format!("ws://127.0.0.1:{PORT}/session"), stream);
        let opened = tokio::time::timeout(PATIENCE, opening)
            .await
            .expect("firefox-esr listens: run `make install` first");
        let (socket, _) = opened.expect("WebDriver BiDi");
        let mut firefox = Firefox {
            wire,
            socket,
            context: String::new(),
            last_id: 0,
            _child: child,
            _pipe: pipe,
            _profile: profile,
        };
        firefox
            .ask(
                "session.new",
                json!({ "capabilities": { "alwaysMatch": { "acceptInsecureCerts": true } } }),
            )
            .await;
        let tree = firefox.ask("browsingContext.getTree", json!({})).await;
        firefox.context = tree["contexts"][0]["context"].as_str().expect("a page").to_owned();
        let functions = PAGE.split("export {").next().expect("its functions");
        let observe = format!("() => {{ {functions}\n observe(); }}");
        firefox.ask("script.addPreloadScript", json!({ "functionDeclaration": observe })).await;
        firefox
    }

    /// Opens an address in the page.
    pub async fn open(&mut self, url: &str) {
        let context = self.context.clone();
        self.ask(
            "browsingContext.navigate",
            json!({ "context": context, "url": url, "wait": "interactive" }),
        )
        .await;
    }

    /// What can be read on the page.
    pub async fn text(&mut self) -> String {
        self.evaluate("document.body.innerText").await.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the page says this.
    pub async fn says(&mut self, words: &str) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let text = self.text().await;
            if text.contains(words) {
                return;
            }
            assert!(Instant::now() < deadline, "the page does not say {words:?}, but:\n{text}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Presses the button of this name.
    pub async fn click(&mut self, name: &str) {
        let script = format!(
            "[...document.querySelectorAll('button')].find(one => (one.getAttribute('aria-label') \
                ?? one.innerText).trim() === {})\
             .click()",
            json!(name)
        );
        self.evaluate(&script).await;
    }

    /// Waits until the page receives this tone, from what comes from now on. Without a sound card
    /// Firefox runs no analyser, but it records.
    pub async fn hears(&mut self, frequency: f64) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let samples: Vec<i16> =
                serde_json::from_value(self.evaluate(RECORD).await).unwrap_or_default();
            if samples
                .windows(800)
                .step_by(160)
                .any(|window| tone::level(window, frequency) > AMPLITUDE / 2.0)
            {
                return;
            }
            assert!(Instant::now() < deadline, "{frequency} Hz is not heard in Firefox");
        }
    }

    /// The value of an expression in the page.
    pub async fn evaluate(&mut self, script: &str) -> Value {
        let expression =
            format!("Promise.resolve({script}).then(value => JSON.stringify(value ?? null))");
        let target = json!({ "context": self.context });
        let answer = json!({ "expression": expression, "target": target, "awaitPromise": true });
        let answer = self.ask("script.evaluate", answer).await;
        let text =
            answer["result"]["value"].as_str().unwrap_or_else(|| panic!("{script} gives {answer}"));
        serde_json::from_str(text).expect("JSON")
    }

    async fn ask(&mut self, method: &str, params: Value) -> Value {
        self.last_id += 1;
        let id = self.last_id;
        let command = json!({ "id": id, "method": method, "params": params }).to_string();
        self.socket.send(Message::text(command)).await.expect("Firefox reads");
        loop {
            let message = tokio::time::timeout(PATIENCE, self.socket.next())
                .await
                .expect("an answer in time");
            let Message::Text(text) = message.expect("an open connection").expect("a message")
            else {
                continue;
            };
            let mut answer: Value = serde_json::from_str(&text).expect("JSON");
            if answer["id"] == id {
                assert_eq!(answer["type"], "success", "{method}: {answer}");
                return answer["result"].take();
            }
        }
    }
}
