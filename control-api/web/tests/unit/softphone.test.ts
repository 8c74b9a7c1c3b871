// The machine's scripts: each reads as one way in which the page is used.

import { expect, test } from 'vitest';
import { type CallState, parseCall } from '../../src/machine/call.ts';
import { type Effect, type Event, INITIAL, type Now, type State, handle } from '../../src/machine/softphone.ts';
import { headline, problemsOf } from '../../src/machine/words.ts';

const PARTY = { agent: 'agent.017', agentName: null, toNumber: '098765', toNumberE164: '+9198765', fromNumber: '+9180', account: null };
const LAUNCH = { token: 't', party: PARTY };
/** A server whose clock began when the page's did. */
const at = (ms: number): Now => ({ page: ms, wall: START + ms });
const START = Date.parse('2026-07-03T10:00:00Z');
const SIP = { url: 'wss://e', uri: 'sip:a@d', username: 'a', password: 'p', expiresS: 300 };

function call(phase: string, more: Record<string, unknown> = {}): CallState {
  const parsed = parseCall({ call_id: 'c1', state: phase, duration: 0, to_number: '+9198765', from_number: '+9180', ...more });
  if (!parsed) throw new Error('not a call');
  return parsed;
}

/** Runs a script; gives the last state and the kinds of effect of its last event. */
function run(events: readonly Event[], from: State = INITIAL): { state: State; effects: readonly Effect[]; kinds: string[] } {
  let state = from;
  let effects: readonly Effect[] = [];
  for (const event of events) [state, effects] = handle(state, event);
  return { state, effects, kinds: effects.map(({ kind }) => kind) };
}

const OPENED: Event = { kind: 'opened', launch: LAUNCH, stored: null, obstacle: null };
const session = (current: CallState | null = null, conflict: 'in_call' | 'double_click' | null = null): Event => ({
  kind: 'session_opened', now: at(0), session: { secret: 's', party: PARTY, sip: SIP, call: current, conflict },
});
const changed = (current: CallState, ms = 0): Event => ({ kind: 'call_changed', call: current, now: at(ms) });
const TO_CALL: readonly Event[] = [OPENED, session(), { kind: 'microphone_ready' }, { kind: 'registered' }, changed(call('agent'))];
const TALKING: readonly Event[] = [...TO_CALL, { kind: 'invited', invite: { key: 1, callId: 'c1' } }, { kind: 'media_changed', media: 'flowing' }, changed(call('bridged'), 5000)];

test('S02, A5: the token, then the microphone, then the registration, then the call', () => {
  expect(run([OPENED]).kinds).toEqual(['exchange']);
  expect(run([OPENED, session()]).kinds).toEqual(['ask_microphone']);
  expect(run([OPENED, session(), { kind: 'microphone_ready' }]).kinds).toEqual(['register']);
  expect(run([OPENED, session(), { kind: 'microphone_ready' }, { kind: 'registered' }]).effects).toEqual([{ kind: 'watch_call' }, { kind: 'place_call', again: false }]);
});

test('S11: without a microphone no registration follows, and the fault is reported', () => {
  const { state, effects } = run([OPENED, session(), { kind: 'microphone_failed', fault: 'denied' }]);
  expect(effects).toEqual([{ kind: 'report_microphone', fault: 'denied' }]);
  expect(state.step).toBe('stopped');
  expect(problemsOf(state)).toEqual([{ kind: 'microphone_denied', detail: null }]);
});

test('the failed call that the report makes does not hide the microphone’s fault, and a retry calls again', () => {
  const failed = call('ended', { status: 'FAILED', reason: 'agent_media' });
  const reported = run([OPENED, session(), { kind: 'microphone_failed', fault: 'missing' }, changed(failed)]);
  expect(problemsOf(reported.state)).toEqual([{ kind: 'microphone_missing', detail: null }]);
  const retried = run([{ kind: 'microphone_retry' }, { kind: 'microphone_ready' }, { kind: 'registered' }], reported.state);
  expect(retried.effects).toEqual([{ kind: 'watch_call' }, { kind: 'place_call', again: true }]);
});

