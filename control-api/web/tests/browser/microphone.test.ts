// A microphone that goes and comes back, on the built page in Chromium: what the agent is told, and what the far end gets meanwhile.

import type { Page } from 'playwright-core';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Browser, launch, peer, screens } from './browser.ts';
import { Service } from './service.ts';

/** Lets the only microphone be pulled out and plugged in by script: the track ends, none is found, and `devicechange` tells of both. */
const DEVICE = `(() => {
  const devices = navigator.mediaDevices;
  const open = devices.getUserMedia.bind(devices);
  let tracks = [], fault = null;
  devices.getUserMedia = async wanted => {
    if (fault) throw new DOMException('', fault);
    const stream = await open(wanted);
    tracks.push(...stream.getTracks());
    return stream;
  };
  window.pull = (error = 'NotFoundError', events = true) => {
    fault = error;
    for (const track of tracks) { track.stop(); if (events) track.dispatchEvent(new Event('ended')); }
    tracks = [];
    devices.dispatchEvent(new Event('devicechange'));
  };
  window.plug = (event = true) => { fault = null; if (event) devices.dispatchEvent(new Event('devicechange')); };
  window.switchOff = () => { for (const track of tracks) { Object.defineProperty(track, 'muted', { value: true, configurable: true }); track.dispatchEvent(new Event('mute')); } };
  window.switchOn = () => { for (const track of tracks) { delete track.muted; track.dispatchEvent(new Event('unmute')); } };
})()`;

let service: Service;
let browser: Browser;
let far: Page;

beforeEach(async () => {
  service = await Service.start();
});

afterEach(async () => {
  await browser.close();
  await service.stop();
});

async function open(): Promise<Page> {
  browser = await launch();
  const made = await peer(browser.context, service.origin);
  service.edge.peer = made.peer;
  far = made.page;
  const page = await browser.context.newPage();
  await page.addInitScript(DEVICE);
  await page.goto(service.launchUrl);
  await expect.poll(() => service.placed(), { timeout: 8000 }).toBe(1);
  await service.edge.invite('call-1');
  return page;
}

async function shows(page: Page, text: string | RegExp): Promise<void> {
  await page.locator('main').getByText(text).and(page.locator('main *')).filter({ visible: true }).first().waitFor({ timeout: 8000 });
}

async function gone(page: Page, text: string): Promise<void> {
  await page.locator('.notice').getByText(text).waitFor({ state: 'detached', timeout: 8000 });
}

/** Packets of audio that the far end has got from the page. */
function received(): Promise<number> {
  return far.evaluate<number>("(async () => { let count = 0; (await window.far.getStats()).forEach(entry => { if (entry.type === 'inbound-rtp') count += entry.packetsReceived; }); return count; })()");
}

async function isHeard(): Promise<boolean> {
  const before = await received();
  await new Promise(resolve => setTimeout(resolve, 400));
  return (await received()) > before;
}

async function heardBecomes(heard: boolean): Promise<void> {
  await expect.poll(isHeard, { timeout: 8000 }).toBe(heard);
}

test('B05: pulled out in a talk, it is missed until it is plugged in again, and then heard without a click', async () => {
  const page = await open();
  service.bridge();
  await shows(page, 'Talking');
  await heardBecomes(true);
  await page.evaluate('window.pull()');
  await shows(page, 'No microphone found');
  await heardBecomes(false);
  service.tell({ state: 'held' });
  await shows(page, 'You are not heard');
  await shows(page, 'No microphone found');
  await screens(page, '25-microphone-gone');
  await page.evaluate('window.plug()');
  await gone(page, 'No microphone found');
  await heardBecomes(true);
  service.tell({ state: 'bridged' });
  await shows(page, 'Talking');
  expect(service.verbs()).toEqual([]);
});

test('B05: lost while the customer rings and back by time alone; lost again without an event, and back by a press', async () => {
  const page = await open();
  service.tell({ state: 'ringing' });
  await shows(page, 'Ringing');
  await page.evaluate("window.pull('NotReadableError')");
  await shows(page, 'The microphone is in use');
  await shows(page, 'Ringing');
  await page.evaluate('window.plug(false)');
  await gone(page, 'The microphone is in use');
  await heardBecomes(true);
  await page.evaluate("window.pull('NotAllowedError', false)");
  await shows(page, 'The microphone is not allowed');
  await heardBecomes(false);
  await page.evaluate('window.plug(false)');
  await page.getByRole('button', { name: 'Try again' }).click();
  await gone(page, 'The microphone is not allowed');
  await heardBecomes(true);
});

test('B05: the permission is taken back and given again in a consultation', async () => {
  const page = await open();
  const devtools = await browser.context.newCDPSession(page);
  const permit = (setting: string) => devtools.send('Browser.setPermission', { permission: { name: 'microphone' }, setting: setting as 'granted', origin: service.origin });
  const rooms = service.bridge();
  await shows(page, 'Talking');
  rooms.take({ verb: 'add', to_number: '+918000000001', flow: 'consult' });
  rooms.answers();
  service.tellRooms();
  await shows(page, 'Private talk');
  // The browser of the tests grants without a question; the page meets what an agent's browser says.
  await page.evaluate("navigator.mediaDevices.getUserMedia = (open => async wanted => (await navigator.permissions.query({ name: 'microphone' })).state === 'granted' ? open(wanted) : Promise.reject(new DOMException('', 'NotAllowedError')))(navigator.mediaDevices.getUserMedia)");
  await permit('denied');
  await shows(page, 'The microphone is not allowed');
  await shows(page, 'You are not heard');
  await heardBecomes(false);
  await permit('granted');
  await gone(page, 'The microphone is not allowed');
  await shows(page, 'Private talk');
  await heardBecomes(true);
});

test('B05: switched off outside of the page, it is said, nothing is sent, and switching it on mends it', async () => {
  const page = await open();
  service.bridge();
  await shows(page, 'Talking');
  await heardBecomes(true);
  await page.evaluate('window.switchOff()');
  await shows(page, 'Your microphone is switched off');
  await heardBecomes(false);
  await page.evaluate('window.switchOn()');
  await gone(page, 'Your microphone is switched off');
  await heardBecomes(true);
});

test('B05: lost between calls it is said, and a call that comes is answered with the one that is there then', async () => {
  const page = await open();
  service.bridge();
  await shows(page, 'Talking');
  service.tell({ state: 'ended', status: 'ANSWER', hangup_by: 'customer' });
  service.edge.bye();
  await shows(page, 'The customer hung up.');
  await page.evaluate('window.pull()');
  await shows(page, 'No microphone found');
  service.tell({ call_id: 'call-2', state: 'agent', status: null });
  await service.edge.invite('call-2');
  await shows(page, 'Connecting you');
  await shows(page, 'No microphone found');
  await page.evaluate('window.plug()');
  await gone(page, 'No microphone found');
  await heardBecomes(true);
});
