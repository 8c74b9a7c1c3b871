// Places, reads and ends a call by the client that was made of the public document. Arguments: where the API is, a server key.
import process from 'node:process';
import createClient from 'openapi-fetch';
import type { paths as AdminPaths } from './made/admin.ts';
import type { components, paths } from './made/public.ts';

const [url, key] = process.argv.slice(2);
if (!url || !key) throw new Error('usage: place.ts URL KEY');
const client = createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${key}` } });
const wanted: components['schemas']['CreateCall'] = { from_number: '+918047123456', to_number: '9876543210', agent_number: '9876543211', uuid: 'typescript' };
const placed = await client.POST('/calls', { body: wanted });
if (!placed.data) throw new Error(`not placed: ${placed.error.code}`);
const call_id = placed.data.call_id;
const read = await client.GET('/calls/{call_id}', { params: { path: { call_id } } });
if (read.data?.uuid !== 'typescript') throw new Error(`not read: ${read.response.status}`);
const wrong = await client.POST('/calls', { body: { ...wanted, to_number: '112', uuid: 'wrong' } });
if (wrong.error?.code !== 'invalid_number') throw new Error('a problem has no code');
const ended = await client.DELETE('/calls/{call_id}', { params: { path: { call_id } } });
if (ended.response.status !== 204) throw new Error(`not ended: ${ended.response.status}`);

/** The operators' client has its types, too. */
export type Account = AdminPaths['/admin/accounts/{account}']['get']['responses'][200]['content']['application/json'];
