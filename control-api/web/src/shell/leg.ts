// The agent's leg of a call: one INVITE dialog with its peer connection. It answers, restarts ICE, and measures.

import type { RTCSession } from 'jssip/lib/RTCSession';
import type { Reading } from '../machine/quality.ts';

export interface LegListener {
  /** The far end's audio, to be played. */
  sound(key: number, stream: MediaStream): void;
  /** ICE and DTLS stand. */
  flowing(key: number): void;
  /** ICE lost the far end. */
  broken(key: number): void;
  ended(key: number): void;
}

/** How long a `disconnected` may heal by itself. */
const HEAL_MS = 1_500;
/** How long the browser may look for the first address at which it can be reached. */
const GATHER_MS = 3_000;
/** Least time between two restarts. */
const RESTART_GAP_MS = 2_500;

export class Leg {
  #connection: RTCPeerConnection | null = null;
  #terminate: (options?: object) => void;
  #heal: ReturnType<typeof setTimeout> | null = null;
  #gathering: ReturnType<typeof setTimeout> | null = null;
  #restartedAt = -RESTART_GAP_MS;
  #ended: (() => void)[] = [];
  #flowing: (() => void)[] = [];
  #released = false;
  /** The INVITE was refused for want of any network for media. */
  foundNoNetwork = false;

  constructor(
    readonly key: number,
    private readonly session: RTCSession,
    private readonly listener: LegListener,
  ) {
    this.#terminate = session.terminate.bind(session);
    // JsSIP sends BYE on its own when ICE fails, a re-INVITE is refused or the WebSocket breaks. The customer is kept then (the grace is
    // the server's), so only `reject` and `bye` below may end the dialog.
    session.terminate = () => undefined;
    session.on('peerconnection', ({ peerconnection }) => this.#watch(peerconnection));
    // The edge is ICE-lite and learns our address from the checks, so the first candidate is enough to answer.
    session.on('icecandidate', event => event.ready());
    session.on('ended', () => this.#end());
    session.on('failed', () => this.#end());
  }

  onEnd(callback: () => void): void {
    this.#ended.push(callback);
  }

  /** Called once, when media stands for the first time. */
  onFlowing(callback: () => void): void {
    this.#flowing.push(callback);
  }

  answer(microphone: MediaStream): void {
    this.session.answer({
      mediaStream: microphone,
      pcConfig: { iceServers: [], bundlePolicy: 'max-bundle', rtcpMuxPolicy: 'require' },
    });
  }

  reject(): void {
    this.#terminate({ status_code: 486 });
  }

  bye(): void {
    this.#terminate();
  }

  /** Frees media without a word to the server, which holds the call or has moved it to another leg. */
  release(): void {
    this.#released = true;
    this.#clearHeal();
    this.#clearGathering();
    this.#connection?.close();
  }

  /**
   * Offers new ICE credentials by a re-INVITE, so that media finds its way over the network that is there now. If it has found none when the
   * next restart may be, it is told as broken again.
   */
  restartIce(): void {
    if (this.#released || !this.session.isEstablished()) return;
    const wait = this.#restartedAt + RESTART_GAP_MS - performance.now();
    this.#awaitHealing(wait > 0 ? wait : RESTART_GAP_MS);
    if (wait > 0) return;
    this.#restartedAt = performance.now();
    this.session.renegotiate({ rtcOfferConstraints: { iceRestart: true } });
  }

  /** Sends another microphone from now on, or nothing: then no packet leaves, which is how the far end knows. */
  async useMicrophone(track: MediaStreamTrack | null): Promise<void> {
    if (this.#released) return;
    await this.#connection?.getSenders().at(0)?.replaceTrack(track);
  }

  /** One reading of the statistics, with the microphone's level (0–1) where the browser measures it. */
  async read(): Promise<{ reading: Reading; level: number | null } | null> {
    if (!this.#connection || this.#released) return null;
    let reading: Reading = { receivedCount: 0, lostCount: 0, jitterS: null, roundTripS: null, farLoss: null };
    let level: number | null = null;
    (await this.#connection.getStats()).forEach((entry: Record<string, unknown>) => {
      const figure = (name: string): number | null => (typeof entry[name] === 'number' ? entry[name] : null);
      if (entry['type'] === 'inbound-rtp') {
        reading = { ...reading, receivedCount: figure('packetsReceived') ?? 0, lostCount: figure('packetsLost') ?? 0, jitterS: figure('jitter') };
      } else if (entry['type'] === 'remote-inbound-rtp') {
        reading = { ...reading, farLoss: figure('fractionLost') };
      } else if (entry['type'] === 'candidate-pair' && entry['nominated'] === true && entry['state'] === 'succeeded') {
        reading = { ...reading, roundTripS: figure('currentRoundTripTime') };
      } else if (entry['type'] === 'media-source') {
        level = figure('audioLevel');
      }
    });
    return { reading, level };
  }

  #watch(connection: RTCPeerConnection): void {
    this.#connection = connection;
    connection.addEventListener('track', ({ track, streams }) => {
      if (!this.#released) this.listener.sound(this.key, streams[0] ?? new MediaStream([track]));
    });
    connection.addEventListener('connectionstatechange', () => this.#changed(connection.connectionState));
    this.#gathering = setTimeout(() => this.#giveUpGathering(), GATHER_MS);
    connection.addEventListener('icecandidate', ({ candidate }) => candidate && this.#clearGathering());
    connection.addEventListener('icegatheringstatechange', () => connection.iceGatheringState === 'complete' && this.#giveUpGathering());
  }

  /** Without any network for media the INVITE is refused (RFC 3261 §21.6.4: its addressing style), so that the call fails at once and says why. */
  #giveUpGathering(): void {
    if (this.#gathering === null) return;
    this.#clearGathering();
    this.foundNoNetwork = true;
    this.#terminate({ status_code: 606, reason_phrase: 'Not Acceptable', extraHeaders: ['Warning: 399 softphone "no_candidates"'] });
  }

  #clearGathering(): void {
    if (this.#gathering !== null) clearTimeout(this.#gathering);
    this.#gathering = null;
  }

  #changed(state: RTCPeerConnectionState): void {
    if (this.#released) return;
    if (state === 'connected') {
      this.#clearHeal();
      for (const callback of this.#flowing.splice(0)) callback();
      this.listener.flowing(this.key);
    }
    if (state === 'failed') {
      this.#clearHeal();
      this.listener.broken(this.key);
    }
    if (state === 'disconnected') this.#awaitHealing(HEAL_MS);
  }

  #awaitHealing(ms: number): void {
    this.#clearHeal();
    this.#heal = setTimeout(() => {
      if (this.#connection?.connectionState !== 'connected') this.listener.broken(this.key);
    }, ms);
  }

  #clearHeal(): void {
    if (this.#heal !== null) clearTimeout(this.#heal);
    this.#heal = null;
  }

  #end(): void {
    this.#clearHeal();
    this.#clearGathering();
    for (const callback of this.#ended) callback();
    if (!this.#released) this.listener.ended(this.key);
    this.#released = true;
  }
}
