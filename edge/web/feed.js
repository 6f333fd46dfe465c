/**
 * What waits to be decoded. A ring of samples holds some seconds and an edge may write more at once, when it lets a
 * call go: packets are a hundredth as large, so it is they that wait.
 */

import { SAMPLE_RATE } from "./ring.js";
import { FRAME_MS } from "./wire.js";

/** Decoded ahead of the ear: more than the longest lead, less than the ring holds. */
export const DECODED_MS = 8000;

export class Feed {
  #waiting = []; // what is asked of the decoder, in order
  #decoder;
  #sent = 0; // samples, to the ring
  #status = { held_ms: 0, written: 0 };

  constructor(decoder) {
    this.#decoder = decoder;
  }

  frame(item, packet) {
    this.#waiting.push(["frame", item, packet]);
    this.#feed();
  }

  end(item) {
    this.#waiting.push(["end", item]);
    this.#feed();
  }

  /** The decoder has sent so many samples to the ring. */
  sent(samples) {
    this.#sent += samples;
  }

  /** The ring's status is this. */
  report(status) {
    this.#status = status;
    this.#feed();
  }

  flush() {
    this.#waiting = [];
    this.#decoder.reset();
  }

  #feed() {
    while (this.#waiting.length && this.#aheadMs < DECODED_MS) {
      const [verb, ...args] = this.#waiting.shift();
      this.#decoder[verb](...args);
    }
  }

  /** What the ring had when it last said so, all that has been sent to it since, and what the decoder has in hand. */
  get #aheadMs() {
    const { held_ms, written } = this.#status;
    return held_ms + ((this.#sent - written) * 1000) / SAMPLE_RATE + this.#decoder.waiting * FRAME_MS;
  }
}
