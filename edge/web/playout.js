/** The caller's loudspeaker: packets in, sound out, by one AudioWorklet ring; says how far the ear has come. */

import { Decoder } from "./decode.js";

export class Playout {
  #node;
  #decoder;

  /** `report(status)` is told at every change and ten times a second while it plays; see `PlayoutRing.status`. */
  static async open(context, report) {
    await context.audioWorklet.addModule(new URL("playout-worklet.js", import.meta.url));
    return new Playout(context, report);
  }

  constructor(context, report) {
    this.#node = new AudioWorkletNode(context, "edge-playout", { numberOfInputs: 0, outputChannelCount: [1] });
    this.#node.port.onmessage = ({ data }) => report(data);
    this.#node.connect(context.destination);
    this.#decoder = new Decoder({
      push: (item, samples) => this.#node.port.postMessage(["push", item, samples], [samples.buffer]),
      lose: (item, count) => this.#node.port.postMessage(["lose", item, count]),
      end: (item) => this.#node.port.postMessage(["end", item]),
    });
  }

  /** The node that brings what is heard, for a meter. */
  get node() {
    return this.#node;
  }

  frame(item, packet) {
    this.#decoder.frame(item, packet);
  }

  end(item) {
    this.#decoder.end(item);
  }

  pause() {
    this.#node.port.postMessage(["pause"]);
  }

  resume() {
    this.#node.port.postMessage(["resume"]);
  }

  flush() {
    this.#decoder.reset();
    this.#node.port.postMessage(["flush"]);
    this.#node.port.postMessage(["resume"]);
  }

  close() {
    this.#node.disconnect();
    this.#decoder.close();
  }
}
