// Mid-call control: which verb is possible in which scene, what the page shows of the service's word, and how requests are put to it.

import { expect, test } from 'vitest';
import { type CallState, isLive, parseCall } from '../../src/machine/call.ts';
import { type Conversation, type Scene, parseConversation, parseSpeaking, sceneOf } from '../../src/machine/conversation.ts';
import { isMuted } from '../../src/machine/midcall.ts';
import { holdBanner, leftSentence, leftWords, listedMembers, noticeWords, refusalWords, sceneWords, spokenChanges, stateWords } from '../../src/machine/midcall-words.ts';
import { type Effect, type Event, INITIAL, type Now, type State, handle } from '../../src/machine/softphone.ts';
import { type Verb, type WhyNot, digitsParty, holdVerb, recordingVerb, whyNot } from '../../src/machine/verbs.ts';
import { headline } from '../../src/machine/words.ts';

const THIRD = '+918000000001';
const AT: Now = { page: 0, wall: 0 };

type Words = Record<string, unknown>;

const agent = (more: Words = {}): Words => ({ party: 'agent', role: 'agent', state: 'talking', muted: false, ...more });
const customer = (more: Words = {}): Words => ({ party: 'customer', role: 'customer', state: 'talking', muted: false, number: '+919876543210', ...more });
const third = (more: Words = {}): Words => ({ party: 'p1', role: 'participant', state: 'talking', muted: false, number: THIRD, joining: 'consult', ...more });

function room(...parties: Words[]): Conversation {
  const parsed = parseConversation({ parties, recording: 'running' });
  if (!parsed) throw new Error('no conversation');
  return parsed;
}

const SCENES: Record<Scene, Conversation | null> = {
  none: null,
  two: room(agent(), customer()),
  group: room(agent(), customer(), third()),
  dialing: room(agent({ state: 'consulting' }), customer({ state: 'on_hold' }), third({ state: 'ringing' })),
  consulting: room(agent({ state: 'consulting' }), customer({ state: 'on_hold' }), third({ state: 'consulting' })),
  swapped: room(agent(), customer(), third({ state: 'on_hold' })),
  joining: room(agent(), customer(), third({ state: 'dialing', joining: 'join' })),
  transferring: room(agent({ state: 'consulting' }), customer(), third({ state: 'ringing', joining: 'transfer' })),
  gone: room(agent({ state: 'left', reason: 'completed' }), customer(), third()),
};

function call(conversation: Conversation | null, more: Words = {}): CallState {
  const parsed = parseCall({ call_id: 'c1', state: 'bridged', to_number: '+919876543210', from_number: '+9180', ...more });
  if (!parsed) throw new Error('no call');
  return { ...parsed, conversation };
}

function run(events: readonly Event[], from: State): { state: State; effects: readonly Effect[] } {
  let state = from;
  let effects: readonly Effect[] = [];
  for (const event of events) [state, effects] = handle(state, event);
  return { state, effects };
}

function during(scene: Scene, more: Partial<State> = {}): State {
  return { ...INITIAL, step: 'online', line: 'online', media: 'flowing', microphone: 'granted', call: call(SCENES[scene]), ...more };
}

const told = (conversation: Conversation | null, more: Words = {}): Event => ({ kind: 'call_changed', call: call(conversation, more), now: AT });
const pressed = (verb: Verb): Event => ({ kind: 'verb_pressed', verb });

test('each scene is known by its parties', () => {
  for (const [scene, conversation] of Object.entries(SCENES)) expect(sceneOf(conversation)).toBe(scene);
  // Whom the agent left alone in the conversation is not whom the agent consults.
  const alone = room(agent({ state: 'consulting' }), customer({ state: 'on_hold' }), third({ state: 'on_hold' }), third({ party: 'p2', state: 'consulting' }));
  expect([sceneOf(alone), digitsParty(alone)]).toEqual(['consulting', 'p2']);
  // However the service tells of the one who waits apart, the agent is with the customer.
  expect(sceneOf(room(agent(), customer(), third({ state: 'consulting' })))).toBe('swapped');
  // A page that is just coming back still knows which of the two rooms its agent was in.
  expect(sceneOf(room(agent({ state: 'away' }), customer({ state: 'on_hold' }), third({ state: 'consulting' })))).toBe('consulting');
});

