// Drives Chromium for the end-to-end tests: one JSON command a line on standard input, one JSON answer a line on standard output. Knows
// no test; what a page must do is decided by the caller.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hear, observe } from "./page.mjs";

const require = createRequire(new URL("../../control-api/web/package.json", import.meta.url));
const { chromium } = require("playwright-core");

const ARGUMENTS = [
  "--no-sandbox",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
  // The tests' edge shows a certificate that it made itself.
  "--ignore-certificate-errors",
];

/** What the microphone is in a profile: with a tone, refused by the user, or not there. */
const MICROPHONES = {
  granted: (tone) => ["--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", `--use-file-for-fake-audio-capture=${tone}`],
  denied: () => ["--use-fake-device-for-media-stream"],
  missing: () => ["--use-fake-ui-for-media-stream"],
};

const profiles = new Map();
const pages = new Map();

const commands = {
  /** Starts a browser of its own with a fresh profile. */
  async profile({ profile, microphone = "granted", tone, options = {} }) {
    const folder = mkdtempSync(join(tmpdir(), "chromium-"));
    const context = await chromium.launchPersistentContext(folder, {
      executablePath: "/usr/bin/chromium",
      headless: true,
      args: [...ARGUMENTS, ...MICROPHONES[microphone](tone)],
      ...options,
    });
    await context.addInitScript(observe);
    profiles.set(profile, { context, folder });
  },
  async open({ profile, page, url }) {
    const opened = await profiles.get(profile).context.newPage();
    const log = [];
    opened.on("console", (message) => log.push(`${message.type()}: ${message.text()}`));
    opened.on("pageerror", (error) => log.push(`error: ${error.message}`));
    pages.set(page, { page: opened, log });
    if (!url) return {};
    const answer = await opened.goto(url, { waitUntil: "commit" });
    return { status: answer?.status(), headers: answer?.headers() };
  },
  /** What people and screen readers find on the page, and its address. */
  async look({ page }) {
    const one = pages.get(page);
    return { url: one.page.url(), text: await one.page.evaluate(() => document.body?.innerText ?? ""), log: one.log };
  },
  async click({ page, role, name, frame }) {
    const at = frame ? pages.get(page).page.frameLocator(frame) : pages.get(page).page;
    await at.getByRole(role, { name, exact: true }).first().click({ timeout: 10_000 });
  },
  async fill({ page, label, text }) {
    await pages.get(page).page.getByLabel(label, { exact: true }).fill(text, { timeout: 10_000 });
  },
  async press({ page, key }) {
    await pages.get(page).page.keyboard.press(key);
  },
  async hear({ page, frequencies }) {
    return await pages.get(page).page.evaluate(hear, frequencies);
  },
  async evaluate({ page, script }) {
    return await pages.get(page).page.evaluate(script);
  },
  async reload({ page }) {
    await pages.get(page).page.reload({ waitUntil: "commit" });
  },
  async viewport({ page, width, height, scheme }) {
    const one = pages.get(page).page;
    await one.setViewportSize({ width, height });
    await one.emulateMedia({ colorScheme: scheme });
  },
  async screenshot({ page, path }) {
    await pages.get(page).page.screenshot({ path });
  },
  async close({ page }) {
    await pages.get(page).page.close({ runBeforeUnload: false });
    pages.delete(page);
  },
};

async function finish() {
  for (const { context, folder } of profiles.values()) {
    await context.close().catch(() => {});
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const { op, ...rest } = JSON.parse(line);
  let answer;
  try {
    answer = { ok: (await commands[op](rest)) ?? null };
  } catch (error) {
    answer = { error: String(error?.message ?? error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await finish();
