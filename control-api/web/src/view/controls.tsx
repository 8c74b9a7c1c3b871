// The buttons: mute, hold, keypad, a second number, recording, devices and hang-up while there is a call; what comes next when there is none.

import { isAnswered, isLive } from '../machine/call.ts';
import { isAsked, isMuted } from '../machine/midcall.ts';
import { refusalWords } from '../machine/midcall-words.ts';
import { microphoneTrouble } from '../machine/microphone.ts';
import { displayNumber } from '../machine/number.ts';
import { type Verb, holdVerb, recordingVerb, whyNot } from '../machine/verbs.ts';
import type { Softphone } from '../shell/softphone.ts';
import { useHandOn } from './focus.ts';
import { Icon, type IconName } from './icon.tsx';
import { TryAgain } from './notices.tsx';
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
  if (state.supervised !== null) return <SupervisorControls phone={phone} panel={panel} toggle={toggle} />;
  if (isLive(state.call)) return <CallControls phone={phone} panel={panel} toggle={toggle} />;
  return <NextSteps phone={phone} panel={panel} toggle={toggle} />;
}

function CallControls({ phone, panel, toggle }: Props) {
  const { state } = phone;
  const part = useHandOn<HTMLDivElement>('#call');
  const conversation = state.call?.conversation ?? null;
  const hold = holdVerb(conversation);
  const record = recordingVerb(conversation);
  const recording = conversation?.recording ?? 'off';
  const add = whyNot(ADD, conversation);
  return (
    <div ref={part} class="call-controls">
      <div class="rounds" role="group" aria-label="Call controls">
        <MuteButton phone={phone} />
        <VerbRound phone={phone} verb={hold} icon={hold.verb === 'hold' ? 'hold' : 'resume'} name={hold.verb === 'hold' ? 'Hold' : 'Resume'} keys="O" lit={hold.verb === 'resume'} />
        <RoundButton icon="keypad" name="Keypad" keys="K" expanded={panel === 'keypad'} why={isAnswered(state.call) ? null : refusalWords('not_talking')}
          onClick={() => isAnswered(state.call) && toggle('keypad')} />
        <RoundButton id="add-person" icon="add" name="Add person" caption="Add" keys="A" expanded={panel === 'add'} why={add && refusalWords(add)} onClick={() => openAdd(phone, toggle)} />
      </div>
      <div class="rounds minor" role="group" aria-label="More controls">
        <VerbRound phone={phone} verb={record} icon={recording === 'running' ? 'pause_recording' : 'record'} keys="R"
          name={{ off: 'Start recording', running: 'Pause recording', paused: 'Resume recording' }[recording]} />
        <DevicesButton panel={panel} toggle={toggle} />
        <ShortcutsButton panel={panel} toggle={toggle} />
      </div>
      <HangUp text="Hang up" busy={state.hangingUp} press={() => phone.dispatch({ kind: 'hang_up_pressed' })} />
    </div>
  );
}

/** Always in view, however much there is to say above it. */
function HangUp({ text, busy, press }: { text: string; busy: boolean; press: () => void }) {
  return (
    <div class="last-word">
      <button type="button" class="hang-up" aria-keyshortcuts="H H" aria-disabled={busy} onClick={press}><Icon name="hangup" /> {text}</button>
    </div>
  );
}

/** Stands for any way of adding a person: they are possible and not possible together. */
const ADD: Verb = { verb: 'add', toNumber: '', flow: 'consult' };

/** Opens the panel for a number, or says why none can be added now. */
export function openAdd(phone: Softphone, toggle: (panel: Panel) => void): void {
  if (whyNot(ADD, phone.state.call?.conversation ?? null)) phone.dispatch({ kind: 'verb_pressed', verb: ADD });
  else toggle('add');
}