test('the INVITE of the session’s call is answered by itself', () => {
  expect(run([...TO_CALL, { kind: 'invited', invite: { key: 7, callId: 'c1' } }]).effects).toEqual([{ kind: 'answer', key: 7 }]);
});

test('an INVITE that comes before its call is known waits for the answer of GET session/call', () => {
  const early = run([OPENED, session(), { kind: 'microphone_ready' }, { kind: 'registered' }, { kind: 'invited', invite: { key: 7, callId: 'c1' } }]);
  expect(early.kinds).toEqual(['fetch_call']);
  expect(run([{ kind: 'call_fetched', call: call('agent'), since: 0, now: at(0) }], early.state).effects).toEqual([{ kind: 'answer', key: 7 }]);
});

test('an answer that the stream overtook does not take the call back', () => {
  const overtaken = [
    { kind: 'call_fetched', call: call('agent'), since: 0, now: at(0) },
    { kind: 'call_answered', call: call('starting'), since: 0, now: at(0) },
    { kind: 'session_renewed', call: call('ringing'), since: 1, now: at(0) },
  ] as const;
  for (const answer of overtaken) expect(run([...TALKING, answer]).state.call?.phase).toBe('bridged');
  const crossed = run([...TALKING, { kind: 'invited', invite: { key: 7, callId: 'other' } }, { kind: 'call_fetched', call: call('agent'), since: 1, now: at(0) }]);
  expect(crossed.effects).toEqual([{ kind: 'reject', key: 7 }]);
});

test('an answer that was asked for after the stream’s last word is taken, and so is one about another call', () => {
  expect(run([...TALKING, { kind: 'call_fetched', call: call('ended'), since: 2, now: at(0) }]).state.call?.phase).toBe('ended');
  const next = { ...call('starting'), callId: 'c2' };
  expect(run([...TALKING, changed(call('ended')), { kind: 'call_answered', call: next, since: 0, now: at(0) }]).state.call?.callId).toBe('c2');
});

test('an INVITE of another call is rejected after that question', () => {
  const { effects, state } = run([...TO_CALL, { kind: 'invited', invite: { key: 9, callId: 'other' } }, { kind: 'call_fetched', call: call('agent'), since: 0, now: at(0) }]);
  expect(effects).toEqual([{ kind: 'reject', key: 9 }]);
  expect(state.pending).toEqual([]);
});

test('S18: a call that the page did not start is taken when the server tells of it first', () => {
  const ended = run([...TALKING, changed(call('ended', { status: 'ANSWER' }))]);
  const next = run([changed(call('agent', { call_id: 'c2' })), { kind: 'invited', invite: { key: 2, callId: 'c2' } }], ended.state);
  expect(next.effects).toEqual([{ kind: 'answer', key: 2 }]);
});

test('A4: a reload renews, takes the microphone, registers, places nothing, and answers the second INVITE', () => {
  const opened: Event = { kind: 'opened', launch: null, stored: PARTY, obstacle: null };
  expect(run([opened]).kinds).toEqual(['renew']);
  const back = run([opened, { kind: 'session_renewed', call: call('bridged', { answer_time: '2026-07-03T10:01:28Z' }), since: 0, now: at(100_000) }]);
  expect(back.kinds).toEqual(['ask_microphone']);
  expect(back.state.talkingSince).toBe(88_000);
  const again = run([{ kind: 'microphone_ready' }, { kind: 'registered' }], back.state);
  expect(again.kinds).toEqual(['watch_call', 'fetch_call']);
  expect(run([{ kind: 'invited', invite: { key: 1, callId: 'c1' } }], again.state).kinds).toEqual(['answer']);
});

test('A4: a click while the agent is in a call re-attaches to that call and places none', () => {
  const { state, kinds } = run([OPENED, session(call('bridged'), 'in_call'), { kind: 'microphone_ready' }, { kind: 'registered' }]);
  expect(kinds).toEqual(['watch_call', 'fetch_call']);
  expect(state.conflict).toBe('in_call');
});

