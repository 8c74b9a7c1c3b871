// The microphone's level, drawn without rendering the page again.

import { useEffect, useRef } from 'preact/hooks';
import { Icon } from './icon.tsx';

const INTERVAL_MS = 60;
/** Screen readers are told less often. */
const SPOKEN_EVERY = 16;
/** The meter falls slower than it rises, as ears expect. */
const FALL = 0.82;

export function LevelMeter({ level, muted }: { level: () => number; muted: boolean }) {
  const bar = useRef<HTMLSpanElement>(null);
  const meter = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    let shown = 0;
    let turn = 0;
    const timer = setInterval(() => {
      shown = Math.max(level(), shown * FALL);
      if (bar.current) bar.current.style.transform = `scaleX(${shown.toFixed(3)})`;
      turn += 1;
      if (turn % SPOKEN_EVERY === 0) meter.current?.setAttribute('aria-valuenow', String(Math.round(shown * 100)));
    }, INTERVAL_MS);
    return () => clearInterval(timer);
  }, []);
  return (
    <div class={`level${muted ? ' muted' : ''}`}>
      <Icon name={muted ? 'muted' : 'microphone'} />
      <span ref={meter} class="track" role="meter" aria-label="Microphone level" aria-valuemin={0} aria-valuemax={100} aria-valuenow={0}>
        <span ref={bar} class="bar" />
      </span>
      <span class="level-word">{muted ? 'Muted' : ''}</span>
    </div>
  );
}
