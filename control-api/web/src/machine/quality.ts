// Voice quality from two readings of getStats (webrtc-stats): figures, and the word for them. Pure.

/** Counters and gauges of one reading; `null` where the browser has none yet. */
export interface Reading {
  readonly receivedCount: number;
  readonly lostCount: number;
  readonly jitterS: number | null;
  readonly roundTripS: number | null;
  /** Loss that the far end reports of what we send, 0–1. */
  readonly farLoss: number | null;
}

export type Grade = 'good' | 'fair' | 'poor';

export interface Quality {
  readonly grade: Grade;
  /** The worse direction, in percent. */
  readonly lossPercent: number;
  readonly jitterMs: number;
  readonly roundTripMs: number | null;
}

interface Limits {
  readonly lossPercent: number;
  readonly jitterMs: number;
  readonly roundTripMs: number;
}

/** Above these a listener hears it (ITU-T G.114 for delay; concealment hides about 1 % of loss). */
const FAIR: Limits = { lossPercent: 1, jitterMs: 30, roundTripMs: 300 };
const POOR: Limits = { lossPercent: 5, jitterMs: 60, roundTripMs: 600 };

/** `null` while nothing was received between the readings. */
export function quality(before: Reading, after: Reading): Quality | null {
  const received = after.receivedCount - before.receivedCount;
  const lost = Math.max(0, after.lostCount - before.lostCount);
  if (received < 0 || received + lost === 0) return null;
  const lossPercent = Math.max((100 * lost) / (received + lost), 100 * (after.farLoss ?? 0));
  const figures = {
    lossPercent: Math.round(lossPercent * 10) / 10,
    jitterMs: Math.round((after.jitterS ?? 0) * 1000),
    roundTripMs: after.roundTripS === null ? null : Math.round(after.roundTripS * 1000),
  };
  const exceeds = (limits: Limits): boolean =>
    figures.lossPercent > limits.lossPercent || figures.jitterMs > limits.jitterMs || (figures.roundTripMs ?? 0) > limits.roundTripMs;
  return { ...figures, grade: exceeds(POOR) ? 'poor' : exceeds(FAIR) ? 'fair' : 'good' };
}
