// The WebSocket below JsSIP: sub-protocol `sip` (RFC 7118 §4.1), an address that may change between connections, and close codes told.

import type { Socket } from 'jssip';

export class SipWebSocket implements Socket {
  #socket: WebSocket | null = null;
  #url = '';
  #via = 'WS';

  onconnect: () => void = () => undefined;
  ondisconnect: (error: boolean, code?: number, reason?: string) => void = () => undefined;
  ondata: <T>(event: T) => void = () => undefined;

  constructor(url: string) {
    this.url = url;
  }

  get via_transport(): string {
    return this.#via;
  }

  set via_transport(value: string) {
    this.#via = value.toUpperCase();
  }

  get url(): string {
    return this.#url;
  }

  set url(url: string) {
    this.#url = url;
    this.#via = url.startsWith('wss:') ? 'WSS' : 'WS';
  }

  get sip_uri(): string {
    const { hostname, port } = new URL(this.#url);
    return `sip:${hostname}${port ? `:${port}` : ''};transport=ws`;
  }

  connect(): void {
    if (this.#socket) return;
    let socket: WebSocket;
    try {
      socket = new WebSocket(this.#url, 'sip');
    } catch {
      // A forbidden address (CSP, mixed content) throws at once; the answer must not come before this call returns.
      queueMicrotask(() => this.ondisconnect(true));
      return;
    }
    this.#socket = socket;
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => this.onconnect();
    socket.onmessage = event => this.ondata(event.data);
    socket.onclose = event => this.#lost(socket, event.code, event.reason);
  }

  disconnect(): void {
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  /** Gives the connection up at once instead of waiting for the network's own timeout. */
  drop(): void {
    const socket = this.#socket;
    if (!socket) return;
    this.disconnect();
    this.ondisconnect(true, 1006, 'dropped');
  }

  send(message: string | ArrayBufferLike | Blob | ArrayBufferView): boolean {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(message as string);
    return true;
  }

  isConnected(): boolean {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  isConnecting(): boolean {
    return this.#socket?.readyState === WebSocket.CONNECTING;
  }

  #lost(socket: WebSocket, code: number, reason: string): void {
    if (this.#socket !== socket) return;
    this.#socket = null;
    this.ondisconnect(code !== 1000, code, reason);
  }
}
