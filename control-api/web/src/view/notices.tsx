// What needs the agent's attention beside the call itself: who waits on hold, problems, refusals, a click that placed no call, silence that a
// click ends.

import { isLive } from '../machine/call.ts';
import { holdBanner, noticeWords } from '../machine/midcall-words.ts';
import { isInCall } from '../machine/softphone.ts';
import { conflictWords, problemWords, problemsOf } from '../machine/words.ts';
import type { Softphone } from '../shell/softphone.ts';
import { useHandOn } from './focus.ts';
import { Icon } from './icon.tsx';
import type { Armed } from './shortcuts.tsx';

const ARMED = { h: 'hang up', t: 'transfer the call and leave it', x: 'hang up the second number' } as const;

export function Notices({ phone, armed }: { phone: Softphone; armed: Armed }) {
  const { state } = phone;
  const here = state.line !== 'elsewhere';
  const problems = here ? problemsOf(state) : [];
  const inCall = isInCall(state);
  const conflict = conflictWords(state);
  const quietlyLost = isLive(state.call) && state.line === 'lost' && state.media === 'flowing';
  const hold = here && isLive(state.call) ? holdBanner(state.call.conversation, state.midcall.holder) : null;
  return (
    <>
      {hold && <div class="notice hold-banner"><Icon name="hold" /><p><strong>{hold.title}</strong> {hold.text}</p></div>}
      {problems.map(problem => {
        const { title, text } = problemWords(problem, state);
        return (
          <div key={problem.kind} class="notice bad">
            <Icon name="alert" />
            <p><strong>{title}</strong> {text}</p>
            {inCall && problem.kind.startsWith('microphone_') && <TryAgain phone={phone} />}
          </div>
        );
      })}
      {here && state.midcall.notice && <MidcallNotice phone={phone} />}
      {conflict && <div class="notice"><Icon name="alert" /><p>{conflict}</p></div>}
      {quietlyLost && <div class="notice"><Icon name="wait" /><p>The line to the service is being restored. You can go on talking.</p></div>}
      {state.soundBlocked && inCall && (
        <div class="notice bad">
          <Icon name="alert" />
          <p><strong>The browser holds the sound back.</strong> One click lets you hear the call.</p>
          <button type="button" class="primary" onClick={() => void phone.turnOnSound()}>Turn on sound</button>
        </div>
      )}
      {armed && <div class="notice" role="status"><Icon name="alert" /><p>Press <kbd>{armed.toUpperCase()}</kbd> again to {ARMED[armed]}.</p></div>}
    </>
  );
}

/** For the impatient, and for browsers that ask the agent only after a press. */
export function TryAgain({ phone }: { phone: Softphone }) {
  const part = useHandOn<HTMLSpanElement>('#call');
  return <span ref={part} class="wide"><button type="button" class="primary" onClick={() => phone.dispatch({ kind: 'microphone_retry' })}>Try again</button></span>;
}

function MidcallNotice({ phone }: { phone: Softphone }) {
  const { call, midcall } = phone.state;
  const part = useHandOn<HTMLDivElement>('#flow', '#add-person', '#call');
  if (!midcall.notice) return null;
  const { title, text } = noticeWords(midcall.notice, call?.conversation ?? null);
  return (
    <div ref={part} class="notice bad passing" id="notice" role={midcall.notice.kind === 'refused' ? 'alert' : undefined}>
      <Icon name="alert" />
      <p><strong>{title}</strong> {text}</p>
      <button type="button" class="dismiss" aria-label="Dismiss this message" title="Dismiss (Esc)" onClick={() => phone.dispatch({ kind: 'notice_dismissed' })}><Icon name="close" /></button>
    </div>
  );
}
