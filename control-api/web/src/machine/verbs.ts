// What the agent may ask of a running call: each verb, and for each scene whether it is possible now or why not. Pure; the service has the
// last word, and this table only keeps the agent from asking in vain.

import { type Conversation, type Member, type Scene, isCustomerHeld, isFull, newcomer, sceneOf } from './conversation.ts';

export type Verb =
  | { readonly verb: 'hold' | 'resume' | 'merge' | 'swap' | 'complete' | 'cancel' }
  | { readonly verb: 'mute' | 'unmute' }
  | { readonly verb: 'dtmf'; readonly digits: string; readonly party: string }
  | { readonly verb: 'add'; readonly toNumber: string; readonly flow: 'consult' | 'join' }
  | { readonly verb: 'transfer'; readonly toNumber: string }
  | { readonly verb: 'remove'; readonly party: string }
  | { readonly verb: 'record'; readonly action: 'start' | 'pause' | 'resume' };

export type VerbName = Verb['verb'];

/** Why a verb is not possible now, in the words of the service's own refusals. */
export type WhyNot =
  | 'not_talking' | 'transfer_running' | 'no_consultation' | 'not_answered' | 'on_hold' | 'not_on_hold' | 'agent_gone' | 'too_many_parties'
  | 'unknown_party' | 'not_recording' | 'already_recording' | 'no_digits';

/** `held`, `unheld`: only while the customer is, or is not, on hold. */
type Rule = 'yes' | 'held' | 'unheld' | WhyNot;

const SCENES = ['none', 'two', 'group', 'dialing', 'consulting', 'swapped', 'joining', 'transferring', 'gone'] as const satisfies readonly Scene[];

const TABLE: Record<VerbName, readonly Rule[]> = {
  //          none           two                group              dialing             consulting          swapped             joining             transferring        gone
  hold:     ['not_talking', 'unheld',          'unheld',          'on_hold',          'on_hold',          'unheld',           'unheld',           'transfer_running', 'agent_gone'],
  resume:   ['not_talking', 'held',            'held',            'transfer_running', 'transfer_running', 'held',             'held',             'transfer_running', 'agent_gone'],
  mute:     ['not_talking', 'yes',             'yes',             'yes',              'yes',              'yes',              'yes',              'yes',              'agent_gone'],
  unmute:   ['not_talking', 'yes',             'yes',             'yes',              'yes',              'yes',              'yes',              'yes',              'agent_gone'],
  dtmf:     ['not_talking', 'yes',             'yes',             'yes',              'yes',              'yes',              'yes',              'yes',              'agent_gone'],
  add:      ['not_talking', 'yes',             'yes',             'transfer_running', 'transfer_running', 'transfer_running', 'transfer_running', 'transfer_running', 'agent_gone'],
  transfer: ['not_talking', 'yes',             'yes',             'transfer_running', 'transfer_running', 'transfer_running', 'transfer_running', 'transfer_running', 'agent_gone'],
  merge:    ['not_talking', 'no_consultation', 'no_consultation', 'not_answered',     'yes',              'yes',              'no_consultation',  'no_consultation',  'agent_gone'],
  swap:     ['not_talking', 'no_consultation', 'no_consultation', 'not_answered',     'yes',              'yes',              'no_consultation',  'no_consultation',  'agent_gone'],
  complete: ['not_talking', 'no_consultation', 'yes',             'not_answered',     'yes',              'yes',              'not_answered',     'not_answered',     'agent_gone'],
  cancel:   ['not_talking', 'no_consultation', 'no_consultation', 'yes',              'yes',              'yes',              'yes',              'yes',              'agent_gone'],
  remove:   ['not_talking', 'yes',             'yes',             'yes',              'yes',              'yes',              'yes',              'yes',              'agent_gone'],
  record:   ['not_talking', 'yes',             'yes',             'yes',              'yes',              'yes',              'yes',              'yes',              'agent_gone'],
};

/** `null` when the verb is possible now. */
export function whyNot(verb: Verb, conversation: Conversation | null): WhyNot | null {
  const rule = TABLE[verb.verb][SCENES.indexOf(sceneOf(conversation))] ?? 'not_talking';
  if (rule === 'held') return isCustomerHeld(conversation) ? null : 'not_on_hold';
  if (rule === 'unheld') return isCustomerHeld(conversation) ? 'on_hold' : null;
  if (rule !== 'yes') return rule;
  return conversation && whyNotHere(verb, conversation);
}

/** What depends on more than the scene. */
function whyNotHere(verb: Verb, conversation: Conversation): WhyNot | null {
  switch (verb.verb) {
    case 'add':
    case 'transfer':
      return isFull(conversation) ? 'too_many_parties' : null;
    case 'remove':
      return isPresent(conversation, verb.party) ? null : 'unknown_party';
    case 'dtmf':
      if (!/^[0-9A-D*#,]{1,64}$/.test(verb.digits)) return 'no_digits';
      if (!isPresent(conversation, verb.party)) return 'unknown_party';
      return listeners(conversation).some(({ party }) => party === verb.party) ? null : 'not_answered';
    case 'record':
      return whyNotRecorded(verb.action, conversation);
    default:
      return null;
  }
}

function whyNotRecorded(action: 'start' | 'pause' | 'resume', { recording }: Conversation): WhyNot | null {
  if (action === 'start') return recording === 'off' ? null : 'already_recording';
  if (recording === 'off') return 'not_recording';
  return (action === 'pause') === (recording === 'running') ? null : action === 'pause' ? 'not_recording' : 'already_recording';
}

function isPresent(conversation: Conversation, party: string): boolean {
  return conversation.parties.some(member => member.party === party && member.state !== 'left');
}

/** What one press of the recording button asks. */
export function recordingVerb(conversation: Conversation | null): Verb {
  const actions = { off: 'start', running: 'pause', paused: 'resume' } as const;
  return { verb: 'record', action: actions[conversation?.recording ?? 'off'] };
}

/** What one press of the hold button asks. */
export function holdVerb(conversation: Conversation | null): Verb {
  const consulted = ['dialing', 'consulting'].includes(sceneOf(conversation));
  return { verb: isCustomerHeld(conversation) && !consulted ? 'resume' : 'hold' };
}

/** Verbs of one lane are asked one after the other, for each changes what the next one means. */
export function laneOf(verb: Verb): string {
  switch (verb.verb) {
    case 'mute':
    case 'unmute':
      return 'mute';
    case 'record':
      return 'record';
    case 'dtmf':
      return `dtmf:${verb.party}`;
    case 'remove':
      return `remove:${verb.party}`;
    default:
      return 'rooms';
  }
}

/** Whether a second press may wait behind an unanswered first one: digits add up, and mute must never be refused. */
export function mayQueue(verb: Verb): boolean {
  return verb.verb === 'dtmf' || verb.verb === 'mute' || verb.verb === 'unmute';
}

/** To whom digits go unless the agent chooses: whom the agent consults, else the customer. */
export function digitsParty(conversation: Conversation | null): string {
  return (sceneOf(conversation) === 'consulting' && newcomer(conversation)?.party) || 'customer';
}

/** Who can be sent digits: the customer and the participants that have answered. */
export function listeners(conversation: Conversation | null): readonly Member[] {
  const ringing = ['dialing', 'ringing', 'left'];
  return conversation?.parties.filter(({ role, state }) => (role === 'customer' || role === 'participant') && !ringing.includes(state)) ?? [];
}
