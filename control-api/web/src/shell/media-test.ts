// The test of the way that a call's sound takes: registers the softphone, lets the service call it, measures for a few seconds, hangs up, and
// tells the service what was found.

import { isLive } from '../machine/call.ts';
import { type Course, judge, mediaTestWords, untestedWords } from '../machine/media-test.ts';
import type { Reading } from '../machine/quality.ts';
import { ApiError, type SessionApi } from './api.ts';
import type { Leg } from './leg.ts';
import { type Media, MicrophoneError } from './media.ts';
import { askOpener, giveBack } from './opener.ts';
import type { PathResult } from './setup.ts';
import { Sip } from './sip.ts';

/** The far end's first word on what it received comes within four seconds (RFC 3550 §6.2). */
const MEASURED_MS = 5_000;
/** How long each step may take: the registration, the INVITE, the first sound. */
const STEP_MS = 10_000;

export async function testMedia(api: SessionApi, media: Media): Promise<PathResult> {
  const secret = await askOpener();
  if (secret === null) return { ok: false, text: untestedWords('no_softphone') };
  api.resume(secret);
  const run = new MediaTestRun(api, media);
  try {
    const { sip, call } = await api.renew();
    if (isLive(call)) return { ok: false, text: untestedWords('in_call') };
    if (!media.track) await media.open();
    const test = judge(await run.course(sip));
    await api.keepMediaTest(test).catch(() => undefined);
    return mediaTestWords(test);
  } catch (error) {
    const why = error instanceof MicrophoneError ? 'no_microphone' : error instanceof ApiError ? error.problem : ({ kind: 'server', detail: null } as const);
    return { ok: false, text: untestedWords(why) };
  } finally {
    run.stop();
    giveBack();
  }
}

class MediaTestRun {
  readonly #sip: Sip;
  /** INVITEs that came, by the call that they name. */
  #invited = new Map<string, number>();
  #step: ((course: Course | null) => void) | null = null;
  #isFlowing = false;
  #leg: Leg | null = null;

  constructor(
    private readonly api: SessionApi,
    private readonly media: Media,
  ) {
    this.#sip = new Sip({
      registered: () => this.#step?.(null),
      lost: () => undefined,
      takenOver: () => this.#step?.({ kind: 'no_call' }),
      credentialOver: () => undefined,
      refused: () => this.#step?.({ kind: 'no_call' }),
      invited: (key, callId) => {
        this.#invited.set(callId, key);
        this.#step?.(null);
      },
      sound: (_, stream) => void this.media.play(stream),
      flowing: () => {
        this.#isFlowing = true;
        this.#step?.(null);
      },
      broken: () => undefined,
      ended: () => this.#step?.({ kind: this.#leg?.foundNoNetwork ? 'no_candidates' : 'no_path' }),
    });
  }

  async course(credential: Parameters<Sip['use']>[0]): Promise<Course> {
    this.#sip.use(credential);
    if (await this.#await(() => this.#sip.registered)) return { kind: 'no_call' };
    const callId = await this.api.beginMediaTest();
    if (await this.#await(() => this.#invited.has(callId))) return { kind: 'no_call' };
    this.#leg = this.#sip.leg(this.#invited.get(callId) ?? 0) ?? null;
    const stream = this.media.stream;
    if (!this.#leg || !stream) return { kind: 'no_call' };
    this.#leg.answer(stream);
    const unheard = await this.#await(() => this.#isFlowing);
    if (unheard) return unheard;
    const first = await this.#read();
    await new Promise(resolve => setTimeout(resolve, MEASURED_MS));
    const last = await this.#read();
    this.#leg.bye();
    return first && last ? { kind: 'measured', first, last } : { kind: 'no_path' };
  }

  stop(): void {
    this.#step = null;
    this.#leg?.release();
    this.media.silence();
    this.#sip.stop();
  }

  async #read(): Promise<Reading | null> {
    return (await this.#leg?.read())?.reading ?? null;
  }

  /** Waits until `done`, or for what made it impossible. */
  #await(done: () => boolean): Promise<Course | null> {
    return new Promise(resolve => {
      const finish = (course: Course | null): void => {
        clearTimeout(timer);
        this.#step = null;
        resolve(course);
      };
      const timer = setTimeout(() => finish({ kind: 'no_path' }), STEP_MS);
      this.#step = course => {
        if (course || done()) finish(course);
      };
      if (done()) finish(null);
    });
  }
}
