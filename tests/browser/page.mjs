// What runs inside a page of the tests, whatever browser it is: remote tracks are kept and listened to. Each function stands alone, since
// its text is carried into the page.

/** Runs in each document before its own scripts: keeps remote tracks and takes tones as they are, without noise suppression. */
function observe() {
  const heard = { tracks: [], connections: [] };
  Object.defineProperty(window, "__heard", { value: heard });
  const Native = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Native {
    constructor(...rest) {
      super(...rest);
      heard.connections.push(this);
      this.addEventListener("track", (event) => heard.tracks.push(event.track));
    }
  };
  const devices = navigator.mediaDevices;
  if (!devices) return;
  const native = devices.getUserMedia.bind(devices);
  devices.getUserMedia = (constraints) => {
    const audio = typeof constraints?.audio === "object" ? constraints.audio : {};
    return native({ ...constraints, audio: { ...audio, echoCancellation: false, noiseSuppression: false, autoGainControl: false } });
  };
}

/** Strengths in decibels at these frequencies in what the page's newest remote track brings, and the strongest frequency of all. */
async function hear(frequencies) {
  const track = window.__heard.tracks.filter((each) => each.readyState === "live").at(-1);
  if (!track) return null;
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  analyser.fftSize = 8192;
  analyser.smoothingTimeConstant = 0;
  context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
  await new Promise((resolve) => setTimeout(resolve, 400));
  const bins = new Float32Array(analyser.frequencyBinCount);
  analyser.getFloatFrequencyData(bins);
  const width = context.sampleRate / analyser.fftSize;
  const around = (frequency) => Math.max(...bins.slice(Math.floor(frequency / width) - 2, Math.ceil(frequency / width) + 3));
  const strongest = bins.reduce((best, level, at) => (level > bins[best] ? at : best), 1);
  await context.close();
  return { levels: frequencies.map(around), strongest_hz: strongest * width, strongest_db: bins[strongest] };
}

export { hear, observe };
