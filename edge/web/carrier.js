/**
 * What a call travels on. `webtransport.js` and `websocket.js` are the two there are; the session knows neither.
 *
 * A carrier has
 *
 *     name                             "webtransport" or "websocket"
 *     ready                            a promise: it can carry; rejects if it never will
 *     sendControl(data)                the control stream, the first bidirectional one
 *     sendStream(stream, data, fin)    a unidirectional stream, by the session's own number, counted from 0
 *     resetStream(stream, code)        give up one of ours
 *     expireStream(stream)             give it up with `Code.DEADLINE`, unless all of it has arrived
 *     stopStream(stream, code)         ask the edge to give up one of its own, by the number it came with
 *     sendDatagram(data)               may be lost, never delayed
 *     close(code, reason)
 *
 * and tells its `listener`, a `Session`: `receiveControl(data, fin)`, `receiveStream(stream, data, fin)`,
 * `receiveReset(stream, code)`, `receiveStop(stream, code)`, `receiveDatagram(data)`, and last
 * `carrierClosed(carrier, code, reason)`. Nothing is told before `listen`; what comes before waits.
 */

import { Code, WireError } from "./wire.js";

/** When an unplugged carrier lets go of its sockets: the edge has missed it by then. */
const ABANDONED_AFTER_MS = 30_000;

export class Carrier {
  listener = null;
  /** The cable is out: nothing is sent, nothing heard, and nobody is told. For demonstrations and tests. */
  unplugged = false;
  #early = [];
  #over = false;

  /** Tell `listener` from now on; null: what comes waits for the next. */
  listen(listener) {
    this.listener = listener;
    for (const step of this.#early.splice(0)) this._receive(step);
  }

  unplug() {
    this.unplugged = true;
    setTimeout(() => this._abandon(), ABANDONED_AFTER_MS);
  }

  /** Run `step`, which tells the listener something. A peer that breaks the protocol is told so and left. */
  _receive(step) {
    if (this.unplugged || this.#over) return;
    if (!this.listener) {
      this.#early.push(step);
      return;
    }
    try {
      step();
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.close(error.code, error.message);
      this._closed(error.code, error.message);
    }
  }

  _closed(code, reason) {
    this._receive(() => {
      this.#over = true;
      this.listener.carrierClosed(this, code ?? Code.GOING_AWAY, reason);
    });
  }
}
