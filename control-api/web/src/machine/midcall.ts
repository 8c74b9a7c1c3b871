// The mid-call part of the machine: verbs that were asked and not yet answered, what the service refused, and what changed among the parties.
// Nothing is shown before the service tells it, but the microphone's own mute, which holds at once. Pure.

import { type CallState, isLive } from './call.ts';
import { type Conversation, type Member, hasLeft, isCustomerHeld, memberOf, newcomer } from './conversation.ts';
import type { Effect, Now, State, Turn } from './softphone.ts';
import { type Verb, laneOf, mayQueue, whyNot } from './verbs.ts';
import type { Reason } from './vocabulary.ts';

/** A verb without an answer yet. */
export interface Asked {
  readonly id: number;
  readonly verb: Verb;
  /** How much the service had told when it was asked: an answer that is older than the last word is not shown. */
  readonly toldCount: number;
}

/** Why something was not done: the service's stable word, or the page's own `offline`. */
export interface Refusal {
  readonly code: string;
  readonly detail: string | null;
}

export type Notice =
  | { readonly kind: 'refused'; readonly verb: Verb; readonly refusal: Refusal }
  /** A third party went, and not by the agent's own wish. */
  | { readonly kind: 'left'; readonly member: Member };

/** Who put the customer on hold, as far as this page saw it. */
export type Holder = 'page' | 'elsewhere' | 'unknown';

export interface Midcall {
  readonly asked: readonly Asked[];
  readonly nextId: number;
  readonly toldCount: number;
  readonly notice: Notice | null;
  /** What changed with the last word of the service, to be read out. */
  readonly changes: readonly Change[];
  readonly speaking: readonly string[];
  readonly holder: Holder;
  /** Digits that the service took. */
  readonly sentDigits: string;
}

export type Change =
  | { readonly kind: 'joined' | 'left' | 'muted' | 'unmuted'; readonly member: Member }
  | { readonly kind: 'held' | 'resumed' }
  | { readonly kind: 'recording'; readonly recording: Conversation['recording'] };

export const IDLE: Midcall = {
  asked: [], nextId: 1, toldCount: 0, notice: null, changes: [], speaking: [], holder: 'unknown', sentDigits: '',
};

/** Nothing asked and nothing to say; answers that are still on their way belong to nothing. */
export function cleared({ nextId, toldCount }: Midcall): Midcall {
  return { ...IDLE, nextId, toldCount };
}

/** Digits shown at most. */
const DIGITS_SHOWN = 24;
/** Reasons of a leave that the agent or the transfer itself brought about. */
const WISHED: readonly string[] = ['removed', 'canceled'] satisfies readonly Reason[];

export function isMuted(state: State): boolean {
  return state.muted || (isLive(state.call) && memberOf(state.call.conversation, 'agent')?.muted === true);
}

/** Whether a verb of this kind waits for its answer. */
export function isAsked(state: State, match: (verb: Verb) => boolean): boolean {
  return state.midcall.asked.some(({ verb }) => match(verb));
}

export function pressVerb(state: State, verb: Verb): Turn {
  const { call, midcall } = state;
  if (!call || (!mayQueue(verb) && isAsked(state, other => laneOf(other) === laneOf(verb)))) return [state, []];
  const code = whyNot(verb, call.conversation);
  if (code) return [{ ...state, midcall: { ...midcall, notice: { kind: 'refused', verb, refusal: { code, detail: null } } } }, []];
  return ask({ ...state, midcall: { ...midcall, notice: null } }, verb);
}

function ask(state: State, verb: Verb): Turn {
  const { midcall } = state;
  const asked: Asked = { id: midcall.nextId, verb, toldCount: midcall.toldCount };
  const next = { ...midcall, asked: [...midcall.asked, asked], nextId: midcall.nextId + 1, changes: [] };
  return [{ ...state, midcall: next }, [{ kind: 'control', id: asked.id, verb }]];
}

/** The microphone falls silent at once; that the service keeps it silent holds even without this page. */
export function pressMute(state: State): Turn {
  const muted = !isMuted(state);
  const local: State = { ...state, muted };
  const effects: Effect[] = [{ kind: 'set_muted', muted }];
  if (whyNot({ verb: muted ? 'mute' : 'unmute' }, state.call?.conversation ?? null)) return [local, effects];
  const [next, asked] = pressVerb(local, { verb: muted ? 'mute' : 'unmute' });
  return [next, [...effects, ...asked]];
}

