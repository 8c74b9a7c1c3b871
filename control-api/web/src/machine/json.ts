// Readers of JSON whose shape is not known: each gives a value of its type or `null`. Pure.

export type Json = Record<string, unknown>;

export function object(value: unknown): Json | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : null;
}

/** An empty string is as good as none. */
export function text(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

export function number(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

/** `null` for what is none of the words. */
export function word<T extends string>(value: unknown, words: readonly T[]): T | null {
  return words.find(known => known === value) ?? null;
}
