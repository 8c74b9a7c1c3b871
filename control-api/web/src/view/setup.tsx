// The setup page: an agent tests microphone, loudspeaker and network once; an admin finds the policy and the frame's attributes.

import { useEffect, useRef, useState } from 'preact/hooks';
import type { MicrophoneFault } from '../machine/problem.ts';
import { problemWords } from '../machine/words.ts';
import { INITIAL } from '../machine/softphone.ts';
import { type Devices, Media, MicrophoneError } from '../shell/media.ts';
import { launchData, obstacle } from '../shell/page.ts';
import { SessionApi } from '../shell/api.ts';
import { testMedia } from '../shell/media-test.ts';
import { type PathResult, setupSipUrl, testHttp, testWebSocket } from '../shell/setup.ts';
import { DevicePickers } from './devices.tsx';
import { Icon } from './icon.tsx';
import { LevelMeter } from './level.tsx';
import { AdminHelp } from './setup-admin.tsx';

export function Setup({ base }: { base: string }) {
  const media = useRef<Media | null>(null);
  media.current ??= new Media({ lost: () => undefined, back: () => undefined });
  const [devices, setDevices] = useState<Devices | null>(null);
  const problem = obstacle();
  useEffect(() => {
    document.title = 'Softphone setup';
  }, []);
  const refresh = async (): Promise<void> => setDevices((await media.current?.devices()) ?? null);
  return (
    <main class="setup">
      <header><h1>Softphone setup</h1><p>Do this once on each computer, then calls start by themselves.</p></header>
      {problem && <div class="notice bad" role="alert"><Icon name="alert" /><p><strong>{problemWords(problem, INITIAL).title}</strong> {problemWords(problem, INITIAL).text}</p></div>}
      <MicrophoneTest media={media.current} devices={devices} refresh={refresh} />
      <SpeakerTest media={media.current} />
      <NetworkTest base={base} media={media.current} />
      <AdminHelp origin={location.origin} base={base} />
    </main>
  );
}

function MicrophoneTest({ media, devices, refresh }: { media: Media; devices: Devices | null; refresh: () => Promise<void> }) {
  const [fault, setFault] = useState<MicrophoneFault | null>(null);
  const [heard, setHeard] = useState(false);
  const open = async (id = ''): Promise<void> => {
    try {
      await media.open(id);
      setFault(null);
      await refresh();
    } catch (error) {
      setFault(error instanceof MicrophoneError ? error.fault : 'missing');
    }
  };
  useEffect(() => {
    if (!devices || heard) return;
    const timer = setInterval(() => media.level() > 0.45 && setHeard(true), 120);
    return () => clearInterval(timer);
  }, [devices, heard]);
  const words = fault && problemWords({ kind: `microphone_${fault}`, detail: null }, INITIAL);
  return (
    <section class="card" aria-labelledby="setup-microphone">
      <h2 id="setup-microphone"><span class="step-number">1</span> Microphone {heard && <Result ok text="You are heard" />}</h2>
      {devices ? (
        <>
          <p>Say something: the bar must move.</p>
          <LevelMeter level={() => media.level()} muted={false} />
          <DevicePickers devices={devices} chooseMicrophone={id => void open(id)} chooseSpeaker={id => void media.setSpeaker(id).then(refresh)} />
        </>
      ) : (
        <>
          <p>The browser asks once. Choose <em>Allow</em>, and where it offers it, <em>Allow on every visit</em>.</p>
          <button type="button" class="primary" onClick={() => void open()}>Test microphone</button>
        </>
      )}
      {words && <div class="notice bad" role="alert"><Icon name="alert" /><p><strong>{words.title}</strong> {words.text}</p></div>}
    </section>
  );
}

function SpeakerTest({ media }: { media: Media }) {
  const [state, setState] = useState<'idle' | 'playing' | 'played' | 'failed'>('idle');
  const play = async (): Promise<void> => {
    setState('playing');
    await media.playTest().then(() => setState('played'), () => setState('failed'));
  };
  return (
    <section class="card" aria-labelledby="setup-speaker">
      <h2 id="setup-speaker"><span class="step-number">2</span> Speaker</h2>
      <p>{state === 'played' ? 'Did you hear three notes? If not, choose another speaker or turn the volume up.' : 'Three notes are played on your headset or loudspeaker.'}</p>
      <button type="button" class="primary" disabled={state === 'playing'} onClick={() => void play()}>{state === 'playing' ? 'Playing' : 'Play test sound'}</button>
      {state === 'failed' && <p class="result bad" role="alert">The browser played nothing. Check the sound settings of the system.</p>}
    </section>
  );
}

function NetworkTest({ base, media }: { base: string; media: Media }) {
  const [results, setResults] = useState<readonly PathResult[] | 'running' | null>(null);
  const sipUrl = setupSipUrl(launchData().text);
  const run = async (): Promise<void> => {
    setResults('running');
    const ways = await Promise.all([testHttp(base), ...(sipUrl ? [testWebSocket(sipUrl)] : [])]);
    setResults([...ways, await testMedia(new SessionApi(base, fetch.bind(window)), media)]);
  };
  return (
    <section class="card" aria-labelledby="setup-network">
      <h2 id="setup-network"><span class="step-number">3</span> Network</h2>
      <p>Tries the ways to the service that a call takes, its sound included: for a few seconds you hear a ringing tone.</p>
      <button type="button" class="primary" disabled={results === 'running'} onClick={() => void run()}>{results === 'running' ? 'Testing' : 'Test network'}</button>
      <div role="status">
        {Array.isArray(results) && results.map((result: PathResult) => <p key={result.text}><Result ok={result.ok} text={result.text} /></p>)}
      </div>
    </section>
  );
}

function Result({ ok, text }: { ok: boolean; text: string }) {
  return <span class={`result ${ok ? 'good' : 'bad'}`}><Icon name={ok ? 'check' : 'alert'} /> {text}</span>;
}
