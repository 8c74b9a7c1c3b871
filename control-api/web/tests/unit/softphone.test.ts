// The machine's scripts: each reads as one way in which the page is used.

import { expect, test } from 'vitest';
import { type CallState, parseCall } from '../../src/machine/call.ts';
import { type Effect, type Event, INITIAL, type Now, type State, handle } from '../../src/machine/softphone.ts';

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
  expect(run([OPENED, session()]).kinds).toEqual(['watch_call', 'ask_microphone']);
  expect(run([OPENED, session(), { kind: 'microphone_ready' }]).kinds).toEqual(['register']);
  expect(run([OPENED, session(), { kind: 'microphone_ready' }, { kind: 'registered' }]).effects).toEqual([{ kind: 'place_call', again: false }]);
});

test('S11: without a microphone no registration follows, and the fault is reported', () => {
  const { state, effects } = run([OPENED, session(), { kind: 'microphone_failed', fault: 'denied' }]);
  expect(effects).toEqual([{ kind: 'report_microphone', fault: 'denied' }]);
  expect(state.step).toBe('stopped');
  expect(state.problem?.kind).toBe('microphone_denied');
});

test('the failed call that the report makes does not hide the microphone’s fault, and a retry calls again', () => {
  const failed = call('ended', { status: 'FAILED', reason: 'agent_media' });
  const reported = run([OPENED, session(), { kind: 'microphone_failed', fault: 'missing' }, changed(failed)]);
  expect(reported.state.problem?.kind).toBe('microphone_missing');
  const retried = run([{ kind: 'microphone_retry' }, { kind: 'microphone_ready' }, { kind: 'registered' }], reported.state);
  expect(retried.effects).toEqual([{ kind: 'place_call', again: true }]);
});

test('the INVITE of the session’s call is answered by itself', () => {
  expect(run([...TO_CALL, { kind: 'invited', invite: { key: 7, callId: 'c1' } }]).effects).toEqual([{ kind: 'answer', key: 7 }]);
});

test('an INVITE that comes before its call is known waits for the answer of GET session/call', () => {
  const early = run([OPENED, session(), { kind: 'microphone_ready' }, { kind: 'registered' }, { kind: 'invited', invite: { key: 7, callId: 'c1' } }]);
  expect(early.kinds).toEqual(['fetch_call']);
  expect(run([{ kind: 'call_fetched', call: call('agent'), now: at(0) }], early.state).effects).toEqual([{ kind: 'answer', key: 7 }]);
});

test('an INVITE of another call is rejected after that question', () => {
  const { effects, state } = run([...TO_CALL, { kind: 'invited', invite: { key: 9, callId: 'other' } }, { kind: 'call_fetched', call: call('agent'), now: at(0) }]);
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
  const back = run([opened, { kind: 'session_renewed', call: call('bridged', { answer_time: '2026-07-03T10:01:28Z' }), now: at(100_000) }]);
  expect(back.kinds).toEqual(['watch_call', 'ask_microphone']);
  expect(back.state.talkingSince).toBe(88_000);
  const again = run([{ kind: 'microphone_ready' }, { kind: 'registered' }], back.state);
  expect(again.kinds).toEqual(['fetch_call']);
  expect(run([{ kind: 'invited', invite: { key: 1, callId: 'c1' } }], again.state).kinds).toEqual(['answer']);
});

test('A4: a click while the agent is in a call re-attaches to that call and places none', () => {
  const { state, kinds } = run([OPENED, session(call('bridged'), 'in_call'), { kind: 'microphone_ready' }, { kind: 'registered' }]);
  expect(kinds).toEqual(['fetch_call']);
  expect(state.conflict).toBe('in_call');
});

test('a periodic renewal changes nothing in a running call', () => {
  const { state, kinds } = run([...TALKING, { kind: 'session_renewed', call: call('bridged'), now: at(9000) }]);
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
  expect(run([{ kind: 'line_lost' }, { kind: 'registered' }], broken.state).kinds).toEqual(['fetch_call', 'restart_ice']);
  const lost = run([...TALKING, { kind: 'line_lost' }, { kind: 'media_changed', media: 'broken' }]);
  expect(lost.kinds).toEqual([]);
  expect(run([{ kind: 'registered' }], lost.state).kinds).toEqual(['fetch_call', 'restart_ice']);
  const moved = run([...TALKING, { kind: 'network_changed' }, { kind: 'line_lost' }, { kind: 'registered' }]);
  expect(moved.kinds).toEqual(['fetch_call', 'restart_ice']);
  expect(run([{ kind: 'line_lost' }, { kind: 'registered' }], moved.state).kinds).toEqual(['fetch_call']);
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
  expect(run([{ kind: 'again_pressed' }], ended.state).effects).toEqual([{ kind: 'place_call', again: true }]);
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

test('a microphone that goes away in mid-talk is told and ends nothing', () => {
  const { state, kinds } = run([...TALKING, { kind: 'microphone_failed', fault: 'missing' }]);
  expect(kinds).toEqual([]);
  expect(state).toMatchObject({ step: 'online', microphone: 'missing', problem: { kind: 'microphone_missing' } });
});
