// The length of the talk: running from a moment of the page's clock, or a final number of seconds.

import { useEffect, useState } from 'preact/hooks';
import { displayDuration } from '../machine/number.ts';

export function Timer({ since, seconds }: { since?: number; seconds?: number }) {
  const [now, setNow] = useState(() => performance.now());
  useEffect(() => {
    if (since === undefined) return;
    setNow(performance.now());
    const timer = setInterval(() => setNow(performance.now()), 250);
    return () => clearInterval(timer);
  }, [since]);
  const shown = since === undefined ? (seconds ?? 0) : (now - since) / 1000;
  return <span class="timer" role="timer" aria-label="Talk time">{displayDuration(shown)}</span>;
}