const YES = null;
const VERBS: readonly [Verb, Record<Scene, WhyNot | null>][] = [
  [{ verb: 'hold' }, row(YES, YES, 'on_hold', 'on_hold', YES, YES, 'transfer_running')],
  [{ verb: 'resume' }, row('not_on_hold', 'not_on_hold', 'transfer_running', 'transfer_running', 'not_on_hold', 'not_on_hold', 'transfer_running')],
  [{ verb: 'mute' }, row(YES, YES, YES, YES, YES, YES, YES)],
  [{ verb: 'dtmf', digits: '12#', party: 'customer' }, row(YES, YES, YES, YES, YES, YES, YES)],
  [{ verb: 'add', toNumber: '1', flow: 'join' }, row(YES, YES, 'transfer_running', 'transfer_running', 'transfer_running', 'transfer_running', 'transfer_running')],
  [{ verb: 'transfer', toNumber: '1' }, row(YES, YES, 'transfer_running', 'transfer_running', 'transfer_running', 'transfer_running', 'transfer_running')],
  [{ verb: 'merge' }, row('no_consultation', 'no_consultation', 'not_answered', YES, YES, 'no_consultation', 'no_consultation')],
  [{ verb: 'swap' }, row('no_consultation', 'no_consultation', 'not_answered', YES, YES, 'no_consultation', 'no_consultation')],
  [{ verb: 'complete' }, row('no_consultation', YES, 'not_answered', YES, YES, 'not_answered', 'not_answered')],
  [{ verb: 'cancel' }, row('no_consultation', 'no_consultation', YES, YES, YES, YES, YES)],
  [{ verb: 'remove', party: 'p1' }, row('unknown_party', YES, YES, YES, YES, YES, YES)],
  [{ verb: 'record', action: 'pause' }, row(YES, YES, YES, YES, YES, YES, YES)],
];

function row(two: WhyNot | null, group: WhyNot | null, dialing: WhyNot | null, consulting: WhyNot | null, swapped: WhyNot | null, joining: WhyNot | null, transferring: WhyNot | null): Record<Scene, WhyNot | null> {
  return { none: 'not_talking', two, group, dialing, consulting, swapped, joining, transferring, gone: 'agent_gone' };
}

test.each(VERBS)('S19: $verb in every scene', (verb, expected) => {
  const found = Object.fromEntries(Object.entries(SCENES).map(([scene, conversation]) => [scene, whyNot(verb, conversation)]));
  expect(found).toEqual(expected);
});

test('what depends on more than the scene', () => {
  const held = room(agent(), customer({ state: 'on_hold' }));
  expect([whyNot({ verb: 'hold' }, held), whyNot({ verb: 'resume' }, held)]).toEqual(['on_hold', null]);
  expect([holdVerb(held).verb, holdVerb(SCENES.two).verb, holdVerb(SCENES.consulting).verb]).toEqual(['resume', 'hold', 'hold']);
  const eight = room(agent(), customer(), ...[1, 2, 3, 4, 5, 6].map(n => third({ party: `p${n}` })));
  expect(whyNot({ verb: 'add', toNumber: '1', flow: 'consult' }, eight)).toBe('too_many_parties');
  const seven = room(agent(), customer(), ...[1, 2, 3, 4, 5].map(n => third({ party: `p${n}` })), third({ party: 'p6', state: 'left' }));
  expect(whyNot({ verb: 'add', toNumber: '1', flow: 'consult' }, seven)).toBeNull();
  for (const digits of ['', 'x', '1'.repeat(65)]) expect(whyNot({ verb: 'dtmf', digits, party: 'customer' }, SCENES.two)).toBe('no_digits');
  expect(whyNot({ verb: 'dtmf', digits: '1', party: 'p1' }, SCENES.dialing)).toBe('not_answered');
  const recorded = (recording: Conversation['recording']): Conversation => ({ ...room(agent(), customer()), recording });
  expect((['off', 'running', 'paused'] as const).map(recording => recordingVerb(recorded(recording)))).toEqual(['start', 'pause', 'resume'].map(action => ({ verb: 'record', action })));
  for (const recording of ['off', 'running', 'paused'] as const) expect(whyNot(recordingVerb(recorded(recording)), recorded(recording))).toBeNull();
  expect(whyNot({ verb: 'record', action: 'pause' }, recorded('off'))).toBe('not_recording');
  expect([digitsParty(SCENES.two), digitsParty(SCENES.dialing), digitsParty(SCENES.consulting), digitsParty(SCENES.swapped)]).toEqual(['customer', 'customer', 'p1', 'customer']);
});

