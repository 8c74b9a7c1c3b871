// The softphone's machine: an event comes in, the next state and the effects to run come out. It owns the order of things (microphone,
// registration, call) and which INVITE is answered; the server's CallState is the truth about the call. Pure: no clock, no browser.

import { type CallState, type Conflict, type Launch, type Party, type Session, isAnswered, isLive } from './call.ts';
import { IDLE, type Midcall, type Refusal, cleared, follow, pressMute, pressVerb, takeMute, tellMute, verbsDone, verbsRefused } from './midcall.ts';
import { type MicrophoneEvent, handleMicrophone } from './microphone.ts';
import type { MicrophoneFault, MicrophoneTrouble, Problem } from './problem.ts';
import type { Verb } from './verbs.ts';

/** Where the page stands on its way to a call. `online` is the end of the way: the call, if any, speaks for itself. */
export type Step = 'opening' | 'session' | 'microphone' | 'registering' | 'placing' | 'online' | 'stopped';
/** The registration, as far as the page knows. `elsewhere`: another tab took it. */
export type Line = 'none' | 'connecting' | 'online' | 'lost' | 'elsewhere';
export type Media = 'none' | 'flowing' | 'broken';

/** The page's clock (ms since its load) and the wall's (ms since 1970) when an event came. */
export interface Now {
  readonly page: number;
  readonly wall: number;
}

/** An INVITE that waits for the word whether its call is ours. */
export interface PendingInvite {
  readonly key: number;
  readonly callId: string;
}

export interface State {
  readonly step: Step;
  readonly party: Party | null;
  readonly call: CallState | null;
  /** Page clock in ms at which the talk began. */
  readonly talkingSince: number | null;
  readonly line: Line;
  readonly media: Media;
  readonly microphone: 'unknown' | 'asking' | 'granted' | MicrophoneTrouble;
  /** A call is to be placed as soon as the line is there, by the link or by the button. */
  readonly wanted: boolean;
  readonly conflict: Conflict | null;
  /** By this page; `isMuted` says whether the agent is. */
  readonly muted: boolean;
  readonly midcall: Midcall;
  /** The INVITE by which the agent supervises somebody else's call. */
  readonly supervised: number | null;
  readonly hangingUp: boolean;
  readonly soundBlocked: boolean;
  /** The network changed: ICE is to be restarted as soon as the line is back. */
  readonly restartDue: boolean;
  readonly problem: Problem | null;
  readonly pending: readonly PendingInvite[];
  readonly closed: boolean;
}

export type Event =
  | { kind: 'opened'; launch: Launch | null; stored: Party | null; obstacle: Problem | null }
  | { kind: 'session_opened'; session: Session; now: Now }
  | { kind: 'session_renewed'; call: CallState | null; since: number; now: Now }
  | { kind: 'session_refused'; problem: Problem }
  | MicrophoneEvent
  /** The microphone that the agent chose cannot be had; the one before goes on. */
  | { kind: 'choice_failed' }
  | { kind: 'registered' }
  | { kind: 'line_lost' }
  | { kind: 'line_refused'; problem: Problem }
  | { kind: 'taken_over' }
  | { kind: 'use_this_tab' }
  | { kind: 'retry_pressed' }
  /** Word of the stream. */
  | { kind: 'call_changed'; call: CallState; now: Now }
  /** An answer to something asked about the call; `since` is how much the stream had told when it was asked. */
  | { kind: 'call_answered'; call: CallState; since: number; now: Now }
  | { kind: 'call_fetched'; call: CallState | null; since: number; now: Now }
  | { kind: 'call_unknown' }
  | { kind: 'call_refused'; problem: Problem }
  | { kind: 'verb_pressed'; verb: Verb }
  | { kind: 'verbs_done'; ids: readonly number[]; call: CallState | null; now: Now }
  | { kind: 'verbs_refused'; ids: readonly number[]; refusal: Refusal }
  | { kind: 'spoke'; callId: string; parties: readonly string[] }
  | { kind: 'notice_dismissed' }
  | { kind: 'supervision_ended' }
  | { kind: 'leave_pressed' }
  | { kind: 'invited'; invite: PendingInvite }
  | { kind: 'media_changed'; media: Media }
  | { kind: 'network_changed' }
  | { kind: 'sound_blocked'; blocked: boolean }
  | { kind: 'mute_pressed' }
  | { kind: 'hang_up_pressed' }
  | { kind: 'hang_up_failed'; problem: Problem }
  | { kind: 'again_pressed' }
  | { kind: 'close_pressed' };

