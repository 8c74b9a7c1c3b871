// What can go wrong outside of a call's own outcome, and which HTTP answer of the session API means what. Pure.

/** Why the browser gives no microphone. */
export type MicrophoneFault = 'denied' | 'missing' | 'in_use';
/** Why nobody hears the agent: the browser's refusal, or what became of a microphone that was there. */
export type MicrophoneTrouble = MicrophoneFault | 'lost' | 'muted';

export type ProblemKind =
  | 'insecure'
  | 'no_webrtc'
  | 'policy'
  | 'no_link'
  | 'link_used'
  | 'session_over'
  | `microphone_${MicrophoneTrouble}`
  | 'choice_failed'
  | 'offline'
  | 'unavailable'
  | 'line_refused'
  | 'agent_offline'
  | 'agent_busy'
  | 'number_refused'
  | 'forbidden'
  | 'rate_limited'
  | 'again_refused'
  | 'server';

/** A problem, and the server's own sentence about it where there is one. */
export interface Problem {
  readonly kind: ProblemKind;
  readonly detail: string | null;
}

/** What was asked when the answer came; the same status means different things to them. */
export type Request = 'session' | 'renew' | 'call' | 'again' | 'other';

const CALL_CONFLICTS: Record<string, ProblemKind> = { agent_busy: 'agent_busy', agent_offline: 'agent_offline' };

/** `status` 0 stands for no answer at all. */
export function problemOf(request: Request, status: number, code: string | null, detail: string | null): Problem {
  return { kind: kindOf(request, status, code), detail };
}

function kindOf(request: Request, status: number, code: string | null): ProblemKind {
  if (status === 0) return 'offline';
  if (status === 503) return 'unavailable';
  if (status === 429) return 'rate_limited';
  if (status >= 500) return 'server';
  if (request === 'session') return status === 410 || status === 401 ? 'link_used' : status === 403 ? 'forbidden' : 'server';
  if (request === 'again' && (status === 410 || (status === 409 && !(code && code in CALL_CONFLICTS)))) return 'again_refused';
  if (status === 401 || status === 410) return 'session_over';
  if (status === 409) return (code && CALL_CONFLICTS[code]) || 'agent_offline';
  if (status === 422) return 'number_refused';
  if (status === 403) return 'forbidden';
  return 'server';
}

/** The service's detail as a sentence, without the name of the field, which means nothing to an agent. */
export function detailSentence(detail: string): string {
  const plain = detail.replace(/^\w+: /, '').replace(/[.\s]*$/, '');
  return `${plain.charAt(0).toUpperCase()}${plain.slice(1)}. `;
}

export function microphoneProblem(trouble: MicrophoneTrouble): Problem {
  return { kind: `microphone_${trouble}`, detail: null };
}

/** Faults of `getUserMedia` by the name of its DOMException (Media Capture and Streams §10.2). */
export function microphoneFault(errorName: string): MicrophoneFault {
  switch (errorName) {
    case 'NotAllowedError':
    case 'SecurityError':
    case 'PermissionDeniedError':
      return 'denied';
    case 'NotReadableError':
    case 'AbortError':
    case 'TrackStartError':
      return 'in_use';
    default:
      return 'missing';
  }
}
