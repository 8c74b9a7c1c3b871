// The queue of verbs: order within a lane, digits together, and each answer to those who asked.

import { expect, test } from 'vitest';
import type { CallState } from '../../src/machine/call.ts';
import type { Verb } from '../../src/machine/verbs.ts';
import { ApiError } from '../../src/shell/api.ts';
import { ControlQueue } from '../../src/shell/control-queue.ts';

interface Running {
  readonly verb: Verb;
  answer(outcome: ApiError | Error | null): Promise<void>;
}

function queue(): { asked: Running[]; told: unknown[]; ask: (id: number, verb: Verb) => void } {
  const asked: Running[] = [];
  const told: unknown[] = [];
  const control = (verb: Verb): Promise<CallState | null> =>
    new Promise((resolve, reject) => {
      asked.push({
        verb,
        async answer(outcome) {
          if (outcome) reject(outcome);
          else resolve(null);
          for (let turn = 0; turn < 5; turn += 1) await Promise.resolve();
        },
      });
    });
  const queue = new ControlQueue({ control }, {
    done: ids => told.push(['done', ...ids]),
    refused: (ids, refusal) => told.push(['refused', ...ids, refusal.code]),
    over: problem => told.push(['over', problem.kind]),
  });
  return { asked, told, ask: (id, verb) => queue.ask(id, verb) };
}

const digits = (digits: string, party = 'customer'): Verb => ({ verb: 'dtmf', digits, party });

test('digits that wait go together, in order, and never to another party', async () => {
  const { asked, told, ask } = queue();
  ask(1, digits('1'));
  ask(2, digits('2'));
  ask(3, digits('3'));
  ask(4, digits('9', 'p1'));
  expect(asked.map(({ verb }) => verb)).toEqual([digits('1'), digits('9', 'p1')]);
  await asked[0]?.answer(null);
  expect(asked[2]?.verb).toEqual(digits('23'));
  await asked[2]?.answer(null);
  expect(told).toEqual([['done', 1], ['done', 2, 3]]);
});

test('no more digits go together than the service takes', async () => {
  const { asked, ask } = queue();
  for (let id = 1; id <= 66; id += 1) ask(id, digits('5'));
  await asked[0]?.answer(null);
  await asked[1]?.answer(null);
  expect(asked.map(({ verb }) => (verb.verb === 'dtmf' ? verb.digits.length : 0))).toEqual([1, 64, 1]);
});

test('mute and unmute keep their order; another lane does not wait for them', async () => {
  const { asked, told, ask } = queue();
  ask(1, { verb: 'mute' });
  ask(2, { verb: 'unmute' });
  ask(3, { verb: 'hold' });
  expect(asked.map(({ verb }) => verb.verb)).toEqual(['mute', 'hold']);
  await asked[0]?.answer(new ApiError({ kind: 'unavailable', detail: null }, 503, 'no_edge'));
  expect(asked[2]?.verb.verb).toBe('unmute');
  await asked[2]?.answer(null);
  expect(told).toEqual([['refused', 1, 'no_edge'], ['done', 2]]);
});

test('a session that is over is said as such, an answer that is none is a fault of the service', async () => {
  const { asked, told, ask } = queue();
  ask(1, { verb: 'hold' });
  await asked[0]?.answer(new ApiError({ kind: 'session_over', detail: null }, 401, 'session_over'));
  ask(2, { verb: 'hold' });
  await asked[1]?.answer(new Error('odd'));
  expect(told).toEqual([['refused', 1, 'session_over'], ['over', 'session_over'], ['refused', 2, 'server']]);
});
