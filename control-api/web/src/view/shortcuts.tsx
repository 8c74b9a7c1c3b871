// Keys of the keyboard. One that ends a call, or somebody's part in it, has to be pressed twice, so that a slip costs nothing.

import { useEffect, useRef, useState } from 'preact/hooks';
import { isAnswered, isLive } from '../machine/call.ts';
import { type Verb, holdVerb, recordingVerb, whyNot } from '../machine/verbs.ts';
import type { Softphone } from '../shell/softphone.ts';
import { openAdd } from './controls.tsx';
import { focusFirst } from './focus.ts';
import type { Panel } from './phone.tsx';

const ARMED_MS = 3000;

/** Which of the keys that want a second press was pressed once. */
export type Armed = 'h' | 't' | 'x' | null;

const LIST: readonly (readonly [string, string])[] = [
  ['M', 'mute or unmute'],
  ['O', 'hold or resume'],
  ['A', 'add a person: Enter talks first'],
  ['G', 'merge: all talk together'],
  ['W', 'swap: customer or second number'],
  ['T T', 'transfer: you leave, they stay (twice)'],
  ['X X', 'cancel the second number (twice)'],
  ['P', 'people: Tab to their Remove buttons'],
  ['R', 'start, pause or resume recording'],
  ['0–9 * #', 'send digits'],
  ['K', 'keypad'],
  ['H H', 'hang up or leave (twice in 3 seconds)'],
  ['D', 'audio devices'],
  ['Esc', 'close what is open'],
  ['?', 'this list'],
];

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLInputElement || target instanceof HTMLSelectElement || target instanceof HTMLTextAreaElement;
}

/** Listens to the keyboard; tells which key waits for its second press. */
export function useShortcuts(phone: Softphone, press: (digit: string) => void, toggle: (panel: Panel) => void, close: () => void): Armed {
  const [armed, setArmed] = useState<Armed>(null);
  const first = useRef<{ key: Armed; until: number }>({ key: null, until: 0 });
  // The listener is set once and always asks the newest render.
  const latest = useRef({ press, toggle, close });
  latest.current = { press, toggle, close };
  useEffect(() => {
    if (!armed) return;
    const timer = setTimeout(() => setArmed(null), ARMED_MS);
    return () => clearTimeout(timer);
  }, [armed]);
  useEffect(() => {
    const twice = (key: Exclude<Armed, null>, act: () => void): void => {
      const now = performance.now();
      const second = first.current.key === key && now < first.current.until;
      first.current = second ? { key: null, until: 0 } : { key, until: now + ARMED_MS };
      setArmed(first.current.key);
      if (second) act();
    };
    const onKey = (event: KeyboardEvent): void => {
      if (event.ctrlKey || event.altKey || event.metaKey || event.repeat || phone.state.line === 'elsewhere') return;
      if (event.key === 'Escape') return escape(phone, latest.current.close);
      if (isTyping(event.target)) return;
      const key = event.key.toLowerCase();
      if (key === 'h' || key === 't' || key === 'x') pressTwice(phone, key, twice);
      else if (pressOnce(phone, key, latest.current)) event.preventDefault();
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, []);
  return isLive(phone.state.call) || phone.state.supervised !== null ? armed : null;
}

function escape(phone: Softphone, close: () => void): void {
  if (phone.state.midcall.notice) phone.dispatch({ kind: 'notice_dismissed' });
  else close();
}

function pressTwice(phone: Softphone, key: 'h' | 't' | 'x', twice: (key: 'h' | 't' | 'x', act: () => void) => void): void {
  const { call, supervised } = phone.state;
  if (key === 'h') {
    if (supervised !== null) twice(key, () => phone.dispatch({ kind: 'leave_pressed' }));
    else if (isLive(call)) twice(key, () => phone.dispatch({ kind: 'hang_up_pressed' }));
    return;
  }
  if (!isAnswered(call)) return;
  const verb: Verb = { verb: key === 't' ? 'complete' : 'cancel' };
  // What is not possible is said at once, not after a second press.
  if (whyNot(verb, call.conversation)) phone.dispatch({ kind: 'verb_pressed', verb });
  else twice(key, () => phone.dispatch({ kind: 'verb_pressed', verb }));
}

/** Whether the key did something. */
function pressOnce(phone: Softphone, key: string, { press, toggle }: { press: (digit: string) => void; toggle: (panel: Panel) => void }): boolean {
  const { call, supervised } = phone.state;
  const answered = isAnswered(call);
  const ask = (verb: Verb): void => phone.dispatch({ kind: 'verb_pressed', verb });
  if (key === 'm' && (isLive(call) || supervised !== null)) phone.dispatch({ kind: 'mute_pressed' });
  else if (key === 'd') toggle('devices');
  else if (key === '?') toggle('shortcuts');
  else if (!answered) return false;
  else if (/^[0-9*#]$/.test(key)) press(key);
  else if (key === 'k') toggle('keypad');
  else if (key === 'a') openAdd(phone, toggle);
  else if (key === 'o') ask(holdVerb(call.conversation));
  else if (key === 'g') ask({ verb: 'merge' });
  else if (key === 'w') ask({ verb: 'swap' });
  else if (key === 'r') ask(recordingVerb(call.conversation));
  else if (key === 'p') focusFirst(['#people']);
  else return false;
  return true;
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