test('members that cannot be read are left out, and what is no conversation is none', () => {
  expect(parseConversation({ parties: [agent(), { party: 'x', role: 'ghost', state: 'talking' }, null, 7], recording: 'loud' })).toMatchObject({ parties: [{ party: 'agent' }], recording: 'off' });
  for (const odd of [null, 'text', [], {}, { parties: 'agent' }]) expect(parseConversation(odd)).toBeNull();
  expect(parseSpeaking({ call_id: 'c', parties: ['agent', 3] })).toEqual({ callId: 'c', parties: ['agent'] });
  expect(parseSpeaking({ parties: [] })).toBeNull();
});

test('nothing is shown before the service tells it; a second press waits for the first one’s answer', () => {
  const first = run([pressed({ verb: 'hold' })], during('two'));
  expect(first.effects).toEqual([{ kind: 'control', id: 1, verb: { verb: 'hold' } }]);
  expect(holdBanner(first.state.call?.conversation ?? null, first.state.midcall.holder)).toBeNull();
  expect(run([pressed({ verb: 'hold' })], first.state).effects).toEqual([]);
  const held = room(agent(), customer({ state: 'on_hold' }));
  const done = run([{ kind: 'verbs_done', ids: [1], call: call(held), now: AT }], first.state);
  expect(done.state.midcall).toMatchObject({ asked: [], holder: 'page' });
  expect(headline(done.state).title).toBe('On hold');
});

test('an answer that is older than the last word of the service is not shown', () => {
  const asked = run([pressed({ verb: 'hold' }), told(SCENES.dialing), { kind: 'verbs_done', ids: [1], call: call(SCENES.two), now: AT }], during('two'));
  expect(sceneOf(asked.state.call?.conversation ?? null)).toBe('dialing');
});

test('a hold that this page did not ask for is said to be somebody else’s', () => {
  const held = room(agent(), customer({ state: 'on_hold' }));
  expect(run([told(held)], during('two')).state.midcall.holder).toBe('elsewhere');
  expect(run([pressed({ verb: 'hold' }), told(held)], during('two')).state.midcall.holder).toBe('page');
  expect(run([told(held), told(SCENES.two)], during('two')).state.midcall.holder).toBe('unknown');
  expect(run([told(SCENES.dialing)], during('two')).state.midcall.holder).toBe('unknown');
  expect(holdBanner(held, 'elsewhere')?.text).toContain('somebody else');
  expect(holdBanner(held, 'unknown')?.text).not.toContain('somebody else');
  expect(holdBanner(room(agent({ state: 'on_hold' }), customer()), 'unknown')?.title).toBe('You are on hold.');
});

test('what is not possible asks nothing and says why', () => {
  const { state, effects } = run([pressed({ verb: 'merge' })], during('dialing'));
  expect(effects).toEqual([]);
  expect(state.midcall.notice).toEqual({ kind: 'refused', verb: { verb: 'merge' }, refusal: { code: 'not_answered', detail: null } });
  expect(run([{ kind: 'notice_dismissed' }], state).state.midcall.notice).toBeNull();
});

