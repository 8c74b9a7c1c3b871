// The line: a WebSocket that does not open is given up in time, and another one is tried.

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Sip, type SipListener } from '../../src/shell/sip.ts';

class Socket {
  static readonly CONNECTING = 0;
  static readonly OPEN = 1;
  static readonly opened: Socket[] = [];
  readyState = Socket.CONNECTING;
  closed = false;
  onopen: (() => void) | null = null;
  constructor() {
    Socket.opened.push(this);
  }
  close(): void {
    this.closed = true;
  }
  send(): void {}
}

let sip: Sip;
let lostCount: number;

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal('WebSocket', Socket);
  Socket.opened.length = 0;
  lostCount = 0;
  sip = new Sip({ lost: () => (lostCount += 1) } as unknown as SipListener);
  sip.use({ uri: 'sip:a@edge.test', username: 'a', password: 'secret', url: 'wss://edge.test', expiresS: 300 });
});

afterEach(() => {
  sip.stop();
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

test('a connection that hangs in a network that is gone gives way to another', () => {
  expect(Socket.opened).toHaveLength(1);
  vi.advanceTimersByTime(2_600);
  expect(Socket.opened.map(socket => socket.closed)).toEqual([true, false]);
  vi.advanceTimersByTime(3_000);
  expect(Socket.opened.map(socket => socket.closed)).toEqual([true, true, false]);
  expect(lostCount).toBe(2);
});

test('one that opened has the time to register', () => {
  const [socket] = Socket.opened;
  if (!socket) throw new Error('no WebSocket');
  socket.readyState = Socket.OPEN;
  socket.onopen?.();
  vi.advanceTimersByTime(7_900);
  expect(socket.closed).toBe(false);
  vi.advanceTimersByTime(200);
  expect(socket.closed).toBe(true);
});
