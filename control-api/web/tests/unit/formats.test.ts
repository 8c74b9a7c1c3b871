// Numbers, durations, back-off, quality and the event stream.

import { expect, test } from 'vitest';
import { Backoff } from '../../src/machine/backoff.ts';
import { parseCall, parseLaunch, parseRenewal } from '../../src/machine/call.ts';
import { displayDuration, displayNumber, spokenNumber } from '../../src/machine/number.ts';
import { type Reading, quality } from '../../src/machine/quality.ts';
import { SseParser } from '../../src/machine/sse.ts';

test.each([
  ['+919876543210', '+91 98765 43210'],
  ['+14155550123', '+1 41555 50123'],
  ['+442079460018', '+44 20794 60018'],
  ['+6591234567', '+65 912 345 67'],
  ['+351210000001', '+351 210 000 001'],
  ['098765-43210', '098765-43210'],
  ['\u200b 98765\u00a043210 ', '98765 43210'],
  ['tel:+91', 'tel:+91'],
  ['', ''],
])('%j is shown as %j', (number, shown) => {
  expect(displayNumber(number)).toBe(shown);
});

test('a number is read out digit by digit', () => {
  expect(spokenNumber('+919876')).toBe('plus 9 1 9 8 7 6');
});

test.each([[0, '0:00'], [59.9, '0:59'], [61, '1:01'], [3600, '1:00:00'], [-3, '0:00']])('%d s is %s', (seconds, shown) => {
  expect(displayDuration(seconds)).toBe(shown);
});

test('the first attempt is made at once, later ones wait longer up to a cap, and success starts over', () => {
  const backoff = new Backoff();
  const delays = Array.from({ length: 12 }, () => backoff.next(0.5));
  expect(delays[0]).toBe(0);
  expect(delays.every((delay, index) => index === 0 || delay >= (delays[index - 1] ?? 0))).toBe(true);
  expect(delays.at(-1)).toBe(5000);
  backoff.reset();
  expect(backoff.next(1)).toBe(0);
});

test('the random share spreads a delay by a quarter to either side', () => {
  const spread = [0, 1].map(share => {
    const backoff = new Backoff();
    backoff.next(share);
    return backoff.next(share);
  });
  expect(spread).toEqual([225, 375]);
});

const reading = (more: Partial<Reading>): Reading => ({ receivedCount: 0, lostCount: 0, jitterS: 0.004, roundTripS: 0.04, farLoss: 0, ...more });

test.each([
  [{ receivedCount: 200 }, 'good', 0],
  [{ receivedCount: 196, lostCount: 4 }, 'fair', 2],
  [{ receivedCount: 180, lostCount: 20 }, 'poor', 10],
  [{ receivedCount: 200, farLoss: 0.08 }, 'poor', 8],
  [{ receivedCount: 200, jitterS: 0.045 }, 'fair', 0],
  [{ receivedCount: 200, roundTripS: 0.7 }, 'poor', 0],
  [{ receivedCount: 200, lostCount: -3 }, 'good', 0],
])('%j is %s', (after, grade, lossPercent) => {
  expect(quality(reading({}), reading(after))).toMatchObject({ grade, lossPercent });
});

test('no packet, no quality; nor when the counters began anew', () => {
  expect(quality(reading({ receivedCount: 5 }), reading({ receivedCount: 5 }))).toBeNull();
  expect(quality(reading({ receivedCount: 500 }), reading({ receivedCount: 5 }))).toBeNull();
});

test.each([['\n'], ['\r\n'], ['\r']])('events are parsed with line ends %j, in pieces of any size', end => {
  const text = [': keep-alive', '', 'event: call', 'data: {"a":', 'data:1}', '', 'data: x', 'id: 3', '', 'event: call', 'data: cut'].join(end);
  for (const size of [1, 2, 7, text.length]) {
    const parser = new SseParser();
    const events = [];
    for (let at = 0; at < text.length; at += size) events.push(...parser.push(text.slice(at, at + size)));
    expect(events).toEqual([{ name: 'call', data: '{"a":\n1}' }, { name: 'message', data: 'x' }]);
  }
});

test('an endless line ends the stream instead of filling the memory', () => {
  const parser = new SseParser();
  expect(() => {
    for (let piece = 0; piece < 100; piece += 1) parser.push('x'.repeat(10_000));
  }).toThrow('too long');
});

test('what is not a call is no call', () => {
  for (const value of [null, 3, 'x', [], {}, { call_id: 'c' }, { call_id: 'c', state: 'dancing' }]) expect(parseCall(value)).toBeNull();
  expect(parseCall({ call_id: 'c', state: 'ended', status: 'ODD', duration: -4 })).toMatchObject({ status: null, duration: 0 });
});

test('the launch element may be empty, broken or whole', () => {
  expect(parseLaunch('')).toBeNull();
  expect(parseLaunch('{"token":')).toBeNull();
  expect(parseLaunch('{"token":"t","agent":{"crm_username":"a"},"to_number":"1","from_number":"2"}')).toMatchObject({ token: 't', party: { agent: 'a', account: null } });
});

test('a renewal without a password is none', () => {
  expect(parseRenewal({ sip: { url: 'wss://e', uri: 'sip:a@d', username: 'a' } })).toBeNull();
});