test('a refusal gives the button back and asks how the call stands', () => {
  const refused = run([pressed({ verb: 'swap' }), { kind: 'verbs_refused', ids: [1], refusal: { code: 'no_edge', detail: null } }], during('consulting'));
  expect(refused.effects).toEqual([{ kind: 'fetch_call' }]);
  expect(refused.state.midcall).toMatchObject({ asked: [], notice: { kind: 'refused', refusal: { code: 'no_edge' } } });
  expect(run([pressed({ verb: 'swap' })], refused.state).state.midcall.notice).toBeNull();
});

test('S13: a third party that goes is told, unless the agent sent it away', () => {
  const back = room(agent(), customer(), third({ state: 'left', reason: 'busy' }));
  const missed = run([told(back)], during('dialing')).state;
  expect(noticeWords(missed.midcall.notice!, missed.call?.conversation ?? null)).toEqual({ title: '+91 80000 00001 is busy.', text: 'You are back with the customer.' });
  const canceled = room(agent(), customer(), third({ state: 'left', reason: 'hung_up' }));
  expect(run([pressed({ verb: 'cancel' }), told(canceled)], during('consulting')).state.midcall.notice).toBeNull();
  expect(run([pressed({ verb: 'remove', party: 'p1' }), told(canceled)], during('group')).state.midcall.notice).toBeNull();
  const stillHeld = room(agent(), customer({ state: 'on_hold' }), third({ state: 'left', reason: 'no_answer', joining: 'transfer' }));
  const failed = run([told(stillHeld)], during('transferring')).state;
  expect(noticeWords(failed.midcall.notice!, stillHeld).text).toBe('The transfer did not happen. The customer is still on hold: press Resume to talk to them.');
});

test('the microphone falls silent at once and the service is told; either keeps the agent muted', () => {
  const muted = run([{ kind: 'mute_pressed' }], during('two'));
  expect(muted.effects).toEqual([{ kind: 'set_muted', muted: true }, { kind: 'control', id: 1, verb: { verb: 'mute' } }]);
  expect(isMuted(muted.state)).toBe(true);
  const both = run([told(room(agent({ muted: true }), customer()))], muted.state).state;
  const unmuted = run([{ kind: 'mute_pressed' }], both);
  expect(unmuted.effects).toEqual([{ kind: 'set_muted', muted: false }, { kind: 'control', id: 2, verb: { verb: 'unmute' } }]);
  expect(isMuted(unmuted.state)).toBe(true);
  expect(isMuted(run([told(SCENES.two)], unmuted.state).state)).toBe(false);
});

test('a mute from before the bridge is told at the bridge', () => {
  const ringing = during('none', { call: call(null, { state: 'ringing' }) });
  const early = run([{ kind: 'mute_pressed' }], ringing);
  expect(early.effects).toEqual([{ kind: 'set_muted', muted: true }]);
  expect(run([told(SCENES.two)], early.state).effects).toEqual([{ kind: 'control', id: 1, verb: { verb: 'mute' } }]);
});

test('after a re-attachment the service’s mute is the page’s', () => {
  const party = { agent: 'a', agentName: null, toNumber: '1', toNumberE164: null, fromNumber: '2', account: null };
  const opened: Event = { kind: 'opened', launch: null, stored: party, obstacle: null };
  const back = run([opened, { kind: 'session_renewed', call: call(room(agent({ muted: true }), customer())), since: 0, now: AT }], INITIAL);
  expect(back.effects).toContainEqual({ kind: 'set_muted', muted: true });
  const elsewhere = during('two', { muted: true, line: 'elsewhere' });
  expect(run([{ kind: 'use_this_tab' }, { kind: 'session_renewed', call: call(SCENES.two), since: 0, now: AT }], elsewhere).state.muted).toBe(false);
});

