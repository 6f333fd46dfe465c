/**
 * Everything of `edge-voice/1` that is not JSON: audio streams, audio datagrams, playout reports.
 *
 * The first varint of a unidirectional stream or a datagram is its type; a packet is a varint length and that many
 * bytes of Opus, 20 ms of it.
 *
 *     stream     1  group           unit, group, pts_ms, codec                    then 1 to 5 packets, FIN
 *     stream     2  item            response, item, content_index, pts0_ms, codec then packets, FIN
 *     datagram   3  audio           unit, seq, pts_ms, k                          then 1 + k packets, newest first
 *     datagram   4  playout report  item, played_ms, buffered_ms, underruns, highest_group, client_ts_ms
 *
 * A unit is what is numbered: an utterance on the way up, an item on the way down. `seq = 5 * group + index`
 * everywhere. What is malformed throws `WireError` and nothing else.
 */

import { concat, decodeVarint, encodeVarints } from "./varint.js";

export const FRAME_MS = 20;
export const FRAMES_PER_GROUP = 5;
export const GROUP_MS = FRAME_MS * FRAMES_PER_GROUP;
export const OPUS = 1;

export const Kind = Object.freeze({ GROUP: 1, ITEM: 2, AUDIO: 3, REPORT: 4 });

/** Of RESET_STREAM, of STOP_SENDING, and of closing the session. */
export const Code = Object.freeze({
  OK: 0,
  CANCELLED: 1,
  DEADLINE: 2,
  SESSION_CLOSED: 3,
  GOING_AWAY: 4,
  TOO_FAR_BEHIND: 5,
  UNAUTHORIZED: 7,
  LIMIT: 8,
  OVERLOAD: 9,
  PROTOCOL_ERROR: 16,
});

const MAX_PACKET = 1 + 1275; // RFC 6716 section 3.2
const MAX_REDUNDANCY = 1;
const STREAM_FIELDS = {
  [Kind.GROUP]: ["unit", "group", "pts_ms", "codec"],
  [Kind.ITEM]: ["response", "unit", "content_index", "pts0_ms", "codec"],
};
const AUDIO_FIELDS = ["unit", "seq", "pts_ms", "k"];
const REPORT_FIELDS = ["item", "played_ms", "buffered_ms", "underruns", "highest_group", "client_ts_ms"];

/** The peer broke the protocol in a way that leaves nothing to go on with; `code` closes the session. */
export class WireError extends Error {
  constructor(where, problem, code = Code.PROTOCOL_ERROR) {
    super(`${where}: ${problem}`);
    this.name = "WireError";
    this.code = code;
  }
}

/** What an audio stream of `kind` opens with; `header` has the fields of its kind. */
export function encodeHeader(kind, header) {
  return encodeVarints(kind, ...STREAM_FIELDS[kind].map((field) => header[field]));
}

/** One packet with its length. Throws RangeError for what cannot be one frame of Opus. */
export function encodePacket(packet) {
  if (packet.length < 1 || packet.length > MAX_PACKET) throw new RangeError(`${packet.length} bytes are no frame of Opus`);
  return concat(encodeVarints(packet.length), packet);
}

/** One frame that is not worth repeating: `packets` are it and, behind it, at most one of its predecessors. */
export function encodeAudioDatagram({ unit, seq, pts_ms, packets }) {
  return concat(encodeVarints(Kind.AUDIO, unit, seq, pts_ms, packets.length - 1), ...packets.map(encodePacket));
}

export function encodeReport(report) {
  return encodeVarints(Kind.REPORT, ...REPORT_FIELDS.map((field) => report[field]));
}

