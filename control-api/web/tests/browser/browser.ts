// Chromium with a fake microphone, a peer page that stands for the relay, and screenshots in each look.

import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type BrowserContext, type Page, chromium } from 'playwright-core';
import type { Peer } from './edge.ts';

const SCREENS = path.resolve(import.meta.dirname, '../screens');
const FLAGS = [
  '--no-sandbox', '--headless=new', '--use-fake-device-for-media-stream', '--disable-background-networking', '--disable-component-update', '--no-first-run', '--hide-scrollbars',
];

export interface Browser {
  readonly context: BrowserContext;
  close(): Promise<void>;
}

/** A fresh profile; `granted` answers the question for the microphone beforehand, as a policy or an earlier visit does. */
export async function launch(options: { microphone?: 'granted' | 'denied'; width?: number; dark?: boolean } = {}): Promise<Browser> {
  const profile = mkdtempSync(path.join(tmpdir(), 'softphone-'));
  const granted = options.microphone !== 'denied';
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
    headless: false,
    args: [...FLAGS, ...(granted ? ['--use-fake-ui-for-media-stream'] : ['--deny-permission-prompts'])],
    viewport: { width: options.width ?? 420, height: 760 },
    colorScheme: options.dark ? 'dark' : 'light',
  });
  return {
    context,
    async close() {
      await context.close();
      rmSync(profile, { recursive: true, force: true });
    },
  };
}

/** Light and dark at the page’s own width, then 320 and 1100 pixels wide, and what a small frame shows of it. */
export async function screens(page: Page, name: string): Promise<void> {
  mkdirSync(SCREENS, { recursive: true });
  const size = page.viewportSize() ?? { width: 420, height: 760 };
  await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' });
  await page.screenshot({ path: path.join(SCREENS, `${name}-light.png`), fullPage: true });
  await page.emulateMedia({ colorScheme: 'dark', reducedMotion: 'reduce' });
  await page.screenshot({ path: path.join(SCREENS, `${name}-dark.png`), fullPage: true });
  await page.setViewportSize({ width: 320, height: 560 });
  const overflow = await page.evaluate<number>('document.documentElement.scrollWidth - window.innerWidth');
  if (overflow > 0 && !page.url().includes('/frame')) throw new Error(`${name} is ${overflow} pixels too wide for 320`);
  await page.screenshot({ path: path.join(SCREENS, `${name}-narrow.png`), fullPage: true });
  await page.setViewportSize({ width: 320, height: 480 });
  await page.screenshot({ path: path.join(SCREENS, `${name}-frame.png`) });
  await page.setViewportSize({ width: 1100, height: 760 });
  await page.emulateMedia({ colorScheme: 'light', reducedMotion: 'reduce' });
  await page.screenshot({ path: path.join(SCREENS, `${name}-wide.png`), fullPage: true });
  await page.setViewportSize(size);
}

/** The far end of the audio: a page with a tone, whose peer connection offers and answers. */
export async function peer(context: BrowserContext, origin: string): Promise<{ peer: Peer; page: Page }> {
  const page = await context.newPage();
  await page.goto(`${origin}/CRM_API/webphone/assets/peer`);
  const gathered = `(async () => { const c = window.far; while (c.iceGatheringState !== 'complete') await new Promise(r => setTimeout(r, 10)); return c.localDescription.sdp; })()`;
  const make = `(() => { const audio = new AudioContext(); const tone = new OscillatorNode(audio, { frequency: 440 }); const out = audio.createMediaStreamDestination(); tone.connect(out); tone.start();
    window.far = new RTCPeerConnection(); window.far.addTrack(out.stream.getAudioTracks()[0], out.stream); window.heard = 0; })()`;
  return {
    page,
    peer: {
      async offer() {
        await page.evaluate(make);
        await page.evaluate('(async () => window.far.setLocalDescription(await window.far.createOffer()))()');
        return page.evaluate<string>(gathered);
      },
      async accept(answer) {
        await page.evaluate(`window.far.setRemoteDescription({ type: 'answer', sdp: ${JSON.stringify(answer)} })`);
      },
      async answer(offer) {
        await page.evaluate(`(async () => { await window.far.setRemoteDescription({ type: 'offer', sdp: ${JSON.stringify(offer)} }); await window.far.setLocalDescription(await window.far.createAnswer()); })()`);
        return page.evaluate<string>(gathered);
      },
    },
  };
}
