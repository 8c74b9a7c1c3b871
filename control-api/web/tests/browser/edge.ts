// A stand-in for sip-edge: a WebSocket that registers anybody who knows digest, and calls the page with an offer made by a second page.

import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';

interface Registration {
  readonly socket: WebSocket;
  readonly contact: string;
}

interface Dialog {
  readonly callId: string;
  readonly socket: WebSocket;
  readonly contact: string;
  toTag: string;
  cseq: number;
}

/** Makes offers and takes answers: a peer connection in another page. */
export interface Peer {
  offer(): Promise<string>;
  accept(answer: string): Promise<void>;
  answer(offer: string): Promise<string>;
}

export class Edge {
  readonly #server = new WebSocketServer({ noServer: true, handleProtocols: protocols => (protocols.has('sip') ? 'sip' : false) });
  readonly received: string[] = [];
  registration: Registration | null = null;
  registeredCount = 0;
  peer: Peer | null = null;
  /** Whether WebSockets are refused, as on a lost network. */
  down = false;
  #dialog: Dialog | null = null;
  #dialogs = 0;
  #answered: (() => void) | null = null;

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (this.down) return void socket.destroy();
    this.#server.handleUpgrade(request, socket, head, accepted => {
      accepted.on('message', data => void this.#message(accepted, String(data)));
    });
  }

  stop(): void {
    for (const socket of this.#server.clients) socket.terminate();
    this.#server.close();
  }

  /** Closes the page's WebSocket with a code of the contract. */
  drop(code: number): void {
    for (const socket of this.#server.clients) socket.close(code);
  }

  /** Calls the registered page; resolves when its answer was taken. */
  async invite(callId: string): Promise<void> {
    const { registration, peer } = this;
    if (!registration || !peer) throw new Error('nobody is registered, or no peer is set');
    this.#dialogs += 1;
    this.#dialog = { callId: `dialog-${this.#dialogs}`, socket: registration.socket, contact: registration.contact, toTag: '', cseq: 1 };
    const answered = new Promise<void>(resolve => (this.#answered = resolve));
    this.#request('INVITE', [`X-Call-Id: ${callId}`, 'Call-Info: <urn:dialer:call>;answer-after=0'], await peer.offer());
    await answered;
  }

  bye(): void {
    if (!this.#dialog) return;
    this.#dialog.cseq += 1;
    this.#request('BYE', [], '');
    this.#dialog = null;
  }

  #request(method: string, extra: readonly string[], body: string): void {
    const dialog = this.#dialog;
    if (!dialog) return;
    const lines = [
      `${method} ${dialog.contact} SIP/2.0`, `Via: SIP/2.0/WS edge.test;branch=z9hG4bK${method}${dialog.callId}${dialog.cseq}`, 'Max-Forwards: 70',
      'From: <sip:dialer@dialer.test>;tag=edge', `To: <sip:agent-1@dialer.test>${dialog.toTag ? `;tag=${dialog.toTag}` : ''}`, `Call-ID: ${dialog.callId}`,
      `CSeq: ${dialog.cseq} ${method}`, 'Contact: <sip:edge@edge.test;transport=ws>', ...extra,
      ...(body ? ['Content-Type: application/sdp'] : []), `Content-Length: ${Buffer.byteLength(body)}`, '', body,
    ];
    dialog.socket.send(lines.join('\r\n'));
  }

  async #message(socket: WebSocket, text: string): Promise<void> {
    this.received.push(text);
    const method = /^(\w+)/.exec(text)?.[1];
    if (method === 'REGISTER') return this.#register(socket, text);
    if (method === 'SIP') return this.#response(text);
    const body = text.slice(text.indexOf('\r\n\r\n') + 4);
    // A re-INVITE of the page restarts ICE; everything else in a dialog is only acknowledged.
    if (method === 'INVITE') return reply(socket, text, 200, ['Contact: <sip:edge@edge.test;transport=ws>'], (await this.peer?.answer(body)) ?? '');
    if (method !== 'ACK') reply(socket, text, 200, []);
  }

  #register(socket: WebSocket, text: string): void {
    const authorization = /^Authorization: Digest (.*)$/im.exec(text)?.[1];
    if (!authorization || !proves(authorization)) {
      return reply(socket, text, 401, ['WWW-Authenticate: Digest realm="dialer.test", nonce="nonce-1", algorithm=MD5, qop="auth"']);
    }
    const contact = /^Contact: (.*)$/im.exec(text)?.[1] ?? '';
    this.registration = { socket, contact: /<([^>]+)>/.exec(contact)?.[1] ?? '' };
    this.registeredCount += 1;
    // The newest page has the softphone.
    for (const other of this.#server.clients) if (other !== socket) other.close(4001);
    reply(socket, text, 200, [`Contact: ${contact}`]);
  }

  async #response(text: string): Promise<void> {
    const dialog = this.#dialog;
    if (!dialog || !/^SIP\/2\.0 200/.test(text) || !/^CSeq: \d+ INVITE/im.test(text) || dialog.toTag) return;
    dialog.toTag = /^To:.*;tag=(\S+)/im.exec(text)?.[1] ?? '';
    await this.peer?.accept(text.slice(text.indexOf('\r\n\r\n') + 4));
    this.#request('ACK', [], '');
    this.#answered?.();
  }
}

function md5(text: string): string {
  return createHash('md5').update(text).digest('hex');
}

function proves(authorization: string): boolean {
  const field = (name: string): string => new RegExp(`\\b${name}="?([^",]+)`).exec(authorization)?.[1] ?? '';
  const key = md5('agent-1:dialer.test:pass');
  const expected = md5(`${key}:${field('nonce')}:${field('nc')}:${field('cnonce')}:auth:${md5(`REGISTER:${field('uri')}`)}`);
  return field('response') === expected;
}

function reply(socket: WebSocket, request: string, status: number, extra: readonly string[], body = ''): void {
  const copied = request.split('\r\n').filter(line => /^(Via|From|Call-ID|CSeq):/i.test(line));
  const to = /^To:.*$/im.exec(request)?.[0] ?? '';
  const lines = [
    `SIP/2.0 ${status} ${status === 200 ? 'OK' : 'Unauthorized'}`, ...copied, to.includes('tag=') ? to : `${to};tag=edge`, ...extra,
    ...(body ? ['Content-Type: application/sdp'] : []), `Content-Length: ${Buffer.byteLength(body)}`, '', body,
  ];
  socket.send(lines.join('\r\n'));
}
