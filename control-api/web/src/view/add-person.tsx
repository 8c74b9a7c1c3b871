// A second number for the call: talk to it first, take it in at once, or hand the call over to it.

import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks';
import { isAsked } from '../machine/midcall.ts';
import { refusalWords } from '../machine/midcall-words.ts';
import { type Verb, laneOf, whyNot } from '../machine/verbs.ts';
import type { Softphone } from '../shell/softphone.ts';
import { useHandOn } from './focus.ts';

/** Longest number as CRMs write them, with spaces and brackets. */
const LEN_MAX = 32;

export function AddPerson({ phone, close }: { phone: Softphone; close: () => void }) {
  const part = useHandOn<HTMLFormElement>('#flow', '#add-person');
  const field = useRef<HTMLInputElement>(null);
  const [number, setNumber] = useState('');
  const [wanting, setWanting] = useState(false);
  const busy = isAsked(phone.state, verb => laneOf(verb) === 'rooms');
  const { notice } = phone.state.midcall;
  const refused = notice?.kind === 'refused' && (notice.verb.verb === 'add' || notice.verb.verb === 'transfer');
  const why = whyNot({ verb: 'transfer', toNumber: number }, phone.state.call?.conversation ?? null);
  // Before the next key comes, which belongs into the field and is no shortcut.
  useLayoutEffect(() => field.current?.focus(), []);
  // The field goes once the service took the number, and stays with it when the service did not.
  useEffect(() => {
    if (!wanting || busy) return;
    setWanting(false);
    if (refused) field.current?.focus();
    else close();
  }, [wanting, busy, refused]);

  const ask = (verb: Verb): void => {
    if (busy) return;
    if (!/\d/.test(number)) return field.current?.focus();
    setWanting(true);
    phone.dispatch({ kind: 'verb_pressed', verb });
  };
  const toNumber = number.trim();
  const submit = (event: Event): void => {
    event.preventDefault();
    ask({ verb: 'add', toNumber, flow: 'consult' });
  };
  return (
    <form ref={part} class="panel add-person" aria-label="Add person" onSubmit={submit}>
      <label class="field">
        <span>Number to call</span>
        <input ref={field} type="text" inputMode="tel" autoComplete="off" maxLength={LEN_MAX} placeholder="+91 98765 43210" value={number} onInput={event => setNumber(event.currentTarget.value)} />
      </label>
      {why && <p class="faint">{refusalWords(why)}</p>}
      <div class="ways" aria-busy={busy}>
        <button type="submit" class="primary" aria-describedby="way-consult" aria-disabled={busy || why !== null}>Talk first</button>
        <p id="way-consult" class="faint">The customer waits on hold.</p>
        <button type="button" class="quiet" aria-describedby="way-join" aria-disabled={busy || why !== null} onClick={() => ask({ verb: 'add', toNumber, flow: 'join' })}>Join at once</button>
        <p id="way-join" class="faint">All three talk together.</p>
        <button type="button" class="quiet" aria-describedby="way-transfer" aria-disabled={busy || why !== null} onClick={() => ask({ verb: 'transfer', toNumber })}>Transfer</button>
        <p id="way-transfer" class="faint">You leave when they answer.</p>
      </div>
    </form>
  );
}
