// The half of the recorder that runs beside the sound card: float samples in, 16-bit samples out, a few thousand at once.
const CHUNK = 8192; // samples: a sixth of a second at 48 kHz

class Recorder extends AudioWorkletProcessor {
  constructor() {
    super();
    this.samples = new Int16Array(CHUNK);
    this.filled = 0;
    this.port.onmessage = () => this.send();
  }

  send() {
    this.port.postMessage(this.samples.slice(0, this.filled));
    this.filled = 0;
  }

  process([channels]) {
    const [sound] = channels;
    if (sound) {
      for (const value of sound) {
        this.samples[this.filled++] = Math.round(Math.max(-1, Math.min(1, value)) * 32767);
        if (this.filled === CHUNK) this.send();
      }
    }
    return true;
  }
}

registerProcessor("recorder", Recorder);
