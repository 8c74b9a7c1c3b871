// The setup page and the softphone that opened it: the one asks for the session, so that it can be called for a test, and gives the softphone
// back when it is done. Both are pages of one origin; nobody else is listened to.

interface Told {
  readonly softphone: 'wanted' | 'given_back' | 'session';
  readonly secret: string | null;
}

const WAIT_MS = 800;

function isTold(data: unknown): data is Told {
  return typeof data === 'object' && data !== null && 'softphone' in data;
}

/** The softphone's side: gives its session, and hears when it may have its line back. */
export function serveOpened(secret: () => string | null, back: () => void): void {
  window.addEventListener('message', event => {
    if (event.origin !== location.origin || !isTold(event.data)) return;
    if (event.data.softphone === 'wanted') event.source?.postMessage({ softphone: 'session', secret: secret() } satisfies Told, { targetOrigin: location.origin });
    if (event.data.softphone === 'given_back') back();
  });
}

/** The setup page's side: the session of the softphone that opened it, if one did. */
export function askOpener(): Promise<string | null> {
  const opener = window.opener as Window | null;
  if (!opener) return Promise.resolve(null);
  return new Promise(resolve => {
    const finish = (secret: string | null): void => {
      clearTimeout(timer);
      window.removeEventListener('message', listen);
      resolve(secret);
    };
    const listen = (event: MessageEvent): void => {
      if (event.origin === location.origin && event.source === opener && isTold(event.data) && event.data.softphone === 'session') finish(event.data.secret);
    };
    const timer = setTimeout(() => finish(null), WAIT_MS);
    window.addEventListener('message', listen);
    opener.postMessage({ softphone: 'wanted', secret: null } satisfies Told, location.origin);
  });
}

export function giveBack(): void {
  (window.opener as Window | null)?.postMessage({ softphone: 'given_back', secret: null } satisfies Told, location.origin);
}
