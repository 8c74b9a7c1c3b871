// What the page says: a state, an outcome or a problem in plain words, each with what to do next. Pure.

import { type CallState, isAnswered, isHandedOver, isLive } from './call.ts';
import { word } from './json.ts';
import { microphoneTrouble } from './microphone.ts';
import { sceneWords } from './midcall-words.ts';
import { displayNumber } from './number.ts';
import { type Problem, type ProblemKind, detailSentence, microphoneProblem } from './problem.ts';
import type { State } from './softphone.ts';
import { MEDIA_FAULTS, type MediaFault, REASONS, type Reason } from './vocabulary.ts';

/** Colour and icon of a message; never its only meaning. */
export type Tone = 'wait' | 'ring' | 'good' | 'hold' | 'bad' | 'over';

export interface Words {
  readonly tone: Tone;
  readonly title: string;
  readonly text: string;
}

/** The one headline of the page. */
export function headline(state: State): Words {
  if (state.closed) return { tone: 'over', title: 'Softphone closed', text: 'You can leave this page.' };
  if (state.line === 'elsewhere') {
    return { tone: 'hold', title: 'Open in another tab', text: 'The newest tab has your softphone. A call goes on there.' };
  }
  if (state.supervised !== null) {
    return { tone: 'good', title: 'You are listening to a call', text: 'As a supervisor. Your role decides who hears you; mute keeps your microphone silent.' };
  }
  if (state.call && (isLive(state.call) || !isUnderWay(state))) return callWords(state, state.call);
  return stepWords(state);
}

function isUnderWay(state: State): boolean {
  return state.wanted && state.step !== 'stopped' && state.step !== 'online';
}

function stepWords(state: State): Words {
  switch (state.step) {
    case 'opening':
    case 'session':
      return { tone: 'wait', title: 'Starting', text: 'Opening your softphone.' };
    case 'microphone':
      return { tone: 'wait', title: 'Starting', text: 'If the browser asks, allow the microphone.' };
    case 'registering':
    case 'placing':
      return { tone: 'wait', title: 'Connecting you', text: 'Bringing your softphone online.' };
    case 'online':
      if (state.problem === null && microphoneTrouble(state) === null) return { tone: 'over', title: 'Ready', text: 'No call is in progress.' };
      return { tone: 'bad', title: 'Not calling', text: '' };
    case 'stopped':
      return { tone: 'bad', title: 'Not calling', text: 'Nobody was called.' };
  }
}

function callWords(state: State, call: CallState): Words {
  if (call.phase === 'ended') return endWords(call);
  if (isHandedOver(call)) return sceneWords(call.conversation) ?? endWords(call);
  if (state.hangingUp) return { tone: 'over', title: 'Hanging up', text: '' };
  const broken = state.media === 'broken' || (state.line === 'lost' && state.media !== 'flowing');
  if (broken) return { tone: 'hold', title: 'Reconnecting', text: 'Your connection was lost. The customer is held for a few seconds.' };
  if (microphoneTrouble(state) !== null && isAnswered(call)) return { tone: 'bad', title: 'You are not heard', text: '' };
  switch (call.phase) {
    case 'starting':
    case 'agent':
      return { tone: 'wait', title: 'Connecting you', text: 'The customer is rung as soon as your microphone is heard.' };
    case 'ringing':
      return { tone: 'ring', title: 'Ringing', text: 'Waiting for the customer to answer.' };
    case 'bridged':
      return sceneWords(call.conversation) ?? { tone: 'good', title: 'Talking', text: '' };
    case 'held':
      return { tone: 'hold', title: 'On hold', text: 'The customer waits and hears a tone.' };
  }
}

