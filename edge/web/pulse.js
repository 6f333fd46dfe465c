/**
 * Whether the edge is still there, and how far away: one ping a second, answered at once.
 *
 * An edge of which nothing was heard for `DEAD_AFTER_MS` has left three pings unanswered. It is gone, whatever the
 * carrier still hopes; a browser would notice after half a minute.
 */

const INTERVAL_MS = 1000;
const DEAD_AFTER_MS = 3000;
const SAMPLES = 5;

export class Pulse {
  /** The least of the last round trips; null before the first. */
  rttMs = null;
  #pingedAt = null; // of the ping that is not answered
  #pingAt = 0;
  #heardAt = 0;
  #samples = [];

  /** There is another carrier, with a way of its own. */
  begin(now) {
    this.#pingedAt = null;
    this.#pingAt = this.#heardAt = now;
    this.#samples = [];
  }

  /** Anything came. */
  heard(now) {
    this.#heardAt = now;
  }

  /** Whether to ping now; what asks must do so. */
  ping(now) {
    if (this.#pingedAt !== null || now < this.#pingAt) return false;
    this.#pingedAt = now;
    return true;
  }

  answered(now) {
    if (this.#pingedAt === null) return;
    this.#samples = [...this.#samples, now - this.#pingedAt].slice(-SAMPLES);
    this.rttMs = Math.min(...this.#samples);
    this.#pingedAt = null;
    this.#pingAt = now + INTERVAL_MS;
  }

  /** Why there is nobody any more; null while there is. */
  death(now) {
    return now - this.#heardAt >= DEAD_AFTER_MS ? `nothing heard for ${DEAD_AFTER_MS / 1000} s` : null;
  }
}
