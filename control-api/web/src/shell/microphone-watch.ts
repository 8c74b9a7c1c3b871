// Watches for what may bring a lost microphone back: a device, a permission, the page being shown again, and time.

import { Backoff } from '../machine/backoff.ts';
import type { MicrophoneTrouble } from '../machine/problem.ts';

export class MicrophoneWatch {
  #permission: PermissionStatus | null = null;
  #backoff = new Backoff();
  #timer: ReturnType<typeof setTimeout> | null = null;

  /** `due` is called whenever it may be worth to ask for the microphone. */
  constructor(private readonly due: () => void) {}

  /** Listens from now on. */
  async listen(): Promise<void> {
    navigator.mediaDevices?.addEventListener('devicechange', this.due);
    document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && this.due());
    // Not every browser has the microphone among its permissions.
    this.#permission = await navigator.permissions?.query({ name: 'microphone' as PermissionName }).catch(() => null) ?? null;
    this.#permission?.addEventListener('change', this.due);
  }

  /** Asks again after a while, unless the browser would then put its question to the agent again and again. */
  later(trouble: MicrophoneTrouble): void {
    this.stop();
    const permission = this.#permission?.state;
    if (permission === 'prompt' || (permission === undefined && trouble === 'denied')) return;
    this.#timer = setTimeout(this.due, this.#backoff.next(Math.random()));
  }

  /** It is there. */
  found(): void {
    this.stop();
    this.#backoff.reset();
  }

  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }
}
