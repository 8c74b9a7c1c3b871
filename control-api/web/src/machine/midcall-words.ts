// Words for the mid-call part: party states, reasons of leaving, refusals with what to do next, and the banner over the call. Pure.

import { type Conversation, type Member, type Scene, hasLeft, isCustomerHeld, memberOf, newcomer, participants, sceneOf } from './conversation.ts';
import { word } from './json.ts';
import type { Change, Holder, Midcall, Notice } from './midcall.ts';
import { displayNumber } from './number.ts';
import { detailSentence } from './problem.ts';
import type { Verb, VerbName, WhyNot } from './verbs.ts';
import { REASONS, type Reason } from './vocabulary.ts';

type Spell = (number: string) => string;

/** How a member is called in a sentence. `spell` shows or speaks a number. */
export function memberName(member: Member | null, spell: Spell = displayNumber): string {
  if (!member) return 'the third person';
  switch (member.role) {
    case 'agent':
      return 'you';
    case 'customer':
      return 'the customer';
    case 'participant':
      return member.number ? spell(member.number) : (member.name ?? 'the third person');
    case 'supervisor':
      return member.name ? `supervisor ${member.name}` : member.number ? `supervisor ${spell(member.number)}` : 'a supervisor';
  }
}

const LEFT: Partial<Record<Reason, string>> = {
  busy: 'busy',
  no_answer: 'did not answer',
  declined: 'declined',
  invalid_number: 'number cannot be called',
  unreachable: 'could not be reached',
  hung_up: 'hung up',
  removed: 'removed',
  canceled: 'canceled',
  completed: 'left the call',
  media: 'no common audio format',
  no_media: 'no sound arrived',
  trunk_timeout: 'the telephone network did not answer',
  trunk_rejected: 'the telephone network refused the call',
  trunk_failed: 'the telephone network failed',
  trunk_unregistered: 'the telephone network is not connected',
  trunk_unreachable: 'the telephone network is not reached',
  trunk_unresolved: 'the telephone network is not found',
  trunk_interface: 'the telephone network is set up wrongly',
  system: 'could not be connected',
  dialog_lost: 'connection lost',
  agent_busy: 'busy',
  agent_no_answer: 'did not answer',
  agent_declined: 'declined',
  agent_unreachable: 'could not be reached',
};

function lookUp(words: Partial<Record<Reason, string>>, reason: string | null): string | null {
  const known = word(reason, REASONS);
  return (known && words[known]) ?? null;
}

/** A reason of leaving in a list. */
export function leftWords(reason: string | null): string {
  return lookUp(LEFT, reason) ?? 'left';
}

const LEFT_SENTENCES: Partial<Record<Reason, string>> = {
  busy: 'is busy.',
  no_answer: 'did not answer.',
  declined: 'declined the call.',
  invalid_number: 'cannot be called: the number does not exist or is incomplete.',
  unreachable: 'could not be reached.',
  hung_up: 'hung up.',
  removed: 'was removed.',
  canceled: 'is no longer called.',
  media: 'could not be connected: no common audio format.',
  no_media: 'was disconnected because no sound arrived.',
  trunk_timeout: 'could not be called: the telephone network did not answer.',
  trunk_rejected: 'could not be called: the telephone network refused it.',
  trunk_failed: 'could not be called: the telephone network failed.',
  trunk_unregistered: 'could not be called: the telephone network is not connected.',
  trunk_unreachable: 'could not be called: the telephone network is not reached.',
  trunk_unresolved: 'could not be called: the telephone network is not found.',
  trunk_interface: 'could not be called: the telephone network is set up wrongly.',
  system: 'could not be connected.',
  dialog_lost: 'was lost: the connection broke.',
};

/** "+91 … did not answer." */
export function leftSentence(member: Member, spell: Spell = displayNumber): string {
  return capital(`${memberName(member, spell)} ${lookUp(LEFT_SENTENCES, member.reason) ?? 'left the call.'}`);
}

/** How a party stands, in a list. */
export function stateWords(member: Member): string {
  switch (member.state) {
    case 'dialing':
      return 'calling';
    case 'ringing':
      return 'ringing';
    case 'talking':
      return member.role === 'supervisor' ? SUPERVISING[member.supervisorRole ?? 'listen'] : 'in the call';
    case 'consulting':
      if (member.role === 'supervisor') return SUPERVISING[member.supervisorRole ?? 'listen'];
      return member.role === 'agent' ? 'apart from the customer' : 'in private talk with you';
    case 'on_hold':
      return 'on hold';
    case 'away':
      return 'connection lost';
    case 'left':
      return leftWords(member.reason);
  }
}

const SUPERVISING = { listen: 'listens', whisper: 'speaks to you alone', barge: 'speaks to all' } as const;

