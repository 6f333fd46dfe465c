/**
 * Asking the edge at the other end of a new carrier whether the call can go on there.
 *
 * Until it has answered the call is where it was. What the edge brings meanwhile waits: with a yes, it is the first of
 * what is heard there.
 */

import { RecordStream } from "./records.js";

export class Question {
  #answered;
  #records = new RecordStream();
  #waiting = [];

  /** `answered(refusal)` is told once: null if the call goes on there, or why it does not. */
  constructor(answered) {
    this.#answered = answered;
  }

  /** Everything that has come, in its order, for `session`, which is there now. */
  handOn(session) {
    for (const [verb, args] of this.#waiting.splice(0)) session[verb](...args);
  }

  receiveControl(...args) {
    this.#waiting.push(["receiveControl", args]);
    const [data, fin] = args;
    for (const { type, error } of this.#records.receive(data)) {
      if (type === "edge.reconnected") this.#answer(null);
      if (type === "error" && error.code === "unknown_session") this.#answer(error.message || error.code);
    }
    if (fin) this.#answer("the edge hung up");
  }

  receiveStream(...args) {
    this.#waiting.push(["receiveStream", args]);
  }

  receiveReset(...args) {
    this.#waiting.push(["receiveReset", args]);
  }

  receiveStop(...args) {
    this.#waiting.push(["receiveStop", args]);
  }

  receiveDatagram(...args) {
    this.#waiting.push(["receiveDatagram", args]);
  }

  carrierClosed(_carrier, _code, reason) {
    this.#answer(reason);
  }

  #answer(refusal) {
    const answered = this.#answered;
    this.#answered = null; // first: what is handed on can break off, and that is no second answer
    answered?.(refusal);
  }
}