test('a periodic renewal changes nothing in a running call', () => {
  const { state, kinds } = run([...TALKING, { kind: 'session_renewed', call: call('bridged'), since: 0, now: at(9000) }]);
  expect(kinds).toEqual([]);
  expect(state.step).toBe('online');
  expect(state.talkingSince).toBe(5000);
});

test('4001: another tab took over; nothing ends the call, the button renews', () => {
  const over = run([...TALKING, { kind: 'taken_over' }]);
  expect(over.kinds).toEqual(['release_media']);
  expect(over.state.line).toBe('elsewhere');
  expect(run([{ kind: 'line_lost' }], over.state).state.line).toBe('elsewhere');
  expect(run([{ kind: 'use_this_tab' }], over.state).kinds).toEqual(['renew']);
});

test('when media break, the line that seems to stand is opened anew, and ICE is restarted over it', () => {
  const broken = run([...TALKING, { kind: 'media_changed', media: 'broken' }]);
  expect(broken.kinds).toEqual(['reconnect']);
  expect(run([{ kind: 'line_lost' }, { kind: 'registered' }], broken.state).kinds).toEqual(['watch_call', 'fetch_call', 'restart_ice']);
  const lost = run([...TALKING, { kind: 'line_lost' }, { kind: 'media_changed', media: 'broken' }]);
  expect(lost.kinds).toEqual([]);
  expect(run([{ kind: 'registered' }], lost.state).kinds).toEqual(['watch_call', 'fetch_call', 'restart_ice']);
  const moved = run([...TALKING, { kind: 'network_changed' }, { kind: 'line_lost' }, { kind: 'registered' }]);
  expect(moved.kinds).toEqual(['watch_call', 'fetch_call', 'restart_ice']);
  expect(run([{ kind: 'line_lost' }, { kind: 'registered' }], moved.state).kinds).toEqual(['watch_call', 'fetch_call']);
});

test('the end frees media, unmutes, and stays the end whatever comes late', () => {
  const end = run([...TALKING, { kind: 'mute_pressed' }, changed(call('ended', { status: 'ANSWER' }))]);
  expect(end.kinds).toEqual(['set_muted', 'release_media']);
  expect(end.state).toMatchObject({ muted: false, media: 'none', hangingUp: false });
  expect(run([changed(call('bridged'))], end.state).state.call?.phase).toBe('ended');
});

test('hang-up is asked once, and may be asked again after it failed', () => {
  const once = run([...TALKING, { kind: 'hang_up_pressed' }]);
  expect(once.kinds).toEqual(['hang_up']);
  expect(run([{ kind: 'hang_up_pressed' }], once.state).kinds).toEqual([]);
  const failed = run([{ kind: 'hang_up_failed', problem: { kind: 'offline', detail: null } }, { kind: 'hang_up_pressed' }], once.state);
  expect(failed.kinds).toEqual(['hang_up']);
});

test('"Call again" places a call on the line that is there, and never beside a live one', () => {
  const ended = run([...TALKING, changed(call('ended', { status: 'BUSY' }))]);
  expect(run([{ kind: 'again_pressed' }], ended.state).effects).toEqual([{ kind: 'watch_call' }, { kind: 'place_call', again: true }]);
  expect(run([{ kind: 'again_pressed' }, { kind: 'again_pressed' }], ended.state).kinds).toEqual([]);
  expect(run([...TALKING, { kind: 'again_pressed' }]).kinds).toEqual([]);
});

test('late word of the ended call does not pass for the call that was just asked for', () => {
  const ended = call('ended', { status: 'BUSY' });
  const asked = run([...TALKING, changed(ended), { kind: 'again_pressed' }, changed(ended)]);
  expect(asked.state.step).toBe('placing');
  expect(run([changed(call('agent', { call_id: 'c2' }))], asked.state).state.step).toBe('online');
});

test('an obstacle or a missing link stops before anything is asked of the server', () => {
  expect(run([{ ...OPENED, obstacle: { kind: 'policy', detail: null } }]).kinds).toEqual([]);
  expect(run([{ kind: 'opened', launch: null, stored: null, obstacle: null }]).state.problem?.kind).toBe('no_link');
});

