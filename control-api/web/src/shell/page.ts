// The page itself: its address, its visibility, what it was given, what it keeps over a reload, and whether this browser can call at all.

import { type Launch, type Party, launchedAccount, parseLaunch } from '../machine/call.ts';
import type { Problem } from '../machine/problem.ts';

const STORED = 'dialer.session';

/** What a reload comes back with. */
export interface Stored {
  readonly secret: string;
  readonly party: Party;
}

/** The first act: the address loses the key, so that neither history nor a referrer nor a glance keeps it. By the account the server knows whose frames a reload may stand in. */
export function cleanAddress(base: string): void {
  const account = launchedAccount(launchData().text) ?? new URLSearchParams(location.search).get('account');
  history.replaceState(null, '', account ? `${base}call?account=${encodeURIComponent(account)}` : `${base}call`);
}

/** What the server wrote into the page. */
export function launchData(): { text: string; launch: Launch | null } {
  const text = document.getElementById('launch')?.textContent?.trim() ?? '';
  return { text, launch: text ? parseLaunch(text) : null };
}

/** Storage may be forbidden inside a CRM's frame; a reload cannot come back then, everything else works. */
export function loadSession(): Stored | null {
  try {
    const stored = JSON.parse(sessionStorage.getItem(STORED) ?? 'null') as Partial<Stored> | null;
    return stored && typeof stored.secret === 'string' && stored.party ? { secret: stored.secret, party: stored.party } : null;
  } catch {
    return null;
  }
}

export function storeSession(stored: Stored | null): void {
  try {
    if (stored) sessionStorage.setItem(STORED, JSON.stringify(stored));
    else sessionStorage.removeItem(STORED);
  } catch {
    // See `loadSession`.
  }
}

interface PrerenderingDocument extends Document {
  readonly prerendering?: boolean;
}

/** Resolves when the page is shown to somebody: a prefetched, prerendered or background page places no call. */
export function whenVisible(): Promise<void> {
  const shown = (): boolean => document.visibilityState === 'visible' && !(document as PrerenderingDocument).prerendering;
  return new Promise(resolve => {
    const look = (): void => {
      if (!shown()) return;
      document.removeEventListener('visibilitychange', look);
      document.removeEventListener('prerenderingchange', look);
      resolve();
    };
    document.addEventListener('visibilitychange', look);
    document.addEventListener('prerenderingchange', look);
    look();
  });
}

interface PolicyDocument extends Document {
  readonly permissionsPolicy?: { allowsFeature(name: string): boolean };
  readonly featurePolicy?: { allowsFeature(name: string): boolean };
}

/** Whether the frame around this page keeps the microphone from it. */
export function policyBlocksMicrophone(): boolean {
  const { permissionsPolicy, featurePolicy } = document as PolicyDocument;
  const policy = permissionsPolicy ?? featurePolicy;
  return policy !== undefined && !policy.allowsFeature('microphone');
}

/** What stands in the way of any call here. */
export function obstacle(): Problem | null {
  if (!window.isSecureContext) return { kind: 'insecure', detail: null };
  if (typeof RTCPeerConnection === 'undefined' || !navigator.mediaDevices?.getUserMedia) return { kind: 'no_webrtc', detail: null };
  if (policyBlocksMicrophone()) return { kind: 'policy', detail: null };
  return null;
}
