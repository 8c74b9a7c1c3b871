// What needs the agent's attention beside the call itself: problems, a click that placed no call, silence that a click ends.

import { isLive } from '../machine/call.ts';
import { conflictWords, problemWords } from '../machine/words.ts';
import type { Softphone } from '../shell/softphone.ts';
import { Icon } from './icon.tsx';

export function Notices({ phone, armed }: { phone: Softphone; armed: boolean }) {
  const { state } = phone;
  const problem = state.problem && state.line !== 'elsewhere' ? problemWords(state.problem, state) : null;
  const conflict = conflictWords(state);
  const quietlyLost = isLive(state.call) && state.line === 'lost' && state.media === 'flowing';
  return (
    <>
      {problem && (
        <div class="notice bad">
          <Icon name="alert" />
          <p><strong>{problem.title}</strong> {problem.text}</p>
        </div>
      )}
      {conflict && <div class="notice"><Icon name="alert" /><p>{conflict}</p></div>}
      {quietlyLost && <div class="notice"><Icon name="wait" /><p>The line to the service is being restored. You can go on talking.</p></div>}
      {state.soundBlocked && isLive(state.call) && (
        <div class="notice bad">
          <Icon name="alert" />
          <p><strong>The browser holds the sound back.</strong> One click lets you hear the customer.</p>
          <button type="button" class="primary" onClick={() => void phone.turnOnSound()}>Turn on sound</button>
        </div>
      )}
      {armed && <div class="notice" role="status"><Icon name="hangup" /><p>Press <kbd>H</kbd> again to hang up.</p></div>}
    </>
  );
}
