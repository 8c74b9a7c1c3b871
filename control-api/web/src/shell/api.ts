// Client of the session API below the page's own origin. It knows paths, headers and answers, and keeps the session's secret.

import { type CallState, type Launch, type Renewal, type Session, parseCall, parseRenewal, parseSession } from '../machine/call.ts';
import { object, text } from '../machine/json.ts';
import type { MediaTest } from '../machine/media-test.ts';
import type { Refusal } from '../machine/midcall.ts';
import { type MicrophoneFault, type Problem, type Request, problemOf } from '../machine/problem.ts';
import type { Verb } from '../machine/verbs.ts';

/** An answer that is a problem; `problem` says which. */
export class ApiError extends Error {
  constructor(
    readonly problem: Problem,
    readonly status: number,
    private readonly code: string | null = null,
  ) {
    super(problem.detail ?? problem.kind);
  }

  /** As the answer to a verb. */
  get refusal(): Refusal {
    return { code: this.code ?? this.problem.kind, detail: this.problem.detail };
  }
}

const ANSWER_TIMEOUT_MS = 12_000;

interface Ask {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  readonly request?: Request;
}

export class SessionApi {
  #secret: string | null = null;

  /** `base` ends in a slash; `fetcher` is the browser's fetch but in tests. */
  constructor(
    private readonly base: string,
    private readonly fetcher: typeof fetch,
  ) {}

  /** The secret that a reload needs to come back. */
  get secret(): string | null {
    return this.#secret;
  }

  resume(secret: string): void {
    this.#secret = secret;
  }

  forget(): void {
    this.#secret = null;
  }

  async open(launch: Launch): Promise<Session> {
    const answer = await this.#ask({ method: 'POST', path: 'session', body: { token: launch.token }, request: 'session' });
    const session = parseSession(answer.body, launch.party);
    if (!session) throw new ApiError({ kind: 'server', detail: null }, answer.status);
    this.#secret = session.secret;
    return session;
  }

  async renew(): Promise<Renewal> {
    const answer = await this.#ask({ method: 'POST', path: 'session/renew', request: 'renew' });
    const renewal = parseRenewal(answer.body);
    if (!renewal) throw new ApiError({ kind: 'server', detail: null }, answer.status);
    return renewal;
  }

  /** Starts the call; `again` after one that ended. With a microphone's fault the call is recorded as failed and nobody is rung. */
  async place(microphone: 'granted' | MicrophoneFault, again: boolean): Promise<CallState> {
    const body = again ? { microphone, again } : { microphone };
    const answer = await this.#ask({ method: 'POST', path: 'session/call', body, request: again ? 'again' : 'call' });
    const call = parseCall(answer.body);
    if (!call) throw new ApiError({ kind: 'server', detail: null }, answer.status);
    return call;
  }

  /** `null` when the session has no call yet. */
  async call(): Promise<CallState | null> {
    try {
      return parseCall((await this.#ask({ method: 'GET', path: 'session/call' })).body);
    } catch (error) {
      if (error instanceof ApiError && error.status === 404) return null;
      throw error;
    }
  }

  /** Asks something of the running call; the answer is the call after it. */
  async control(verb: Verb): Promise<CallState | null> {
    return parseCall((await this.#ask({ method: 'POST', path: 'session/call/control', body: verbBody(verb) })).body);
  }

  async hangUp(): Promise<void> {
    await this.#ask({ method: 'DELETE', path: 'session/call' });
  }

  async setDisposition(callId: string, disposition: string): Promise<CallState | null> {
    return parseCall((await this.#ask({ method: 'PATCH', path: 'session/call', body: { call_id: callId, disposition } })).body);
  }

  /** Has the softphone called for the sake of its media; gives the `X-Call-Id` of the INVITE. */
  async beginMediaTest(): Promise<string> {
    const answer = await this.#ask({ method: 'POST', path: 'session/media-test' });
    const callId = text(object(answer.body)?.['call_id']);
    if (!callId) throw new ApiError({ kind: 'server', detail: null }, answer.status);
    return callId;
  }

  async keepMediaTest({ outcome, roundTripMs, jitterMs, lostPermille, sentLostPermille }: MediaTest): Promise<void> {
    const body = { outcome, round_trip_ms: roundTripMs, jitter_ms: jitterMs, lost_permille: lostPermille, sent_lost_permille: sentLostPermille };
    await this.#ask({ method: 'PUT', path: 'session/media-test', body });
  }

  async close(): Promise<void> {
    await this.#ask({ method: 'POST', path: 'session/close' });
  }

  /** The open stream of events; the caller reads it. */
  async events(signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
    const response = await this.fetcher(`${this.base}session/events`, { ...this.#options('GET', 'text/event-stream'), signal });
    if (!response.ok || !response.body) throw await problem(response, 'other');
    return response.body;
  }

  #options(method: string, accept: string): RequestInit {
    const headers: Record<string, string> = { accept };
    if (this.#secret) headers['authorization'] = `Session ${this.#secret}`;
    return { method, headers, cache: 'no-store', credentials: 'omit', redirect: 'error', referrerPolicy: 'no-referrer' };
  }

  async #ask({ method, path, body, request }: Ask): Promise<{ status: number; body: unknown }> {
    const options = this.#options(method, 'application/json, application/problem+json');
    if (path === 'session') delete (options.headers as Record<string, string>)['authorization'];
    if (body !== undefined) {
      (options.headers as Record<string, string>)['content-type'] = 'application/json';
      options.body = JSON.stringify(body);
    }
    let response: Response;
    try {
      response = await this.fetcher(this.base + path, { ...options, signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS) });
    } catch {
      throw new ApiError(problemOf(request ?? 'other', 0, null, null), 0);
    }
    if (!response.ok) throw await problem(response, request ?? 'other');
    return { status: response.status, body: await json(response) };
  }
}

function verbBody(verb: Verb): unknown {
  if (verb.verb === 'add') return { verb: 'add', to_number: verb.toNumber, flow: verb.flow };
  if (verb.verb === 'transfer') return { verb: 'transfer', to_number: verb.toNumber };
  return verb;
}

async function json(response: Response): Promise<unknown> {
  try {
    return await response.json();
  } catch {
    return null;
  }
}

async function problem(response: Response, request: Request): Promise<ApiError> {
  const body = (await json(response)) as { code?: unknown; detail?: unknown } | null;
  const code = typeof body?.code === 'string' ? body.code : null;
  const detail = typeof body?.detail === 'string' ? body.detail : null;
  return new ApiError(problemOf(request, response.status, code, detail), response.status, code);
}
