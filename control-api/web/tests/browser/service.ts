// A stand-in for control-api: serves the built page with launch data under a strict CSP, and plays the session API by script.

import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { Edge } from './edge.ts';
import { Rooms } from './rooms.ts';

const DIST = path.resolve(import.meta.dirname, '../../dist');
const BASE = '/CRM_API/webphone/';
/** Attributes of the frame on each of the CRM's pages. */
const FRAMES: Record<string, string> = {
  '/frame': 'allow="microphone; autoplay"',
  '/frame-closed': '',
  '/frame-sandboxed': 'allow="microphone; autoplay" sandbox="allow-scripts"',
  '/frame-scriptless': 'allow="microphone; autoplay" sandbox="allow-same-origin"',
};
const TYPES: Record<string, string> = { '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };

const DISPOSITIONS = ['INTERESTED', 'CALL_BACK', 'NOT_INTERESTED', 'WRONG_NUMBER', 'VOICEMAIL', 'DO_NOT_CALL'];
export const PARTY = {
  agent: { crm_username: 'agent.017', name: 'Asha Rao' },
  to_number: '098765 43210',
  to_number_e164: '+919876543210',
  from_number: '+918041234567',
  account: 'Lakeside Loans',
};

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
}

export class Service {
  readonly asked: Asked[] = [];
  readonly edge = new Edge();
  call: Record<string, unknown> | null = null;
  /** Answers that replace the usual ones, by `METHOD path`. */
  readonly refusals = new Map<string, { status: number; code: string; detail: string }>();
  conflict: string | null = null;
  recording = true;
  /** The parties, once the call is bridged. */
  rooms: Rooms | null = null;
  #streams = new Set<ServerResponse>();
  #tokens = 0;
  #calls = 0;

  private constructor(private readonly server: Server) {}