/** Why a call ended without a talk, by the record's `reason`. */
const REASON_TEXTS: Partial<Record<Reason, string>> = {
  declined: 'The customer declined the call.',
  invalid_number: 'This number does not exist or is incomplete. Check it in the CRM.',
  media: 'The two sides found no common audio format. Tell your administrator.',
  agent_media: 'No sound came from your microphone or your network blocks it. Open the setup page to test both.',
  agent_unreachable: 'Your softphone was not reachable. Check your network, then call again.',
  agent_busy: 'You are in another call.',
  agent_declined: 'The call was declined on your side.',
  agent_no_answer: 'Your softphone did not answer. Call again.',
  trunk_timeout: 'The telephone network did not answer. Call again in a minute.',
  trunk_rejected: 'The telephone network refused the call. Tell your administrator.',
  trunk_unregistered: 'The telephone network is not connected. Tell your administrator.',
  trunk_unreachable: 'The telephone network is not reached. Call again in a minute.',
  trunk_unresolved: 'The telephone network is not found. Tell your administrator.',
  trunk_interface: 'The telephone network is set up wrongly. Tell your administrator.',
  system: 'The service had to end the call. Call again in a minute.',
  no_media: 'No sound arrived for too long.',
};

/** The outcome of a call. */
export function endWords(call: CallState): Words {
  const known = word(call.reason, REASONS);
  const reason = (known && REASON_TEXTS[known]) ?? null;
  switch (call.status) {
    case 'ANSWER':
      return { tone: 'over', title: 'Call ended', text: answeredText(call) };
    case 'BUSY':
      return call.reason === 'declined'
        ? { tone: 'bad', title: 'Declined', text: 'The customer declined the call.' }
        : { tone: 'bad', title: 'Busy', text: 'The customer is in another call. Try again later.' };
    case 'NO_ANSWER':
      return { tone: 'bad', title: 'No answer', text: 'The customer did not pick up.' };
    case 'CANCELED':
      return { tone: 'over', title: 'Canceled', text: 'The call ended before the customer answered.' };
    case 'FAILED':
      return { tone: 'bad', title: 'Call failed', text: soundText(call) ?? reason ?? unknownText(call) };
    case null:
      return { tone: 'over', title: 'Call ended', text: reason ?? '' };
  }
}

function answeredText(call: CallState): string {
  if (call.reason === 'no_media') return 'The call ended because no sound arrived for too long.';
  if (call.reason === 'agent_lost') return 'Your connection did not come back in time.';
  if (call.hangupBy === 'agent') return 'You hung up.';
  if (call.hangupBy === 'customer') return 'The customer hung up.';
  if (call.hangupBy === 'participant') return 'The person whom you connected hung up.';
  return '';
}

function soundText(call: CallState): string | null {
  if (call.reason !== 'agent_media') return null;
  const fault = word(call.detail, MEDIA_FAULTS);
  return fault && FAULT_TEXTS[fault];
}

function unknownText(call: CallState): string {
  const code = call.sipCode === null ? '' : ` (code ${call.sipCode})`;
  return `The call could not be placed${code}. Call again, or tell your administrator.`;
}

/** Problems of which the server's sentence helps the agent. */
const TOLD: readonly ProblemKind[] = ['number_refused', 'forbidden', 'agent_busy', 'server'];

interface Advice {
  readonly title: string;
  readonly text: string;
}

const CLICK_AGAIN = 'Click Dial in your CRM again.';

