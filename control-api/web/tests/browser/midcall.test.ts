// Mid-call control on the built page in Chromium: a second number in each way, hold, recording, refusals, supervision, by mouse and by keyboard.

import type { Page } from 'playwright-core';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Browser, launch, peer, screens } from './browser.ts';
import type { Rooms } from './rooms.ts';
import { Service } from './service.ts';

const THIRD = '+918000000001';

let service: Service;
let browser: Browser;
let faults: string[];

beforeEach(async () => {
  service = await Service.start();
  faults = [];
});

afterEach(async () => {
  await browser.close();
  await service.stop();
  expect(faults).toEqual([]);
});

async function open(options: Parameters<typeof launch>[0] = {}): Promise<Page> {
  browser = await launch(options);
  const far = await peer(browser.context, service.origin);
  service.edge.peer = far.peer;
  const page = await browser.context.newPage();
  page.on('console', message => {
    if (/Content Security Policy|Uncaught|status of 404/.test(message.text())) faults.push(message.text());
  });
  page.on('pageerror', error => faults.push(String(error)));
  await page.goto(service.launchUrl);
  return page;
}

/** From the link to a talk with the customer. */
async function talk(page: Page): Promise<Rooms> {
  await expect.poll(() => service.placed(), { timeout: 8000 }).toBe(1);
  await service.edge.invite('call-1');
  const rooms = service.bridge();
  await shows(page, 'Talking');
  return rooms;
}

/** Waits for the text in one part of the page: `main` itself reads as its parts joined, so "Remove" before "Disposition" is "removed" there. */
async function shows(page: Page, text: string | RegExp): Promise<void> {
  await page.locator('main').getByText(text).and(page.locator('main *')).filter({ visible: true }).first().waitFor({ timeout: 8000 });
}

function button(page: Page, name: string | RegExp) {
  return page.getByRole('button', { name, exact: typeof name === 'string' });
}

async function add(page: Page, way: 'Talk first' | 'Join at once' | 'Transfer'): Promise<void> {
  await button(page, 'Add person').click();
  await page.getByLabel('Number to call').fill('+91 80000 00001');
  await button(page, way).click();
  await page.getByLabel('Number to call').waitFor({ state: 'detached' });
}

/** Lets the third person's phone do something. */
function third(act: (rooms: Rooms) => void): void {
  act(service.rooms as Rooms);
  service.tellRooms();
}

/** What the live regions say. */
async function spoken(page: Page): Promise<string> {
  return (await page.locator('[aria-live=polite]').allTextContents()).join(' ');
}

async function focused(page: Page): Promise<string> {
  return page.evaluate<string>("document.activeElement?.id || document.activeElement?.getAttribute('aria-label') || document.activeElement?.textContent || ''");
}

test('S13: consult, then merge: the customer waits on hold, then all three talk, and the third is removed', async () => {
  const page = await open();
  await talk(page);
  await button(page, 'Add person').click();
  await page.getByLabel('Number to call').fill('+91 80000 00001');
  await screens(page, '20-add-person');
  await button(page, 'Talk first').click();
  await shows(page, 'The customer is on hold.');
  expect(service.verbs()).toEqual([{ verb: 'add', to_number: '+91 80000 00001', flow: 'consult' }]);
  expect(await focused(page)).toBe('flow');
  third(rooms => rooms.rings());
  await shows(page, 'ringing');
  expect(await button(page, /^Merge/).getAttribute('aria-disabled')).toBe('true');
  await screens(page, '21-calling');
  third(rooms => rooms.answers());
  await shows(page, 'Private talk');
  await screens(page, '22-private-talk');
  await button(page, /^Merge/).click();
  await shows(page, 'Call of 3');
  service.speak('customer');
  await page.locator('#person-customer.speaks').waitFor();
  await screens(page, '23-three');
  await button(page, /^Remove plus/).click();
  await shows(page, 'removed');
  expect(await focused(page)).toBe('person-third-1');
  await page.locator('main').getByText('Call of 3').waitFor({ state: 'detached' });
  expect(service.verbs().slice(1)).toEqual([{ verb: 'merge' }, { verb: 'remove', party: 'third-1' }]);
});

