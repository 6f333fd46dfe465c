/** Runs the ring in the audio thread, and reports how far the caller's ear has come. */

import { PlayoutRing, SAMPLE_RATE } from "./ring.js";

const PLAYING_REPORT = SAMPLE_RATE / 10;
const SILENT_REPORT = SAMPLE_RATE;

class PlayoutProcessor extends AudioWorkletProcessor {
  #ring = new PlayoutRing();
  #reported = 0; // transitions
  #since = 0; // samples

  constructor() {
    super();
    this.port.onmessage = ({ data: [verb, ...args] }) => {
      this.#ring[verb](...args);
      if (verb === "flush" || verb === "pause") this.#report();
    };
  }

  process(_inputs, [[output]]) {
    this.#ring.render(output);
    this.#since += output.length;
    const due = this.#ring.playing ? PLAYING_REPORT : SILENT_REPORT;
    if (this.#since >= due || this.#ring.transitions !== this.#reported) this.#report();
    return true;
  }

  #report() {
    this.#since = 0;
    this.#reported = this.#ring.transitions;
    this.port.postMessage(this.#ring.status());
  }
}

registerProcessor("edge-playout", PlayoutProcessor);
