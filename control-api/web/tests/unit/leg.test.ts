// The leg's guard over JsSIP: nothing but the agent's own wish sends BYE, and a broken path restarts ICE.

import { EventEmitter } from 'node:events';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Leg, type LegListener } from '../../src/shell/leg.ts';

class Session extends EventEmitter {
  readonly byes: unknown[] = [];
  restarts = 0;
  // As in JsSIP, where the methods lie on the prototype.
  terminate(options?: object): void {
    this.byes.push(options ?? null);
  }
  isEstablished(): boolean {
    return true;
  }
  renegotiate(): boolean {
    this.restarts += 1;
    return true;
  }
}

class Connection extends EventTarget {
  connectionState = 'new';
  iceGatheringState = 'new';
  /** What the browser finds for itself; `null` for no address at all. */
  gathers(candidate: string | null): void {
    if (candidate) this.dispatchEvent(Object.assign(new Event('icecandidate'), { candidate }));
    this.iceGatheringState = 'complete';
    this.dispatchEvent(new Event('icegatheringstatechange'));
  }
  becomes(state: string): void {
    this.connectionState = state;
    this.dispatchEvent(new Event('connectionstatechange'));
  }
}

let session: Session;
let connection: Connection;
let leg: Leg;
let told: string[];

beforeEach(() => {
  vi.useFakeTimers({ now: 100_000, toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  session = new Session();
  connection = new Connection();
  told = [];
  const listener: LegListener = { sound: () => told.push('sound'), flowing: () => told.push('flowing'), broken: () => told.push('broken'), ended: () => told.push('ended') };
  leg = new Leg(1, session as unknown as ConstructorParameters<typeof Leg>[1], listener);
  session.emit('peerconnection', { peerconnection: connection });
});

afterEach(() => {
  vi.useRealTimers();
});

test('JsSIP’s own wish to terminate sends nothing; the agent’s does', () => {
  session.terminate({ status_code: 408 });
  expect(session.byes).toEqual([]);
  leg.bye();
  expect(session.byes).toEqual([null]);
});

test('another call’s INVITE is rejected as busy', () => {
  leg.reject();
  expect(session.byes).toEqual([{ status_code: 486 }]);
});

const NO_NETWORK = { status_code: 606, reason_phrase: 'Not Acceptable', extraHeaders: ['Warning: 399 softphone "no_candidates"'] };

test('a browser that finds no network for media refuses the INVITE and says why, whether it gives up or looks for ever', () => {
  connection.gathers(null);
  expect(session.byes).toEqual([NO_NETWORK]);
  const other = new Session();
  void new Leg(2, other as unknown as ConstructorParameters<typeof Leg>[1], { sound: () => undefined, flowing: () => undefined, broken: () => undefined, ended: () => undefined });
  other.emit('peerconnection', { peerconnection: new Connection() });
  vi.advanceTimersByTime(2900);
  expect(other.byes).toEqual([]);
  vi.advanceTimersByTime(200);
  expect(other.byes).toEqual([NO_NETWORK]);
});

test('one address is enough, and what is over looks for none', () => {
  connection.gathers('candidate:1');
  vi.advanceTimersByTime(5000);
  expect(session.byes).toEqual([]);
  const other = new Session();
  void new Leg(2, other as unknown as ConstructorParameters<typeof Leg>[1], { sound: () => undefined, flowing: () => undefined, broken: () => undefined, ended: () => undefined });
  other.emit('peerconnection', { peerconnection: new Connection() });
  other.emit('failed');
  vi.advanceTimersByTime(5000);
  expect(other.byes).toEqual([]);
});

test('failed is broken at once; disconnected may heal first', () => {
  connection.becomes('connected');
  connection.becomes('disconnected');
  vi.advanceTimersByTime(1000);
  connection.becomes('connected');
  vi.advanceTimersByTime(5000);
  expect(told).toEqual(['flowing', 'flowing']);
  connection.becomes('disconnected');
  vi.advanceTimersByTime(1600);
  connection.becomes('failed');
  expect(told.slice(2)).toEqual(['broken', 'broken']);
});

test('restarts of ICE keep a distance', () => {
  vi.advanceTimersByTime(10_000);
  leg.restartIce();
  leg.restartIce();
  expect(session.restarts).toBe(1);
  vi.advanceTimersByTime(3000);
  leg.restartIce();
  expect(session.restarts).toBe(2);
});

test('a second break soon after a restart leads to another one', () => {
  connection.becomes('connected');
  connection.becomes('disconnected');
  vi.advanceTimersByTime(1500);
  leg.restartIce();
  connection.becomes('connected');
  connection.becomes('disconnected');
  vi.advanceTimersByTime(1500);
  leg.restartIce();
  expect([told.filter(word => word === 'broken').length, session.restarts]).toEqual([2, 1]);
  vi.advanceTimersByTime(1000);
  expect(told.at(-1)).toBe('broken');
  leg.restartIce();
  expect(session.restarts).toBe(2);
});

test('a restart that leads nowhere is told as broken, one over media that stand is not', () => {
  connection.becomes('connected');
  leg.restartIce();
  vi.advanceTimersByTime(5000);
  expect(told).toEqual(['flowing']);
  connection.becomes('failed');
  leg.restartIce();
  connection.becomes('connecting');
  vi.advanceTimersByTime(2500);
  expect(told).toEqual(['flowing', 'broken', 'broken']);
});

test('a released leg is silent', () => {
  Object.assign(connection, { close: () => undefined });
  leg.release();
  connection.becomes('failed');
  session.emit('ended');
  expect(told).toEqual([]);
});