test('S13: consult, swap there and back, then transfer: the call goes on without the agent, and this page is free', async () => {
  const page = await open();
  await talk(page);
  await add(page, 'Talk first');
  third(rooms => rooms.answers());
  await shows(page, 'Private talk');
  await button(page, /^Swap/).click();
  await shows(page, /You are back with the customer/);
  expect(await page.locator('.hold-banner').count()).toBe(0);
  await screens(page, '24-swapped');
  await button(page, /^Swap/).click();
  await shows(page, 'Private talk');
  await button(page, /^Transfer: you leave/).click();
  await shows(page, 'Transferred');
  service.edge.bye();
  await shows(page, /The customer talks to \+91 80000 00001/);
  expect(await button(page, 'Hang up').count()).toBe(0);
  await screens(page, '25-transferred');
  await button(page, 'Call again').click();
  await expect.poll(() => service.placed()).toBe(2);
});

test('S13: a blind transfer that nobody answers brings the agent back, who is told why', async () => {
  const page = await open();
  await talk(page);
  await add(page, 'Transfer');
  expect(service.verbs()).toEqual([{ verb: 'transfer', to_number: '+91 80000 00001' }]);
  third(rooms => rooms.rings());
  await shows(page, 'Transferring');
  await screens(page, '26-transferring');
  third(rooms => rooms.leaves('no_answer'));
  await shows(page, /\+91 80000 00001 did not answer\./);
  await shows(page, /The transfer did not happen\. You are back with the customer\./);
  expect(await spoken(page)).toContain('did not answer');
  await screens(page, '27-third-failed');
  await button(page, 'Dismiss this message').click();
  expect(await page.locator('#notice').count()).toBe(0);
  expect(await focused(page)).toBe('add-person');
  await add(page, 'Transfer');
  third(rooms => rooms.answers());
  await shows(page, 'Transferred');
});

test.each([
  ['busy', /is busy\./],
  ['declined', /declined the call\./],
  ['invalid_number', /cannot be called/],
])('S13: a consulted number that is %s', async (reason, sentence) => {
  const page = await open();
  await talk(page);
  await add(page, 'Talk first');
  third(rooms => rooms.leaves(reason));
  await shows(page, sentence);
  await shows(page, /You are back with the customer/);
  expect(await page.locator('#flow').count()).toBe(0);
});

test('S19: hold shows who waits, whoever asked for it; mute is told, and the service’s mute is shown', async () => {
  const page = await open();
  const rooms = await talk(page);
  await button(page, 'Hold').click();
  await shows(page, 'On hold');
  await shows(page, /Press Resume to go on/);
  await screens(page, '28-hold');
  await button(page, 'Resume').click();
  await page.locator('.hold-banner').waitFor({ state: 'detached' });
  rooms.get('customer').state = 'on_hold';
  service.tellRooms();
  await shows(page, /somebody else put them on hold/);
  await page.keyboard.press('o');
  await page.locator('.hold-banner').waitFor({ state: 'detached' });
  await button(page, 'Mute').click();
  expect(await button(page, 'Mute').getAttribute('aria-pressed')).toBe('true');
  await expect.poll(() => service.verbs().at(-1)).toEqual({ verb: 'mute' });
  await page.reload();
  await expect.poll(() => service.edge.registeredCount, { timeout: 8000 }).toBe(2);
  await service.edge.invite('call-1');
  await shows(page, 'Talking');
  await expect.poll(() => button(page, 'Mute').getAttribute('aria-pressed')).toBe('true');
  await page.keyboard.press('m');
  await expect.poll(() => button(page, 'Mute').getAttribute('aria-pressed')).toBe('false');
});

test('the recording is paused and goes on, and starts when it was off', async () => {
  service.recording = false;
  const page = await open();
  await talk(page);
  await button(page, 'Start recording').click();
  await shows(page, /^\s*Recording$/);
  await button(page, 'Pause recording').click();
  await shows(page, 'Recording paused');
  expect(await spoken(page)).toContain('The recording is paused.');
  await screens(page, '29-recording-paused');
  await page.keyboard.press('r');
  await button(page, 'Pause recording').waitFor();
  expect(service.verbs()).toEqual([{ verb: 'record', action: 'start' }, { verb: 'record', action: 'pause' }, { verb: 'record', action: 'resume' }]);
});

