// The people of the call: who is there and how, who speaks, and who can be removed.

import { useEffect, useState } from 'preact/hooks';
import { type Member, hasLeft, sceneOf } from '../machine/conversation.ts';
import { isAsked, isMuted } from '../machine/midcall.ts';
import { listedMembers, memberName, stateWords } from '../machine/midcall-words.ts';
import { displayNumber, spokenNumber } from '../machine/number.ts';
import type { Softphone } from '../shell/softphone.ts';
import { useHandOn } from './focus.ts';
import { Icon, type IconName } from './icon.tsx';

/** How long the second press may take that removes the customer and so ends the call. */
const SURE_MS = 3000;

export function People({ phone }: { phone: Softphone }) {
  const { call, midcall } = phone.state;
  const members = listedMembers(call?.conversation ?? null);
  const scene = sceneOf(call?.conversation ?? null);
  if (scene === 'none' || members.length < 3) return null;
  const count = members.filter(member => !hasLeft(member)).length;
  return (
    <section class="card people" aria-label="People in the call">
      <h2 id="people" tabIndex={-1}>People <span class="count">{count}</span></h2>
      <ul>
        {members.map(member => <Person key={member.party} phone={phone} member={member} speaking={midcall.speaking.includes(member.party)} steered={scene !== 'gone'} />)}
      </ul>
    </section>
  );
}

const ICONS: Record<Member['state'], IconName> = { dialing: 'ring', ringing: 'ring', talking: 'person', consulting: 'person', on_hold: 'hold', away: 'alert', left: 'over' };

function Person({ phone, member, speaking, steered }: { phone: Softphone; member: Member; speaking: boolean; steered: boolean }) {
  const muted = member.role === 'agent' && steered ? isMuted(phone.state) : member.muted;
  const heard = speaking && !muted && !hasLeft(member);
  const removable = steered && !hasLeft(member) && member.role !== 'agent';
  return (
    <li id={`person-${member.party}`} tabIndex={-1} class={`person is-${member.state}${heard ? ' speaks' : ''}`}>
      <span class="face"><Icon name={heard ? 'speaking' : ICONS[member.state]} /></span>
      <span class="who">
        <span class="who-name"><Name member={member} /></span>
        <span class="who-state">
          {stateWords(member)}
          {muted && !hasLeft(member) && ', muted'}
          {heard && <span class="unseen">, speaking</span>}
        </span>
      </span>
      {muted && !hasLeft(member) && <span class="who-muted" title="Muted"><Icon name="muted" /></span>}
      {removable && <RemoveButton phone={phone} member={member} />}
    </li>
  );
}

const NAMES = { agent: 'You', customer: 'Customer', participant: 'Third person', supervisor: 'Supervisor' } as const;

function Name({ member }: { member: Member }) {
  if (member.role === 'participant' && member.number) {
    return <><span aria-hidden="true">{displayNumber(member.number)}</span><span class="unseen">{spokenNumber(member.number)}</span></>;
  }
  // The customer's number is the page's title.
  const also = member.role === 'supervisor' ? (member.name ?? (member.number && displayNumber(member.number))) : null;
  return <>{NAMES[member.role]}{also && <span class="faint"> {also}</span>}</>;
}

function RemoveButton({ phone, member }: { phone: Softphone; member: Member }) {
  const part = useHandOn<HTMLSpanElement>(`#person-${CSS.escape(member.party)}`, '#people', '#call');
  const [sure, setSure] = useState(false);
  useEffect(() => {
    if (!sure) return;
    const timer = setTimeout(() => setSure(false), SURE_MS);
    return () => clearTimeout(timer);
  }, [sure]);
  const busy = isAsked(phone.state, verb => verb.verb === 'remove' && verb.party === member.party);
  const endsAll = member.role === 'customer';
  const press = (): void => {
    if (endsAll && !sure) return setSure(true);
    setSure(false);
    phone.dispatch({ kind: 'verb_pressed', verb: { verb: 'remove', party: member.party } });
  };
  const whom = memberName(member, spokenNumber);
  const name = sure ? `End for all? Press again to remove ${whom}` : `Remove ${whom}${endsAll ? ': this ends the call for all' : ''}`;
  return (
    <span ref={part}>
      <button type="button" class={`quiet remove${sure ? ' sure' : ''}${busy ? ' busy' : ''}`} aria-label={name} title={name} aria-disabled={busy} aria-busy={busy} onClick={press}>
        {sure ? 'End for all?' : 'Remove'}
      </button>
    </span>
  );
}
