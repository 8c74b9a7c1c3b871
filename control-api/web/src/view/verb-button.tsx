// A button that asks something of the call. It never loses the keyboard's place: what is not possible now stays focusable and says why.

import { isAsked } from '../machine/midcall.ts';
import { refusalWords } from '../machine/midcall-words.ts';
import { type Verb, whyNot } from '../machine/verbs.ts';
import type { Softphone } from '../shell/softphone.ts';
import { Icon, type IconName } from './icon.tsx';

interface Props {
  readonly phone: Softphone;
  readonly verb: Verb;
  readonly icon: IconName;
  readonly text: string;
  /** Name for screen readers where `text` is too short. */
  readonly name?: string;
  readonly keys?: string;
  readonly class?: string;
  readonly press?: () => void;
}

export function VerbButton({ phone, verb, icon, text, name, keys, class: kind = 'quiet', press }: Props) {
  const why = whyNot(verb, phone.state.call?.conversation ?? null);
  const busy = isAsked(phone.state, other => other.verb === verb.verb);
  const title = why ? refusalWords(why) : `${name ?? text}${keys ? ` (${keys})` : ''}`;
  return (
    <button type="button" class={`${kind}${busy ? ' busy' : ''}`} aria-label={name} aria-keyshortcuts={keys} aria-disabled={why !== null || busy} aria-busy={busy} title={title}
      onClick={press ?? (() => phone.dispatch({ kind: 'verb_pressed', verb }))}>
      <Icon name={busy ? 'wait' : icon} /> {text}
    </button>
  );
}
