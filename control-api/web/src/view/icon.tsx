// The icons, drawn here: nothing is loaded from elsewhere. All are decoration; the text beside them carries the meaning.

import type { Tone } from '../machine/words.ts';

export type IconName = Tone | 'microphone' | 'muted' | 'keypad' | 'devices' | 'help' | 'hangup' | 'call' | 'check' | 'alert' | 'resume' | 'add' | 'record' | 'pause_recording' | 'people' | 'person' | 'swap' | 'transfer' | 'close' | 'speaking';

const HANDSET =
  'M8.6 4.6 6.9 4.4A2 2 0 0 0 4.700 6.500C5 13.300 10.700 19 17.500 19.300a2 2 0 0 0 2.100-2.200l-.2-1.700a1.700 1.700 0 0 0-1.300-1.500l-1.900-.5a1.700 1.700 0 0 0-1.700.5l-.7.7a9.500 9.500 0 0 1-4.400-4.400l.7-.7a1.700 1.700 0 0 0 .5-1.700l-.5-1.900a1.700 1.700 0 0 0-1.500-1.300Z';

const PATHS: Record<IconName, readonly string[]> = {
  wait: ['M12 3a9 9 0 1 0 9 9', 'M12 7v5l3 2'],
  ring: [HANDSET, 'M15 4.500a5.500 5.500 0 0 1 4.500 4.500', 'M15 8a2 2 0 0 1 1.500 1.500'],
  good: [HANDSET],
  hold: ['M9 6v12', 'M15 6v12'],
  bad: ['M12 3.500 21.500 20h-19Z', 'M12 10v4.500', 'M12 17.200v.1'],
  over: ['M4 14.500c4.500-4.500 11.500-4.500 16 0l-2.500 2-3-1.300v-2a9 9 0 0 0-5 0v2l-3 1.300Z'],
  microphone: ['M12 3a3 3 0 0 0-3 3v5a3 3 0 0 0 6 0V6a3 3 0 0 0-3-3Z', 'M5.500 11a6.500 6.500 0 0 0 13 0', 'M12 17.500V21'],
  muted: ['M15 9V6a3 3 0 0 0-5.700-1.300', 'M9 9v2a3 3 0 0 0 4.500 2.600', 'M5.500 11a6.500 6.500 0 0 0 10.800 4.900', 'M18.500 11a6.500 6.500 0 0 1-.5 2.500', 'M12 17.500V21', 'M4 3.500l16 17'],
  keypad: ['M6 6h.1', 'M12 6h.1', 'M18 6h.1', 'M6 12h.1', 'M12 12h.1', 'M18 12h.1', 'M6 18h.1', 'M12 18h.1', 'M18 18h.1'],
  devices: ['M4 15v-3a8 8 0 0 1 16 0v3', 'M4 15a2 2 0 0 1 2-2h1v6H6a2 2 0 0 1-2-2Z', 'M20 15a2 2 0 0 0-2-2h-1v6h1a2 2 0 0 0 2-2Z'],
  help: ['M4 7h16v11H4Z', 'M7.500 10.500h.1', 'M12 10.500h.1', 'M16.500 10.500h.1', 'M8 14.500h8'],
  hangup: ['M3.500 14.500c4.800-4.800 12.200-4.800 17 0l-2.600 2.600-3.400-1.500v-2.400a9.500 9.500 0 0 0-5 0v2.400l-3.400 1.500Z'],
  call: [HANDSET],
  check: ['M5 12.500 10 17.500 19.500 7'],
  resume: ['M8 5.500v13l10-6.500Z'],
  add: ['M10 12a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7Z', 'M3.500 19.500c.5-3.500 3-5 6.500-5s6 1.500 6.500 5', 'M18.500 7v6', 'M15.500 10h6'],
  record: ['M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16Z', 'M12 9.500a2.500 2.500 0 1 0 0 5 2.500 2.500 0 0 0 0-5Z'],
  pause_recording: ['M12 4a8 8 0 1 0 0 16 8 8 0 0 0 0-16Z', 'M10 9.500v5', 'M14 9.500v5'],
  people: ['M9 11.500a3 3 0 1 0 0-6 3 3 0 0 0 0 6Z', 'M3 19c.4-3.200 2.600-4.500 6-4.500s5.600 1.300 6 4.500', 'M16 5.700a3 3 0 0 1 0 5.600', 'M17.500 14.800c2 .5 3.200 1.800 3.500 4.200'],
  person: ['M12 12a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7Z', 'M5 19.500c.5-3.500 3.300-5 7-5s6.500 1.500 7 5'],
  swap: ['M4 9h14l-3.500-3.500', 'M20 15H6l3.500 3.500'],
  transfer: ['M4 12h12', 'M11.500 7 16.500 12l-5 5', 'M20 5v14'],
  close: ['M6.500 6.500l11 11', 'M17.500 6.500l-11 11'],
  speaking: ['M4.500 10v4', 'M8.300 7v10', 'M12 4.500v15', 'M15.700 7v10', 'M19.500 10v4'],
  alert: ['M12 3.500 21.500 20h-19Z', 'M12 10v4.500', 'M12 17.200v.1'],
};

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class={`icon icon-${name}`} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      {PATHS[name].map(path => <path key={path} d={path} />)}
    </svg>
  );
}
