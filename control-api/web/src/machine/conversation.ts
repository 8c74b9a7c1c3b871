// The parties of a call as the service tells them, and what follows from them: who is the newcomer, and in which scene the agent is. Pure.

import { object, text, word } from './json.ts';
import {
  JOININGS,
  PARTY_ROLES,
  PARTY_STATES,
  RECORDING_STATES,
  SUPERVISOR_ROLES,
  type Joining,
  type PartyRole,
  type PartyState,
  type RecordingState,
  type SupervisorRole,
} from './vocabulary.ts';

/** One who is, or was, in the call. */
export interface Member {
  readonly party: string;
  readonly role: PartyRole;
  readonly state: PartyState;
  readonly muted: boolean;
  readonly number: string | null;
  readonly name: string | null;
  readonly joining: Joining | null;
  readonly supervisorRole: SupervisorRole | null;
  /** Why it left, as a stable word. */
  readonly reason: string | null;
}

export interface Conversation {
  readonly parties: readonly Member[];
  readonly recording: RecordingState;
}

/** Most parties that a call has at once. */
export const PARTIES_MAX = 8;

function parseMember(value: unknown): Member | null {
  const json = object(value);
  const party = text(json?.['party']);
  const role = word(json?.['role'], PARTY_ROLES);
  const state = word(json?.['state'], PARTY_STATES);
  if (!json || !party || !role || !state) return null;
  return {
    party,
    role,
    state,
    muted: json['muted'] === true,
    number: text(json['number']),
    name: text(json['crm_username']),
    joining: word(json['joining'], JOININGS),
    supervisorRole: word(json['supervisor_role'], SUPERVISOR_ROLES),
    reason: text(json['reason']),
  };
}

/** `null` before the bridge, after the end, and for what is no conversation. Members that cannot be read are left out. */
export function parseConversation(value: unknown): Conversation | null {
  const json = object(value);
  const listed = json?.['parties'];
  if (!json || !Array.isArray(listed)) return null;
  const parties = listed.map(parseMember).filter(member => member !== null);
  return { parties, recording: word(json['recording'], RECORDING_STATES) ?? 'off' };
}

/** The data of a `speaking` event. */
export function parseSpeaking(value: unknown): { callId: string; parties: readonly string[] } | null {
  const json = object(value);
  const callId = text(json?.['call_id']);
  const parties = json?.['parties'];
  if (!callId || !Array.isArray(parties)) return null;
  return { callId, parties: parties.filter(party => typeof party === 'string') };
}

export function hasLeft(member: Member | null): boolean {
  return member?.state === 'left';
}

export function memberOf(conversation: Conversation | null, role: 'agent' | 'customer'): Member | null {
  return conversation?.parties.find(member => member.role === role) ?? null;
}

/**
 * The participant that is called or consulted and has not joined yet; there is one at most. One that is on hold was swapped away, unless another
 * is called or consulted: then it is a member of the conversation whom the others left alone.
 */
export function newcomer(conversation: Conversation | null): Member | null {
  const present = participants(conversation);
  return present.find(({ state }) => state !== 'talking' && state !== 'on_hold') ?? present.find(({ state }) => state === 'on_hold') ?? null;
}

export function participants(conversation: Conversation | null): readonly Member[] {
  return conversation?.parties.filter(({ role, state }) => role === 'participant' && state !== 'left') ?? [];
}

export function isFull(conversation: Conversation | null): boolean {
  return (conversation?.parties.filter(member => !hasLeft(member)).length ?? 0) >= PARTIES_MAX;
}

export function isCustomerHeld(conversation: Conversation | null): boolean {
  return memberOf(conversation, 'customer')?.state === 'on_hold';
}

/**
 * Where the agent is. `dialing`, `consulting` and `swapped` are the three stages of a consultation; whether the customer is on hold besides is
 * asked by `isCustomerHeld`.
 */
export type Scene = 'none' | 'two' | 'group' | 'dialing' | 'consulting' | 'swapped' | 'joining' | 'transferring' | 'gone';

export function sceneOf(conversation: Conversation | null): Scene {
  if (!conversation) return 'none';
  const agent = memberOf(conversation, 'agent');
  if (hasLeft(agent)) return 'gone';
  const member = newcomer(conversation);
  if (!member) return participants(conversation).length > 0 ? 'group' : 'two';
  if (member.state === 'dialing' || member.state === 'ringing') {
    return member.joining === 'join' ? 'joining' : member.joining === 'transfer' ? 'transferring' : 'dialing';
  }
  return member.state === 'on_hold' || agent?.state === 'talking' ? 'swapped' : 'consulting';
}
