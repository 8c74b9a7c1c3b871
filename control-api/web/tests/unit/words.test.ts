// Every state and outcome has its words, and none of them is a code.

import { expect, test } from 'vitest';
import { parseCall } from '../../src/machine/call.ts';
import { microphoneFault, problemOf } from '../../src/machine/problem.ts';
import { INITIAL, type State } from '../../src/machine/softphone.ts';
import { announcement, conflictWords, endWords, headline, problemWords } from '../../src/machine/words.ts';

function withCall(call: Record<string, unknown>, more: Partial<State> = {}): State {
  return { ...INITIAL, step: 'online', line: 'online', call: parseCall({ call_id: 'c', to_number: '+919876543210', ...call }), ...more };
}

test.each([
  ['starting', 'Connecting you'],
  ['agent', 'Connecting you'],
  ['ringing', 'Ringing'],
  ['bridged', 'Talking'],
  ['held', 'On hold'],
])('%s reads "%s"', (state, title) => {
  expect(headline(withCall({ state })).title).toBe(title);
});

test.each([
  [{ status: 'ANSWER', hangup_by: 'customer' }, 'Call ended', /customer hung up/],
  [{ status: 'ANSWER', hangup_by: 'agent' }, 'Call ended', /You hung up/],
  [{ status: 'ANSWER', hangup_by: 'agent', reason: 'agent_lost' }, 'Call ended', /did not come back/],
  [{ status: 'BUSY', sip_code: 486 }, 'Busy', /another call/],
  [{ status: 'BUSY', reason: 'declined' }, 'Declined', /declined/],
  [{ status: 'NO_ANSWER' }, 'No answer', /did not pick up/],
  [{ status: 'CANCELED' }, 'Canceled', /before the customer answered/],
  [{ status: 'FAILED', reason: 'invalid_number', sip_code: 404 }, 'Call failed', /Check it in the CRM/],
  [{ status: 'FAILED', reason: 'trunk_timeout' }, 'Call failed', /did not answer/],
  [{ status: 'FAILED', reason: 'agent_media', detail: 'microphone_in_use' }, 'Call failed', /Another program/],
  [{ status: 'FAILED', reason: 'never_heard_of', sip_code: 513 }, 'Call failed', /code 513/],
  [{ status: 'FAILED', reason: 'constructor' }, 'Call failed', /could not be placed/],
])('the end %j reads "%s"', (end, title, text) => {
  const words = headline(withCall({ state: 'ended', ...end }));
  expect(words.title).toBe(title);
  expect(words.text).toMatch(text);
});

test('a lost connection is said, unless media still flow', () => {
  expect(headline(withCall({ state: 'bridged' }, { media: 'broken' })).title).toBe('Reconnecting');
  expect(headline(withCall({ state: 'bridged' }, { line: 'lost', media: 'none' })).title).toBe('Reconnecting');
  expect(headline(withCall({ state: 'bridged' }, { line: 'lost', media: 'flowing' })).title).toBe('Talking');
});

test('the next call’s way is shown instead of the last call’s end', () => {
  expect(headline(withCall({ state: 'ended', status: 'BUSY' }, { step: 'placing', wanted: true })).title).toBe('Connecting you');
});

test.each([
  ['session', 410, null, 'link_used'],
  ['renew', 410, null, 'session_over'],
  ['renew', 401, null, 'session_over'],
  ['call', 409, 'agent_busy', 'agent_busy'],
  ['call', 409, 'agent_offline', 'agent_offline'],
  ['call', 422, 'invalid_number', 'number_refused'],
  ['call', 429, null, 'rate_limited'],
  ['again', 410, null, 'again_refused'],
  ['again', 409, 'other', 'again_refused'],
  ['again', 409, 'agent_busy', 'agent_busy'],
  ['call', 503, null, 'unavailable'],
  ['call', 500, null, 'server'],
  ['call', 0, null, 'offline'],
] as const)('%s answered %i %s is %s', (request, status, code, kind) => {
  expect(problemOf(request, status, code, null).kind).toBe(kind);
});

test.each([
  ['no_candidates', /found no network/], ['no_path', /lets no sound of calls through/], ['no_dtls', /encryption/], ['no_audio', /from your microphone/],
  ['microphone_denied', /allow the microphone/], ['another_word', /No sound came/], ['constructor', /No sound came/], [null, /No sound came/],
] as const)('a call without the agent’s sound says what was missing: %s', (detail, words) => {
  const failed = parseCall({ call_id: 'c', state: 'ended', status: 'FAILED', reason: 'agent_media', detail });
  expect(failed && endWords(failed).text).toMatch(words);
});

test('the three faults of a microphone are told apart (A5)', () => {
  expect(['NotAllowedError', 'NotFoundError', 'NotReadableError'].map(microphoneFault)).toEqual(['denied', 'missing', 'in_use']);
  const texts = (['denied', 'missing', 'in_use'] as const).map(fault => problemWords({ kind: `microphone_${fault}`, detail: null }, { ...INITIAL, step: 'stopped' }));
  expect(new Set(texts.map(({ title }) => title)).size).toBe(3);
  for (const { text } of texts) expect(text).toContain('The customer was not called.');
});

test('a microphone lost in mid-talk does not claim that nobody was called', () => {
  expect(problemWords({ kind: 'microphone_missing', detail: null }, withCall({ state: 'bridged' })).text).not.toContain('not called');
});

test('a click that placed no call says which call goes on', () => {
  const party = { agent: 'a', agentName: null, toNumber: '+918000000001', toNumberE164: null, fromNumber: '', account: null };
  expect(conflictWords(withCall({ state: 'bridged' }, { conflict: 'in_call', party }))).toBe('You are still in a call with +91 98765 43210. +91 80000 00001 was not called.');
});

test('the server’s sentence is shown without its field', () => {
  expect(problemWords({ kind: 'number_refused', detail: 'to_number: premium numbers are not called.' }, INITIAL).text).toBe(
    'Premium numbers are not called. Check the number in the CRM.',
  );
});

test('the live region says the problem once', () => {
  const state: State = { ...INITIAL, step: 'stopped', problem: { kind: 'link_used', detail: null } };
  expect(announcement(state).match(/Click Dial/g)).toHaveLength(1);
});
