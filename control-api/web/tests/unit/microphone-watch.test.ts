// What makes a lost microphone asked for again: each sign that it may be back, and time, unless the browser would put its question each time.

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { MicrophoneWatch } from '../../src/shell/microphone-watch.ts';

const HOUR_MS = 3_600_000;

/** A browser's part: where the watch listens, and what the permission is. */
class Browser {
  readonly devices = new EventTarget();
  readonly page = new EventTarget() as EventTarget & { visibilityState: string };
  readonly permission = new EventTarget() as EventTarget & { state: string };

  constructor(state: string | null) {
    this.page.visibilityState = 'visible';
    this.permission.state = state ?? '';
    // Not every browser has the microphone among its permissions.
    const query = (): Promise<unknown> => (state === null ? Promise.reject(new TypeError()) : Promise.resolve(this.permission));
    vi.stubGlobal('navigator', { mediaDevices: this.devices, permissions: { query } });
    vi.stubGlobal('document', this.page);
  }
}

async function watching(state: string | null): Promise<{ browser: Browser; watch: MicrophoneWatch; count: () => number }> {
  const browser = new Browser(state);
  let asked = 0;
  const watch = new MicrophoneWatch(() => (asked += 1));
  await watch.listen();
  return { browser, watch, count: () => asked };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test('B05: a device, a permission and the page being shown again are signs', async () => {
  const { browser, count } = await watching('granted');
  browser.devices.dispatchEvent(new Event('devicechange'));
  expect(count()).toBe(1);
  browser.permission.state = 'denied';
  browser.permission.dispatchEvent(new Event('change'));
  expect(count()).toBe(2);
  browser.page.visibilityState = 'hidden';
  browser.page.dispatchEvent(new Event('visibilitychange'));
  expect(count()).toBe(2);
  browser.page.visibilityState = 'visible';
  browser.page.dispatchEvent(new Event('visibilitychange'));
  expect(count()).toBe(3);
});

test.each([
  ['granted', 'lost', true],
  ['granted', 'missing', true],
  ['denied', 'denied', true],
  ['prompt', 'lost', false],
  [null, 'in_use', true],
  [null, 'denied', false],
] as const)('B05: with the permission %s and the trouble %s, time alone asks again: %s', async (state, trouble, asks) => {
  const { watch, count } = await watching(state);
  watch.later(trouble);
  vi.advanceTimersByTime(HOUR_MS);
  expect(count()).toBe(asks ? 1 : 0);
});

test('B05: one that is found, or a page that stops, is asked for no more', async () => {
  const { watch, count } = await watching('granted');
  watch.later('lost');
  watch.later('lost');
  vi.advanceTimersByTime(HOUR_MS);
  expect(count()).toBe(1);
  watch.later('lost');
  watch.found();
  watch.later('lost');
  watch.stop();
  vi.advanceTimersByTime(HOUR_MS);
  expect(count()).toBe(1);
});