export type Effect =
  | { kind: 'exchange'; launch: Launch }
  | { kind: 'renew' }
  | { kind: 'open_again' }
  | { kind: 'forget_session' }
  | { kind: 'watch_call' }
  | { kind: 'ask_microphone' }
  /** Asks again by itself, later or when something changes. */
  | { kind: 'await_microphone'; trouble: MicrophoneTrouble }
  /** The call is sent the microphone that is there now. */
  | { kind: 'use_microphone' }
  /** The call is sent nothing, which the service notices. */
  | { kind: 'cut_microphone' }
  | { kind: 'report_microphone'; fault: MicrophoneFault }
  | { kind: 'register' }
  | { kind: 'place_call'; again: boolean }
  | { kind: 'fetch_call' }
  | { kind: 'answer'; key: number }
  | { kind: 'reject'; key: number }
  | { kind: 'reconnect' }
  | { kind: 'restart_ice' }
  | { kind: 'set_muted'; muted: boolean }
  | { kind: 'release_media' }
  | { kind: 'hang_up' }
  | { kind: 'control'; id: number; verb: Verb }
  | { kind: 'leave'; key: number }
  | { kind: 'close' };

export type Turn = readonly [State, readonly Effect[]];

export const INITIAL: State = {
  step: 'opening',
  party: null,
  call: null,
  talkingSince: null,
  line: 'none',
  media: 'none',
  microphone: 'unknown',
  wanted: false,
  conflict: null,
  muted: false,
  midcall: IDLE,
  supervised: null,
  hangingUp: false,
  soundBlocked: false,
  restartDue: false,
  problem: null,
  pending: [],
  closed: false,
};

/** Whether this page is the agent's part in a call: closing it would cut somebody off. */
export function isInCall(state: State): boolean {
  return state.line !== 'elsewhere' && !state.closed && (isLive(state.call) || state.supervised !== null);
}

/** Takes one event. */
export function handle(state: State, event: Event): Turn {
  switch (event.kind) {
    case 'opened':
      return opened(state, event);
    case 'session_opened':
      return sessionOpened(state, event.session, event.now);
    case 'session_renewed':
      return sessionRenewed(state, newest(state, event), event.now);
    case 'session_refused':
      // Its key or its agent is gone: the call that runs goes on to its end, and after it this comes again.
      if (event.problem.kind === 'session_over' && isLive(state.call) && state.media === 'flowing') return [{ ...state, problem: event.problem }, []];
      return stop({ ...state, line: 'none', media: 'none' }, event.problem, [{ kind: 'forget_session' }]);
    case 'microphone_ready':
    case 'microphone_failed':
    case 'microphone_lost':
    case 'microphone_due':
    case 'microphone_retry':
      return handleMicrophone(state, event, registered);
    case 'choice_failed':
      return [{ ...state, problem: { kind: 'choice_failed', detail: null } }, []];
    case 'registered':
      return registered(state);
    case 'line_lost':
      return [state.line === 'elsewhere' ? state : { ...state, line: 'lost' }, []];
    case 'line_refused':
      return [{ ...state, line: 'lost', problem: event.problem }, []];
    case 'taken_over':
      return [{ ...state, line: 'elsewhere', media: 'none', pending: [], supervised: null, midcall: cleared(state.midcall) }, [{ kind: 'release_media' }]];
    case 'use_this_tab':
      return [{ ...state, line: 'none', step: 'session', problem: null }, [{ kind: 'renew' }]];
    case 'retry_pressed':
      return [{ ...state, step: 'session', problem: null }, [{ kind: 'open_again' }]];
    case 'verb_pressed':
    case 'verbs_done':
    case 'verbs_refused':
    case 'spoke':
    case 'notice_dismissed':
    case 'supervision_ended':
    case 'leave_pressed':
      return handleMidcall(state, event);
    default:
      return handleCall(state, event);
  }
}

type MidcallEvent = Extract<Event, { kind: `verb${string}` | 'spoke' | 'notice_dismissed' | 'supervision_ended' | 'leave_pressed' }>;

function handleMidcall(state: State, event: MidcallEvent): Turn {
  switch (event.kind) {
    case 'verb_pressed':
      return pressVerb(state, event.verb);
    case 'verbs_done':
      return verbsDone(state, event.ids, event.call, event.now, adopt);
    case 'verbs_refused':
      return verbsRefused(state, event.ids, event.refusal);
    case 'spoke':
      return event.callId === state.call?.callId ? [{ ...state, midcall: { ...state.midcall, speaking: event.parties } }, []] : [state, []];
    case 'notice_dismissed':
      return [{ ...state, midcall: { ...state.midcall, notice: null } }, []];
    case 'supervision_ended':
      return [{ ...state, supervised: null, muted: false, media: 'none', soundBlocked: false }, [{ kind: 'set_muted', muted: false }]];
    case 'leave_pressed':
      return [state, state.supervised === null ? [] : [{ kind: 'leave', key: state.supervised }]];
  }
}

