/** The control stream's framing: records of a varint length and that many bytes of JSON, one event each. */

import { concat, decodeVarint, encodeVarints } from "./varint.js";
import { WireError } from "./wire.js";

/** Bytes of JSON in one record. */
export const MAX_RECORD = 64 * 1024;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });

/** One record. Throws RangeError if it is longer than `MAX_RECORD`. */
export function encodeRecord(event) {
  const payload = encoder.encode(JSON.stringify(event));
  if (payload.length > MAX_RECORD) throw new RangeError(`control record of ${payload.length} bytes, at most ${MAX_RECORD} allowed`);
  return concat(encodeVarints(payload.length), payload);
}

/** Cuts the control stream into events as its bytes arrive, in chunks of any size. */
export class RecordStream {
  #buffer = new Uint8Array(0);

  /** The events that `data` completes. Throws WireError where a record's frame is broken or holds no event. */
  receive(data) {
    this.#buffer = this.#buffer.length ? concat(this.#buffer, data) : data;
    const events = [];
    let offset = 0;
    for (let read; (read = decodeVarint(this.#buffer, offset)); ) {
      const [size, start] = read;
      if (size > MAX_RECORD) throw new WireError("control stream", `record of ${size} bytes, at most ${MAX_RECORD} allowed`);
      if (start + size > this.#buffer.length) break;
      offset = start + size;
      events.push(parse(this.#buffer.subarray(start, offset)));
    }
    this.#buffer = this.#buffer.slice(offset);
    return events;
  }
}

function parse(payload) {
  let event = null;
  try {
    event = JSON.parse(decoder.decode(payload));
  } catch (error) {
    throw new WireError("control stream", `a record that is not JSON: ${error.message}`);
  }
  if (typeof event?.type !== "string") throw new WireError("control stream", "a record that is no event");
  return event;
}