const PROBLEMS: Record<ProblemKind, Advice> = {
  insecure: { title: 'This page is not secure', text: 'Browsers give the microphone to https pages only. Ask your administrator to use an https link.' },
  no_webrtc: { title: 'This browser cannot call', text: 'Use a current Chrome, Edge, Firefox or Safari.' },
  policy: {
    title: 'The CRM blocks the microphone',
    text: 'Its frame does not pass the microphone on. Ask your CRM administrator to add allow="microphone; autoplay" to the iframe, or open the softphone in its own window.',
  },
  no_link: { title: 'No call to place', text: `This page is opened by a Dial button. ${CLICK_AGAIN}` },
  link_used: { title: 'This link was used or is too old', text: `Each link works once, for one minute. ${CLICK_AGAIN}` },
  session_over: { title: 'Your session is over', text: CLICK_AGAIN },
  microphone_denied: {
    title: 'The microphone is not allowed',
    text: 'Click the icon beside the address and allow the microphone for this site.',
  },
  microphone_missing: { title: 'No microphone found', text: 'Plug in a headset or microphone.' },
  microphone_in_use: {
    title: 'The microphone is in use',
    text: 'Another program holds it. Close other calls and meeting programs.',
  },
  microphone_lost: { title: 'Your microphone is gone', text: 'Another one is looked for. If the browser asks, allow it.' },
  microphone_muted: { title: 'Your microphone is switched off', text: 'Not by this page, but by the system, the browser or the headset: switch it on there.' },
  choice_failed: { title: 'That microphone cannot be used', text: 'The one you had goes on.' },
  offline: { title: 'No connection to the service', text: 'Check your network. The softphone tries again by itself.' },
  unavailable: { title: 'The service is not available', text: 'It may be restarting. Try again in a minute.' },
  line_refused: { title: 'Your softphone was not let in', text: `The service refused its registration. ${CLICK_AGAIN}` },
  agent_offline: { title: 'Your softphone is not online yet', text: 'Wait a moment, then call again.' },
  agent_busy: { title: 'You are in another call', text: 'End it first, then call again.' },
  number_refused: { title: 'This number cannot be called', text: 'Check the number in the CRM.' },
  forbidden: { title: 'The call was refused', text: 'Tell your administrator.' },
  rate_limited: { title: 'Too many calls at once', text: 'Wait a moment, then call again.' },
  again_refused: { title: 'This link is done', text: CLICK_AGAIN },
  server: { title: 'Something went wrong', text: 'Try again in a minute. If it stays, tell your administrator.' },
};

/** What was wrong with the agent's sound, by the record's `detail` with `agent_media`. */
const FAULT_TEXTS: Record<MediaFault, string> = {
  microphone_denied: PROBLEMS.microphone_denied.text,
  microphone_missing: PROBLEMS.microphone_missing.text,
  microphone_in_use: PROBLEMS.microphone_in_use.text,
  no_candidates: 'Your browser found no network for calls. Check the network and VPN, then call again.',
  no_path: 'Your network lets no sound of calls through. Use another network, or ask your administrator to open UDP to the service.',
  no_dtls: 'Something in your network cut off the encryption of the call. Use another network, or tell your administrator.',
  no_audio: 'No sound came from your microphone. Open the setup page to test it.',
};

/** Title and advice for a problem, with the server's own sentence where it knows more than the page does. */
export function problemWords(problem: Problem, state: State): Advice {
  const { title, text } = PROBLEMS[problem.kind];
  const told = TOLD.includes(problem.kind) && problem.detail ? detailSentence(problem.detail) : '';
  return { title, text: told + text + (problem.kind.startsWith('microphone_') ? unheardText(state) : '') };
}

/** What it means that there is no microphone. */
function unheardText(state: State): string {
  if (isAnswered(state.call) || state.supervised !== null) return ' You are heard again as soon as it is back. Until then who talks to you hears a tone.';
  if (isLive(state.call) || state.step === 'online') return ' It is used as soon as it is there.';
  return state.step === 'stopped' ? ' Then try again. The customer was not called.' : ' Then try again.';
}

/** All that is wrong, first what keeps the agent from being heard. */
export function problemsOf(state: State): readonly Problem[] {
  const trouble = microphoneTrouble(state);
  const microphone = trouble === null ? [] : [microphoneProblem(trouble)];
  return state.problem === null ? microphone : [...microphone, state.problem];
}

/** What a click did not do, when the agent or the number was already in a call. */
export function conflictWords(state: State): string | null {
  if (state.conflict === null || state.call === null) return null;
  const inCall = displayNumber(state.call.toNumber);
  if (state.conflict === 'double_click') return `This call was already placed: one click is enough.`;
  return `You are still in a call with ${inCall}. ${displayNumber(state.party?.toNumberE164 ?? state.party?.toNumber ?? 'The new number')} was not called.`;
}

/** One sentence for the live region, so that a screen reader says what changed and nothing twice. */
export function announcement(state: State): string {
  const words = headline(state);
  const problems = problemsOf(state).map(problem => problemWords(problem, state));
  if (problems.length === 0) return `${words.title}. ${words.text}`.trim();
  return `${words.title}. ${problems.map(({ title, text }) => `${title}. ${text}`).join(' ')}`;
}