type CallEvent = Extract<
  Event,
  { kind: `call_${string}` | 'invited' | 'media_changed' | 'network_changed' | 'sound_blocked' | `${'mute' | 'hang_up' | 'again' | 'close'}_pressed` | 'hang_up_failed' }
>;

function handleCall(state: State, event: CallEvent): Turn {
  switch (event.kind) {
    case 'call_changed':
      return callChanged({ ...state, midcall: { ...state.midcall, toldCount: state.midcall.toldCount + 1 } }, event.call, event.now);
    case 'call_answered':
      return callChanged(state, newest(state, event), event.now);
    case 'call_fetched':
      return callFetched(state, newest(state, event), event.now);
    case 'call_unknown':
      return rejectPending(state);
    case 'call_refused':
      return [{ ...state, step: 'online', wanted: false, problem: event.problem }, []];
    case 'invited':
      return invited(state, event.invite);
    case 'media_changed':
      return mediaChanged(state, event.media);
    case 'network_changed':
      return [{ ...state, restartDue: state.media !== 'none' }, []];
    case 'sound_blocked':
      return [{ ...state, soundBlocked: event.blocked }, []];
    case 'mute_pressed':
      return pressMute(state);
    case 'hang_up_pressed':
      return isLive(state.call) && !state.hangingUp ? [{ ...state, hangingUp: true }, [{ kind: 'hang_up' }]] : [state, []];
    case 'hang_up_failed':
      return [{ ...state, hangingUp: false, problem: event.problem }, []];
    case 'again_pressed':
      return callAgain(state);
    case 'close_pressed':
      return [{ ...state, closed: true, line: 'none' }, [{ kind: 'close' }]];
  }
}

function stop(state: State, problem: Problem, effects: readonly Effect[] = []): Turn {
  return [{ ...state, step: 'stopped', problem }, effects];
}

function opened(state: State, { launch, stored, obstacle }: Extract<Event, { kind: 'opened' }>): Turn {
  const party = launch?.party ?? stored;
  if (obstacle) return stop({ ...state, party }, obstacle);
  if (launch) return [{ ...state, step: 'session', party, wanted: true }, [{ kind: 'exchange', launch }]];
  if (stored) return [{ ...state, step: 'session', party }, [{ kind: 'renew' }]];
  return stop(state, { kind: 'no_link', detail: null });
}

function sessionOpened(state: State, session: Session, now: Now): Turn {
  const wanted = state.wanted && !isLive(session.call);
  const next: State = { ...state, step: 'microphone', party: session.party, conflict: session.conflict, microphone: 'asking', wanted };
  const effects: Effect[] = [{ kind: 'ask_microphone' }];
  // A call that had ended before this link was clicked is no concern of it.
  return isLive(session.call) ? join(reattach(next, session.call, now), effects) : [next, effects];
}

/** A renewal either opens the page again (a reload, a tab taken back) or only prolongs the credential. */
function sessionRenewed(state: State, call: CallState | null, now: Now): Turn {
  const [next, effects] = call ? (state.step === 'session' ? reattach(state, call, now) : adopt(state, call, now)) : ([state, []] as const);
  if (next.step !== 'session') return [next, effects];
  const asking: State = { ...next, step: 'microphone', microphone: 'asking' };
  return [asking, [...effects, { kind: 'ask_microphone' }]];
}

/** Takes a call over that went on without this page. */
function reattach(state: State, call: CallState, now: Now): Turn {
  const [adopted, effects] = adopt(state, call, now);
  const [next, muted] = takeMute(adopted);
  return [next, [...effects, ...muted]];
}

/**
 * The stream of calls is opened here and not before: browsers open six connections to a host, and a page that never comes so far would keep
 * one of them from the next. A call is not placed while the microphone is away.
 */
function registered(state: State): Turn {
  const next: State = { ...state, line: 'online', problem: state.problem?.kind === 'line_refused' ? null : state.problem };
  const waits = state.step === 'registering' && state.wanted;
  if (waits && state.microphone === 'granted') {
    return [{ ...next, step: 'placing' }, [{ kind: 'watch_call' }, { kind: 'place_call', again: state.call !== null }]];
  }
  const effects: Effect[] = [{ kind: 'watch_call' }, { kind: 'fetch_call' }];
  if (state.media === 'broken' || state.restartDue) effects.push({ kind: 'restart_ice' });
  return [{ ...next, restartDue: false, step: state.step === 'registering' && !waits ? 'online' : state.step }, effects];
}

function callChanged(state: State, call: CallState, now: Now): Turn {
  // A call that was handed over goes on telling; it is no concern of the call that the agent is in now.
  if (call.callId !== state.call?.callId && isLive(state.call) && !isLive(call)) return [state, []];
  return adopt(state, call, now);
}

