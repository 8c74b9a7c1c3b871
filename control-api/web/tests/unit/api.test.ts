// The API client: paths, headers and bodies as the contract has them, and answers turned into problems.

import { expect, test } from 'vitest';
import { dispositionName } from '../../src/machine/call.ts';
import { ApiError, SessionApi } from '../../src/shell/api.ts';

const PARTY = { agent: 'agent.017', agentName: null, toNumber: '098765', toNumberE164: '+9198765', fromNumber: '+9180', account: 'Lakeside' };
const SESSION = {
  session: 'secret', agent: { crm_username: 'agent.017', name: null }, to_number: '098765', from_number: '+9180',
  sip: { url: 'wss://e', uri: 'sip:a@d', username: 'a', password: 'p', expires_s: 300 }, call: null, conflict: null,
};

interface Seen {
  readonly url: string;
  readonly method: string | undefined;
  readonly authorization: string | null;
  readonly body: unknown;
}

function serve(...answers: (Response | Error)[]): { api: SessionApi; seen: Seen[] } {
  const seen: Seen[] = [];
  const fetcher = (url: string | URL | Request, options: RequestInit = {}): Promise<Response> => {
    const headers = new Headers(options.headers);
    seen.push({ url: String(url), method: options.method, authorization: headers.get('authorization'), body: options.body ? JSON.parse(String(options.body)) : null });
    const answer = answers.shift() ?? new Error('nothing left to answer');
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
  };
  return { api: new SessionApi('/base/', fetcher as typeof fetch), seen };
}

const json = (status: number, body: unknown): Response => new Response(JSON.stringify(body), { status });

test('the session tells what the picker offers, and its words are names for people', async () => {
  const { api } = serve(json(201, { ...SESSION, dispositions: ['CALL_BACK', 'Sold: 3 years', 7] }), json(201, SESSION));
  const session = await api.open({ token: 't', party: PARTY });
  expect(session.party.dispositions).toEqual(['CALL_BACK', 'Sold: 3 years']);
  expect(session.party.dispositions?.map(dispositionName)).toEqual(['Call back', 'Sold: 3 years']);
  expect(['INTERESTED', 'DO_NOT_CALL', 'a_b', 'VIP_2', 'É', ''].map(dispositionName)).toEqual(['Interested', 'Do not call', 'a_b', 'VIP_2', 'É', '']);
  expect((await api.open({ token: 't', party: PARTY })).party.dispositions).toEqual([]);
});

test('the token is exchanged without authorization, and its session used from then on', async () => {
  const { api, seen } = serve(json(201, SESSION), json(201, { call_id: 'c', state: 'agent' }));
  const session = await api.open({ token: 't', party: PARTY });
  expect(session.party).toMatchObject({ toNumberE164: '+9198765', account: 'Lakeside' });
  await api.place('granted', false);
  expect(seen).toEqual([
    { url: '/base/session', method: 'POST', authorization: null, body: { token: 't' } },
    { url: '/base/session/call', method: 'POST', authorization: 'Session secret', body: { microphone: 'granted' } },
  ]);
});

test('a second call says so', async () => {
  const { api, seen } = serve(json(201, { call_id: 'c', state: 'agent' }));
  api.resume('secret');
  await api.place('granted', true);
  expect(seen[0]?.body).toEqual({ microphone: 'granted', again: true });
});

test('no call is null, not an error', async () => {
  const { api } = serve(json(404, { code: 'not_found' }));
  expect(await api.call()).toBeNull();
});

test.each([
  [json(410, { code: 'gone', detail: 'used' }), 'link_used'],
  [json(503, {}), 'unavailable'],
  [new Response('<h1>proxy</h1>', { status: 502 }), 'server'],
  [new TypeError('failed to fetch'), 'offline'],
  [json(201, { session: 'no sip' }), 'server'],
])('an answer that is none becomes a problem', async (answer, kind) => {
  const { api } = serve(answer);
  const error = await api.open({ token: 't', party: PARTY }).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(ApiError);
  expect((error as ApiError).problem.kind).toBe(kind);
});

test('the server’s sentence is kept', async () => {
  const { api } = serve(json(422, { code: 'invalid_number', detail: 'to_number: too short' }));
  await expect(api.place('granted', false)).rejects.toMatchObject({ problem: { kind: 'number_refused', detail: 'to_number: too short' } });
});

test('S19: a verb goes out as the service names it, and its refusal keeps the stable word', async () => {
  const { api, seen } = serve(json(200, { call_id: 'c', state: 'bridged' }), json(200, {}), json(409, { code: 'transfer_running', detail: 'one at a time' }), new TypeError('failed to fetch'));
  api.resume('secret');
  expect((await api.control({ verb: 'add', toNumber: '+918000000001', flow: 'consult' }))?.callId).toBe('c');
  expect(await api.control({ verb: 'dtmf', digits: '12#', party: 'p1' })).toBeNull();
  const refused = await api.control({ verb: 'transfer', toNumber: '1' }).catch((error: unknown) => error);
  expect((refused as ApiError).refusal).toEqual({ code: 'transfer_running', detail: 'one at a time' });
  await expect(api.control({ verb: 'hold' })).rejects.toMatchObject({ refusal: { code: 'offline' } });
  expect(seen.map(({ url, body }) => [url, body])).toEqual([
    ['/base/session/call/control', { verb: 'add', to_number: '+918000000001', flow: 'consult' }],
    ['/base/session/call/control', { verb: 'dtmf', digits: '12#', party: 'p1' }],
    ['/base/session/call/control', { verb: 'transfer', to_number: '1' }],
    ['/base/session/call/control', { verb: 'hold' }],
  ]);
});
