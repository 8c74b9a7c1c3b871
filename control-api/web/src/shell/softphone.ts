// The conductor: feeds the machine with events, runs its effects on the session API, SIP and media, and tells the view of changes.

import { type Launch, type SipCredential, isLive, parseCall } from '../machine/call.ts';
import { parseSpeaking } from '../machine/conversation.ts';
import type { Problem } from '../machine/problem.ts';
import type { Quality } from '../machine/quality.ts';
import { type Effect, type Event, INITIAL, type Now, type State, handle, isInCall } from '../machine/softphone.ts';
import { ApiError, type SessionApi } from './api.ts';
import { ControlQueue } from './control-queue.ts';
import { CallEvents } from './events.ts';
import type { Leg } from './leg.ts';
import { type Devices, Media, MicrophoneError } from './media.ts';
import { MicrophoneWatch } from './microphone-watch.ts';
import { serveOpened } from './opener.ts';
import { cleanAddress, launchData, loadSession, obstacle, storeSession, whenVisible } from './page.ts';
import { QualityWatch } from './quality-watch.ts';
import { Sip } from './sip.ts';

/** A credential is renewed at this share of its life. */
const RENEW_SHARE = 0.6;
/** Attempts to reach a service that does not answer, and the pause between them, before the agent is told. */
const ATTEMPTS = 4;
const PAUSE_MS = 900;
const RETRIED: readonly Problem['kind'][] = ['offline', 'unavailable'];
/** How long a BYE may take to end the call before the session API is asked. */
const BYE_MS = 1_000;

export class Softphone {
  state: State = INITIAL;
  devices: Devices | null = null;
  quality: Quality | null = null;

  readonly #media: Media;
  readonly #microphones: MicrophoneWatch;
  readonly #sip: Sip;
  readonly #events: CallEvents;
  readonly #watch: QualityWatch;
  readonly #control: ControlQueue;
  #launch: Launch | null = null;
  #credential: SipCredential | null = null;
  #renewal: ReturnType<typeof setTimeout> | null = null;
  #renewing = false;
  #askingMicrophone = false;
  #leg: Leg | null = null;

