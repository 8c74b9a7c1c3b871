// The session API's JSON as types, parsed once: what the server sends is checked here and trusted nowhere else. Pure.

import { type Conversation, hasLeft, memberOf, parseConversation } from './conversation.ts';
import { type Json, number, object, text, word } from './json.ts';
import { CALL_PHASES, CALL_STATUSES, HANGUP_BYS, type CallPhase, type CallStatus, type HangupBy } from './vocabulary.ts';

/** One call, as `GET session/call` and each event tell it. */
export interface CallState {
  readonly callId: string;
  readonly phase: CallPhase;
  readonly status: CallStatus | null;
  readonly reason: string | null;
  readonly detail: string | null;
  readonly sipCode: number | null;
  /** Milliseconds of the server's clock since 1970. */
  readonly answeredMs: number | null;
  /** Seconds of talk of an ended call. */
  readonly duration: number;
  readonly disposition: string;
  readonly recording: boolean;
  /** In E.164 where the server says so, else as the CRM gave it. */
  readonly toNumber: string;
  readonly fromNumber: string;
  readonly hangupBy: HangupBy | null;
  /** How the parties stand; `null` before the bridge and after the end. */
  readonly conversation: Conversation | null;
}

/** Who calls whom. */
export interface Party {
  readonly agent: string;
  readonly agentName: string | null;
  readonly toNumber: string;
  readonly toNumberE164: string | null;
  readonly fromNumber: string;
  readonly account: string | null;
  /** What the picker offers as the outcome of a call; told with the session. */
  readonly dispositions?: readonly string[];
}

/** What the launch page carries. */
export interface Launch {
  readonly token: string;
  readonly party: Party;
}

/** How to register: address of the WebSocket and a credential that lives for minutes. */
export interface SipCredential {
  readonly url: string;
  readonly uri: string;
  readonly username: string;
  readonly password: string;
  readonly expiresS: number;
}

export type Conflict = 'in_call' | 'double_click';

/** The answer to `POST session`. */
export interface Session {
  readonly secret: string;
  readonly party: Party;
  readonly sip: SipCredential;
  readonly call: CallState | null;
  readonly conflict: Conflict | null;
}

/** The answer to `POST session/renew`. */
export interface Renewal {
  readonly sip: SipCredential;
  readonly call: CallState | null;
}

function time(value: string | null): number | null {
  return number(value === null ? null : Date.parse(value));
}

/** `null` for anything that is not a call. */
export function parseCall(value: unknown): CallState | null {
  const json = object(value);
  const callId = text(json?.['call_id']);
  const phase = word(json?.['state'], CALL_PHASES);
  if (!json || !callId || !phase) return null;
  return {
    callId,
    phase,
    status: word(json['status'], CALL_STATUSES),
    reason: text(json['reason']),
    detail: text(json['detail']),
    sipCode: number(json['sip_code']),
    answeredMs: time(text(json['answer_time'])),
    duration: Math.max(0, number(json['duration']) ?? 0),
    disposition: text(json['disposition']) ?? '',
    recording: json['recording'] === true,
    toNumber: text(json['to_number_e164']) ?? text(json['to_number']) ?? '',
    fromNumber: text(json['from_number']) ?? '',
    hangupBy: word(json['hangup_by'], HANGUP_BYS),
    conversation: phase === 'ended' ? null : parseConversation(json['conversation']),
  };
}

function parseParty(json: Json): Party | null {
  const agent = object(json['agent']);
  const name = text(agent?.['crm_username']);
  const toNumber = text(json['to_number']);
  const fromNumber = text(json['from_number']);
  if (!name || !toNumber || !fromNumber) return null;
  return {
    agent: name,
    agentName: text(agent?.['name']),
    toNumber,
    toNumberE164: text(json['to_number_e164']),
    fromNumber,
    account: text(json['account']),
  };
}

/** Id of the account that a launch is of. */
export function launchedAccount(source: string): string | null {
  try {
    return text(object(JSON.parse(source))?.['account_id']);
  } catch {
    return null;
  }
}

/** The text of the page's `launch` element; `null` when the page was opened without a link. */
export function parseLaunch(source: string): Launch | null {
  try {
    const json = object(JSON.parse(source));
    const token = text(json?.['token']);
    const party = json && parseParty(json);
    return token && party ? { token, party } : null;
  } catch {
    return null;
  }
}

function parseCredential(value: unknown): SipCredential | null {
  const json = object(value);
  const url = text(json?.['url']);
  const uri = text(json?.['uri']);
  const username = text(json?.['username']);
  const password = text(json?.['password']);
  if (!url || !uri || !username || !password) return null;
  return { url, uri, username, password, expiresS: Math.max(30, number(json?.['expires_s']) ?? 300) };
}

/** `launched` fills in what the answer does not repeat. */
export function parseSession(value: unknown, launched: Party): Session | null {
  const json = object(value);
  const secret = text(json?.['session']);
  const sip = parseCredential(json?.['sip']);
  if (!json || !secret || !sip) return null;
  const told = parseParty(json);
  const dispositions = Array.isArray(json['dispositions']) ? json['dispositions'].flatMap(item => text(item) ?? []) : [];
  const party = { ...(told ?? launched), toNumberE164: told?.toNumberE164 ?? launched.toNumberE164, account: told?.account ?? launched.account, dispositions };
  const conflict = json['conflict'] === 'in_call' || json['conflict'] === 'double_click' ? json['conflict'] : null;
  return { secret, party, sip, call: parseCall(json['call']), conflict };
}

export function parseRenewal(value: unknown): Renewal | null {
  const json = object(value);
  const sip = parseCredential(json?.['sip']);
  return sip && { sip, call: parseCall(json?.['call']) };
}

/** A disposition for people: `CALL_BACK` is "Call back"; what is not written like a word of a program stays as it is. */
export function dispositionName(disposition: string): string {
  if (!/^[A-Z]+(_[A-Z]+)*$/.test(disposition)) return disposition;
  const words = disposition.replaceAll('_', ' ').toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** Whether the agent left a call that goes on without them. */
export function isHandedOver(call: CallState | null): boolean {
  return hasLeft(memberOf(call?.conversation ?? null, 'agent'));
}

/** Whether the agent has anybody, or may soon have, on the line. */
export function isLive(call: CallState | null): call is CallState & { readonly phase: Exclude<CallPhase, 'ended'> } {
  return call !== null && call.phase !== 'ended' && !isHandedOver(call);
}

/** Whether the agent has the customer on the line. */
export function isAnswered(call: CallState | null): call is CallState & { readonly phase: 'bridged' | 'held' } {
  return isLive(call) && (call.phase === 'bridged' || call.phase === 'held');
}