test('by keyboard alone: consult, digits to whom is consulted, merge, remove, hang up', async () => {
  const page = await open();
  await talk(page);
  await page.keyboard.press('a');
  await page.keyboard.type('+918000000001');
  await page.keyboard.press('Enter');
  await shows(page, 'Calling');
  await expect.poll(() => focused(page)).toBe('flow');
  // Not one of the digits went to the customer.
  expect(service.verbs()).toEqual([{ verb: 'add', to_number: THIRD, flow: 'consult' }]);
  await page.keyboard.press('g');
  await shows(page, 'They have not answered yet');
  await page.keyboard.press('Escape');
  expect(await page.locator('#notice').count()).toBe(0);
  third(rooms => rooms.answers());
  await shows(page, 'Private talk');
  await page.keyboard.press('k');
  await page.keyboard.press('7');
  await expect.poll(() => service.verbs().at(-1)).toEqual({ verb: 'dtmf', digits: '7', party: 'third-1' });
  await screens(page, '30-keypad-third');
  await page.keyboard.press('k');
  await page.keyboard.press('w');
  await shows(page, /You are back with the customer/);
  await page.keyboard.press('g');
  await shows(page, 'Call of 3');
  await page.keyboard.press('p');
  expect(await focused(page)).toBe('people');
  await page.keyboard.press('Tab');
  expect(await focused(page)).toMatch(/^Remove the customer/);
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await shows(page, 'removed');
  expect(await focused(page)).toBe('person-third-1');
  await page.keyboard.press('?');
  await screens(page, '31-shortcuts');
  await page.keyboard.press('h');
  await page.keyboard.press('h');
  await shows(page, 'You hung up.');
});

test('X twice cancels the second number, T twice hands the call over', async () => {
  const page = await open();
  await talk(page);
  await add(page, 'Join at once');
  await shows(page, /joins when answering/);
  await page.keyboard.press('x');
  await shows(page, /again to hang up the second number/);
  await page.keyboard.press('x');
  await page.locator('#flow').waitFor({ state: 'detached' });
  expect(await focused(page)).toBe('add-person');
  expect(await page.locator('#notice').count()).toBe(0);
  await add(page, 'Join at once');
  third(rooms => rooms.answers());
  await shows(page, 'Call of 3');
  await page.keyboard.press('t');
  await page.keyboard.press('t');
  await expect.poll(() => service.verbs().at(-1)).toEqual({ verb: 'complete' });
});

test('a refusal says what to do next, and the number stays to be mended', async () => {
  const page = await open();
  await talk(page);
  service.refusals.set('POST session/call/control', { status: 422, code: 'invalid_number', detail: 'to_number: premium numbers are not called' });
  await button(page, 'Add person').click();
  await page.getByLabel('Number to call').fill('1900');
  await button(page, 'Talk first').click();
  await shows(page, /Premium numbers are not called\. Check the number/);
  expect(await page.getByLabel('Number to call').inputValue()).toBe('1900');
  await screens(page, '32-refused');
  await page.keyboard.press('Escape');
  service.refusals.set('POST session/call/control', { status: 503, code: 'no_edge', detail: 'the media server is away' });
  await button(page, 'Hold').click();
  await shows(page, 'The call cannot be steered at the moment');
  expect(await page.locator('.hold-banner').count()).toBe(0);
});

test('a supervisor is shown with what they may, and is removed by one press; the customer only by a second', async () => {
  const page = await open();
  const rooms = await talk(page);
  rooms.supervises('lead.003', 'whisper');
  rooms.get('customer').muted = true;
  service.tellRooms();
  await shows(page, 'speaks to you alone');
  await screens(page, '33-supervisor');
  await button(page, 'Remove supervisor lead.003').click();
  await shows(page, 'removed');
  expect(service.verbs()).toEqual([{ verb: 'remove', party: 'supervisor-1' }]);
  await button(page, /^Remove the customer/).click();
  await shows(page, 'End for all?');
  expect(service.verbs()).toHaveLength(1);
  await button(page, /^End for all\? Press again/).click();
  await expect.poll(() => service.verbs().slice(1)).toEqual([{ verb: 'remove', party: 'customer' }]);
});

test('an INVITE without an own call is a call to supervise', async () => {
  const page = await open();
  await talk(page);
  service.tell({ state: 'ended', status: 'ANSWER', duration: 12, hangup_by: 'customer', conversation: null });
  service.edge.bye();
  await shows(page, 'The customer hung up.');
  await service.edge.invite('call-of-somebody-else');
  await shows(page, 'You are listening to a call');
  await screens(page, '34-supervising');
  await button(page, 'Leave').click();
  await shows(page, 'The customer hung up.');
  expect(service.edge.received.some(text => text.startsWith('BYE'))).toBe(true);
});

