// The keypad: digits to the customer or to whom the agent consults. The service plays them; what it took is shown.

import type { Member } from '../machine/conversation.ts';
import { memberName } from '../machine/midcall-words.ts';

const KEYS: readonly (readonly [string, string])[] = [
  ['1', ''], ['2', 'ABC'], ['3', 'DEF'], ['4', 'GHI'], ['5', 'JKL'], ['6', 'MNO'], ['7', 'PQRS'], ['8', 'TUV'], ['9', 'WXYZ'], ['*', ''], ['0', '+'], ['#', ''],
];
const SPOKEN: Record<string, string> = { '*': 'Star', '#': 'Hash' };

interface Props {
  readonly press: (digit: string) => void;
  readonly sent: string;
  readonly waiting: string;
  /** Who can be sent digits, and who is. */
  readonly members: readonly Member[];
  readonly party: string;
  readonly choose: (party: string) => void;
}

export function Keypad({ press, sent, waiting, members, party, choose }: Props) {
  const target = members.find(member => member.party === party) ?? null;
  const name = target ? memberName(target) : 'the customer';
  return (
    <div class="panel" role="group" aria-label="Keypad">
      {members.length > 1 && (
        <label class="field">
          <span>Keys are sent to</span>
          <select value={party} onChange={event => choose(event.currentTarget.value)}>
            {members.map(member => <option key={member.party} value={member.party}>{memberName(member)}</option>)}
          </select>
        </label>
      )}
      <output class="sent" aria-label="Digits sent">{sent}{waiting && <span class="faint">{waiting}</span>}{!sent && !waiting && <span class="faint">Keys are sent to {name}</span>}</output>
      <div class="keys">
        {KEYS.map(([key, letters]) => (
          <button type="button" key={key} aria-label={SPOKEN[key] ?? key} onClick={() => press(key)}>
            <span>{key}</span><small aria-hidden="true">{letters}</small>
          </button>
        ))}
      </div>
    </div>
  );
}
