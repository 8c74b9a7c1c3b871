// What the setup page tests besides the devices: the way to the service by HTTP and, where the server names its address, by WebSocket.

export interface PathResult {
  readonly ok: boolean;
  readonly text: string;
}

const TIMEOUT_MS = 6_000;

/** The server's softphone address, from the page's data. */
export function setupSipUrl(text: string): string | null {
  try {
    const url: unknown = (JSON.parse(text) as { sip_url?: unknown }).sip_url;
    return typeof url === 'string' && /^wss?:\/\//.test(url) ? url : null;
  } catch {
    return null;
  }
}

export async function testHttp(base: string): Promise<PathResult> {
  const start = performance.now();
  try {
    const response = await fetch(`${base}setup`, { cache: 'no-store', credentials: 'omit', signal: AbortSignal.timeout(TIMEOUT_MS) });
    const ms = Math.round(performance.now() - start);
    return response.ok ? { ok: true, text: `The service answered in ${ms} ms.` } : { ok: false, text: `The service answered with status ${response.status}.` };
  } catch {
    return { ok: false, text: 'The service did not answer. Check the network, a proxy or a firewall.' };
  }
}

export function testWebSocket(url: string): Promise<PathResult> {
  return new Promise(resolve => {
    const start = performance.now();
    const failed = { ok: false, text: `No WebSocket to ${url}. A proxy or firewall may block it, or its certificate is not trusted.` };
    let socket: WebSocket;
    try {
      socket = new WebSocket(url, 'sip');
    } catch {
      return resolve(failed);
    }
    const finish = (result: PathResult): void => {
      clearTimeout(timer);
      socket.onopen = socket.onclose = null;
      socket.close();
      resolve(result);
    };
    const timer = setTimeout(() => finish(failed), TIMEOUT_MS);
    socket.onopen = () => finish({ ok: true, text: `The call line opened in ${Math.round(performance.now() - start)} ms.` });
    socket.onclose = () => finish(failed);
  });
}