test('inside a CRM’s frame, 360 pixels wide, a consultation is asked and canceled', async () => {
  browser = await launch({ width: 760 });
  const far = await peer(browser.context, service.origin);
  service.edge.peer = far.peer;
  const page = await browser.context.newPage();
  await page.goto(`${service.origin.replace('localhost', '127.0.0.1')}/frame`);
  await expect.poll(() => service.placed(), { timeout: 8000 }).toBe(1);
  await service.edge.invite('call-1');
  service.bridge();
  const frame = page.frameLocator('iframe');
  await frame.getByRole('button', { name: 'Add person' }).click();
  await frame.getByLabel('Number to call').fill(THIRD);
  await frame.getByRole('button', { name: 'Talk first' }).click();
  await frame.getByText('The customer is on hold.').first().waitFor();
  await screens(page, '35-frame');
  await frame.getByRole('button', { name: /^Cancel/ }).click();
  await frame.getByText('Talking', { exact: true }).first().waitFor();
});

test('Hang up stays in view in the smallest frame: in a talk, on hold, in a consultation and without a microphone', async () => {
  const page = await open({ width: 320 });
  await page.setViewportSize({ width: 320, height: 480 });
  await talk(page);
  const inView = async (): Promise<void> => {
    for (const scroll of ['0', 'document.body.scrollHeight']) {
      await page.evaluate(`window.scrollTo(0, ${scroll})`);
      const seen = await page.evaluate<boolean>("(() => { const { top, bottom, left, right } = document.querySelector('.hang-up').getBoundingClientRect(); return top >= 0 && bottom <= innerHeight && document.elementFromPoint((left + right) / 2, (top + bottom) / 2).closest('.hang-up') !== null; })()");
      expect(seen).toBe(true);
    }
  };
  await inView();
  await button(page, 'Hold').click();
  await shows(page, 'The customer is on hold.');
  await inView();
  await button(page, 'Resume').click();
  await add(page, 'Talk first');
  third(rooms => rooms.answers());
  await shows(page, 'Private talk');
  await inView();
  await page.evaluate("navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', 'NotFoundError'); }");
  const devtools = await browser.context.newCDPSession(page);
  await devtools.send('Browser.setPermission', { permission: { name: 'microphone' }, setting: 'denied', origin: service.origin });
  await shows(page, 'No microphone found');
  await inView();
  await page.setViewportSize({ width: 320, height: 1000 });
  await inView();
  await screens(page, '26-consulting-without-microphone');
});

test('leaving in a call asks first, and only then', async () => {
  const page = await open();
  const asked: string[] = [];
  page.on('dialog', dialog => {
    asked.push(dialog.type());
    void dialog.dismiss();
  });
  await talk(page);
  // Browsers ask only in pages that were touched.
  await page.locator('h1').click();
  await page.close({ runBeforeUnload: true });
  await expect.poll(() => asked, { timeout: 4000 }).toEqual(['beforeunload']);
  await shows(page, 'Talking');
  await button(page, 'Hang up').click();
  await shows(page, 'You hung up.');
  const closed = page.waitForEvent('close');
  await page.close({ runBeforeUnload: true });
  await closed;
  expect(asked).toEqual(['beforeunload']);
});

test('each button is called what is written on it', async () => {
  const page = await open();
  const check = async (): Promise<void> => {
    const misnamed = await page.evaluate<string[]>(`[...document.querySelectorAll('button[aria-label]')].flatMap(button => {
      const letters = text => text.toLowerCase().replace(/[^a-z ]+/g, ' ').replace(/ +/g, ' ').trim();
      const written = letters([...button.childNodes].map(node => node.nodeName === 'svg' ? '' : node.textContent).join(' '));
      return button.closest('.keys') || letters(button.getAttribute('aria-label')).includes(written) ? [] : [button.getAttribute('aria-label') + ' | ' + written];
    })`);
    expect(misnamed).toEqual([]);
  };
  service.recording = false;
  await talk(page);
  await check();
  await button(page, 'Start recording').click();
  await button(page, 'Pause recording').waitFor();
  await page.keyboard.press('m');
  await check();
  await add(page, 'Talk first');
  third(rooms => rooms.answers());
  await shows(page, 'Private talk');
  await check();
  await button(page, /^Merge/).click();
  await button(page, /^Remove the customer/).click();
  await button(page, /^End for all/).waitFor();
  await check();
});
