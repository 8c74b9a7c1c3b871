// The choice of microphone and loudspeaker.

import type { Devices } from '../shell/media.ts';
import type { Softphone } from '../shell/softphone.ts';

interface PickerProps {
  readonly devices: Devices;
  readonly chooseMicrophone: (id: string) => void;
  readonly chooseSpeaker: (id: string) => void;
}

export function DevicePanel({ phone }: { phone: Softphone }) {
  return (
    <div class="panel" role="group" aria-label="Audio devices">
      {phone.devices ? (
        <DevicePickers devices={phone.devices} chooseMicrophone={id => void phone.chooseMicrophone(id)} chooseSpeaker={id => void phone.chooseSpeaker(id)} />
      ) : (
        <p class="faint">The devices are known once the microphone is allowed.</p>
      )}
      <p class="aside"><a href="setup" target="_blank" rel="opener">Test them on the setup page</a></p>
    </div>
  );
}

export function DevicePickers({ devices, chooseMicrophone, chooseSpeaker }: PickerProps) {
  return (
    <>
      <label class="field">
        <span>Microphone</span>
        <select aria-label="Microphone" value={devices.microphone} onChange={event => chooseMicrophone(event.currentTarget.value)}>
          {devices.microphones.map(({ id, label }) => <option key={id} value={id}>{label}</option>)}
        </select>
      </label>
      {devices.speakerChoice && devices.speakers.length > 0 ? (
        <label class="field">
          <span>Speaker</span>
          <select aria-label="Speaker" value={devices.speaker} onChange={event => chooseSpeaker(event.currentTarget.value)}>
            {devices.speakers.map(({ id, label }) => <option key={id} value={id}>{label}</option>)}
          </select>
        </label>
      ) : (
        <p class="faint">This browser plays on the system’s loudspeaker; change it in the system’s sound settings.</p>
      )}
    </>
  );
}
