/**
 * Counting frames so that two ends can be compared: "no loss" is an equality, not an impression.
 *
 * The digest is SHA-256 (FIPS 180-4) over (unit, seq, length as varints, payload) of each frame in order. It is
 * here in full because the browser's own takes a whole message at once, and a call has no end while it lasts.
 */

import { encodeVarints } from "./varint.js";

/** Counts the frames of one direction in the order in which they pass. */
export class FrameLedger {
  frames = 0;
  lost = 0;
  #bytes = 0;
  #hash = new Sha256();

  record(unit, seq, payload) {
    this.frames += 1;
    this.#bytes += payload.length;
    this.#hash.update(encodeVarints(unit, seq, payload.length));
    this.#hash.update(payload);
  }

  /** The state so far, in the form of `edge.stats`; the ledger goes on. */
  count() {
    return { frames: this.frames, bytes: this.#bytes, digest: this.#hash.hex(), lost: this.lost };
  }
}

/** The first 32 bits of the fractional parts of roots of primes: what the standard takes its constants from. */
function fractions(count, root) {
  const primes = [];
  for (let candidate = 2; primes.length < count; candidate++) {
    if (primes.every((prime) => candidate % prime)) primes.push(candidate);
  }
  return Uint32Array.from(primes, (prime) => (root(prime) % 1) * 2 ** 32);
}

const ROUND = fractions(64, Math.cbrt);
const INITIAL = fractions(8, Math.sqrt);

export class Sha256 {
  #state = INITIAL.slice();
  #block = new Uint8Array(64);
  #filled = 0;
  #length = 0;

  update(data) {
    this.#length += data.length;
    for (let offset = 0; offset < data.length; ) {
      const taken = data.subarray(offset, offset + 64 - this.#filled);
      this.#block.set(taken, this.#filled);
      this.#filled += taken.length;
      offset += taken.length;
      if (this.#filled === 64) {
        compress(this.#state, this.#block);
        this.#filled = 0;
      }
    }
  }

  /** Of all that was taken in so far. */
  hex() {
    const tail = new Uint8Array(this.#filled < 56 ? 64 : 128);
    tail.set(this.#block.subarray(0, this.#filled));
    tail[this.#filled] = 0x80;
    new DataView(tail.buffer).setBigUint64(tail.length - 8, BigInt(this.#length) * 8n);
    const state = this.#state.slice();
    for (let offset = 0; offset < tail.length; offset += 64) compress(state, tail.subarray(offset, offset + 64));
    return Array.from(state, (word) => word.toString(16).padStart(8, "0")).join("");
  }
}

const schedule = new Uint32Array(64);

function rotate(word, bits) {
  return (word >>> bits) | (word << (32 - bits));
}

function compress(state, block) {
  const view = new DataView(block.buffer, block.byteOffset, 64);
  for (let t = 0; t < 64; t++) {
    if (t < 16) {
      schedule[t] = view.getUint32(4 * t);
      continue;
    }
    const [early, late] = [schedule[t - 15], schedule[t - 2]];
    const sigma0 = rotate(early, 7) ^ rotate(early, 18) ^ (early >>> 3);
    const sigma1 = rotate(late, 17) ^ rotate(late, 19) ^ (late >>> 10);
    schedule[t] = schedule[t - 16] + sigma0 + schedule[t - 7] + sigma1;
  }
  let [a, b, c, d, e, f, g, h] = state;
  for (let t = 0; t < 64; t++) {
    const sum1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
    const first = (h + sum1 + ((e & f) ^ (~e & g)) + ROUND[t] + schedule[t]) | 0;
    const sum0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
    const second = (sum0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + first) | 0, c, b, a, (first + second) | 0];
  }
  [a, b, c, d, e, f, g, h].forEach((word, index) => (state[index] += word));
}