/** Title of the scene for the badge, and the line below it; `null` where the call's own words are enough. */
export function sceneWords(conversation: Conversation | null): { tone: 'good' | 'ring' | 'hold' | 'over'; title: string; text: string } | null {
  const scene: Scene = sceneOf(conversation);
  const third = memberName(newcomer(conversation));
  switch (scene) {
    case 'none':
      return null;
    case 'two':
      return isCustomerHeld(conversation) ? { tone: 'hold', title: 'On hold', text: '' } : null;
    case 'group': {
      const count = 2 + participants(conversation).length;
      return { tone: 'good', title: `Call of ${count}`, text: isCustomerHeld(conversation) ? '' : 'All hear each other.' };
    }
    case 'dialing':
      return { tone: 'ring', title: 'Calling', text: `${capital(third)} is being called.` };
    case 'consulting':
      return { tone: 'good', title: 'Private talk', text: `Only ${third} hears you.` };
    case 'swapped':
      return { tone: 'good', title: 'Talking', text: isCustomerHeld(conversation) ? `${capital(third)} waits on hold too.` : `You are back with the customer. ${capital(third)} waits on hold.` };
    case 'joining':
      return { tone: 'good', title: 'Talking', text: `${capital(third)} is being called and joins when answering.` };
    case 'transferring':
      return { tone: 'ring', title: 'Transferring', text: `${capital(third)} is being called. If nobody answers, you are back with the customer.` };
    case 'gone':
      return { tone: 'over', title: 'Transferred', text: goneText(conversation) };
  }
}

function goneText(conversation: Conversation | null): string {
  const others = participants(conversation).map(member => memberName(member));
  return others.length > 0 ? `The customer talks to ${others.join(' and ')}. The call goes on without you.` : 'The call goes on without you.';
}

/** The banner while somebody waits: who is on hold, by whom, and how it ends. */
export function holdBanner(conversation: Conversation | null, holder: Holder): { title: string; text: string } | null {
  if (sceneOf(conversation) === 'gone') return null;
  if (memberOf(conversation, 'agent')?.state === 'on_hold') {
    return { title: 'You are on hold.', text: 'You hear the others again as soon as you are brought back.' };
  }
  if (!isCustomerHeld(conversation)) return null;
  const title = 'The customer is on hold.';
  if (sceneOf(conversation) === 'dialing' || sceneOf(conversation) === 'consulting') return { title, text: 'They hear hold audio and not you.' };
  if (holder === 'elsewhere') return { title, text: 'Not by this page: somebody else put them on hold. Press Resume to talk to them.' };
  return { title, text: 'They hear hold audio and not you. Press Resume to go on.' };
}

interface Advice {
  readonly title: string;
  readonly text: string;
}

const REFUSALS: Record<string, Advice> = {
  unknown_call: { title: 'This call is over', text: 'Call again if you were not done.' },
  ended: { title: 'This call is over', text: 'Call again if you were not done.' },
  not_talking: { title: 'Nobody has answered yet', text: 'Wait until the customer is on the line.' },
  unknown_party: { title: 'That person is no longer in the call', text: 'Look at the list of people and choose again.' },
  transfer_running: { title: 'Somebody is already being added', text: 'Finish that first: merge, transfer or cancel.' },
  no_consultation: { title: 'Nobody is being consulted', text: 'Add a person first.' },
  not_answered: { title: 'They have not answered yet', text: 'Wait for the answer, or cancel.' },
  on_hold: { title: 'The customer is on hold already', text: 'Resume brings them back.' },
  not_on_hold: { title: 'The customer is not on hold', text: 'You can talk to them.' },
  agent_gone: { title: 'You have left this call', text: 'It goes on without you.' },
  too_many_parties: { title: 'The call is full', text: 'Eight people is the most. Remove one first.' },
  no_capacity: { title: 'The service is at its limit', text: 'The call goes on. Try again in a minute.' },
  no_route: { title: 'This number cannot be reached from here', text: 'Check the number, or ask your administrator for a line to it.' },
  agent_unreachable: { title: 'Their softphone cannot be reached', text: 'Ask them to open it, then try again.' },
  agent_busy: { title: 'They are in another call', text: 'Try again later.' },
  not_recording: { title: 'The call is not being recorded', text: 'Start the recording first.' },
  already_recording: { title: 'The call is already being recorded', text: 'There is nothing more to do.' },
  no_digits: { title: 'These digits cannot be sent', text: '0 to 9, star and hash can be. Wait a moment, then try again.' },
  invalid_digits: { title: 'These digits cannot be sent', text: 'Use 0 to 9, star and hash.' },
  busy: { title: 'The service is still busy with your last requests', text: 'Wait a moment, then try again.' },
  no_edge: { title: 'The call cannot be steered at the moment', text: 'You can go on talking. Try again in a few seconds.' },
  no_answer_from_edge: { title: 'The service did not confirm it', text: 'Look at how the call stands, then try again.' },
  invalid_number: { title: 'This number cannot be called', text: 'Check the number and try again.' },
  missing_field: { title: 'A number is missing', text: 'Type the number to call.' },
  no_trunk: { title: 'The telephone network is not reachable', text: 'You can go on talking. Try again in a minute.' },
  trunks_full: { title: 'All lines are in use', text: 'You can go on talking. Try again in a minute.' },
  concurrency_limit: { title: 'All lines of your account are in use', text: 'Try again when another call has ended.' },
  rate_limit: { title: 'Too many calls at once', text: 'Wait a moment, then try again.' },
  offline: { title: 'No connection to the service', text: 'You can go on talking. Check your network, then try again.' },
};