test('digits add up while they wait, and are shown once taken', () => {
  const digit = (digits: string): Event => pressed({ verb: 'dtmf', digits, party: 'customer' });
  const { state } = run([digit('1'), digit('2'), { kind: 'verbs_done', ids: [1], call: null, now: AT }], during('two'));
  expect(state.midcall.sentDigits).toBe('1');
  expect(run([{ kind: 'verbs_done', ids: [2], call: null, now: AT }], state).state.midcall.sentDigits).toBe('12');
});

test('S13: after the transfer the call goes on without the agent, and the next call may begin', () => {
  const gone = run([told(SCENES.gone)], during('consulting', { party: { agent: 'a', agentName: null, toNumber: '1', toNumberE164: null, fromNumber: '2', account: null } }));
  expect(gone.effects).toContainEqual({ kind: 'release_media' });
  expect(isLive(gone.state.call)).toBe(false);
  expect(headline(gone.state)).toMatchObject({ title: 'Transferred', text: expect.stringMatching(/talks to \+91 80000 00001/) as unknown });
  const again = run([{ kind: 'again_pressed' }], gone.state);
  expect(again.effects).toEqual([{ kind: 'watch_call' }, { kind: 'place_call', again: true }]);
  // The old call ends while the new one is being placed, and after.
  const ended = told(null, { state: 'ended', status: 'ANSWER' });
  expect(run([ended], again.state).state.step).toBe('placing');
  const next: Event = { kind: 'call_changed', call: call(null, { call_id: 'c2', state: 'agent' }), now: AT };
  expect(run([next, ended], again.state).state.call?.callId).toBe('c2');
});

test('an INVITE without an own call is answered as a supervisor’s; beside one, or while one is placed, it is rejected', () => {
  const idle: State = { ...INITIAL, step: 'online', line: 'online', microphone: 'granted', call: call(null, { state: 'ended' }) };
  const invited: Event = { kind: 'invited', invite: { key: 4, callId: 'other' } };
  const nothing: Event = { kind: 'call_fetched', call: null, since: 0, now: AT };
  const answered = run([invited, nothing], idle);
  expect(answered.effects).toEqual([{ kind: 'answer', key: 4 }]);
  expect(headline(answered.state).title).toBe('You are listening to a call');
  expect(run([{ kind: 'leave_pressed' }], answered.state).effects).toEqual([{ kind: 'leave', key: 4 }]);
  expect(run([{ kind: 'again_pressed' }], answered.state).effects).toEqual([]);
  expect(run([{ kind: 'invited', invite: { key: 5, callId: 'third' } }, nothing], answered.state).effects).toEqual([{ kind: 'reject', key: 5 }]);
  expect(run([{ kind: 'supervision_ended' }], answered.state).state.supervised).toBeNull();
  expect(run([invited, nothing], during('two')).effects).toEqual([{ kind: 'reject', key: 4 }]);
  expect(run([invited, nothing], { ...idle, step: 'placing', wanted: true }).effects).toEqual([{ kind: 'reject', key: 4 }]);
  expect(run([invited, { kind: 'call_unknown' }], idle).effects).toEqual([{ kind: 'reject', key: 4 }]);
  // An INVITE that comes after its call's end is no call to supervise.
  expect(run([{ kind: 'invited', invite: { key: 6, callId: 'c1' } }, nothing], idle).effects).toEqual([{ kind: 'reject', key: 6 }]);
});

test('who speaks is shown for this call, and not once they left', () => {
  const spoke = run([{ kind: 'spoke', callId: 'c1', parties: ['p1'] }, { kind: 'spoke', callId: 'other', parties: ['agent'] }], during('group')).state;
  expect(spoke.midcall.speaking).toEqual(['p1']);
  expect(run([told(room(agent(), customer(), third({ state: 'left' })))], spoke).state.midcall.speaking).toEqual([]);
});

