// For admins: the browser policies that spare each agent the question, and the frame in which a CRM may show the softphone.

import { useState } from 'preact/hooks';

export function AdminHelp({ origin, base }: { origin: string; base: string }) {
  const link = `${origin}${base}launch?crm_username=AGENT&api_key=KEY&to_number=NUMBER&from_number=CALLER_ID`;
  return (
    <section class="card" aria-labelledby="setup-admin">
      <h2 id="setup-admin">For administrators</h2>
      <h3>Allow the microphone for everybody</h3>
      <p>
        Chrome and Edge take the policy <code>AudioCaptureAllowedUrls</code>: agents are then never asked. <code>AutoplayAllowlist</code> lets the
        customer be heard without a click. Set both to this origin.
      </p>
      <Snippet name="Policy file (Linux, macOS profile, admin console)" text={JSON.stringify({ AudioCaptureAllowedUrls: [origin], AutoplayAllowlist: [origin] }, null, 2)} />
      <Snippet name="Windows registry" text={registry(origin)} />
      <p>Check the result at <code>chrome://policy</code> or <code>edge://policy</code>.</p>
      <h3>Show the softphone inside the CRM</h3>
      <p>The frame must pass on microphone and sound. If the CRM’s page sets a <code>Permissions-Policy</code> header, it must name this origin as well.</p>
      <Snippet name="Frame" text={`<iframe src="${link}"\n        allow="microphone; autoplay"\n        width="360" height="560" title="Softphone"></iframe>`} />
      <Snippet name="Header of the CRM’s page" text={`Permissions-Policy: microphone=(self "${origin}"), autoplay=(self "${origin}")`} />
    </section>
  );
}

function registry(origin: string): string {
  const roots = ['Google\\Chrome', 'Microsoft\\Edge'];
  const policies = ['AudioCaptureAllowedUrls', 'AutoplayAllowlist'];
  const keys = roots.flatMap(root => policies.map(policy => `[HKEY_LOCAL_MACHINE\\SOFTWARE\\Policies\\${root}\\${policy}]\n"1"="${origin}"`));
  return `Windows Registry Editor Version 5.00\n\n${keys.join('\n\n')}`;
}

function Snippet({ name, text }: { name: string; text: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(text).then(() => setCopied(true), () => setCopied(false));
  };
  return (
    <figure class="snippet">
      <figcaption>
        {name}
        {navigator.clipboard && <button type="button" class="quiet" aria-label={`${copied ? 'Copied' : 'Copy'}: ${name}`} onClick={() => void copy()}>{copied ? 'Copied' : 'Copy'}</button>}
      </figcaption>
      <pre tabIndex={0}>{text}</pre>
    </figure>
  );
}
