// Keeps the stream of call events open: reads, parses, and opens it again with back-off when it ends.

import { Backoff } from '../machine/backoff.ts';
import type { Problem } from '../machine/problem.ts';
import { SseParser } from '../machine/sse.ts';
import { ApiError, type SessionApi } from './api.ts';

export interface EventsListener {
  /** JSON of one `call` event. */
  call(json: unknown): void;
  /** JSON of one `speaking` event. */
  speaking(json: unknown): void;
  /** The stream is open; what happened before is to be asked for. */
  opened(): void;
  /** The session is over; the stream stays closed. */
  refused(problem: Problem): void;
}

/** The server sends a comment each 15 s; a stream silent for longer is dead, whatever the socket thinks. */
const SILENCE_MS = 40_000;

export class CallEvents {
  #stop: AbortController | null = null;
  #wake: (() => void) | null = null;

  constructor(
    private readonly api: SessionApi,
    private readonly listener: EventsListener,
  ) {}

  start(): void {
    if (this.#stop) return;
    this.#stop = new AbortController();
    void this.#run(this.#stop.signal);
  }

  stop(): void {
    this.#stop?.abort();
    this.#stop = null;
    this.#wake?.();
  }

  /** Ends the wait before the next attempt, because the network is back. */
  hurry(): void {
    this.#wake?.();
  }

  async #run(stop: AbortSignal): Promise<void> {
    const backoff = new Backoff();
    while (!stop.aborted) {
      try {
        await this.#read(stop, () => backoff.reset());
      } catch (error) {
        if (stop.aborted) return;
        if (error instanceof ApiError && (error.status === 401 || error.status === 410)) {
          this.#stop = null;
          return this.listener.refused(error.problem);
        }
      }
      await this.#pause(backoff.next(Math.random()));
    }
  }

  async #read(stop: AbortSignal, opened: () => void): Promise<void> {
    const silent = new AbortController();
    let timer = setTimeout(() => silent.abort(), SILENCE_MS);
    let reader: ReadableStreamDefaultReader<Uint8Array> | null = null;
    try {
      reader = (await this.api.events(AbortSignal.any([stop, silent.signal]))).getReader();
      opened();
      this.listener.opened();
      const parser = new SseParser();
      const decoder = new TextDecoder();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        clearTimeout(timer);
        timer = setTimeout(() => silent.abort(), SILENCE_MS);
        for (const event of parser.push(decoder.decode(value, { stream: true }))) {
          if (event.name === 'call' || event.name === 'speaking') this.#told(event.name, event.data);
        }
      }
    } finally {
      clearTimeout(timer);
      reader?.cancel().catch(() => undefined);
    }
  }

  #told(name: 'call' | 'speaking', data: string): void {
    try {
      this.listener[name](JSON.parse(data));
    } catch {
      // Not JSON: the next event, or the question after a reconnect, brings the truth.
    }
  }

  #pause(delay: number): Promise<void> {
    return new Promise(resolve => {
      const timer = setTimeout(resolve, delay);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