test('a used link can be tried again without a second registration in the way', () => {
  const refused = run([OPENED, { kind: 'session_refused', problem: { kind: 'link_used', detail: null } }]);
  expect(refused.kinds).toEqual(['forget_session']);
  expect(refused.state).toMatchObject({ step: 'stopped', line: 'none' });
  expect(run([{ kind: 'retry_pressed' }], refused.state).kinds).toEqual(['open_again']);
});

test('B07: a session that is over leaves the call that runs alone, and ends after it', () => {
  const over: Event = { kind: 'session_refused', problem: { kind: 'session_over', detail: null } };
  const talking = run([...TALKING, over]);
  expect(talking.kinds).not.toContain('forget_session');
  expect(talking.state).toMatchObject({ media: 'flowing', problem: { kind: 'session_over' } });
  const ended = run([{ kind: 'media_changed', media: 'none' }, over], talking.state);
  expect(ended.kinds).toContain('forget_session');
  expect(ended.state).toMatchObject({ step: 'stopped', line: 'none', problem: { kind: 'session_over' } });
  // What never stood is not kept.
  expect(run([...TO_CALL, over]).kinds).toContain('forget_session');
});

const LOST: Event = { kind: 'microphone_lost', trouble: 'lost' };
const MISSING: Event = { kind: 'microphone_failed', fault: 'missing' };
const titles = (state: State): readonly string[] => problemsOf(state).map(({ kind }) => kind);
const party = (role: string, state: string, more: Record<string, unknown> = {}): Record<string, unknown> => ({ party: role, role, state, muted: false, ...more });
const together = (...parties: Record<string, unknown>[]): Record<string, unknown> => ({ conversation: { parties, recording: 'off' } });

test.each([
  ['while the customer rings', [...TO_CALL, { kind: 'invited', invite: { key: 1, callId: 'c1' } }, { kind: 'media_changed', media: 'flowing' }, changed(call('ringing'))]],
  ['in a talk', TALKING],
  ['while the customer is on hold', [...TALKING, changed(call('bridged', together(party('agent', 'talking'), party('customer', 'on_hold'))))]],
  ['in a consultation', [...TALKING, changed(call('bridged', together(party('agent', 'consulting'), party('customer', 'on_hold'), party('third', 'consulting', { role: 'participant' }))))]],
  ['after a call', [...TALKING, changed(call('ended', { status: 'ANSWER' }))]],
  ['in somebody else’s call', [{ ...OPENED, launch: null, stored: PARTY }, { kind: 'session_renewed', call: null, since: 0, now: at(0) }, { kind: 'microphone_ready' }, { kind: 'registered' }, { kind: 'invited', invite: { key: 1, callId: 'other' } }, { kind: 'call_fetched', call: null, since: 0, now: at(0) }]],
] as const)('B05: a microphone that is lost %s is cut and looked for, told until it is back, and heard again without a click', (_, before) => {
  const start = run(before as readonly Event[]);
  const gone = run([LOST], start.state);
  expect(gone.kinds).toEqual(['cut_microphone', 'ask_microphone']);
  const missing = run([MISSING], gone.state);
  expect(missing.effects).toEqual([{ kind: 'await_microphone', trouble: 'missing' }]);
  // No word of the call erases it.
  const told = run([changed(call('held')), { kind: 'registered' }, changed(call('bridged'))], missing.state);
  expect(titles(told.state)).toEqual(['microphone_missing']);
  expect(run([{ kind: 'microphone_due' }], told.state).kinds).toEqual(['ask_microphone']);
  expect(run([{ kind: 'microphone_retry' }], told.state).kinds).toEqual(['ask_microphone']);
  expect(run([{ kind: 'microphone_retry' }], told.state).state.step).toBe(start.state.step);
  const back = run([{ kind: 'microphone_ready' }], told.state);
  expect(back.kinds).toEqual(['use_microphone']);
  expect(titles(back.state)).toEqual([]);
  expect(run([{ kind: 'microphone_due' }], back.state).kinds).toEqual([]);
});