/** After a re-attachment the page has no will of its own: it is as muted as the service says. */
export function takeMute(state: State): Turn {
  const muted = memberOf(state.call?.conversation ?? null, 'agent')?.muted;
  if (muted === undefined || muted === state.muted) return [state, []];
  return [{ ...state, muted }, [{ kind: 'set_muted', muted }]];
}

/** A mute from before the bridge is told as soon as there is a conversation. */
export function tellMute(state: State, before: CallState | null): Turn {
  const agent = memberOf(state.call?.conversation ?? null, 'agent');
  if (!state.muted || !before || before.conversation || !agent || agent.muted || hasLeft(agent)) return [state, []];
  return ask(state, { verb: 'mute' });
}

/** Answers of verbs. `adopt` takes over the call as the machine does with every word of the service. */
export function verbsDone(state: State, ids: readonly number[], call: CallState | null, now: Now, adopt: (state: State, call: CallState, now: Now) => Turn): Turn {
  const done = state.midcall.asked.filter(({ id }) => ids.includes(id));
  if (done.length === 0) return [state, []];
  const fresh = done.every(({ toldCount }) => toldCount === state.midcall.toldCount);
  const [next, effects] = call && fresh ? adopt(state, call, now) : ([state, []] as const);
  const digits = done.map(({ verb }) => (verb.verb === 'dtmf' ? verb.digits : '')).join('');
  const midcall: Midcall = {
    ...next.midcall,
    asked: next.midcall.asked.filter(({ id }) => !ids.includes(id)),
    sentDigits: (next.midcall.sentDigits + digits).slice(-DIGITS_SHOWN),
    holder: done.some(({ verb }) => verb.verb === 'hold') ? 'page' : next.midcall.holder,
  };
  return [{ ...next, midcall }, effects];
}

export function verbsRefused(state: State, ids: readonly number[], refusal: Refusal): Turn {
  const refused = state.midcall.asked.filter(({ id }) => ids.includes(id));
  const verb = refused.at(-1)?.verb;
  if (!verb) return [state, []];
  const asked = state.midcall.asked.filter(({ id }) => !ids.includes(id));
  const next: State = { ...state, midcall: { ...state.midcall, asked, notice: { kind: 'refused', verb, refusal } } };
  // What the agent saw was not so: the truth is asked for.
  return [next, [{ kind: 'fetch_call' }]];
}

/** Compares the parties before and after the service's word. */
export function follow(state: State, before: CallState | null, call: CallState): State {
  const { midcall } = state;
  if (!before || call.phase === 'ended') return { ...state, midcall: cleared(midcall) };
  if (!call.conversation) return state;
  const changes = changesOf(before.conversation, call.conversation);
  const left = changes.flatMap(change => (change.kind === 'left' && isMissed(change.member, midcall) ? [change.member] : [])).at(0);
  const held = changes.some(({ kind }) => kind === 'held') && !newcomer(call.conversation);
  const asking = midcall.asked.some(({ verb }) => verb.verb === 'hold');
  return {
    ...state,
    midcall: {
      ...midcall,
      changes: changes.length > 0 ? changes : midcall.changes,
      notice: left ? { kind: 'left', member: left } : midcall.notice,
      holder: held ? (asking ? 'page' : 'elsewhere') : isCustomerHeld(call.conversation) ? midcall.holder : 'unknown',
      speaking: midcall.speaking.filter(party => call.conversation?.parties.some(member => member.party === party && !hasLeft(member))),
    },
  };
}

/** Whether the agent has to be told that a third party went. */
function isMissed(member: Member, { asked }: Midcall): boolean {
  if (member.role !== 'participant' || WISHED.includes(member.reason ?? '')) return false;
  return !asked.some(({ verb }) => verb.verb === 'cancel' || (verb.verb === 'remove' && verb.party === member.party));
}

export function changesOf(before: Conversation | null, after: Conversation): readonly Change[] {
  if (!before) return [];
  const changes: Change[] = [];
  for (const member of after.parties) {
    const old = before.parties.find(({ party }) => party === member.party);
    if (hasLeft(member) && !hasLeft(old ?? null)) changes.push({ kind: 'left', member });
    if (member.state === 'talking' && member.role !== 'agent' && member.role !== 'customer' && old?.state !== 'talking') changes.push({ kind: 'joined', member });
    if (old && !hasLeft(member) && old.muted !== member.muted) changes.push({ kind: member.muted ? 'muted' : 'unmuted', member });
  }
  if (isCustomerHeld(before) !== isCustomerHeld(after) && !hasLeft(memberOf(after, 'customer'))) changes.push({ kind: isCustomerHeld(after) ? 'held' : 'resumed' });
  if (before.recording !== after.recording) changes.push({ kind: 'recording', recording: after.recording });
  return changes;
}
