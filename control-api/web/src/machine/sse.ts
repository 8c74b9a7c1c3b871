// Parser of server-sent events (HTML §9.2.6), for a stream that is read by fetch because EventSource cannot send Authorization. Pure.

/** One dispatched event. */
export interface ServerEvent {
  readonly name: string;
  readonly data: string;
}

/** Longest line and longest event in characters; more ends the stream. */
const LEN_MAX = 256 * 1024;

export class SseParser {
  #rest = '';
  #name = '';
  #data: string[] = [];
  #len = 0;

  /** Takes the next piece of the stream and gives the events that it completes. Throws when a line or event is too long. */
  push(piece: string): ServerEvent[] {
    const events: ServerEvent[] = [];
    this.#rest += piece;
    // A CR at the end may be the first half of a CRLF, so it waits for the next piece.
    const lines = this.#rest.split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#line(line, events);
    if (this.#rest.length > LEN_MAX || this.#len > LEN_MAX) throw new Error('the event is too long');
    return events;
  }

  #line(line: string, events: ServerEvent[]): void {
    if (line === '') {
      if (this.#data.length > 0) events.push({ name: this.#name || 'message', data: this.#data.join('\n') });
      this.#name = '';
      this.#data = [];
      this.#len = 0;
      return;
    }
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') this.#name = value;
    if (field === 'data') {
      this.#data.push(value);
      this.#len += value.length;
    }
  }
}
