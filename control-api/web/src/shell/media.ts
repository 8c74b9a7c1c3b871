// Microphone, loudspeaker and their devices: opens them, mutes, measures the level, plays the far end, and keeps the agent's choice.

import { type MicrophoneFault, microphoneFault } from '../machine/problem.ts';

export interface Device {
  readonly id: string;
  readonly label: string;
}

export interface Devices {
  readonly microphones: readonly Device[];
  readonly speakers: readonly Device[];
  readonly microphone: string;
  readonly speaker: string;
  /** Whether this browser lets a page choose the loudspeaker. */
  readonly speakerChoice: boolean;
}

/** The microphone could not be had. */
export class MicrophoneError extends Error {
  constructor(readonly fault: MicrophoneFault) {
    super(fault);
  }
}

/** What becomes of the microphone by itself. */
export interface MicrophoneListener {
  /** It has ended (unplugged, permission taken back), or something outside of the page has muted it. */
  lost(trouble: 'lost' | 'muted'): void;
  /** What was muted is heard again. */
  back(): void;
}

/** A level this low for a whole meter is shown as silence. */
const FLOOR_DB = -60;

export class Media {
  #stream: MediaStream | null = null;
  #muted = false;
  #context: AudioContext | null = null;
  #source: MediaStreamAudioSourceNode | null = null;
  #analyser: AnalyserNode | null = null;
  #samples = new Float32Array(0);
  #statsLevel = 0;
  /** The agent's choice, used whenever it is there. */
  #wanted = '';
  #speaker = '';
  readonly #output = new Audio();

  constructor(private readonly listener: MicrophoneListener) {
    this.#output.autoplay = true;
  }

  get stream(): MediaStream | null {
    return this.#stream;
  }

  /** The microphone that is to be sent; `null` without one that gives anything. */
  get track(): MediaStreamTrack | null {
    const track = this.#stream?.getAudioTracks()[0];
    return track?.readyState === 'live' && !track.muted ? track : null;
  }

  /** Tells of an end that no event told. */
  check(): void {
    if (this.#stream?.getAudioTracks()[0]?.readyState === 'ended') this.listener.lost('lost');
  }

  /** Opens `device`, or the one chosen before, or the system's. Throws `MicrophoneError`; the one that was open goes on then. */
  async open(device = ''): Promise<void> {
    const audio: MediaTrackConstraints = { echoCancellation: true, noiseSuppression: true, autoGainControl: true };
    if (device) audio.deviceId = { exact: device };
    else if (this.#wanted) audio.deviceId = { ideal: this.#wanted };
    let stream: MediaStream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio });
    } catch (error) {
      throw new MicrophoneError(microphoneFault(error instanceof DOMException ? error.name : ''));
    }
    if (device) this.#wanted = device;
    this.#take(stream);
  }

  setMuted(muted: boolean): void {
    this.#muted = muted;
    for (const track of this.#stream?.getAudioTracks() ?? []) track.enabled = !muted;
  }

  /** Plays the far end; `false` when the browser wants a click first. */
  async play(stream: MediaStream): Promise<boolean> {
    this.#output.srcObject = stream;
    return this.resumeSound();
  }

  async resumeSound(): Promise<boolean> {
    void this.#context?.resume();
    try {
      await this.#output.play();
      return true;
    } catch (error) {
      // A newer stream or the end of the call interrupts a play; only a refusal needs the agent.
      return !(error instanceof DOMException && error.name === 'NotAllowedError');
    }
  }

  silence(): void {
    this.#output.pause();
    this.#output.srcObject = null;
  }

  /** Lets go of the microphone. */
  close(): void {
    this.#drop();
    this.#stream = null;
    void this.#context?.close();
    this.#context = null;
    this.#analyser = null;
  }

  /** The microphone's level from 0 to 1 on a scale of decibels; 0 while muted. */
  level(): number {
    if (this.#muted || !this.track) return 0;
    if (!this.#analyser || this.#context?.state !== 'running') return scale(this.#statsLevel);
    this.#analyser.getFloatTimeDomainData(this.#samples);
    let sum = 0;
    for (const sample of this.#samples) sum += sample * sample;
    return scale(Math.sqrt(sum / this.#samples.length));
  }

  /** The level that the peer connection measured, for browsers that keep the audio graph asleep without a click. */
  setStatsLevel(level: number): void {
    this.#statsLevel = level;
  }

  async devices(): Promise<Devices> {
    const all = await navigator.mediaDevices.enumerateDevices();
    const of = (kind: MediaDeviceKind, name: string): Device[] =>
      all.filter(device => device.kind === kind && device.deviceId !== '').map((device, index) => ({ id: device.deviceId, label: device.label || `${name} ${index + 1}` }));
    return {
      microphones: of('audioinput', 'Microphone'),
      speakers: of('audiooutput', 'Speaker'),
      microphone: this.#stream?.getAudioTracks()[0]?.getSettings().deviceId ?? '',
      speaker: this.#speaker || 'default',
      speakerChoice: 'setSinkId' in HTMLMediaElement.prototype,
    };
  }

  async setSpeaker(device: string): Promise<void> {
    await this.#output.setSinkId(device);
    this.#speaker = device;
  }

  /** A short chord on the chosen loudspeaker, for the setup page. */
  async playTest(): Promise<void> {
    const context = this.#graph();
    await context.resume();
    const target = context.createMediaStreamDestination();
    const start = context.currentTime + 0.05;
    [523.25, 659.25, 783.99].forEach((frequency, index) => {
      const gain = context.createGain();
      const tone = new OscillatorNode(context, { frequency });
      gain.gain.setValueAtTime(0, start);
      gain.gain.linearRampToValueAtTime(0.18, start + 0.04 + index * 0.16);
      gain.gain.exponentialRampToValueAtTime(0.0005, start + 1.6);
      tone.connect(gain).connect(target);
      tone.start(start + index * 0.16);
      tone.stop(start + 1.6);
    });
    this.#output.srcObject = target.stream;
    await this.#output.play();
    await new Promise(resolve => setTimeout(resolve, 1700));
    this.silence();
  }

  #take(stream: MediaStream): void {
    this.#drop();
    this.#stream = stream;
    this.setMuted(this.#muted);
    for (const track of stream.getAudioTracks()) {
      track.onended = () => this.listener.lost('lost');
      track.onmute = () => this.listener.lost('muted');
      track.onunmute = () => this.listener.back();
    }
    const context = this.#graph();
    this.#source?.disconnect();
    this.#source = context.createMediaStreamSource(stream);
    this.#analyser = new AnalyserNode(context, { fftSize: 1024 });
    this.#samples = new Float32Array(this.#analyser.fftSize);
    this.#source.connect(this.#analyser);
    void context.resume();
  }

  #drop(): void {
    for (const track of this.#stream?.getTracks() ?? []) {
      track.onended = track.onmute = track.onunmute = null;
      track.stop();
    }
  }

  #graph(): AudioContext {
    this.#context ??= new AudioContext();
    return this.#context;
  }
}

function scale(rms: number): number {
  if (rms <= 0) return 0;
  return Math.min(1, Math.max(0, 1 - (20 * Math.log10(rms)) / FLOOR_DB));
}
