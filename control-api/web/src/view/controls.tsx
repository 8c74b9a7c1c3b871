// The buttons: mute, keypad, devices and hang-up while there is a call; what comes next when there is none.

import { isAnswered, isLive } from '../machine/call.ts';
import { displayNumber } from '../machine/number.ts';
import type { Softphone } from '../shell/softphone.ts';
import { Icon, type IconName } from './icon.tsx';
import type { Panel } from './phone.tsx';

interface Props {
  readonly phone: Softphone;
  readonly panel: Panel;
  readonly toggle: (panel: Panel) => void;
}

export function Controls({ phone, panel, toggle }: Props) {
  const { state } = phone;
  if (state.closed) return null;
  if (state.line === 'elsewhere') {
    return (
      <div class="next">
        <button type="button" class="primary" onClick={() => phone.dispatch({ kind: 'use_this_tab' })}>Use this tab</button>
      </div>
    );
  }
  if (isLive(state.call)) return <CallControls phone={phone} panel={panel} toggle={toggle} />;
  return <NextSteps phone={phone} panel={panel} toggle={toggle} />;
}

function CallControls({ phone, panel, toggle }: Props) {
  const { state } = phone;
  const answered = isAnswered(state.call);
  return (
    <>
      <div class="round-row" role="group" aria-label="Call controls">
        <RoundButton icon={state.muted ? 'muted' : 'microphone'} name="Mute" keys="M" pressed={state.muted} caption={state.muted ? 'Muted' : 'Mute'}
          onClick={() => phone.dispatch({ kind: 'mute_pressed' })} />
        <RoundButton icon="keypad" name="Keypad" keys="K" expanded={panel === 'keypad'} disabled={!answered} caption="Keypad" onClick={() => toggle('keypad')} />
        <RoundButton icon="devices" name="Audio devices" keys="D" expanded={panel === 'devices'} caption="Audio" onClick={() => toggle('devices')} />
        <RoundButton icon="help" name="Keyboard shortcuts" keys="?" expanded={panel === 'shortcuts'} caption="Shortcuts" onClick={() => toggle('shortcuts')} />
      </div>
      <button type="button" class="hang-up" aria-keyshortcuts="H" disabled={state.hangingUp} onClick={() => phone.dispatch({ kind: 'hang_up_pressed' })}>
        <Icon name="hangup" /> Hang up
      </button>
    </>
  );
}

interface RoundProps {
  readonly icon: IconName;
  readonly name: string;
  readonly caption: string;
  readonly keys: string;
  readonly pressed?: boolean;
  readonly expanded?: boolean;
  readonly disabled?: boolean;
  readonly onClick: () => void;
}

function RoundButton({ icon, name, caption, keys, pressed, expanded, disabled, onClick }: RoundProps) {
  return (
    <button type="button" class={`round${pressed || expanded ? ' on' : ''}`} aria-label={name} aria-pressed={pressed} aria-expanded={expanded}
      aria-keyshortcuts={keys} title={`${name} (${keys})`} disabled={disabled} onClick={onClick}>
      <span class="disc"><Icon name={icon} /></span>
      <span class="caption" aria-hidden="true">{caption}</span>
    </button>
  );
}

/** Problems that a second attempt at opening the session may mend. */
const OPEN_AGAIN = ['offline', 'unavailable', 'server'];
/** Problems after which this page can do nothing more. */
const DONE = ['insecure', 'no_webrtc', 'policy', 'no_link', 'link_used', 'session_over', 'again_refused', 'forbidden', 'number_refused', 'line_refused'];

function NextSteps({ phone, panel, toggle }: Props) {
  const { state } = phone;
  const kind = state.problem?.kind ?? null;
  const settled = state.step === 'online' || state.step === 'stopped';
  if (!settled) return null;
  const microphone = kind?.startsWith('microphone_') === true;
  const open = state.step === 'stopped' && kind !== null && OPEN_AGAIN.includes(kind);
  const call = !microphone && !open && state.step === 'online' && (kind === null || !DONE.includes(kind));
  return (
    <div class="next">
      {microphone && <button type="button" class="primary" onClick={() => phone.dispatch({ kind: 'microphone_retry' })}>Try again</button>}
      {open && <button type="button" class="primary" onClick={() => phone.dispatch({ kind: 'retry_pressed' })}>Try again</button>}
      {call && (
        <button type="button" class="primary" onClick={() => phone.dispatch({ kind: 'again_pressed' })}
          title={state.party ? displayNumber(state.party.toNumberE164 ?? state.party.toNumber) : undefined}>
          <Icon name="call" /> {state.call ? 'Call again' : 'Call'}
        </button>
      )}
      {call && (
        <button type="button" class="quiet" aria-expanded={panel === 'devices'} onClick={() => toggle('devices')}>Audio devices</button>
      )}
      {microphone && <a class="quiet" href="setup" target="_blank" rel="noreferrer">Open the setup page</a>}
      {state.party && state.step === 'online' && <button type="button" class="quiet" onClick={() => phone.dispatch({ kind: 'close_pressed' })}>Close</button>}
    </div>
  );
}