  static async start(): Promise<Service> {
    const server = createServer();
    const service = new Service(server);
    server.on('request', (request, response) => void service.#serve(request, response));
    server.on('upgrade', (request, socket, head) => service.edge.upgrade(request, socket, head));
    await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve));
    return service;
  }

  get origin(): string {
    return `http://localhost:${(this.server.address() as AddressInfo).port}`;
  }

  get launchUrl(): string {
    return `${this.origin}${BASE}launch?crm_username=agent.017&api_key=secret-key&to_number=098765+43210&from_number=%2B918041234567`;
  }

  get setupUrl(): string {
    return `${this.origin}${BASE}setup`;
  }

  /** Tells the page a new state of its call. */
  tell(change: Record<string, unknown>): void {
    this.call = { ...this.call, ...change };
    for (const stream of this.#streams) stream.write(`event: call\ndata: ${JSON.stringify(this.call)}\n\n`);
  }

  /** Bridges the call: from now on verbs are taken. */
  bridge(): Rooms {
    this.rooms = new Rooms('+919876543210');
    this.rooms.recording = this.recording ? 'running' : 'off';
    this.tell({ state: 'bridged', answer_time: '2026-07-03T10:00:00Z', conversation: this.rooms });
    return this.rooms;
  }

  /** Tells how the rooms stand now. */
  tellRooms(): void {
    this.tell({ conversation: this.rooms });
  }

  speak(...parties: string[]): void {
    for (const stream of this.#streams) stream.write(`event: speaking\ndata: ${JSON.stringify({ call_id: this.call?.['call_id'], parties })}\n\n`);
  }

  /** Verbs that were asked. */
  verbs(): unknown[] {
    return this.asked.filter(({ path }) => path === 'session/call/control').map(({ body }) => body);
  }

  /** Streams of events that are open. */
  get streamCount(): number {
    return this.#streams.size;
  }

  placed(): number {
    return this.asked.filter(({ method, path }) => method === 'POST' && path === 'session/call').length;
  }

  async stop(): Promise<void> {
    this.edge.stop();
    for (const stream of this.#streams) stream.destroy();
    this.server.closeAllConnections();
    await new Promise(resolve => this.server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname } = new URL(request.url ?? '/', this.origin);
    const frame = FRAMES[pathname];
    if (frame !== undefined) return this.#frame(response, frame);
    const name = pathname.startsWith(BASE) ? pathname.slice(BASE.length) : '';
    if (name === 'assets/peer') return void response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>far end</title>');
    if (name.startsWith('assets/')) {
      response.writeHead(200, { 'content-type': TYPES[path.extname(name)] ?? 'application/octet-stream' });
      return void createReadStream(path.join(DIST, 'assets', path.basename(name))).pipe(response);
    }
    if (['launch', 'call', 'setup'].includes(name)) return this.#page(name, response);
    const body: unknown = JSON.parse((await read(request)) || 'null');
    this.asked.push({ method: request.method ?? '', path: name, body });
    this.#api(`${request.method} ${name}`, response);
  }

  async #page(name: string, response: ServerResponse): Promise<void> {
    this.#tokens += 1;
    const data = name === 'launch' ? JSON.stringify({ token: `token-${this.#tokens}`, ...PARTY }) : name === 'setup' ? JSON.stringify({ sip_url: this.#sipUrl() }) : '';
    const html = (await readFile(path.join(DIST, 'index.html'), 'utf8')).replace('id="launch"></script>', `id="launch">${data}</script>`);
    response.writeHead(200, {
      'content-type': 'text/html; charset=utf-8',
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
      'permissions-policy': 'microphone=*, autoplay=*',
      'content-security-policy': `default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self' ${this.#sipUrl()}; base-uri 'none'; form-action 'none'`,
    });
    response.end(html);
  }

  /** A CRM's page on another origin (127.0.0.1 against localhost) that frames the softphone, with or without leave for the microphone. */
  #frame(response: ServerResponse, attributes: string): void {
    response.writeHead(200, { 'content-type': 'text/html' });
    response.end(`<!doctype html><title>CRM</title><iframe src="${this.launchUrl.replaceAll('&', '&amp;')}" ${attributes} width="360" height="600"></iframe>`);
  }

  #sipUrl(): string {
    return `${this.origin.replace('http', 'ws')}/sip`;
  }

  #sip(): object {
    return { url: this.#sipUrl(), uri: 'sip:agent-1@dialer.test', username: 'agent-1', password: 'pass', expires_s: 300 };
  }

  #api(request: string, response: ServerResponse): void {
    const refusal = this.refusals.get(request);
    const send = (status: number, body: unknown): void => {
      response.writeHead(status, { 'content-type': status < 400 ? 'application/json' : 'application/problem+json' });
      response.end(JSON.stringify(body));
    };
    if (refusal) return send(refusal.status, { ...refusal, title: 'Refused' });
    switch (request) {
      case 'POST session':
        return send(201, { session: 'session-secret', ...PARTY, dispositions: DISPOSITIONS, sip: this.#sip(), call: this.call, conflict: this.conflict });
      case 'POST session/renew':
        return send(200, { sip: this.#sip(), call: this.call });
      case 'POST session/call':
        return send(201, this.#place());
      case 'GET session/call':
        return this.call ? send(200, this.call) : send(404, { code: 'not_found' });
      case 'DELETE session/call':
        this.tell({ state: 'ended', status: this.call?.['answer_time'] ? 'ANSWER' : 'CANCELED', hangup_by: 'agent' });
        this.edge.bye();
        return send(200, this.call);
      case 'PATCH session/call':
        this.call = { ...this.call, ...(this.asked.at(-1)?.body as object) };
        return send(200, this.call);
      case 'POST session/media-test':
        send(201, { call_id: 'test-1' });
        return void this.edge.invite('test-1');
      case 'PUT session/media-test':
        return send(204, undefined);
      case 'POST session/call/control': {
        const code = this.rooms ? this.rooms.take(this.asked.at(-1)?.body as Record<string, string>) : 'not_talking';
        if (code) return send(409, { code, title: 'Conflict', detail: 'it is not possible now' });
        this.tellRooms();
        return send(200, this.call);
      }
      case 'GET session/events':
        response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
        response.write(': open\n\n');
        this.#streams.add(response);
        response.on('close', () => this.#streams.delete(response));
        return;
      default:
        return send(request === 'POST session/close' ? 200 : 404, {});
    }
  }

  #place(): Record<string, unknown> {
    const { microphone } = this.asked.at(-1)?.body as { microphone: string };
    this.#calls += 1;
    this.rooms = null;
    const failed = microphone !== 'granted';
    this.call = {
      call_id: `call-${this.#calls}`, state: failed ? 'ended' : 'agent', status: failed ? 'FAILED' : null, reason: failed ? 'agent_media' : null,
      sip_code: null, answer_time: null, duration: 0, disposition: 'CRM_CALL', recording: this.recording, conversation: null, to_number: '+919876543210', from_number: '+918041234567', hangup_by: null,
    };
    return this.call;
  }
}

async function read(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const piece of request) text += String(piece);
  return text;
}
