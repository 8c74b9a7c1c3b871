// The built page in Chromium: the way of a call from the link to the end, and each failure, with a screenshot of each state.

import type { Page } from 'playwright-core';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Browser, launch, peer, screens } from './browser.ts';
import { Service } from './service.ts';

let service: Service;
let browser: Browser;
let violations: string[];

beforeEach(async () => {
  service = await Service.start();
  violations = [];
});

afterEach(async () => {
  await browser.close();
  await service.stop();
  expect(violations).toEqual([]);
});

async function open(options: Parameters<typeof launch>[0] = {}, url = service.launchUrl): Promise<Page> {
  browser = await launch(options);
  const far = await peer(browser.context, service.origin);
  service.edge.peer = far.peer;
  const page = await browser.context.newPage();
  page.on('console', message => {
    if (/Content Security Policy|Uncaught|status of 404/.test(message.text())) violations.push(message.text());
  });
  page.on('pageerror', error => violations.push(String(error)));
  page.on('request', request => {
    if (!request.url().startsWith('http://localhost:')) violations.push(`asked ${request.url()}`);
  });
  await page.goto(url);
  return page;
}

/** Waits for the text in one part of the page: `main` itself reads as its parts joined, so "Remove" before "Disposition" is "removed" there. */
async function shows(page: Page, text: string | RegExp): Promise<void> {
  await page.locator('main').getByText(text).and(page.locator('main *')).first().waitFor({ timeout: 8000 });
}

async function registeredAndPlaced(): Promise<void> {
  await expect.poll(() => service.placed(), { timeout: 8000 }).toBe(1);
}

/** Runs all that the page would do by itself in the next minute; gives what it asked the service or the edge meanwhile. */
async function minuteOf(page: Page): Promise<string[]> {
  const asked: string[] = [];
  page.on('request', request => asked.push(request.url()));
  page.on('websocket', socket => asked.push(socket.url()));
  await page.clock.runFor(60_000);
  return asked.filter(url => !url.includes('/assets/'));
}

/** Body of the last request for a call. */
function placedWith(): unknown {
  return service.asked.filter(({ path, method }) => method === 'POST' && path === 'session/call').at(-1)?.body;
}

/** From the link to a talk with real audio from the peer page. */
async function talk(page: Page): Promise<void> {
  await registeredAndPlaced();
  await service.edge.invite('call-1');
  service.bridge();
  await shows(page, 'Talking');
}

test('S02, S03, S12: the link leads to a talk without a click, the key leaves the address, and digits are sent', async () => {
  const page = await open();
  expect(page.url()).toBe(`${service.origin}/CRM_API/webphone/call`);
  await registeredAndPlaced();
  await screens(page, '02-connecting');
  await service.edge.invite('call-1');
  service.tell({ state: 'ringing' });
  await shows(page, 'Ringing');
  await screens(page, '03-ringing');
  service.bridge();
  await shows(page, 'Talking');
  // The far end's tone is heard and the quality measured; the sound needed no click.
  await page.getByLabel('Voice quality').waitFor({ timeout: 8000 });
  expect(await page.getByRole('button', { name: 'Turn on sound' }).count()).toBe(0);
  await screens(page, '04-talking');
  await page.keyboard.press('k');
  await page.keyboard.press('5');
  await page.getByRole('button', { name: 'Hash' }).click();
  await expect.poll(() => page.getByLabel('Digits sent').textContent()).toBe('5#');
  await expect.poll(() => service.verbs().map(verb => (verb as { digits: string }).digits).join('')).toBe('5#');
  await screens(page, '05-keypad');
  await page.keyboard.press('k');
  await page.keyboard.press('m');
  expect(await page.getByRole('button', { name: 'Mute', exact: true }).getAttribute('aria-pressed')).toBe('true');
  await page.getByRole('button', { name: 'Audio devices' }).click();
  await page.getByLabel('Microphone', { exact: true }).waitFor();
  await screens(page, '06-muted-devices');
  await page.keyboard.press('m');
  await page.keyboard.press('?');
  service.tell({ state: 'held' });
  await shows(page, 'On hold');
  await screens(page, '07-hold-shortcuts');
  await page.keyboard.press('?');
  await page.keyboard.press('h');
  await shows(page, /again to hang up/);
  await page.keyboard.press('h');
  await shows(page, 'You hung up.');
  await page.getByRole('button', { name: 'Interested', exact: true }).click();
  await shows(page, 'Saved');
  expect(service.asked.at(-1)).toEqual({ method: 'PATCH', path: 'session/call', body: { call_id: 'call-1', disposition: 'INTERESTED' } });
  await screens(page, '08-ended');
  await page.getByRole('button', { name: 'Call again' }).click();
  await expect.poll(() => placedWith()).toEqual({ microphone: 'granted', again: true });
  await service.edge.invite('call-2');
  service.tell({ state: 'ringing' });
  await shows(page, 'Ringing');
});

