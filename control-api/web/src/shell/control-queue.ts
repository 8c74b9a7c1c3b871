// Asks verbs of the session API: those of one lane one after the other, different lanes side by side. Digits that wait are asked together.

import type { CallState } from '../machine/call.ts';
import type { Refusal } from '../machine/midcall.ts';
import type { Problem } from '../machine/problem.ts';
import { type Verb, laneOf } from '../machine/verbs.ts';
import { ApiError, type SessionApi } from './api.ts';

export interface ControlListener {
  /** The verbs took effect; `call` is how it stood then. */
  done(ids: readonly number[], call: CallState | null): void;
  refused(ids: readonly number[], refusal: Refusal): void;
  /** The session itself is over. */
  over(problem: Problem): void;
}

/** Digits that the service takes at once. */
const DIGITS_MAX = 64;

interface Waiting {
  readonly ids: readonly number[];
  readonly verb: Verb;
}

export class ControlQueue {
  #lanes = new Map<string, Waiting[]>();

  constructor(
    private readonly api: Pick<SessionApi, 'control'>,
    private readonly listener: ControlListener,
  ) {}

  ask(id: number, verb: Verb): void {
    const lane = laneOf(verb);
    const waiting = this.#lanes.get(lane);
    if (!waiting) {
      this.#lanes.set(lane, [{ ids: [id], verb }]);
      return void this.#run(lane);
    }
    const last = waiting.at(-1);
    const joined = last && joinDigits(last.verb, verb);
    if (last && joined) waiting[waiting.length - 1] = { ids: [...last.ids, id], verb: joined };
    else waiting.push({ ids: [id], verb });
  }

  async #run(lane: string): Promise<void> {
    const waiting = this.#lanes.get(lane) ?? [];
    for (let next = waiting.shift(); next; next = waiting.shift()) await this.#askOne(next);
    this.#lanes.delete(lane);
  }

  async #askOne({ ids, verb }: Waiting): Promise<void> {
    try {
      this.listener.done(ids, await this.api.control(verb));
    } catch (error) {
      this.listener.refused(ids, error instanceof ApiError ? error.refusal : { code: 'server', detail: null });
      if (error instanceof ApiError && error.problem.kind === 'session_over') this.listener.over(error.problem);
    }
  }
}

function joinDigits(first: Verb, second: Verb): Verb | null {
  if (first.verb !== 'dtmf' || second.verb !== 'dtmf' || first.digits.length + second.digits.length > DIGITS_MAX) return null;
  return { ...first, digits: first.digits + second.digits };
}