test('B05: in a talk the headline says that the agent is not heard, not that somebody pressed hold, and both problems are told', () => {
  const { state } = run([...TALKING, LOST, { kind: 'microphone_failed', fault: 'denied' }, changed(call('held'))]);
  expect(headline(state).title).toBe('You are not heard');
  const both = run([{ kind: 'hang_up_pressed' }, { kind: 'hang_up_failed', problem: { kind: 'offline', detail: null } }], state);
  expect(titles(both.state)).toEqual(['microphone_denied', 'offline']);
});

test('B05: a microphone that is muted from outside is cut until that is taken back', () => {
  const muted = run([...TALKING, { kind: 'microphone_lost', trouble: 'muted' }]);
  expect(muted.kinds).toEqual(['cut_microphone']);
  expect(titles(muted.state)).toEqual(['microphone_muted']);
  expect(run([{ kind: 'microphone_ready' }], muted.state).kinds).toEqual(['use_microphone']);
  expect(run([LOST], muted.state).kinds).toEqual(['cut_microphone', 'ask_microphone']);
});

test('B05, S11: one that is lost before the registration keeps the call waiting, and its return places it', () => {
  const gone = run([OPENED, session(), { kind: 'microphone_ready' }, LOST, MISSING, { kind: 'registered' }]);
  expect(gone.kinds).toEqual(['watch_call', 'fetch_call']);
  expect(run([{ kind: 'microphone_ready' }], gone.state).kinds).toEqual(['use_microphone', 'watch_call', 'place_call']);
});

test('B05: a reload in a call without a microphone waits for it and then takes the call', () => {
  const opened: Event = { kind: 'opened', launch: null, stored: PARTY, obstacle: null };
  const waiting = run([opened, { kind: 'session_renewed', call: call('bridged'), since: 0, now: at(0) }, MISSING]);
  expect(waiting.kinds).toEqual(['await_microphone', 'fetch_call']);
  expect(run([{ kind: 'microphone_due' }], waiting.state).kinds).toEqual(['ask_microphone']);
  expect(run([{ kind: 'microphone_ready' }], waiting.state).kinds).toEqual(['register']);
  // The call ended meanwhile: this page has stopped.
  expect(run([{ kind: 'call_fetched', call: call('ended'), since: 0, now: at(1) }, MISSING], waiting.state).state.step).toBe('stopped');
});

test('a page that stopped, was closed or gave its softphone to another tab asks for no microphone', () => {
  const stopped = run([OPENED, session(), MISSING]);
  expect(run([{ kind: 'microphone_due' }], stopped.state).kinds).toEqual([]);
  const elsewhere = run([...TALKING, { kind: 'taken_over' }, LOST]);
  expect(elsewhere.kinds).toEqual(['cut_microphone']);
  expect(titles(elsewhere.state)).toEqual([]);
  expect(run([{ kind: 'close_pressed' }, LOST, { kind: 'microphone_due' }], run(TALKING).state).kinds).toEqual([]);
});

test('a chosen microphone that cannot be had says so; the one before goes on', () => {
  const { state, kinds } = run([...TALKING, { kind: 'choice_failed' }]);
  expect(kinds).toEqual([]);
  expect(state.microphone).toBe('granted');
  expect(titles(state)).toEqual(['choice_failed']);
});

test('pages that never register hold no stream of calls: without a microphone, without a line, without a session', () => {
  const kinds = (events: readonly Event[]): string[] => events.flatMap((_, index) => run(events.slice(0, index + 1)).kinds);
  for (const events of [
    [OPENED, session(), { kind: 'microphone_failed', fault: 'denied' }],
    [OPENED, session(), { kind: 'microphone_ready' }, { kind: 'line_lost' }, { kind: 'line_refused', problem: { kind: 'line_refused', detail: null } }],
    [OPENED, session(call('bridged'), 'in_call'), MISSING],
    [OPENED, { kind: 'session_refused', problem: { kind: 'link_used', detail: null } }],
  ] as const) {
    expect(kinds(events as readonly Event[])).not.toContain('watch_call');
  }
});
