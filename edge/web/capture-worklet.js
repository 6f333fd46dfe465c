/** Cuts the microphone's samples into frames of 20 ms, mono, with their level. */

const FRAME = 960; // at 48 kHz
const SILENCE_DB = -100;

class CaptureProcessor extends AudioWorkletProcessor {
  #frame = new Float32Array(FRAME);
  #filled = 0;

  process([input]) {
    const samples = input[0];
    for (let index = 0; samples && index < samples.length; index++) {
      this.#frame[this.#filled++] = samples[index];
      if (this.#filled === FRAME) this.#send();
    }
    return true;
  }

  #send() {
    const power = this.#frame.reduce((sum, sample) => sum + sample * sample, 0) / FRAME;
    const level_db = Math.max(SILENCE_DB, 10 * Math.log10(power || Number.MIN_VALUE));
    this.port.postMessage({ samples: this.#frame, level_db }, [this.#frame.buffer]);
    this.#frame = new Float32Array(FRAME);
    this.#filled = 0;
  }
}

registerProcessor("edge-capture", CaptureProcessor);