test('S10: from the page’s load to the registration', async () => {
  browser = await launch();
  const times: number[] = [];
  const page = await browser.context.newPage();
  for (let round = 0; round < 10; round += 1) {
    const start = performance.now();
    const count = service.edge.registeredCount;
    await page.goto(service.launchUrl);
    await expect.poll(() => service.edge.registeredCount, { timeout: 8000, interval: 5 }).toBeGreaterThan(count);
    times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  console.log(`page load to registered: median ${times[5]?.toFixed(0)} ms, longest ${times[9]?.toFixed(0)} ms`);
});

test('A4: a reload comes back to the same call and answers its second INVITE', async () => {
  const page = await open();
  await talk(page);
  service.tell({ answer_time: new Date(Date.now() - 75_000).toISOString() });
  await page.reload();
  await expect.poll(() => service.edge.registeredCount, { timeout: 8000 }).toBe(2);
  await service.edge.invite('call-1');
  await shows(page, 'Talking');
  expect(await page.getByRole('timer').textContent()).toMatch(/^1:[12]\d$/);
  expect(service.placed()).toBe(1);
  expect(service.asked.some(({ method }) => method === 'DELETE')).toBe(false);
});

test('a lost WebSocket is opened again at once; talk and dialog go on', async () => {
  const page = await open();
  await talk(page);
  service.edge.drop(1012);
  await expect.poll(() => service.edge.registeredCount, { timeout: 4000 }).toBe(2);
  await shows(page, 'Talking');
  service.edge.down = true;
  service.edge.drop(1012);
  await shows(page, /You can go on talking/);
  await screens(page, '09-line-lost');
  service.edge.down = false;
  await expect.poll(() => service.edge.registeredCount, { timeout: 8000 }).toBe(3);
  expect(service.edge.received.some(text => text.startsWith('BYE'))).toBe(false);
});

test('a dead media path restarts ICE by a re-INVITE and never says BYE', async () => {
  const page = await open();
  await talk(page);
  await page.getByLabel('Voice quality').waitFor({ timeout: 8000 });
  const sent = (method: string): number => service.edge.received.filter(text => text.startsWith(method)).length;
  const acknowledged = sent('ACK');
  await page.clock.install();
  await page.evaluate("window.dispatchEvent(new Event('online'))");
  await expect.poll(() => [service.edge.registeredCount, sent('INVITE'), sent('ACK')], { timeout: 8000 }).toEqual([2, 1, acknowledged + 1]);
  // The next restart may be now, and finds nothing to heal.
  await page.clock.runFor(3_000);
  await shows(page, 'Talking');
  expect([sent('INVITE'), sent('BYE')]).toEqual([1, 0]);
  // The agent's own is the first that comes.
  await page.keyboard.press('h');
  await page.keyboard.press('h');
  await shows(page, 'You hung up.');
  expect([sent('INVITE'), sent('BYE')]).toEqual([1, 1]);
});

test('4001: the other tab has it; this one stays silent until asked', async () => {
  const page = await open();
  await talk(page);
  await page.clock.install();
  service.edge.drop(4001);
  await shows(page, 'Open in another tab');
  await screens(page, '10-elsewhere');
  expect(await minuteOf(page)).toEqual([]);
  expect(service.edge.registeredCount).toBe(1);
  await page.getByRole('button', { name: 'Use this tab' }).click();
  await expect.poll(() => service.edge.registeredCount, { timeout: 8000 }).toBe(2);
  await service.edge.invite('call-1');
  await shows(page, 'Talking');
});

test('4002: a new credential is fetched and used', async () => {
  const page = await open();
  await talk(page);
  service.edge.drop(4002);
  await expect.poll(() => service.edge.registeredCount, { timeout: 8000 }).toBe(2);
  expect(service.asked.filter(({ path }) => path === 'session/renew')).toHaveLength(1);
});

test('an INVITE of another call is answered 486', async () => {
  const page = await open();
  await talk(page);
  void service.edge.invite('someone-else');
  await expect.poll(() => service.edge.received.some(text => text.startsWith('SIP/2.0 486')), { timeout: 5000 }).toBe(true);
  await shows(page, 'Talking');
});

test('a browser without any network for media refuses the call at once and says why', async () => {
  browser = await launch();
  const far = await peer(browser.context, service.origin);
  service.edge.peer = far.peer;
  const page = await browser.context.newPage();
  // Only relays may be used, and there are none.
  await page.addInitScript("window.RTCPeerConnection = class extends RTCPeerConnection { constructor(options) { super({ ...options, iceTransportPolicy: 'relay' }); } }");
  await page.goto(service.launchUrl);
  await registeredAndPlaced();
  void service.edge.invite('call-1');
  await expect.poll(() => service.edge.received.find(text => text.startsWith('SIP/2.0 606')), { timeout: 8000 }).toContain('no_candidates');
  service.tell({ state: 'ended', status: 'FAILED', reason: 'agent_media', detail: 'no_candidates' });
  await shows(page, /Your browser found no network for calls/);
});

test('S11: a denied microphone is said and reported, and nothing registers', async () => {
  const page = await open({ microphone: 'denied' });
  await shows(page, 'The microphone is not allowed');
  await expect.poll(() => placedWith(), { timeout: 4000 }).toEqual({ microphone: 'denied' });
  await screens(page, '11-microphone-denied');
  expect(service.edge.registeredCount).toBe(0);
});

test.each([
  ['NotFoundError', 'missing', 'No microphone found'],
  ['NotReadableError', 'in_use', 'The microphone is in use'],
])('a microphone that gives %s', async (error, fault, title) => {
  browser = await launch();
  const page = await browser.context.newPage();
  await page.addInitScript(`navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', '${error}'); }`);
  await page.goto(service.launchUrl);
  await shows(page, title);
  await expect.poll(() => placedWith(), { timeout: 4000 }).toEqual({ microphone: fault });
  await screens(page, `12-microphone-${fault}`);
});

test.each([
  [{ status: 'BUSY', sip_code: 486 }, 'Busy'],
  [{ status: 'NO_ANSWER' }, 'No answer'],
  [{ status: 'BUSY', reason: 'declined' }, 'Declined'],
  [{ status: 'FAILED', reason: 'invalid_number', sip_code: 404 }, 'Call failed'],
])('S21: the end %j reads %s', async (end, title) => {
  const page = await open();
  await registeredAndPlaced();
  service.tell({ state: 'ended', ...end });
  await shows(page, title);
  await page.getByRole('button', { name: 'Call again' }).waitFor();
  await screens(page, `13-${title.toLowerCase().replace(' ', '-')}`);
});

test('a used link, a call elsewhere, a refused number: each says what to do', async () => {
  service.refusals.set('POST session', { status: 410, code: 'gone', detail: 'The token was used.' });
  const page = await open();
  await shows(page, /Click Dial in your CRM again/);
  await screens(page, '14-link-used');
  service.refusals.clear();
  service.refusals.set('POST session/call', { status: 422, code: 'invalid_number', detail: 'to_number: emergency numbers are not called' });
  await page.goto(service.launchUrl);
  await shows(page, /Emergency numbers are not called/);
  await screens(page, '15-number-refused');
});

test('a click while in a call shows that call', async () => {
  browser = await launch();
  service.conflict = 'in_call';
  service.call = { call_id: 'call-9', state: 'bridged', to_number: '+918000000001', from_number: '+918041234567', answer_time: new Date(Date.now() - 65_000).toISOString(), recording: true, disposition: 'CRM_CALL' };
  const page = await browser.context.newPage();
  await page.goto(service.launchUrl);
  await shows(page, /You are still in a call with/);
  await screens(page, '16-in-call');
  expect(service.placed()).toBe(0);
});

test('inside a CRM’s frame the softphone works with allow=, and says so without', async () => {
  browser = await launch();
  const page = await browser.context.newPage();
  await page.goto(`${service.origin.replace('localhost', '127.0.0.1')}/frame`);
  await expect.poll(() => service.placed(), { timeout: 8000 }).toBe(1);
  await page.goto(`${service.origin.replace('localhost', '127.0.0.1')}/frame-closed`);
  await page.frameLocator('iframe').getByText('The CRM blocks the microphone').first().waitFor({ timeout: 8000 });
  await screens(page, '17-frame-closed');
  expect(service.placed()).toBe(1);
});

test.each(['sandboxed', 'scriptless'])('a %s frame, in which the program cannot run, says what is to be done', async kind => {
  browser = await launch();
  const page = await browser.context.newPage();
  await page.goto(`${service.origin.replace('localhost', '127.0.0.1')}/frame-${kind}`);
  await page.frameLocator('iframe').getByText(/add allow-scripts and allow-same-origin/).filter({ visible: true }).waitFor({ timeout: 8000 });
  await screens(page, `17-frame-${kind}`);
  expect(service.asked.filter(({ path }) => path.startsWith('session'))).toEqual([]);
});

test('eight tabs without a microphone leave the browser its connections: the next one works', async () => {
  browser = await launch();
  const far = await peer(browser.context, service.origin);
  service.edge.peer = far.peer;
  for (let tab = 0; tab < 8; tab += 1) {
    const page = await browser.context.newPage();
    await page.addInitScript("navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', 'NotAllowedError'); }");
    await page.goto(service.launchUrl);
    await shows(page, 'The microphone is not allowed');
  }
  await expect.poll(() => service.placed(), { timeout: 4000 }).toBe(8);
  const page = await browser.context.newPage();
  await page.goto(service.launchUrl);
  await expect.poll(() => service.placed(), { timeout: 8000 }).toBe(9);
  await service.edge.invite('call-9');
  service.bridge();
  await shows(page, 'Talking');
});

test('eight tabs that never come online leave the browser its connections, too', async () => {
  browser = await launch();
  service.edge.down = true;
  const far = await peer(browser.context, service.origin);
  service.edge.peer = far.peer;
  for (let tab = 0; tab < 8; tab += 1) await (await browser.context.newPage()).goto(service.launchUrl);
  await expect.poll(() => service.asked.filter(({ path }) => path === 'session').length, { timeout: 8000 }).toBe(8);
  for (const page of browser.context.pages().slice(2)) await shows(page, 'Connecting you');
  service.edge.down = false;
  const page = await browser.context.newPage();
  await page.goto(service.launchUrl);
  await expect.poll(() => service.placed(), { timeout: 8000 }).toBeGreaterThan(0);
  expect(service.streamCount).toBeLessThan(6);
});

test('a page that is not visible does nothing', async () => {
  browser = await launch();
  const page = await browser.context.newPage();
  await page.addInitScript(`let shown = 'hidden'; Object.defineProperty(document, 'visibilityState', { get: () => shown }); window.show = () => { shown = 'visible'; document.dispatchEvent(new Event('visibilitychange')); };`);
  await page.clock.install();
  await page.goto(service.launchUrl);
  expect(await minuteOf(page)).toEqual([]);
  expect(service.asked).toEqual([]);
  await page.evaluate('window.show()');
  await registeredAndPlaced();
});

test('the page without a link explains itself; closing tells the server', async () => {
  const page = await open({}, `${service.origin}/CRM_API/webphone/call`);
  await shows(page, /opened by a Dial button/);
  await screens(page, '01-no-link');
  await page.goto(service.launchUrl);
  await registeredAndPlaced();
  service.tell({ state: 'ended', status: 'NO_ANSWER' });
  await page.getByRole('button', { name: 'Close', exact: true }).click();
  await expect.poll(() => service.asked.at(-1)?.path, { timeout: 4000 }).toBe('session/close');
});

test('the setup page tests microphone, speaker and network, and names the policy for this origin', async () => {
  const page = await open({ width: 760 }, service.setupUrl);
  await page.getByRole('button', { name: 'Test microphone' }).click();
  await page.getByText('You are heard').waitFor({ timeout: 8000 });
  await page.getByRole('button', { name: 'Test network' }).click();
  await page.getByText(/The call line opened/).waitFor({ timeout: 8000 });
  await page.getByRole('button', { name: 'Play test sound' }).click();
  await page.getByText('Did you hear three notes?').waitFor({ timeout: 8000 });
  expect(await page.getByText(`"${service.origin}"`).count()).toBeGreaterThan(0);
  await screens(page, '18-setup');
});

test('the setup page, opened from the softphone, tests the way of a call’s sound, tells the service and gives the softphone back', async () => {
  const page = await open();
  await registeredAndPlaced();
  service.tell({ state: 'ended', status: 'NO_ANSWER' });
  await page.getByRole('button', { name: 'Audio devices' }).click();
  const [setup] = await Promise.all([page.waitForEvent('popup'), page.getByRole('link', { name: /setup page/ }).click()]);
  setup.on('pageerror', error => violations.push(String(error)));
  await setup.getByRole('button', { name: 'Test network' }).click();
  await setup.getByText(/Sound goes both ways/).waitFor({ timeout: 20_000 });
  await screens(setup, '19-setup-sound');
  const kept = service.asked.find(({ method, path }) => method === 'PUT' && path === 'session/media-test')?.body as Record<string, unknown>;
  expect(kept).toMatchObject({ outcome: expect.stringMatching(/good|fair|poor/), round_trip_ms: expect.any(Number), jitter_ms: expect.any(Number), lost_permille: expect.any(Number) });
  expect(service.edge.received.some(text => text.startsWith('BYE'))).toBe(true);
  await expect.poll(() => service.edge.registeredCount, { timeout: 8000 }).toBe(3);
  await shows(page, 'No answer');
});

test('the setup page does not say that sound gets through when it does not, or when it could not try', async () => {
  const page = await open({}, service.setupUrl);
  await page.getByRole('button', { name: 'Test network' }).click();
  await page.getByText(/was not tested. Open this page from your softphone/).waitFor({ timeout: 8000 });
  await page.goto(service.launchUrl);
  await registeredAndPlaced();
  service.tell({ state: 'ended', status: 'NO_ANSWER' });
  await page.getByRole('button', { name: 'Audio devices' }).click();
  await browser.context.addInitScript("window.RTCPeerConnection = class extends RTCPeerConnection { constructor(options) { super({ ...options, iceTransportPolicy: 'relay' }); } }");
  const [setup] = await Promise.all([page.waitForEvent('popup'), page.getByRole('link', { name: /setup page/ }).click()]);
  await setup.getByRole('button', { name: 'Test network' }).click();
  await setup.getByText(/found no network for calls/).waitFor({ timeout: 20_000 });
  await expect.poll(() => service.asked.find(({ method, path }) => method === 'PUT' && path === 'session/media-test')?.body).toMatchObject({ outcome: 'no_candidates', jitter_ms: null });
});

test('in a call the setup page leaves the softphone alone', async () => {
  const page = await open();
  await talk(page);
  await page.getByRole('button', { name: 'Audio devices' }).click();
  const [setup] = await Promise.all([page.waitForEvent('popup'), page.getByRole('link', { name: /setup page/ }).click()]);
  await setup.getByRole('button', { name: 'Test network' }).click();
  await setup.getByText(/because you are in a call/).waitFor({ timeout: 8000 });
  expect(service.edge.registeredCount).toBe(1);
});