/** The stream's word, where an answer crossed it on the way: what was asked for before is older. */
function newest<Call extends CallState | null>(state: State, { call, since }: { readonly call: Call; readonly since: number }): Call | CallState {
  const known = state.call;
  return known !== null && known.callId === call?.callId && since !== state.midcall.toldCount ? known : call;
}

/** Takes over the server's view of the call and answers the INVITEs that waited for it. */
function adopt(state: State, call: CallState, now: Now): Turn {
  const before = state.call?.callId === call.callId ? state.call : null;
  if (before?.phase === 'ended' && call.phase !== 'ended') return [state, []];
  const effects: Effect[] = state.pending.filter(invite => isLive(call) && invite.callId === call.callId).map(({ key }) => ({ kind: 'answer', key }));
  const pending = state.pending.filter(invite => invite.callId !== call.callId);
  // Late word of the call that ended before is not the call that was just asked for.
  const placed = state.step === 'placing' && (before === null || isLive(before));
  const next: State = {
    ...state,
    call,
    pending,
    step: placed ? 'online' : state.step,
    wanted: state.wanted && !placed,
    talkingSince: talkingSince(state, before, call, now),
    problem: isLive(call) && state.step !== 'stopped' ? null : state.problem,
  };
  const followed = follow(next, before, call);
  if (isLive(call)) {
    const [told, asked] = tellMute(followed, before);
    return [told, [...effects, ...asked]];
  }
  if (state.muted) effects.push({ kind: 'set_muted', muted: false });
  if (isLive(state.call) || state.media !== 'none') effects.push({ kind: 'release_media' });
  return [{ ...followed, media: 'none', muted: false, hangingUp: false, soundBlocked: false, conflict: null }, effects];
}

/**
 * The clocks of server and page need not agree, so a talk whose beginning was seen is counted from then. After a reload the server's
 * `answer_time` is all there is.
 */
function talkingSince(state: State, before: CallState | null, call: CallState, now: Now): number | null {
  if (!isAnswered(call)) return null;
  if (state.talkingSince !== null && before && isAnswered(before)) return state.talkingSince;
  if (before || call.answeredMs === null) return now.page;
  return now.page - Math.max(0, now.wall - call.answeredMs);
}

function callFetched(state: State, call: CallState | null, now: Now): Turn {
  const [next, effects] = call ? adopt(state, call, now) : ([state, []] as const);
  const asSupervisor = next.pending.find(({ callId }) => callId !== next.call?.callId);
  const free = !isLive(next.call) && next.step === 'online' && next.supervised === null;
  if (!asSupervisor || !free) {
    const [rest, rejected] = rejectPending(next);
    return [rest, [...effects, ...rejected]];
  }
  const others = next.pending.filter(invite => invite !== asSupervisor);
  const [rest, rejected] = rejectPending({ ...next, pending: others });
  return [{ ...rest, supervised: asSupervisor.key, problem: null }, [...effects, { kind: 'answer', key: asSupervisor.key }, ...rejected]];
}

function rejectPending(state: State): Turn {
  return [{ ...state, pending: [] }, state.pending.map(({ key }) => ({ kind: 'reject', key }))];
}

/** The softphone answers by itself what belongs to its call, also a second INVITE after a re-attachment; it asks before it rejects. */
function invited(state: State, invite: PendingInvite): Turn {
  if (isLive(state.call) && state.call.callId === invite.callId) return [state, [{ kind: 'answer', key: invite.key }]];
  return [{ ...state, pending: [...state.pending, invite] }, [{ kind: 'fetch_call' }]];
}

/** What breaks media breaks the line beneath the same network, too, only that TCP tells it much later: a new line restarts ICE. */
function mediaChanged(state: State, media: Media): Turn {
  if (!isLive(state.call) && state.supervised === null && media !== 'none') return [state, []];
  return [{ ...state, media }, media === 'broken' && state.line === 'online' ? [{ kind: 'reconnect' }] : []];
}

function callAgain(state: State): Turn {
  if (isLive(state.call) || state.supervised !== null || state.step === 'placing' || !state.party) return [state, []];
  const next: State = { ...state, wanted: true, problem: null, conflict: null };
  if (state.microphone !== 'granted') return [{ ...next, step: 'microphone', microphone: 'asking' }, [{ kind: 'ask_microphone' }]];
  if (state.line === 'online') return registered({ ...next, step: 'registering' });
  return [{ ...next, step: 'registering' }, [{ kind: 'register' }]];
}

function join([state, first]: Turn, second: readonly Effect[]): Turn {
  return [state, [...first, ...second]];
}
