/**
 * What the caller hears: item streams, groups and datagrams, in any order, become frames in one order.
 *
 * A frame is named by its item and its seq in it. Each is given out once, or declared lost, never both and never
 * neither: a hole at the head is lost when its group was given up, or when waiting longer is worth nothing. What comes
 * for it after that is late, and is counted.
 */

import { AudioStream, Code, decodeDatagram, FRAMES_PER_GROUP, Kind, WireError } from "./wire.js";

/** What an edge can make a caller hold: more items than fit into its ring, more frames than any lead allows. */
const MAX_ITEMS = 2048;
const MAX_WAITING = 3000;

export class Items {
  /** Milliseconds for which a frame is worth waiting after the moment at which it was to be played; null for ever. */
  deadlineMs = null;
  late = 0;
  #current = 1;
  #items = new Map();
  #streams = new Map(); // until their end
  #stopped = new Set(); // streams that were asked to end; what is on its way is not wanted
  #sink;

  /** `sink` has `frame(item, seq, packet)`, with null for a lost one, and `ended(item, frames, cancelled)`. */
  constructor(sink) {
    this.#sink = sink;
  }

  /** How far the item in hand has come: all before it is whole. */
  get position() {
    return { item: this.#current, frames: this.#items.get(this.#current)?.next ?? 0 };
  }

  /** Whether nothing has begun that is not whole. */
  get idle() {
    return this.#items.size === 0;
  }

  /** Bytes of one of the edge's streams; `aheadMs` is how much is there to be played before what comes now. */
  receive(id, data, fin, now, aheadMs) {
    const stream = this.#streams.get(id) ?? this.#begin(id);
    if (this.#stopped.has(id)) {
      if (fin) this.#forget(id);
      return;
    }
    const packets = stream.receive(data, fin);
    if (fin) this.#forget(id);
    const { header } = stream;
    if (!header) return;
    const item = this.#find(header.unit);
    if (!item) return;
    const end = header.first + stream.packets;
    packets.forEach((packet, index) => this.#take(item, end - packets.length + index, packet));
    if (fin && header.kind === Kind.ITEM) item.end = end;
    this.#deliver(now, aheadMs);
  }

  /** One datagram: a frame, and perhaps the one before it. */
  receiveDatagram(data, now, aheadMs) {
    const { unit, seq, packets } = decodeDatagram(data);
    const item = this.#find(unit);
    if (!item) return;
    packets.forEach((packet, back) => {
      if (seq >= back && (back === 0 || !item.waiting.has(seq - back))) this.#take(item, seq - back, packet, back > 0);
    });
    this.#deliver(now, aheadMs);
  }

  /** The edge gave up a stream: a group whose time is over is lost. What became of a whole item it says by event. */
  reset(id, code, now, aheadMs) {
    const stream = this.#streams.get(id);
    this.#forget(id);
    if (code !== Code.DEADLINE || stream?.header?.kind !== Kind.GROUP) return;
    const item = this.#find(stream.header.unit);
    const { first } = stream.header;
    for (let seq = first + stream.packets; item && seq < first + FRAMES_PER_GROUP; seq++) item.lost.add(seq);
    this.#deliver(now, aheadMs);
  }

  /** The edge says that an item has begun. */
  expect(number) {
    this.#find(number);
  }

  /** The edge says how many frames an item has; where it came on one stream, that said so already. */
  complete(number, frames, now, aheadMs) {
    const item = this.#find(number);
    if (!item || item.unwanted) return;
    item.end ??= bounded(item, frames);
    this.#deliver(now, aheadMs);
  }

  /** The edge says that no more of an item will come. */
  cancel(number) {
    const item = this.#find(number);
    if (!item) return;
    item.unwanted = true;
    item.end = item.next;
    this.#deliver(0, 0);
  }

  /**
   * Nothing more of what has begun shall be heard: the numbers of those items and the streams to be stopped.
   * `resume` takes it back, `abandon` makes it final.
   */
  silence() {
    for (const item of this.#items.values()) {
      item.unwanted = true;
      forgetWaiting(item);
    }
    for (const id of this.#streams.keys()) this.#stopped.add(id);
    return { items: [...this.#items.keys()], streams: [...this.#streams.keys()] };
  }

  /** It goes on after all: by item, how many frames of it are here. */
  resume() {
    const frames = new Map();
    for (const [number, item] of this.#items) {
      item.unwanted = false;
      frames.set(number, item.next);
    }
    return frames;
  }

  /** It was meant: what was silenced is over, whatever the edge may still say of it. */
  abandon() {
    for (const item of this.#items.values()) if (item.unwanted) item.end = item.next;
    this.#deliver(0, 0);
  }

  /** Another connection: streams begin anew, and each item where it had come to. */
  reconnect() {
    this.#streams.clear();
    this.#stopped.clear();
    for (const item of this.#items.values()) {
      forgetWaiting(item);
      item.end = null;
    }
  }

  /** Another session: items count from 1 again. */
  restart() {
    this.reconnect();
    this.#items.clear();
    this.#current = 1;
  }

  /** Declare lost what has been waited for in vain. */
  expire(now, aheadMs) {
    const item = this.#items.get(this.#current);
    if (!item || item.dueAt === null || now < item.dueAt) return;
    const [there] = [...item.waiting.keys(), item.end].filter((seq) => seq !== null).sort((one, other) => one - other);
    for (let seq = item.next; seq < there; seq++) item.lost.add(seq);
    this.#deliver(now, aheadMs);
  }

  #begin(id) {
    const stream = new AudioStream(`stream ${id}`);
    this.#streams.set(id, stream);
    return stream;
  }

  #forget(id) {
    this.#streams.delete(id);
    this.#stopped.delete(id);
  }

  #find(number) {
    if (number < this.#current) return null;
    if (number >= this.#current + MAX_ITEMS) throw new WireError("item", `${number} while ${this.#current} is not over`);
    if (!this.#items.has(number)) {
      this.#items.set(number, { next: 0, waiting: new Map(), lost: new Set(), end: null, dueAt: null, unwanted: false });
    }
    return this.#items.get(number);
  }

  #take(item, seq, packet, repeated = false) {
    if (item.unwanted) return;
    if (seq < item.next || item.lost.has(seq)) {
      if (!repeated) this.late += 1;
      return;
    }
    item.waiting.set(bounded(item, seq), packet);
  }

  #deliver(now, aheadMs) {
    for (let item; (item = this.#items.get(this.#current)); ) {
      while (item.waiting.has(item.next) || (item.lost.has(item.next) && isHole(item))) {
        const packet = item.waiting.get(item.next) ?? null;
        item.waiting.delete(item.next);
        item.lost.delete(item.next);
        item.dueAt = null;
        this.#sink.frame(this.#current, item.next++, packet);
      }
      if (item.end === null || item.next < item.end) {
        if (isHole(item) && this.deadlineMs !== null) item.dueAt ??= now + aheadMs + this.deadlineMs;
        return;
      }
      this.#items.delete(this.#current);
      this.#current += 1;
      this.#sink.ended(this.#current - 1, item.next, item.unwanted);
    }
  }
}

/** Whether what is next is missing and not only still to come: something behind it is here, or its end is known. */
function isHole(item) {
  return item.end === null ? item.waiting.size > 0 : item.next < item.end;
}

function forgetWaiting(item) {
  item.waiting.clear();
  item.lost.clear();
  item.dueAt = null;
}

function bounded(item, seq) {
  if (seq > item.next + MAX_WAITING) {
    throw new WireError("item", `frame ${seq} while ${item.next} is missing`, Code.TOO_FAR_BEHIND);
  }
  return seq;
}