/** Why a button does nothing now. */
export function refusalWords(code: WhyNot): string {
  const advice = REFUSALS[code];
  return advice ? `${advice.title}. ${advice.text}` : '';
}

/** Refusals of which the service's own sentence says more than the page can. */
const TOLD: readonly string[] = ['invalid_number'];

const VERBS: Record<VerbName, string> = {
  hold: 'Hold', resume: 'Resume', mute: 'Mute', unmute: 'Unmute', dtmf: 'Digits', add: 'Adding a person', transfer: 'The transfer', merge: 'Merge', swap: 'Swap',
  complete: 'The transfer', cancel: 'Cancel', remove: 'Removing', record: 'The recording',
};

/** What a notice says, and what to do next. */
export function noticeWords(notice: Notice, conversation: Conversation | null): Advice {
  if (notice.kind === 'left') return { title: leftSentence(notice.member), text: backWords(notice.member, conversation) };
  const { verb, refusal } = notice;
  const advice = Object.hasOwn(REFUSALS, refusal.code) ? REFUSALS[refusal.code] : undefined;
  const told = refusal.detail && (!advice || TOLD.includes(refusal.code)) ? detailSentence(refusal.detail) : '';
  const { title, text } = advice ?? { title: `${VERBS[verb.verb]} did not work`, text: 'The call goes on. Try again, or tell your administrator.' };
  return { title, text: told + text + muteWords(verb) };
}

/** Mute is the one verb that acts before its answer, so a refusal has to say what holds. */
function muteWords(verb: Verb): string {
  if (verb.verb === 'mute') return ' Your microphone is silent, but only as long as this page is open.';
  if (verb.verb === 'unmute') return ' You may still be muted.';
  return '';
}

function backWords(member: Member, conversation: Conversation | null): string {
  const scene = sceneOf(conversation);
  if (scene === 'none' || scene === 'gone') return '';
  const failed = member.joining === 'transfer' ? 'The transfer did not happen. ' : '';
  if (isCustomerHeld(conversation)) return `${failed}The customer is still on hold: press Resume to talk to them.`;
  return `${failed}You are back with the customer.`;
}

function capital(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}

/** What a screen reader is told of the last changes, together with the notice that one of them may have brought. */
export function spokenChanges({ changes, notice }: Midcall, conversation: Conversation | null, spell: Spell): string {
  const missed = notice?.kind === 'left' ? notice.member.party : null;
  const back = (change: Change): string => (change.kind === 'left' && change.member.party === missed ? ` ${backWords(change.member, conversation)}` : '');
  return changes.map(change => changeWords(change, spell) + back(change)).join(' ');
}

function changeWords(change: Change, spell: Spell): string {
  switch (change.kind) {
    case 'held':
      return 'The customer is on hold.';
    case 'resumed':
      return 'The customer is no longer on hold.';
    case 'recording':
      return { off: 'The recording has ended.', running: 'The call is being recorded.', paused: 'The recording is paused.' }[change.recording];
    case 'joined':
      return `${capital(memberName(change.member, spell))} ${change.member.role === 'supervisor' ? SUPERVISING[change.member.supervisorRole ?? 'listen'] : 'is in the call'}.`;
    case 'left':
      return leftSentence(change.member, spell);
    case 'muted':
    case 'unmuted': {
      const own = change.member.role === 'agent';
      return `${capital(memberName(change.member, spell))} ${own ? 'are' : 'is'} ${change.kind === 'muted' ? 'muted' : 'no longer muted'}.`;
    }
  }
}

/** Parties for the list: all that are there, and the last few who left. */
export function listedMembers(conversation: Conversation | null): readonly Member[] {
  const all = conversation?.parties ?? [];
  const left = all.filter(hasLeft).slice(-LEFT_SHOWN);
  return all.filter(member => !hasLeft(member) || left.includes(member));
}

const LEFT_SHOWN = 3;
