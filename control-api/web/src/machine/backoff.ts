// How long to wait before the next attempt to connect. Pure: the random share is passed in.

/** The first attempt is made at once: the server keeps the customer for ten seconds only. */
const DELAYS_MS: readonly number[] = [0, 300, 600, 1000, 1500, 2500, 4000, 5000];

export class Backoff {
  #attempts = 0;

  /** Delay in ms before the next attempt; `share` (0–1) spreads the clients of a server that came back. */
  next(share: number): number {
    const delay = DELAYS_MS[Math.min(this.#attempts, DELAYS_MS.length - 1)] ?? 0;
    this.#attempts += 1;
    return Math.round(delay * (0.75 + share / 2));
  }

  get attempts(): number {
    return this.#attempts;
  }

  reset(): void {
    this.#attempts = 0;
  }
}
