// The microphone's part of the machine: it is had, lost, waited for and had again, in a call and between calls. What is lost is told for as
// long as it is lost, and meanwhile nothing is sent, so that the service plays a tone to whoever would hear silence. Pure.

import { isLive } from './call.ts';
import type { MicrophoneFault, MicrophoneTrouble } from './problem.ts';
import type { Effect, State, Turn } from './softphone.ts';

export type MicrophoneEvent =
  | { kind: 'microphone_ready' }
  | { kind: 'microphone_failed'; fault: MicrophoneFault }
  /** What was there has ended, or gives nothing for as long as something outside of the page keeps it muted. */
  | { kind: 'microphone_lost'; trouble: 'lost' | 'muted' }
  /** Something happened that may have brought it back: a device, a permission, time. */
  | { kind: 'microphone_due' }
  | { kind: 'microphone_retry' };

export function isTrouble(microphone: State['microphone']): microphone is MicrophoneTrouble {
  return microphone !== 'unknown' && microphone !== 'asking' && microphone !== 'granted';
}

/** What keeps the agent from being heard by this page. */
export function microphoneTrouble(state: State): MicrophoneTrouble | null {
  return isTrouble(state.microphone) && state.line !== 'elsewhere' && !state.closed ? state.microphone : null;
}

/** `registered` is the machine's own step once the line stands. */
export function handleMicrophone(state: State, event: MicrophoneEvent, registered: (state: State) => Turn): Turn {
  switch (event.kind) {
    case 'microphone_ready':
      return ready({ ...state, microphone: 'granted' }, registered);
    case 'microphone_failed':
      return failed({ ...state, microphone: event.fault }, event.fault);
    case 'microphone_lost':
      return lost({ ...state, microphone: event.trouble });
    case 'microphone_due':
      return [state, isAwaited(state) ? [{ kind: 'ask_microphone' }] : []];
    case 'microphone_retry':
      if (isAwaited(state)) return [state, [{ kind: 'ask_microphone' }]];
      return [{ ...state, step: 'microphone', microphone: 'asking', problem: null }, [{ kind: 'ask_microphone' }]];
  }
}

/** Whether it is asked for without a press: not by a page that has stopped or that has handed the softphone to another tab. */
function isAwaited(state: State): boolean {
  return microphoneTrouble(state) !== null && (state.step !== 'stopped' || isLive(state.call));
}

function ready(state: State, registered: (state: State) => Turn): Turn {
  const sent: Effect = { kind: 'use_microphone' };
  const begins = state.step === 'microphone';
  if (!begins && !(state.step === 'registering' && state.line === 'online')) return [state, [sent]];
  const next: State = { ...state, step: 'registering', problem: begins ? null : state.problem };
  if (next.line !== 'online') return [{ ...next, line: 'connecting' }, [{ kind: 'register' }]];
  const [online, effects] = registered(next);
  return [online, [sent, ...effects]];
}

/** The customer is never rung then (S11): a call that was to be placed is reported with the fault instead. */
function failed(state: State, fault: MicrophoneFault): Turn {
  const awaiting: Effect = { kind: 'await_microphone', trouble: fault };
  if (state.step !== 'microphone') return [state, [awaiting]];
  // A call that goes on without this page is told by no stream yet.
  if (isLive(state.call)) return [state, [awaiting, { kind: 'fetch_call' }]];
  return [{ ...state, step: 'stopped', problem: null }, state.wanted ? [{ kind: 'report_microphone', fault }] : []];
}

function lost(state: State): Turn {
  const cut: Effect = { kind: 'cut_microphone' };
  // Whoever muted it takes that back; for one that has ended another is looked for.
  return [state, state.microphone === 'lost' && isAwaited(state) ? [cut, { kind: 'ask_microphone' }] : [cut]];
}