  constructor(
    private readonly api: SessionApi,
    private readonly base: string,
    private readonly changed: () => void,
  ) {
    this.#media = new Media({
      lost: trouble => this.dispatch({ kind: 'microphone_lost', trouble }),
      back: () => this.dispatch({ kind: 'microphone_ready' }),
    });
    this.#microphones = new MicrophoneWatch(() => this.#microphoneDue());
    this.#events = new CallEvents(api, {
      call: json => this.#told(json),
      speaking: json => this.#spoke(json),
      opened: () => void this.#fetchCall(),
      refused: problem => this.dispatch({ kind: 'session_refused', problem }),
    });
    this.#control = new ControlQueue(api, {
      done: (ids, call) => this.dispatch({ kind: 'verbs_done', ids, call, now: now() }),
      refused: (ids, refusal) => this.dispatch({ kind: 'verbs_refused', ids, refusal }),
      over: problem => this.dispatch({ kind: 'session_refused', problem }),
    });
    this.#sip = new Sip({
      registered: () => this.dispatch({ kind: 'registered' }),
      lost: () => this.dispatch({ kind: 'line_lost' }),
      takenOver: () => this.#takenOver(),
      credentialOver: () => void this.#renew(),
      refused: () => this.dispatch({ kind: 'line_refused', problem: { kind: 'line_refused', detail: null } }),
      invited: (key, callId) => this.dispatch({ kind: 'invited', invite: { key, callId } }),
      sound: (key, stream) => void this.#sound(key, stream),
      flowing: key => this.#flowing(key),
      broken: key => this.#leg?.key === key && this.dispatch({ kind: 'media_changed', media: 'broken' }),
      ended: key => this.#legEnded(key),
    });
    this.#watch = new QualityWatch(
      () => this.#leg,
      (quality, level) => this.#measured(quality, level),
    );
  }

  /** Runs from the page's first moment. */
  async open(): Promise<void> {
    this.#launch = launchData().launch;
    const stored = this.#launch ? null : loadSession();
    cleanAddress(this.base);
    if (stored) this.api.resume(stored.secret);
    await whenVisible();
    this.#listen();
    this.dispatch({ kind: 'opened', launch: this.#launch, stored: stored?.party ?? null, obstacle: obstacle() });
  }

  /** Takes an event of the view or of a shell. */
  dispatch(event: Event): void {
    const [state, effects] = handle(this.state, event);
    this.state = state;
    for (const effect of effects) this.#run(effect);
    // Only while somebody would be left, as a page that listens to this is not kept for the way back.
    window[isInCall(this.state) ? 'addEventListener' : 'removeEventListener']('beforeunload', askBeforeLeaving);
    this.changed();
  }

  level(): number {
    return this.#media.level();
  }

  async chooseMicrophone(device: string): Promise<void> {
    try {
      await this.#media.open(device);
      this.#microphoneOpened();
    } catch (error) {
      this.dispatch(this.#media.track ? { kind: 'choice_failed' } : microphoneFailed(error));
    }
    await this.#refreshDevices();
  }

  async chooseSpeaker(device: string): Promise<void> {
    await this.#media.setSpeaker(device).catch(() => undefined);
    await this.#refreshDevices();
  }

  /** Throws when the server did not take it. */
  async setDisposition(callId: string, disposition: string): Promise<void> {
    const since = this.#toldCount;
    const call = await this.api.setDisposition(callId, disposition);
    if (call) this.dispatch({ kind: 'call_answered', call, since, now: now() });
  }

  async turnOnSound(): Promise<void> {
    this.dispatch({ kind: 'sound_blocked', blocked: !(await this.#media.resumeSound()) });
  }

  #listen(): void {
    window.addEventListener('online', () => {
      this.dispatch({ kind: 'network_changed' });
      this.#sip.reconnect();
      this.#events.hurry();
    });
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState !== 'visible' || !this.api.secret || this.state.line === 'elsewhere') return;
      this.#sip.connectNow();
      this.#events.hurry();
      void this.#fetchCall();
    });
    void this.#microphones.listen();
    serveOpened(() => this.api.secret, () => this.state.line === 'elsewhere' && this.dispatch({ kind: 'use_this_tab' }));
  }

  #run(effect: Effect): void {
    switch (effect.kind) {
      case 'exchange':
        return void this.#exchange(effect.launch);
      case 'renew':
        return void this.#renew();
      case 'open_again':
        return void (this.api.secret || !this.#launch ? this.#renew() : this.#exchange(this.#launch));
      case 'forget_session':
        return this.#forget();
      case 'watch_call':
        return this.#events.start();
      case 'ask_microphone':
        return void this.#openMicrophone();
      case 'await_microphone':
        return this.#microphones.later(effect.trouble);
      case 'use_microphone':
        return this.#useMicrophone();
      case 'cut_microphone':
        return void this.#leg?.useMicrophone(null).catch(() => undefined);
      case 'report_microphone':
        return void this.#place(effect.fault, false);
      case 'register':
        return this.#credential ? this.#sip.use(this.#credential) : undefined;
      case 'place_call':
        return void this.#place('granted', effect.again);
      case 'fetch_call':
        return void this.#fetchCall();
      default:
        return this.#runOnCall(effect);
    }
  }

  #runOnCall(effect: Extract<Effect, { kind: 'answer' | 'reject' | 'reconnect' | 'restart_ice' | 'set_muted' | 'release_media' | 'hang_up' | 'control' | 'leave' | 'close' }>): void {
    switch (effect.kind) {
      case 'answer':
        return this.#answer(effect.key);
      case 'reject':
        return this.#sip.leg(effect.key)?.reject();
      case 'reconnect':
        return this.#sip.reconnect();
      case 'restart_ice':
        return this.#leg?.restartIce();
      case 'set_muted':
        return this.#media.setMuted(effect.muted);
      case 'release_media':
        return this.#release();
      case 'hang_up':
        return void this.#hangUp();
      case 'control':
        return this.#control.ask(effect.id, effect.verb);
      case 'leave':
        return this.#sip.leg(effect.key)?.bye();
      case 'close':
        return void this.#close();
    }
  }

  async #exchange(launch: Launch): Promise<void> {
    try {
      const session = await patiently(() => this.api.open(launch));
      storeSession({ secret: this.api.secret ?? '', party: session.party });
      this.#keep(session.sip);
      this.dispatch({ kind: 'session_opened', session, now: now() });
    } catch (error) {
      this.dispatch({ kind: 'session_refused', problem: problemOf(error) });
    }
  }

  async #renew(): Promise<void> {
    if (this.#renewing) return;
    this.#renewing = true;
    try {
      const [renewal, since] = await this.#asking(() => this.api.renew());
      this.#keep(renewal.sip);
      if (this.state.line !== 'none' && this.state.line !== 'elsewhere') this.#sip.use(renewal.sip);
      this.dispatch({ kind: 'session_renewed', call: renewal.call, since, now: now() });
    } catch (error) {
      const over = error instanceof ApiError && error.problem.kind === 'session_over';
      if (over || this.state.step === 'session') this.dispatch({ kind: 'session_refused', problem: problemOf(error) });
      else this.#renewal = setTimeout(() => void this.#renew(), 5 * PAUSE_MS);
    } finally {
      this.#renewing = false;
    }
  }

  #keep(credential: SipCredential): void {
    this.#credential = credential;
    if (this.#renewal !== null) clearTimeout(this.#renewal);
    this.#renewal = setTimeout(() => void this.#renew(), credential.expiresS * 1000 * RENEW_SHARE);
  }

  #forget(): void {
    const over = this.state.problem?.kind === 'session_over' || this.state.problem?.kind === 'link_used';
    this.#rest();
    if (!over) return;
    storeSession(null);
    this.api.forget();
  }

  /** No more renewals, events or registration; a call is the server's. */
  #rest(): void {
    if (this.#renewal !== null) clearTimeout(this.#renewal);
    this.#renewal = null;
    this.#microphones.stop();
    this.#events.stop();
    this.#sip.stop();
  }

  #takenOver(): void {
    this.#rest();
    this.dispatch({ kind: 'taken_over' });
  }

  async #openMicrophone(): Promise<void> {
    // The browser's question may stand for long; one is enough.
    if (this.#askingMicrophone) return;
    this.#askingMicrophone = true;
    try {
      if (!this.#media.track) await this.#media.open();
      this.#askingMicrophone = false;
      this.#microphoneOpened();
    } catch (error) {
      this.#askingMicrophone = false;
      this.dispatch(microphoneFailed(error));
    }
    await this.#refreshDevices();
  }

  #microphoneOpened(): void {
    if (this.state.closed) return this.#media.close();
    this.dispatch(this.#media.track ? { kind: 'microphone_ready' } : { kind: 'microphone_lost', trouble: 'muted' });
  }

  #microphoneDue(): void {
    if (this.state.microphone === 'granted') this.#media.check();
    this.dispatch({ kind: 'microphone_due' });
    void this.#refreshDevices();
  }

  #useMicrophone(): void {
    this.#microphones.found();
    void this.#leg?.useMicrophone(this.#media.track).catch(() => undefined);
  }

  async #place(microphone: Parameters<SessionApi['place']>[0], again: boolean): Promise<void> {
    try {
      const [call, since] = await this.#asking(() => this.api.place(microphone, again), ['offline', 'agent_offline']);
      this.dispatch({ kind: 'call_answered', call, since, now: now() });
    } catch (error) {
      // A fault of the microphone is on the page already; that it could not be reported adds nothing for the agent.
      if (microphone === 'granted') this.dispatch({ kind: 'call_refused', problem: problemOf(error) });
    }
  }

  /** A call that this page has not met yet is told by the stream of events, unless its INVITE came first. */
  async #fetchCall(): Promise<void> {
    if (this.state.call === null && this.state.pending.length === 0) return;
    try {
      const [call, since] = await this.#asking(() => this.api.call(), this.state.pending.length > 0 ? RETRIED : []);
      this.dispatch({ kind: 'call_fetched', call, since, now: now() });
    } catch (error) {
      const problem = problemOf(error);
      if (problem.kind === 'session_over') this.dispatch({ kind: 'session_refused', problem });
      else if (this.state.pending.length > 0) this.dispatch({ kind: 'call_unknown' });
    }
  }

  /** How much the stream of calls has told. */
  get #toldCount(): number {
    return this.state.midcall.toldCount;
  }

  /** The answer, and how much the stream had told when it was asked for. Asked again after a failure of `kinds`. */
  #asking<T>(ask: () => Promise<T>, kinds?: readonly Problem['kind'][]): Promise<[T, number]> {
    return patiently(async () => {
      const since = this.#toldCount;
      return [await ask(), since];
    }, kinds);
  }

  #told(json: unknown): void {
    const call = parseCall(json);
    if (call) this.dispatch({ kind: 'call_changed', call, now: now() });
  }

  #spoke(json: unknown): void {
    const told = parseSpeaking(json);
    if (told) this.dispatch({ kind: 'spoke', ...told });
  }

  #answer(key: number): void {
    const leg = this.#sip.leg(key);
    if (!leg) return;
    const stream = this.#media.stream;
    if (stream) leg.answer(stream);
    else leg.reject();
  }

  async #sound(key: number, stream: MediaStream): Promise<void> {
    const leg = this.#sip.leg(key);
    if (!leg) return;
    const before = this.#leg;
    this.#leg = leg;
    // The older leg of a re-attached call goes on until the newer one stands, then it only wastes packets.
    if (before && before !== leg) leg.onFlowing(() => before.release());
    const playing = await this.#media.play(stream);
    this.dispatch({ kind: 'sound_blocked', blocked: !playing });
  }

  #flowing(key: number): void {
    if (this.#leg?.key !== key) return;
    this.#watch.start();
    // It may have come or gone since the INVITE was answered.
    void this.#leg.useMicrophone(this.#media.track).catch(() => undefined);
    this.dispatch({ kind: 'media_changed', media: 'flowing' });
  }

  #legEnded(key: number): void {
    if (this.state.supervised === key) this.dispatch({ kind: 'supervision_ended' });
    if (this.#leg?.key !== key) return;
    this.#release();
    this.dispatch({ kind: 'media_changed', media: 'none' });
    void this.#fetchCall();
  }

  #release(): void {
    this.#leg?.release();
    this.#leg = null;
    this.#watch.stop();
    this.quality = null;
    this.#media.silence();
  }

  #measured(quality: Quality | null, level: number | null): void {
    if (level !== null) this.#media.setStatsLevel(level);
    if (quality === null) return;
    this.quality = quality;
    this.changed();
  }

  /** By the leg, so that the record says that the agent hung up; by the session when the leg cannot or was not heard. */
  async #hangUp(): Promise<void> {
    if (this.#leg && this.#sip.registered) {
      this.#leg.bye();
      await new Promise(resolve => setTimeout(resolve, BYE_MS));
      await this.#fetchCall();
      if (!isLive(this.state.call)) return;
    }
    try {
      await this.api.hangUp();
      await this.#fetchCall();
    } catch (error) {
      this.dispatch({ kind: 'hang_up_failed', problem: problemOf(error) });
    }
  }

  async #close(): Promise<void> {
    await this.api.close().catch(() => undefined);
    this.#rest();
    this.#release();
    this.#media.close();
    storeSession(null);
    this.api.forget();
    window.close();
  }

  async #refreshDevices(): Promise<void> {
    this.devices = await this.#media.devices();
    this.changed();
  }
}

function askBeforeLeaving(event: BeforeUnloadEvent): void {
  event.preventDefault();
}

function microphoneFailed(error: unknown): Event {
  return { kind: 'microphone_failed', fault: error instanceof MicrophoneError ? error.fault : 'missing' };
}

function now(): Now {
  return { page: performance.now(), wall: Date.now() };
}

function problemOf(error: unknown): Problem {
  return error instanceof ApiError ? error.problem : { kind: 'server', detail: null };
}

/** Tries again what failed for want of an answer, or by one of `kinds`. */
async function patiently<T>(work: () => Promise<T>, kinds: readonly Problem['kind'][] = RETRIED): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      if (attempt >= ATTEMPTS || !(error instanceof ApiError) || !kinds.includes(error.problem.kind)) throw error;
      await new Promise(resolve => setTimeout(resolve, PAUSE_MS));
    }
  }
}
