/**
 * What the caller hears: frames from the edge to the player, and an interruption of them that can be taken back.
 *
 * The player takes frames (`frame`, `end`, `pause`, `resume`, `flush`), and its `status` says how far the ear has come.
 */

import { Items } from "./items.js";
import { FrameLedger } from "./ledger.js";
import { Code } from "./wire.js";

const SILENT = { item: 0, played_ms: 0, buffered_ms: 0, underruns: 0, highest_group: 0, playing: false, held_ms: 0 };

export class Hearing {
  ledger = new FrameLedger();
  status = SILENT;
  #player;
  #stop;
  #say;
  #items;
  #newest = 0; // the last item of which anything went to the player
  #whole = { item: 0, frames: 0 }; // the last item of which all is here
  #interrupted = null; // the items that an interruption silenced, while it can be taken back

  /** `stop(stream, code)` asks the edge to give up one of its streams, `say(event)` tells it something. */
  constructor(player, stop, say) {
    this.#player = player;
    this.#stop = stop;
    this.#say = say;
    this.#items = new Items({
      frame: (item, seq, packet) => this.#hear(item, seq, packet),
      ended: (item, frames) => this.#end(item, frames),
    });
  }

  set deadlineMs(deadlineMs) {
    this.#items.deadlineMs = deadlineMs;
  }

  /** Frames that came when nobody waited for them any more. */
  get late() {
    return this.#items.late;
  }

  /** The item in hand and how many frames of it are here; all before it is whole. */
  get position() {
    return this.#items.position;
  }

  /** Whether no item is being received. */
  get idle() {
    return this.#items.idle;
  }

  // --- what comes --------------------------------------------------------------------------------------

  receive(stream, data, fin, now) {
    this.#items.receive(stream, data, fin, now, this.status.buffered_ms);
  }

  receiveDatagram(data, now) {
    this.#items.receiveDatagram(data, now, this.status.buffered_ms);
  }

  reset(stream, code, now) {
    this.#items.reset(stream, code, now, this.status.buffered_ms);
  }

  expire(now) {
    this.#items.expire(now, this.status.buffered_ms);
  }

  /** The edge says that an item has begun. */
  expect(item) {
    this.#items.expect(item);
  }

  /** The edge says how many frames an item has. */
  complete(item, frames, now) {
    this.#items.complete(item, frames, now, this.status.buffered_ms);
  }

  /** The edge says that no more of an item will come. */
  cancel(item) {
    this.#items.cancel(item);
  }

  /** Nothing more of `item` shall be heard, by the edge's own will. A later one may be here already. */
  clear(item) {
    this.#items.cancel(item);
    if (this.#newest > item) return;
    this.#interrupted = null;
    this.#player.flush();
  }

  /** Another connection. */
  reconnect() {
    this.#items.reconnect();
  }

  /** Another node goes on with the session, and begins to count. */
  countAnew() {
    this.ledger = new FrameLedger();
  }

  /** Another session: nothing of the one before is worth anything. */
  restart() {
    this.#interrupted = null;
    this.#newest = 0;
    this.#items.restart();
    this.#player.flush();
    this.countAnew();
  }

  // --- what the caller wants -----------------------------------------------------------------------------

  get isInterrupted() {
    return this.#interrupted !== null;
  }

  /** Silence, at once. Until `confirm` it can be taken back, for as long as the edge waits: 400 ms. */
  interrupt() {
    if (this.#interrupted) return;
    this.#player.pause();
    const { items, streams } = this.#items.silence();
    // What has been received whole and is not yet played is interrupted, too.
    const { item, held_ms } = this.status;
    this.#interrupted = held_ms && !items.includes(item) ? [item, ...items] : items;
    for (const stream of streams) this.#stop(stream, Code.CANCELLED);
    for (const one of this.#interrupted) this.#say({ type: "response.cancel", response_id: `resp_${one}` });
  }

  /** It was meant: what was not played is forgotten. */
  confirm() {
    if (!this.#interrupted) return;
    this.#interrupted = null;
    this.#items.abandon();
    this.#player.flush();
  }

  /** It was not meant: go on where it was stopped. */
  resume() {
    if (!this.#interrupted) return;
    const here = this.#items.resume().set(this.#whole.item, this.#whole.frames);
    for (const item of this.#interrupted) {
      if (here.has(item)) this.#say({ type: "edge.resume", item_id: `item_${item}`, frames: here.get(item) });
    }
    this.#interrupted = null;
    this.#player.resume();
  }

  #hear(item, seq, packet) {
    this.#newest = item;
    if (packet) this.ledger.record(item, seq, packet);
    else this.ledger.lost += 1;
    this.#player.frame(item, packet);
  }

  #end(item, frames) {
    this.#whole = { item, frames };
    this.#player.end(item);
  }
}
