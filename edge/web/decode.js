/**
 * Opus to samples, in order: frames, lost frames and ends of items come out as they went in.
 *
 * The browser decodes behind the scenes, so what needs no decoding waits for what came before it.
 */

import { SAMPLE_RATE } from "./ring.js";
import { FRAME_MS } from "./wire.js";

const CONFIG = { codec: "opus", sampleRate: SAMPLE_RATE, numberOfChannels: 1 };
const FRAME_SAMPLES = (SAMPLE_RATE / 1000) * FRAME_MS;

export class Decoder {
  #decoder = null;
  #waiting = []; // {item, what}: what is "frame", "lost" or "end"
  #sink;

  /** `sink` has `push(item, samples)`, `lose(item, samples)` and `end(item)`. */
  constructor(sink) {
    this.#sink = sink;
    this.#start();
  }

  /** How much has gone in and not come out. */
  get waiting() {
    return this.#waiting.length;
  }

  /** The next frame of `item`, or null for one that is lost. */
  frame(item, packet) {
    this.#waiting.push({ item, what: packet ? "frame" : "lost" });
    if (packet) this.#decoder.decode(new EncodedAudioChunk({ type: "key", timestamp: 0, duration: FRAME_MS * 1000, data: packet }));
    this.#settle();
  }

  end(item) {
    this.#waiting.push({ item, what: "end" });
    this.#settle();
  }

  /** Forget all that has not come out yet. */
  reset() {
    this.#waiting = [];
    this.#decoder.reset();
    this.#decoder.configure(CONFIG);
  }

  close() {
    this.#decoder.close();
  }

  #start() {
    this.#decoder = new AudioDecoder({ output: (data) => this.#decoded(data), error: () => this.#failed() });
    this.#decoder.configure(CONFIG);
  }

  #decoded(data) {
    const samples = new Float32Array(data.numberOfFrames);
    data.copyTo(samples, { planeIndex: 0, format: "f32-planar" });
    data.close();
    const next = this.#waiting.shift();
    if (next) this.#sink.push(next.item, samples);
    this.#settle();
  }

  /** A packet that cannot be decoded closes the decoder: what was in it is lost, and the next one goes on. */
  #failed() {
    for (const entry of this.#waiting) if (entry.what === "frame") entry.what = "lost";
    this.#start();
    this.#settle();
  }

  #settle() {
    while (this.#waiting.length && this.#waiting[0].what !== "frame") {
      const { item, what } = this.#waiting.shift();
      if (what === "lost") this.#sink.lose(item, FRAME_SAMPLES);
      else this.#sink.end(item);
    }
  }
}