/** Somebody else's call, to which the service called the agent. */
function SupervisorControls({ phone, panel, toggle }: Props) {
  const part = useHandOn<HTMLDivElement>('#call');
  return (
    <div ref={part} class="call-controls">
      <div class="rounds minor" role="group" aria-label="Call controls">
        <MuteButton phone={phone} />
        <DevicesButton panel={panel} toggle={toggle} />
        <ShortcutsButton panel={panel} toggle={toggle} />
      </div>
      <HangUp text="Leave" busy={false} press={() => phone.dispatch({ kind: 'leave_pressed' })} />
    </div>
  );
}

function MuteButton({ phone }: { phone: Softphone }) {
  const muted = isMuted(phone.state);
  return (
    <RoundButton icon={muted ? 'muted' : 'microphone'} name="Mute" keys="M" pressed={muted}
      busy={isAsked(phone.state, ({ verb }) => verb === 'mute' || verb === 'unmute')} onClick={() => phone.dispatch({ kind: 'mute_pressed' })} />
  );
}

function DevicesButton({ panel, toggle }: Pick<Props, 'panel' | 'toggle'>) {
  return <RoundButton icon="devices" name="Audio devices" keys="D" expanded={panel === 'devices'} caption="Audio" onClick={() => toggle('devices')} />;
}

function ShortcutsButton({ panel, toggle }: Pick<Props, 'panel' | 'toggle'>) {
  return <RoundButton icon="help" name="Keyboard shortcuts" keys="?" expanded={panel === 'shortcuts'} caption="Shortcuts" onClick={() => toggle('shortcuts')} />;
}

interface VerbRoundProps extends Pick<RoundProps, 'icon' | 'name' | 'keys'> {
  readonly phone: Softphone;
  readonly verb: Verb;
  readonly lit?: boolean;
}

function VerbRound({ phone, verb, icon, name, keys, lit }: VerbRoundProps) {
  const why = whyNot(verb, phone.state.call?.conversation ?? null);
  const busy = isAsked(phone.state, other => other.verb === verb.verb);
  return (
    <RoundButton icon={icon} name={name} keys={keys} lit={lit === true} why={why && refusalWords(why)} busy={busy}
      onClick={() => phone.dispatch({ kind: 'verb_pressed', verb })} />
  );
}

interface RoundProps {
  readonly id?: string;
  readonly icon: IconName;
  readonly name: string;
  readonly caption?: string;
  readonly keys: string;
  /** Of a button that is on or off under the same name. */
  readonly pressed?: boolean;
  /** Shown as on, where the name says what the next press does. */
  readonly lit?: boolean;
  readonly expanded?: boolean;
  /** Why it does nothing now. */
  readonly why?: string | null;
  /** Its verb waits for the service. */
  readonly busy?: boolean;
  readonly onClick: () => void;
}

/** Keeps the keyboard's place also while it does nothing. */
function RoundButton({ id, icon, name, caption, keys, pressed, lit, expanded, why, busy, onClick }: RoundProps) {
  return (
    <button type="button" id={id} class={`round${pressed || lit || expanded ? ' on' : ''}${busy ? ' busy' : ''}`} aria-label={name} aria-pressed={pressed} aria-expanded={expanded}
      aria-keyshortcuts={keys} title={why ?? `${name} (${keys})`} aria-disabled={Boolean(why)} aria-busy={busy} onClick={onClick}>
      <span class="disc"><Icon name={icon} /></span>
      <span class="caption" aria-hidden="true">{caption ?? name}</span>
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
  const microphone = kind === null && microphoneTrouble(state) !== null;
  const open = state.step === 'stopped' && kind !== null && OPEN_AGAIN.includes(kind);
  const call = !microphone && !open && state.step === 'online' && (kind === null || !DONE.includes(kind));
  return (
    <div class="next">
      {microphone && <TryAgain phone={phone} />}
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
      {microphone && <a class="quiet" href="setup" target="_blank" rel="opener">Open the setup page</a>}
      {state.party && state.step === 'online' && <button type="button" class="quiet" onClick={() => phone.dispatch({ kind: 'close_pressed' })}>Close</button>}
    </div>
  );
}
