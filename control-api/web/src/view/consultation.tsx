// The flow of a second number: who is called or consulted, and what can become of it.

import { memberOf, newcomer, sceneOf } from '../machine/conversation.ts';
import { memberName } from '../machine/midcall-words.ts';
import { displayNumber, spokenNumber } from '../machine/number.ts';
import type { Softphone } from '../shell/softphone.ts';
import { useHandOn } from './focus.ts';
import { VerbButton } from './verb-button.tsx';

const TITLES = { dialing: 'Calling', consulting: 'In private talk with', swapped: 'On hold:', joining: 'Calling', transferring: 'Transferring to', group: 'Together in one call' } as const;

export function Consultation({ phone }: { phone: Softphone }) {
  const conversation = phone.state.call?.conversation ?? null;
  const scene = sceneOf(conversation);
  if (scene === 'none' || scene === 'two' || scene === 'gone') return null;
  return <Flow phone={phone} scene={scene} />;
}

/** It has the keyboard's place after the number was typed, and none of its buttons: a key meant for the number presses nothing. */
function Flow({ phone, scene }: { phone: Softphone; scene: keyof typeof TITLES }) {
  const part = useHandOn<HTMLElement>('#add-person', '#call');
  const third = newcomer(phone.state.call?.conversation ?? null);
  const number = third?.number ? displayNumber(third.number) : third ? memberName(third) : '';
  const consulted = scene === 'dialing' || scene === 'consulting' || scene === 'swapped';
  const away = memberOf(phone.state.call?.conversation ?? null, 'agent')?.state === 'away';
  return (
    <section ref={part} class="flow" tabIndex={-1} aria-label="Second number" id="flow">
      <h2>
        <span>{TITLES[scene]}</span>{' '}
        {number && <strong aria-hidden="true">{number}</strong>}
        {third && <span class="unseen">{memberName(third, spokenNumber)}</span>}
      </h2>
      {away && <p class="faint">Your connection is being restored.</p>}
      <div class="flow-buttons">
        {consulted && <VerbButton phone={phone} verb={{ verb: 'merge' }} icon="people" text="Merge" name="Merge: all talk together" keys="G" />}
        {consulted && <VerbButton phone={phone} verb={{ verb: 'swap' }} icon="swap" text="Swap" name={scene === 'swapped' ? 'Swap: back to the private talk' : 'Swap: back to the customer'} keys="W" />}
        {(consulted || scene === 'group') && <VerbButton phone={phone} verb={{ verb: 'complete' }} icon="transfer" text="Transfer" name="Transfer: you leave, they stay" keys="T T" />}
        {scene !== 'group' && <VerbButton phone={phone} verb={{ verb: 'cancel' }} icon="close" text="Cancel" name="Cancel: hang up the second number" keys="X X" />}
      </div>
    </section>
  );
}
