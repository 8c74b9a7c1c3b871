// SIP over WebSocket by JsSIP: keeps the agent registered, hands INVITEs up, answers them, and never ends a call by itself.
// Reconnecting is done here and not by JsSIP, whose first attempt comes after two seconds.

import { UA } from 'jssip';
import { Backoff } from '../machine/backoff.ts';
import type { SipCredential } from '../machine/call.ts';
import { Leg, type LegListener } from './leg.ts';
import { SipWebSocket } from './websocket.ts';

/** WebSocket close codes of the edge. */
const TAKEN_OVER = 4001;
const CREDENTIAL_OVER = 4002;

/** JsSIP's own recovery, which is kept out of the way (seconds). */
const NEVER_S = 86_400;
/**
 * Time in which a WebSocket must open. What was sent into a network that was gone is repeated ever more rarely by TCP; a new attempt finds
 * the one that is back.
 */
const CONNECT_TIMEOUT_MS = 2_500;
/** Time in which an opened WebSocket must lead to a registration. */
const REGISTER_TIMEOUT_MS = 8_000;
/** Refusals in a row after which a new credential does not help either. */
const REFUSALS_MAX = 3;

export interface SipListener extends LegListener {
  registered(): void;
  lost(): void;
  takenOver(): void;
  /** The credential is no longer taken; a new one is to be set. */
  credentialOver(): void;
  /** New credentials did not help. */
  refused(status: number): void;
  invited(key: number, callId: string): void;
}

interface Transport {
  connect(): void;
  isConnected(): boolean;
}

interface InviteEvent {
  readonly originator: string;
  readonly session: ConstructorParameters<typeof Leg>[1];
  readonly request: { getHeader(name: string): string | undefined };
}

type JsSipUa = UA & { transport: Transport };

export class Sip {
  #ua: JsSipUa | null = null;
  #socket: SipWebSocket | null = null;
  #backoff = new Backoff();
  #retry: ReturnType<typeof setTimeout> | null = null;
  #deadline: ReturnType<typeof setTimeout> | null = null;
  #legs = new Map<number, Leg>();
  #keys = 0;
  #refusals = 0;
  #stopped = true;

  constructor(private readonly listener: SipListener) {}

  /** Connects and registers, or goes on with a newer credential. */
  use(credential: SipCredential): void {
    this.#stopped = false;
    if (!this.#ua || !this.#socket) return this.#create(credential);
    this.#ua.set('password', credential.password);
    const moved = this.#socket.url !== credential.url;
    this.#socket.url = credential.url;
    if (moved && this.#ua.isConnected()) return this.#socket.drop();
    if (this.#ua.isConnected()) this.#ua.register();
    else this.connectNow();
  }

  /** Tries at once, because the network is back or the agent asked for it. */
  connectNow(): void {
    if (this.#stopped || !this.#ua || this.#ua.isConnected()) return;
    this.#clearRetry();
    this.#await(CONNECT_TIMEOUT_MS);
    this.#ua.transport.connect();
  }

  /** The network changed below: a connection that still seems open may lead nowhere. */
  reconnect(): void {
    if (this.#stopped || !this.#ua) return;
    if (this.#ua.isConnected()) this.#socket?.drop();
    this.#backoff.reset();
    this.connectNow();
  }

  get registered(): boolean {
    return this.#ua?.isRegistered() ?? false;
  }

  leg(key: number): Leg | undefined {
    return this.#legs.get(key);
  }

  /** Gives the registration up without a word to running dialogs. */
  stop(): void {
    this.#stopped = true;
    this.#clearRetry();
    this.#clearDeadline();
    this.#socket?.disconnect();
    this.#ua?.removeAllListeners();
    this.#ua = null;
    this.#socket = null;
  }

  #create(credential: SipCredential): void {
    const socket = new SipWebSocket(credential.url);
    const ua = new UA({
      sockets: socket,
      uri: credential.uri,
      authorization_user: credential.username,
      password: credential.password,
      register_expires: Math.max(60, credential.expiresS),
      session_timers: false,
      connection_recovery_min_interval: NEVER_S,
      connection_recovery_max_interval: NEVER_S,
      user_agent: 'softphone',
    }) as JsSipUa;
    this.#socket = socket;
    this.#ua = ua;
    ua.on('connected', () => this.#await(REGISTER_TIMEOUT_MS));
    ua.on('disconnected', (event: { code?: number }) => this.#disconnected(event.code ?? 1006));
    ua.on('registered', () => this.#registered());
    ua.on('registrationFailed', event => this.#refused((event.response as { status_code?: number } | null)?.status_code ?? 0));
    ua.on('newRTCSession', (event: unknown) => this.#invited(event));
    this.#await(CONNECT_TIMEOUT_MS);
    ua.start();
  }

  #registered(): void {
    this.#clearDeadline();
    this.#backoff.reset();
    this.#refusals = 0;
    // For whoever measures how long a page takes to come online (W3C User Timing).
    performance.mark('registered');
    this.listener.registered();
  }

  /** What comes next must come in this time, or another connection is tried. */
  #await(limit: number): void {
    this.#clearDeadline();
    this.#deadline = setTimeout(() => this.#socket?.drop(), limit);
  }

  #disconnected(code: number): void {
    this.#clearDeadline();
    if (this.#stopped) return;
    if (code === TAKEN_OVER) {
      this.stop();
      return this.listener.takenOver();
    }
    this.listener.lost();
    if (code === CREDENTIAL_OVER) return this.listener.credentialOver();
    this.#scheduleRetry();
  }

  /** After a refusal the new credential goes on from here; without an answer it was the connection's fault. */
  #refused(status: number): void {
    this.#clearDeadline();
    if (status === 0) return;
    this.#refusals += 1;
    if (this.#refusals >= REFUSALS_MAX) this.listener.refused(status);
    else this.listener.credentialOver();
  }

  #scheduleRetry(): void {
    this.#clearRetry();
    this.#retry = setTimeout(() => this.connectNow(), this.#backoff.next(Math.random()));
  }

  #clearRetry(): void {
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#retry = null;
  }

  #clearDeadline(): void {
    if (this.#deadline !== null) clearTimeout(this.#deadline);
    this.#deadline = null;
  }

  #invited(event: unknown): void {
    const { originator, session, request } = event as InviteEvent;
    if (originator !== 'remote') return;
    const callId = request.getHeader('X-Call-Id')?.trim();
    this.#keys += 1;
    const key = this.#keys;
    const leg = new Leg(key, session, this.listener);
    if (!callId) return leg.reject();
    this.#legs.set(key, leg);
    leg.onEnd(() => this.#legs.delete(key));
    this.listener.invited(key, callId);
  }
}