/** The audio datagram that `data` is: `{unit, seq, pts_ms, packets}`. An edge sends no other kind. */
export function decodeDatagram(data) {
  const where = "datagram";
  const [[kind], start] = readAll(where, data, 0, 1);
  if (kind !== Kind.AUDIO) throw new WireError(where, `of type ${kind}, ${Kind.AUDIO} expected`);
  const [values, end] = readAll(where, data, start, AUDIO_FIELDS.length);
  const { unit, seq, pts_ms, k } = named(AUDIO_FIELDS, values);
  if (k > MAX_REDUNDANCY) throw new WireError(where, `repeats ${k} packets, at most ${MAX_REDUNDANCY} allowed`);
  const packets = [];
  let offset = end;
  for (let index = 0; index <= k; index++) {
    const [[size], at] = readAll(where, data, offset, 1);
    offset = at + size;
    if (size < 1 || size > MAX_PACKET || offset > data.length) throw new WireError(`${where}, byte ${at}`, `no packet of ${size} bytes`);
    packets.push(data.slice(at, offset));
  }
  if (offset !== data.length) throw new WireError(`${where}, byte ${offset}`, `${data.length - offset} bytes too many`);
  return { unit, seq, pts_ms, packets };
}

/**
 * Parses one unidirectional audio stream as its bytes arrive, in chunks of any size.
 *
 * `header` is null until it is complete, then `{kind, unit, first, codec}`: `first` is the seq of its first packet.
 */
export class AudioStream {
  header = null;
  packets = 0;
  #name;
  #buffer = new Uint8Array(0);

  constructor(name) {
    this.#name = name;
  }

  /** The packets that `data` completes. */
  receive(data, fin) {
    this.#buffer = this.#buffer.length ? concat(this.#buffer, data) : data;
    let offset = this.header ? 0 : this.#readHeader();
    const packets = [];
    while (this.header) {
      const read = decodeVarint(this.#buffer, offset);
      if (!read) break;
      const [size, start] = read;
      if (size < 1 || size > MAX_PACKET) throw new WireError(this.#place(), `${size} bytes are no frame of Opus`);
      if (this.header.kind === Kind.GROUP && this.packets === FRAMES_PER_GROUP) {
        throw new WireError(this.#place(), "one more than a group holds");
      }
      if (start + size > this.#buffer.length) break;
      packets.push(this.#buffer.slice(start, start + size));
      this.packets += 1;
      offset = start + size;
    }
    this.#buffer = this.#buffer.subarray(offset);
    if (fin && (!this.header || this.#buffer.length)) throw new WireError(this.#place(), "ends before it is complete");
    return packets;
  }

  #readHeader() {
    const first = decodeVarint(this.#buffer, 0);
    if (!first) return 0;
    const [kind, start] = first;
    const fields = STREAM_FIELDS[kind];
    if (!fields) throw new WireError(this.#name, `stream of type ${kind}, ${Kind.GROUP} or ${Kind.ITEM} expected`);
    const values = [];
    let offset = start;
    while (values.length < fields.length) {
      const read = decodeVarint(this.#buffer, offset);
      if (!read) return 0;
      values.push(read[0]);
      offset = read[1];
    }
    const { unit, group, pts0_ms, codec } = named(fields, values);
    if (codec !== OPUS) throw new WireError(this.#name, `codec ${codec}, but only Opus (${OPUS}) was offered`);
    const seq = kind === Kind.GROUP ? group * FRAMES_PER_GROUP : Math.floor(pts0_ms / FRAME_MS);
    this.header = { kind, unit, first: seq, codec };
    return offset;
  }

  #place() {
    return this.header ? `${this.#name}, packet ${this.packets}` : `${this.#name}, header`;
  }
}

function named(fields, values) {
  return Object.fromEntries(fields.map((field, index) => [field, values[index]]));
}

function readAll(where, data, offset, count) {
  const values = [];
  for (let index = 0; index < count; index++) {
    const read = decodeVarint(data, offset);
    if (!read) throw new WireError(`${where}, byte ${offset}`, "ends before it is complete");
    values.push(read[0]);
    offset = read[1];
  }
  return [values, offset];
}