test('each party state, reason and refusal has words for people', () => {
  const reasons = ['busy', 'no_answer', 'declined', 'invalid_number', 'hung_up', 'removed', 'canceled', 'trunk_timeout', 'never_heard_of', 'constructor'];
  for (const reason of reasons) {
    const member = room(third({ state: 'left', reason })).parties[0]!;
    expect(leftWords(reason)).not.toMatch(/_|function/);
    expect(leftSentence(member)).toMatch(/^\+91 80000 00001 [^_]*\.$/);
  }
  expect(reasons.slice(0, 5).map(leftWords)).toEqual(['busy', 'did not answer', 'declined', 'number cannot be called', 'hung up']);
  for (const state of ['dialing', 'ringing', 'talking', 'consulting', 'on_hold', 'away', 'left']) expect(stateWords(room(third({ state })).parties[0]!)).toMatch(/^[a-z ]+$/);
  for (const [scene, conversation] of Object.entries(SCENES)) {
    if (scene !== 'none' && scene !== 'two') expect(sceneWords(conversation)?.title, scene).toMatch(/\w/);
  }
  const codes = [
    'unknown_call', 'ended', 'not_talking', 'unknown_party', 'transfer_running', 'no_consultation', 'not_answered', 'on_hold', 'not_on_hold', 'agent_gone',
    'too_many_parties', 'no_capacity', 'no_route', 'agent_unreachable', 'agent_busy', 'not_recording', 'already_recording', 'no_digits', 'no_edge', 'no_answer_from_edge',
    'invalid_number', 'invalid_digits', 'busy', 'offline', 'rate_limit',
  ];
  const words = codes.map(code => noticeWords({ kind: 'refused', verb: { verb: 'merge' }, refusal: { code, detail: null } }, SCENES.two));
  for (const { title, text } of words) {
    expect(title).not.toMatch(/_|did not work/);
    expect(text).toMatch(/\.$/);
  }
  expect(refusalWords('transfer_running')).toMatch(/Finish that first/);
});

test('an unknown refusal is told in the service’s own sentence; a refused mute says what holds', () => {
  const unknown = noticeWords({ kind: 'refused', verb: { verb: 'swap' }, refusal: { code: 'brand_new', detail: 'the moon is full' } }, SCENES.consulting);
  expect(unknown).toEqual({ title: 'Swap did not work', text: 'The moon is full. The call goes on. Try again, or tell your administrator.' });
  expect(noticeWords({ kind: 'refused', verb: { verb: 'mute' }, refusal: { code: 'no_edge', detail: null } }, SCENES.two).text).toContain('only as long as this page is open');
});

test('the answer to a verb of the former call is nothing to the next one', () => {
  const next: Event = { kind: 'call_changed', call: call(SCENES.two, { call_id: 'c2' }), now: AT };
  const { state } = run([pressed({ verb: 'swap' }), told(null, { state: 'ended' }), next, pressed({ verb: 'hold' })], during('consulting'));
  expect(state.midcall.asked).toHaveLength(1);
  expect(run([{ kind: 'verbs_done', ids: [1], call: null, now: AT }], state).state.midcall.asked).toHaveLength(1);
  expect(run([{ kind: 'verbs_refused', ids: [1], refusal: { code: 'ended', detail: null } }], state).state.midcall.notice).toBeNull();
});

test('changes are read out once, with numbers digit by digit', () => {
  const spell = (number: string): string => `<${number}>`;
  const { state } = run([told(room(agent(), customer(), third({ state: 'left', reason: 'no_answer' })))], during('dialing'));
  expect(spokenChanges(state.midcall, state.call?.conversation ?? null, spell)).toBe('<+918000000001> did not answer. You are back with the customer. The customer is no longer on hold.');
  const quiet = run([told(SCENES.two)], during('two')).state;
  expect(quiet.midcall.changes).toEqual([]);
});

test('of those who left only the last three are listed', () => {
  const left = [1, 2, 3, 4, 5].map(n => third({ party: `p${n}`, state: 'left', reason: 'busy' }));
  expect(listedMembers(room(agent(), customer(), ...left)).map(({ party }) => party)).toEqual(['agent', 'customer', 'p3', 'p4', 'p5']);
});
