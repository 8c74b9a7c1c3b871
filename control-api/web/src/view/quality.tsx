// The voice quality as a word with its figures.

import type { Grade, Quality } from '../machine/quality.ts';

const GRADES: Record<Grade, string> = { good: 'Good', fair: 'Fair', poor: 'Poor' };

export function QualityLine({ quality }: { quality: Quality }) {
  const trip = quality.roundTripMs === null ? '–' : `${quality.roundTripMs} ms`;
  return (
    <dl class={`quality grade-${quality.grade}`} aria-label="Voice quality">
      <div class="grade"><dt class="unseen">Quality</dt><dd><Bars grade={quality.grade} /> {GRADES[quality.grade]}</dd></div>
      <div><dt>Loss</dt><dd>{quality.lossPercent} %</dd></div>
      <div><dt>Jitter</dt><dd>{quality.jitterMs} ms</dd></div>
      <div><dt>Delay</dt><dd title="Round trip">{trip}</dd></div>
    </dl>
  );
}

function Bars({ grade }: { grade: Grade }) {
  const count = { poor: 1, fair: 2, good: 3 }[grade];
  return (
    <svg class="bars" viewBox="0 0 14 12" aria-hidden="true" focusable="false">
      {[0, 1, 2].map(index => <rect key={index} class={index < count ? 'on' : ''} x={index * 5} y={8 - index * 4} width="3.500" height={4 + index * 4} rx="1" />)}
    </svg>
  );
}
