// The softphone's page: who is called, how the call stands, and what the agent can do about it.

import { useEffect, useState } from 'preact/hooks';
import { isAnswered, isLive } from '../machine/call.ts';
import { displayNumber, spokenNumber } from '../machine/number.ts';
import { announcement, conflictWords, headline } from '../machine/words.ts';
import type { Softphone } from '../shell/softphone.ts';
import { Controls } from './controls.tsx';
import { DevicePanel } from './devices.tsx';
import { Disposition } from './disposition.tsx';
import { Icon } from './icon.tsx';
import { Keypad } from './keypad.tsx';
import { LevelMeter } from './level.tsx';
import { Notices } from './notices.tsx';
import { QualityLine } from './quality.tsx';
import { Shortcuts, useShortcuts } from './shortcuts.tsx';
import { Timer } from './timer.tsx';

export type Panel = 'keypad' | 'devices' | 'shortcuts' | null;

export function Phone({ phone }: { phone: Softphone }) {
  const { state } = phone;
  const [panel, setPanel] = useState<Panel>(null);
  const [digits, setDigits] = useState('');
  const toggle = (wanted: Panel): void => setPanel(current => (current === wanted ? null : wanted));
  const press = (digit: string): void => {
    if (phone.sendDigits(digit)) setDigits(sent => (sent + digit).slice(-24));
  };
  const armed = useShortcuts(phone, press, toggle);
  const answered = isAnswered(state.call);
  const live = isLive(state.call);
  const here = state.line !== 'elsewhere';
  useEffect(() => {
    if (!answered) setPanel(current => (current === 'keypad' ? null : current));
    if (!live) setDigits('');
  }, [answered, live]);
  // A call that failed for want of a microphone reached nobody: there is nothing to say about it.
  const unheard = !answered && state.problem?.kind.startsWith('microphone_') === true;
  const words = headline(state);
  useEffect(() => {
    document.title = state.party ? `${words.title} – ${displayNumber(calledNumber(phone))}` : 'Softphone';
  });

  return (
    <main class={`phone tone-${words.tone}`}>
      <TopBar phone={phone} />
      <section class="card" aria-label="Call">
        {state.party && <Called phone={phone} />}
        <div class="state">
          <span class="badge"><Icon name={words.tone} /> {words.title}</span>
          {answered && here && state.talkingSince !== null && <Timer since={state.talkingSince} />}
          {!live && state.call?.status === 'ANSWER' && <Timer seconds={state.call.duration} />}
        </div>
        {words.text && !(state.problem && state.step === 'stopped') && <p class="explain">{words.text}</p>}
        <p class="unseen" role="status" aria-live="polite">{announcement(state)} {conflictWords(state)}</p>
        <Notices phone={phone} armed={armed} />
        {live && here && (
          <div class="gauges">
            <LevelMeter level={() => phone.level()} muted={state.muted} />
            {phone.quality && state.media === 'flowing' && <QualityLine quality={phone.quality} />}
          </div>
        )}
        <Controls phone={phone} panel={panel} toggle={toggle} />
        {panel === 'keypad' && answered && <Keypad press={press} sent={digits} />}
        {panel === 'devices' && <DevicePanel phone={phone} />}
        {panel === 'shortcuts' && <Shortcuts />}
      </section>
      {state.call && !state.closed && here && !unheard && (answered || !live) && <Disposition phone={phone} call={state.call} />}
    </main>
  );
}

function calledNumber({ state }: Softphone): string {
  if (isLive(state.call) && state.call.toNumber) return state.call.toNumber;
  return state.party?.toNumberE164 ?? state.party?.toNumber ?? '';
}

function TopBar({ phone: { state } }: { phone: Softphone }) {
  const recording = isAnswered(state.call) && state.call.recording && state.line !== 'elsewhere';
  return (
    <header class="top">
      <span class="brand">{state.party?.account ?? 'Softphone'}</span>
      {recording && <span class="recording"><span class="dot" aria-hidden="true" /> Recording</span>}
      {state.party && <LineMark line={state.line} agent={state.party.agentName ?? state.party.agent} />}
    </header>
  );
}

const LINES = { none: 'offline', connecting: 'connecting', online: 'online', lost: 'reconnecting', elsewhere: 'in another tab' } as const;

function LineMark({ line, agent }: { line: keyof typeof LINES; agent: string }) {
  return (
    <span class={`line line-${line}`} title={`${agent} is ${LINES[line]}`}>
      <span class="dot" aria-hidden="true" /> {agent} <span class="unseen">is {LINES[line]}</span>
    </span>
  );
}

function Called({ phone }: { phone: Softphone }) {
  const { state } = phone;
  const number = calledNumber(phone);
  const from = (isLive(state.call) && state.call.fromNumber) || state.party?.fromNumber || '';
  return (
    <div class="called">
      <h1>
        <span aria-hidden="true">{displayNumber(number)}</span>
        <span class="unseen">Call to {spokenNumber(number)}</span>
      </h1>
      <p>
        <span aria-hidden="true">from {displayNumber(from)}</span>
        <span class="unseen">from {spokenNumber(from)}</span>
      </p>
    </div>
  );
}
