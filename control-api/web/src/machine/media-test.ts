// What a test of the sound's way found, from the readings of its leg: a word for the record, figures, and a sentence for the agent. Pure.

import { type Problem, detailSentence } from './problem.ts';
import { type Quality, type Reading, quality } from './quality.ts';

/** As the session API takes it. */
export interface MediaTest {
  readonly outcome: 'good' | 'fair' | 'poor' | 'no_candidates' | 'no_path' | 'no_call';
  readonly roundTripMs: number | null;
  readonly jitterMs: number | null;
  readonly lostPermille: number | null;
  readonly sentLostPermille: number | null;
}

/** How the leg of the test ended. */
export type Course = { readonly kind: 'measured'; readonly first: Reading; readonly last: Reading } | { readonly kind: 'no_candidates' | 'no_path' | 'no_call' };

export function judge(course: Course): MediaTest {
  const none = { roundTripMs: null, jitterMs: null, lostPermille: null, sentLostPermille: null };
  if (course.kind !== 'measured') return { outcome: course.kind, ...none };
  const { first, last } = course;
  const found: Quality | null = quality(first, last);
  if (!found) return { outcome: 'no_path', ...none };
  const received = last.receivedCount - first.receivedCount;
  const lost = Math.max(0, last.lostCount - first.lostCount);
  return {
    outcome: found.grade,
    roundTripMs: found.roundTripMs,
    jitterMs: found.jitterMs,
    lostPermille: Math.round((1000 * lost) / (received + lost)),
    sentLostPermille: last.farLoss === null ? null : Math.round(1000 * last.farLoss),
  };
}

const WORDS: Record<MediaTest['outcome'], string> = {
  good: 'Sound goes both ways.',
  fair: 'Sound goes both ways, with small disturbances.',
  poor: 'Sound goes both ways, but badly: others will hardly understand you. Use a cable or another network.',
  no_candidates: 'Your browser found no network for calls. Check the network and VPN.',
  no_path: 'Your network lets no sound of calls through. Use another network, or ask your administrator to open UDP to the service.',
  no_call: 'Your softphone could not be called. Try again in a minute.',
};

export function mediaTestWords(test: MediaTest): { ok: boolean; text: string } {
  const figures = [
    test.lostPermille === null ? null : `lost on the way to you ${test.lostPermille / 10} %`,
    test.sentLostPermille === null ? null : `lost on the way from you ${test.sentLostPermille / 10} %`,
    test.jitterMs === null ? null : `jitter ${test.jitterMs} ms`,
    test.roundTripMs === null ? null : `there and back ${test.roundTripMs} ms`,
  ].filter(figure => figure !== null);
  const told = figures.length > 0 ? ` ${figures.join(', ').replace(/^./, letter => letter.toUpperCase())}.` : '';
  return { ok: test.outcome === 'good' || test.outcome === 'fair', text: WORDS[test.outcome] + told };
}

/** Why no test was made. */
export function untestedWords(problem: Problem | 'no_softphone' | 'in_call' | 'no_microphone'): string {
  if (problem === 'no_softphone') return 'The way of a call’s sound was not tested. Open this page from your softphone for that: Audio, then Test them on the setup page.';
  if (problem === 'no_microphone') return 'The way of a call’s sound was not tested, because there is no microphone. Test that first.';
  if (problem === 'in_call' || problem.kind === 'agent_busy') return 'The way of a call’s sound was not tested, because you are in a call.';
  return `The way of a call’s sound was not tested. ${problem.detail ? detailSentence(problem.detail) : 'Try again in a minute.'}`.trim();
}
