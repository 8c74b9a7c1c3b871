// The softphone's page: who is called, how the call stands, and what the agent can do about it.

import { useEffect, useState } from 'preact/hooks';
import { isAnswered, isLive } from '../machine/call.ts';
import { newcomer, sceneOf } from '../machine/conversation.ts';
import { isMuted } from '../machine/midcall.ts';
import { spokenChanges } from '../machine/midcall-words.ts';
import { microphoneTrouble } from '../machine/microphone.ts';
import { displayNumber, spokenNumber } from '../machine/number.ts';
import { announcement, conflictWords, headline, problemsOf } from '../machine/words.ts';
import { digitsParty, listeners } from '../machine/verbs.ts';
import type { Softphone } from '../shell/softphone.ts';
import { AddPerson } from './add-person.tsx';
import { Consultation } from './consultation.tsx';
import { Controls } from './controls.tsx';
import { DevicePanel } from './devices.tsx';
import { Disposition } from './disposition.tsx';
import { Icon } from './icon.tsx';
import { Keypad } from './keypad.tsx';
import { LevelMeter } from './level.tsx';
import { Notices } from './notices.tsx';
import { People } from './people.tsx';
import { QualityLine } from './quality.tsx';
import { Shortcuts, useShortcuts } from './shortcuts.tsx';
import { Timer } from './timer.tsx';

export type Panel = 'keypad' | 'add' | 'devices' | 'shortcuts' | null;

export function Phone({ phone }: { phone: Softphone }) {
  const { state } = phone;
  const [panel, setPanel] = useState<Panel>(null);
  const keys = useKeys(phone);
  const toggle = (wanted: Panel): void => setPanel(current => (current === wanted ? null : wanted));
  const armed = useShortcuts(phone, keys.press, toggle, () => setPanel(null));
  const answered = isAnswered(state.call);
  const live = isLive(state.call);
  const here = state.line !== 'elsewhere';
  useEffect(() => {
    if (!answered) setPanel(current => (current === 'keypad' || current === 'add' ? null : current));
  }, [answered]);
  // A call that failed for want of a microphone reached nobody: there is nothing to say about it.
  const unheard = state.step === 'stopped' && state.problem === null && microphoneTrouble(state) !== null;
  const words = headline(state);
  // The box of the second number says it.
  const told = live && here && ['dialing', 'consulting'].includes(sceneOf(state.call?.conversation ?? null));
  useEffect(() => {
    document.title = state.party && state.supervised === null ? `${words.title} – ${displayNumber(calledNumber(phone))}` : state.supervised === null ? 'Softphone' : words.title;
  });

  return (
    <main class={`phone tone-${words.tone}`}>
      <TopBar phone={phone} />
      <section class="card" aria-label="Call" id="call" tabIndex={-1}>
        {state.party && state.supervised === null && <Called phone={phone} />}
        <div class="state">
          <span class="badge"><Icon name={words.tone} /> {words.title}</span>
          {answered && here && state.talkingSince !== null && <Timer since={state.talkingSince} />}
          {!live && state.supervised === null && state.call?.status === 'ANSWER' && <Timer seconds={state.call.duration} />}
        </div>
        {words.text && !told && !(state.step === 'stopped' && problemsOf(state).length > 0) && <p class="explain">{words.text}</p>}
        <p class="unseen" role="status" aria-live="polite">{announcement(state)} {conflictWords(state)}</p>
        <p class="unseen" role="status" aria-live="polite">{here ? spokenChanges(state.midcall, state.call?.conversation ?? null, spokenNumber) : ''}</p>
        <Notices phone={phone} armed={armed} />
        {(live || state.supervised !== null) && here && (
          <div class="gauges">
            <LevelMeter level={() => phone.level()} muted={isMuted(state)} />
            {phone.quality && state.media === 'flowing' && <QualityLine quality={phone.quality} />}
          </div>
        )}
        {live && here && <Consultation phone={phone} />}
        <Controls phone={phone} panel={panel} toggle={toggle} />
        {panel === 'keypad' && answered && here && <Keypad {...keys} />}
        {panel === 'add' && answered && here && <AddPerson phone={phone} close={() => setPanel(null)} />}
        {panel === 'devices' && <DevicePanel phone={phone} />}
        {panel === 'shortcuts' && <Shortcuts />}
      </section>
      {here && <People phone={phone} />}
      {state.call && state.supervised === null && !state.closed && here && !unheard && (answered || !live) && <Disposition phone={phone} call={state.call} />}
    </main>
  );
}

/** Whom the keypad's digits go to, which were sent, and which wait for the service. */
function useKeys(phone: Softphone) {
  const { call, midcall } = phone.state;
  const conversation = call?.conversation ?? null;
  const [chosen, choose] = useState<string | null>(null);
  const consulted = newcomer(conversation)?.party ?? null;
  // A new consultation is whom the next digits are meant for.
  useEffect(() => choose(null), [consulted, call?.callId]);
  const members = listeners(conversation);
  const target = (): string => {
    const now = phone.state.call?.conversation ?? null;
    return chosen !== null && listeners(now).some(({ party }) => party === chosen) ? chosen : digitsParty(now);
  };
  return {
    members,
    party: target(),
    choose,
    sent: midcall.sentDigits,
    waiting: midcall.asked.map(({ verb }) => (verb.verb === 'dtmf' ? verb.digits : '')).join(''),
    press: (digit: string): void => phone.dispatch({ kind: 'verb_pressed', verb: { verb: 'dtmf', digits: digit, party: target() } }),
  };
}

function calledNumber({ state }: Softphone): string {
  if (isLive(state.call) && state.call.toNumber) return state.call.toNumber;
  return state.party?.toNumberE164 ?? state.party?.toNumber ?? '';
}

function TopBar({ phone: { state } }: { phone: Softphone }) {
  const shown = isAnswered(state.call) && state.line !== 'elsewhere' ? state.call : null;
  const recording = shown?.conversation?.recording ?? (shown?.recording ? 'running' : 'off');
  return (
    <header class="top">
      <span class="brand">{state.party?.account ?? 'Softphone'}</span>
      {recording === 'running' && <span class="recording"><span class="dot" aria-hidden="true" /> Recording</span>}
      {recording === 'paused' && <span class="recording paused"><Icon name="hold" /> Recording paused</span>}
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
