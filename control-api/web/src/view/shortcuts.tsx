// Keys of the keyboard. One that ends a call has to be pressed twice, so that a slip costs nothing.

import { useEffect, useRef, useState } from 'preact/hooks';
import { isAnswered, isLive } from '../machine/call.ts';
import type { Softphone } from '../shell/softphone.ts';
import type { Panel } from './phone.tsx';

const ARMED_MS = 3000;

const LIST: readonly (readonly [string, string])[] = [
  ['M', 'mute or unmute'],
  ['H H', 'hang up (twice within 3 seconds)'],
  ['0–9 * #', 'send to the customer'],
  ['K', 'keypad'],
  ['D', 'audio devices'],
  ['?', 'this list'],
];

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLInputElement || target instanceof HTMLSelectElement || target instanceof HTMLTextAreaElement;
}

/** Listens to the keyboard; tells whether the first of two H was pressed. */
export function useShortcuts(phone: Softphone, press: (digit: string) => void, toggle: (panel: Panel) => void): boolean {
  const [armed, setArmed] = useState(false);
  const armedUntil = useRef(0);
  useEffect(() => {
    if (!armed) return;
    const timer = setTimeout(() => setArmed(false), ARMED_MS);
    return () => clearTimeout(timer);
  }, [armed]);
  useEffect(() => {
    const hangUp = (): void => {
      const now = performance.now();
      if (now < armedUntil.current) phone.dispatch({ kind: 'hang_up_pressed' });
      armedUntil.current = now < armedUntil.current ? 0 : now + ARMED_MS;
      setArmed(armedUntil.current > 0);
    };
    const onKey = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || isTyping(event.target) || phone.state.line === 'elsewhere') return;
      const { call } = phone.state;
      const key = event.key.toLowerCase();
      if (/^[0-9*#]$/.test(key) && isAnswered(call)) press(key);
      else if (key === 'm' && isLive(call)) phone.dispatch({ kind: 'mute_pressed' });
      else if (key === 'h' && isLive(call)) hangUp();
      else if (key === 'k' && isAnswered(call)) toggle('keypad');
      else if (key === 'd') toggle('devices');
      else if (key === '?') toggle('shortcuts');
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, []);
  return armed && isLive(phone.state.call);
}

export function Shortcuts() {
  return (
    <dl class="panel shortcuts" aria-label="Keyboard shortcuts">
      {LIST.map(([keys, what]) => (
        <div key={keys}><dt>{keys.split(' ').map((key, index) => <kbd key={index}>{key}</kbd>)}</dt><dd>{what}</dd></div>
      ))}
    </dl>
  );
}
