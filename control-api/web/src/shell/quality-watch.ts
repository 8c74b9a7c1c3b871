// Reads the leg's statistics once a second and turns them into a quality over the last few seconds.

import { type Quality, type Reading, quality } from '../machine/quality.ts';
import type { Leg } from './leg.ts';

const INTERVAL_MS = 1000;
/** Readings that one figure spans, so that a single lost packet is no alarm. */
const SPAN = 4;

export class QualityWatch {
  #timer: ReturnType<typeof setInterval> | null = null;
  #readings: Reading[] = [];

  constructor(
    private readonly leg: () => Leg | null,
    private readonly measured: (quality: Quality | null, level: number | null) => void,
  ) {}

  start(): void {
    this.stop();
    this.#timer = setInterval(() => void this.#read(), INTERVAL_MS);
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#readings = [];
  }

  async #read(): Promise<void> {
    const read = await this.leg()?.read();
    if (!read || this.#timer === null) return;
    const oldest = this.#readings[0];
    this.#readings.push(read.reading);
    if (this.#readings.length > SPAN) this.#readings.shift();
    this.measured(oldest ? quality(oldest, read.reading) : null, read.level);
  }
}
