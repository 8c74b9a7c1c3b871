// What a test of the sound's way found, in words and figures.

import { expect, test } from 'vitest';
import { judge, mediaTestWords, untestedWords } from '../../src/machine/media-test.ts';
import type { Reading } from '../../src/machine/quality.ts';

const reading = (more: Partial<Reading> = {}): Reading => ({ receivedCount: 0, lostCount: 0, jitterS: 0.004, roundTripS: 0.02, farLoss: 0, ...more });

test.each([
  ['clear', { receivedCount: 250 }, 'good', [20, 4, 0, 0]],
  ['some loss on the way here', { receivedCount: 245, lostCount: 5 }, 'fair', [20, 4, 20, 0]],
  ['loss on the way there', { receivedCount: 250, farLoss: 0.1 }, 'poor', [20, 4, 0, 100]],
  ['slow, and nothing told by the far end', { receivedCount: 250, roundTripS: 0.8, farLoss: null }, 'poor', [800, 4, 0, null]],
  ['an unknown delay', { receivedCount: 250, roundTripS: null, jitterS: null }, 'good', [null, 0, 0, 0]],
] as const)('%s', (_, last, outcome, figures) => {
  const found = judge({ kind: 'measured', first: reading(), last: reading(last) });
  expect(found.outcome).toBe(outcome);
  expect([found.roundTripMs, found.jitterMs, found.lostPermille, found.sentLostPermille]).toEqual(figures);
  expect(mediaTestWords(found).ok).toBe(outcome !== 'poor');
});

test('what did not get through is told so, without figures', () => {
  for (const kind of ['no_candidates', 'no_path', 'no_call'] as const) {
    const found = judge({ kind });
    expect(found).toEqual({ outcome: kind, roundTripMs: null, jitterMs: null, lostPermille: null, sentLostPermille: null });
    expect(mediaTestWords(found)).toMatchObject({ ok: false });
  }
  // The leg stood, but nothing was heard.
  expect(judge({ kind: 'measured', first: reading(), last: reading() }).outcome).toBe('no_path');
});

test('what was not tested is not told as good', () => {
  expect(untestedWords('no_softphone')).toContain('was not tested');
  expect(untestedWords({ kind: 'agent_busy', detail: null })).toContain('you are in a call');
  expect(untestedWords({ kind: 'rate_limited', detail: 'this agent tests too often' })).toBe('The way of a call’s sound was not tested. This agent tests too often.');
});
