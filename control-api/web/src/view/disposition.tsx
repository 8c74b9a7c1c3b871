// What became of the call, for the record: one press for the outcomes that the account offers, or words of the agent's own.

import { useEffect, useState } from 'preact/hooks';
import { type CallState, dispositionName } from '../machine/call.ts';
import type { Softphone } from '../shell/softphone.ts';

/** What a record has before anybody chose. */
const DEFAULT = 'CRM_CALL';
const LEN_MAX = 64;

export function Disposition({ phone, call }: { phone: Softphone; call: CallState }) {
  const choices = phone.state.party?.dispositions ?? [];
  const own = call.disposition !== DEFAULT && !choices.includes(call.disposition) ? call.disposition : '';
  const [text, setText] = useState(own);
  const [outcome, setOutcome] = useState<'saving' | 'saved' | 'failed' | null>(null);
  useEffect(() => {
    setText(own);
    setOutcome(null);
  }, [call.callId]);

  const save = async (disposition: string): Promise<void> => {
    setOutcome('saving');
    try {
      await phone.setDisposition(call.callId, disposition);
      setOutcome('saved');
    } catch {
      setOutcome('failed');
    }
  };
  const submit = (event: Event): void => {
    event.preventDefault();
    if (text.trim()) void save(text.trim());
  };

  return (
    <section class="card disposition" aria-label="Disposition">
      <h2>Disposition <Outcome outcome={outcome} /></h2>
      <div class="chips" role="group" aria-label="Usual outcomes">
        {choices.map(value => (
          <button type="button" key={value} class="chip" aria-pressed={call.disposition === value} onClick={() => void save(value)}>{dispositionName(value)}</button>
        ))}
      </div>
      <form class="own" onSubmit={submit}>
        <input type="text" aria-label="Other disposition" placeholder="Other" maxLength={LEN_MAX} value={text} onInput={event => setText(event.currentTarget.value)} />
        <button type="submit" class="quiet" disabled={!text.trim() || text.trim() === call.disposition}>Save</button>
      </form>
    </section>
  );
}

function Outcome({ outcome }: { outcome: 'saving' | 'saved' | 'failed' | null }) {
  const text = outcome === 'saved' ? 'Saved' : outcome === 'saving' ? 'Saving' : outcome === 'failed' ? 'Not saved: try again' : '';
  return <span class={`outcome ${outcome ?? ''}`} role="status">{text}</span>;
}
