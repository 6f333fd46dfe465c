/** The caller's loudspeaker: packets in, sound out, by one AudioWorklet ring; says how far the ear has come. */

import { Decoder } from "./decode.js";
import { Feed } from "./feed.js";

export class Playout {
  #node;
  #decoder;
  #feed;

  /** `report(status)` is told at every change and ten times a second while it plays; see `PlayoutRing.status`. */
  static async open(context, report) {
    await context.audioWorklet.addModule(new URL("playout-worklet.js", import.meta.url));
    return new Playout(context, report);
  }

  constructor(context, report) {
    this.#node = new AudioWorkletNode(context, "edge-playout", { numberOfInputs: 0, outputChannelCount: [1] });
    this.#node.port.onmessage = ({ data }) => {
      this.#feed.report(data);
      report(data);
    };
    this.#node.connect(context.destination);
    this.#decoder = new Decoder({
      push: (item, samples) => {
        this.#feed.sent(samples.length);
        this.#node.port.postMessage(["push", item, samples], [samples.buffer]);
      },
      lose: (item, count) => {
        this.#feed.sent(count);
        this.#node.port.postMessage(["lose", item, count]);
      },
      end: (item) => this.#node.port.postMessage(["end", item]),
    });
    this.#feed = new Feed(this.#decoder);
  }

  /** The node that brings what is heard, for a meter. */
  get node() {
    return this.#node;
  }

  frame(item, packet) {
    this.#feed.frame(item, packet);
  }

  end(item) {
    this.#feed.end(item);
  }

  pause() {
    this.#node.port.postMessage(["pause"]);
  }

  resume() {
    this.#node.port.postMessage(["resume"]);
  }

  flush() {
    this.#feed.flush();
    this.#node.port.postMessage(["flush"]);
    this.#node.port.postMessage(["resume"]);
  }

  close() {
    this.#node.disconnect();
    this.#decoder.close();
  }
}
