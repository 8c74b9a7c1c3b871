// Opens a launch link in Firefox over WebDriver BiDi, talks for a moment and hangs up: one JSON report on standard output. Tests judge it.
//
//   node tests/browser/firefox.mjs LINK [FIREFOX]
//
// The microphone is Firefox's own fake, a tone of 600 Hz. Status 1 and a line on standard error if no call came about.

import { createRequire } from "node:module";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const require = createRequire(new URL("../../control-api/web/package.json", import.meta.url));
const puppeteer = require("puppeteer-core");

const STATE_TIMEOUT_MS = 20_000;
const TALK_MS = 3_000;
const PREFERENCES = {
  "media.navigator.streams.fake": true,
  "media.navigator.audio.fake_frequency": 600,
  "media.navigator.permission.disabled": true,
  // The edge of a test is on loopback, of which Firefox gathers no candidates by itself.
  "media.peerconnection.ice.loopback": true,
};

/** Runs in the document before its own scripts: keeps its peer connections for the report. */
function observe() {
  const connections = [];
  Object.defineProperty(window, "__connections", { value: connections });
  const Native = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Native {
    constructor(...rest) {
      super(...rest);
      connections.push(this);
    }
  };
}

/** Packets of both directions, and the strongest frequency in what the far end sends. */
async function measure() {
  const connection = window.__connections.at(-1);
  const report = {};
  for (const entry of (await connection.getStats()).values()) {
    if (entry.type === "inbound-rtp") report.inbound = { packet_count: entry.packetsReceived, byte_count: entry.bytesReceived, lost_count: entry.packetsLost };
    if (entry.type === "outbound-rtp") report.outbound = { packet_count: entry.packetsSent, byte_count: entry.bytesSent };
  }
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  analyser.fftSize = 8192;
  analyser.smoothingTimeConstant = 0;
  context.createMediaStreamSource(new MediaStream([connection.getReceivers()[0].track])).connect(analyser);
  await new Promise((resolve) => setTimeout(resolve, 600));
  const bins = new Float32Array(analyser.frequencyBinCount);
  analyser.getFloatFrequencyData(bins);
  const strongest = bins.reduce((best, level, at) => (level > bins[best] ? at : best), 1);
  report.heard = { frequency_hz: (strongest * context.sampleRate) / analyser.fftSize, level_db: bins[strongest] };
  await context.close();
  return report;
}

async function call(page, link) {
  const log = [];
  page.on("console", (message) => log.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => log.push(`error: ${error.message}`));
  await page.evaluateOnNewDocument(observe);
  await page.goto(link, { waitUntil: "domcontentloaded" });
  const reach = (word) =>
    page.waitForFunction((start) => document.title.startsWith(start), { timeout: STATE_TIMEOUT_MS }, word).catch(async () => {
      const text = await page.evaluate(() => document.body.innerText);
      throw new Error(`the page did not come to "${word}" but shows: ${text}\n${log.join("\n")}`);
    });
  await reach("Talking");
  await new Promise((resolve) => setTimeout(resolve, TALK_MS));
  const measured = await page.evaluate(measure);
  const soundBlocked = await page.evaluate(() => document.body.innerText.includes("holds the sound back"));
  await page.locator("::-p-aria(Hang up[role='button'])").click();
  await reach("Call ended");
  return { ...measured, sound_blocked: soundBlocked, log };
}

const [link, firefox = "/usr/bin/firefox-esr"] = process.argv.slice(2);
const profile = mkdtempSync(join(tmpdir(), "firefox-"));
const browser = await puppeteer.launch({
  browser: "firefox",
  executablePath: firefox,
  headless: true,
  acceptInsecureCerts: true,
  userDataDir: profile,
  extraPrefsFirefox: PREFERENCES,
});
try {
  const version = await browser.version();
  console.log(JSON.stringify({ version, ...(await call(await browser.newPage(), link)) }));
} catch (error) {
  console.error(String(error?.message ?? error));
  process.exitCode = 1;
} finally {
  await browser.close();
  rmSync(profile, { recursive: true, force: true, maxRetries: 3 });
}
