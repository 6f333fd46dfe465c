/**
 * What the caller says: packets numbered, cut into groups of five, each on a stream of its own or in datagrams.
 *
 * A stream that has not arrived when its words are worth nothing any more is given up. Where that time is too short
 * for a stream to be repaired in it, groups go in datagrams, each with the packet before it.
 *
 * The last ten seconds are kept until the edge confirms them, to be said again to an edge that missed them while the
 * network was away.
 */

import { concat } from "./varint.js";
import { encodeAudioDatagram, encodeHeader, encodePacket, FRAME_MS, FRAMES_PER_GROUP, Kind, OPUS } from "./wire.js";

const KEPT_FRAMES = 10_000 / FRAME_MS;

/** A reset cannot help within one round trip and its timers: then what is lost is better not waited for. */
export function wantsDatagrams(deadlineMs, rttMs) {
  return deadlineMs !== null && deadlineMs < 1.5 * rttMs + 25;
}

export class Uplink {
  deadlineMs = null;
  rttMs = 0;
  #carrier = null;
  #streams = 0; // of this carrier
  #open = null; // the group being written: {stream} or {datagrams: true}
  #expiring = []; // [{stream, at}], in the order of time while the deadline stays the same
  #utterances = [{ number: 1, from: 0, packets: [], ending: null }]; // not confirmed; the last is the one in hand

  get datagrams() {
    return wantsDatagrams(this.deadlineMs, this.rttMs);
  }

  /** The utterance in hand, and how many frames of it were said. */
  get utterance() {
    return this.#current.number;
  }

  get frames() {
    return said(this.#current);
  }

  /** The oldest utterance that the edge has not confirmed, be it the next one, and how many frames are kept of all. */
  get first() {
    return this.#utterances[0].number;
  }

  get unconfirmed() {
    return this.#utterances.reduce((sum, { packets }) => sum + packets.length, 0);
  }

  /** Says one packet; its seq. Without a carrier it is kept only. */
  speak(packet, now) {
    const seq = this.frames;
    this.#current.packets.push(packet);
    this.#forget();
    if (this.#carrier) this.#write(this.#current, seq, now);
    return seq;
  }

  /** The utterance is over, to be answered: the event that says so. */
  commit(now) {
    return this.#end("input_audio_buffer.commit", now);
  }

  /** The utterance was nothing: the event that takes it back. */
  clear(now) {
    return this.#end("input_audio_buffer.clear", now);
  }

  /** The edge has all it ever will of `utterance`. */
  confirm(utterance) {
    this.#utterances = this.#utterances.filter(({ number, ending }) => !ending || number > utterance);
  }

  /** The carrier is gone; what is said from now on is kept for the next. */
  detach() {
    this.#carrier = null;
    this.#open = null;
    this.#expiring = [];
  }

  /** Speech goes on `carrier`. Says again what is behind `frames` of `utterance`; `send` takes the events between. */
  attach(carrier, utterance, frames, send, now) {
    this.detach();
    this.#carrier = carrier;
    this.#streams = 0;
    this.confirm(utterance - 1);
    for (const state of this.#utterances) {
      // In whole groups: what the edge has it knows by its number, and a group that is not kept whole is gone.
      const missing = state.number === utterance ? Math.floor(frames / FRAMES_PER_GROUP) : 0;
      const first = FRAMES_PER_GROUP * Math.max(missing, Math.ceil(state.from / FRAMES_PER_GROUP));
      for (let seq = first; seq < said(state); seq++) this.#write(state, seq, now);
      if (state.ending) {
        this.#close(now);
        send(state.ending);
      }
    }
  }

  /** To another session: utterances count from `first`, and frames from 0; `record` is told of each that is kept. */
  renumber(first, record) {
    this.#utterances.forEach((state, index) => {
      Object.assign(state, { number: first + index, from: 0 });
      state.packets.forEach((packet, seq) => record(state.number, seq, packet));
      if (state.ending) state.ending = this.#ending(state.ending.type, state);
    });
  }

  /** Give up what is worth nothing any more. */
  expire(now) {
    while (this.#expiring.length && this.#expiring[0].at <= now) this.#carrier.expireStream(this.#expiring.shift().stream);
  }

  get #current() {
    return this.#utterances.at(-1);
  }

  #end(type, now) {
    this.#close(now);
    const state = this.#current;
    state.ending = this.#ending(type, state);
    this.#utterances.push({ number: state.number + 1, from: 0, packets: [], ending: null });
    return state.ending;
  }

  #ending(type, state) {
    const frames = said(state);
    return { type, utterance: state.number, groups: Math.ceil(frames / FRAMES_PER_GROUP), frames };
  }

  #write(state, seq, now) {
    const packet = state.packets[seq - state.from];
    const pts_ms = seq * FRAME_MS;
    const index = seq % FRAMES_PER_GROUP;
    if (!this.#open || index === 0) {
      this.#close(now);
      this.#open = this.datagrams ? { datagrams: true } : { stream: this.#streams++, begun: false };
    }
    const open = this.#open;
    if (open.datagrams) {
      const before = seq > state.from ? [state.packets[seq - 1 - state.from]] : [];
      this.#carrier.sendDatagram(encodeAudioDatagram({ unit: state.number, seq, pts_ms, packets: [packet, ...before] }));
      return;
    }
    const group = Math.floor(seq / FRAMES_PER_GROUP);
    const header = open.begun ? new Uint8Array(0) : encodeHeader(Kind.GROUP, { unit: state.number, group, pts_ms, codec: OPUS });
    const last = index === FRAMES_PER_GROUP - 1;
    open.begun = true;
    this.#carrier.sendStream(open.stream, concat(header, encodePacket(packet)), last);
    if (last) this.#finish(open.stream, now);
  }

  /** The group in hand is over, however short. */
  #close(now) {
    if (this.#open?.begun) {
      this.#carrier.sendStream(this.#open.stream, new Uint8Array(0), true);
      this.#finish(this.#open.stream, now);
    }
    this.#open = null;
  }

  #finish(stream, now) {
    this.#open = null;
    if (this.deadlineMs !== null) this.#expiring.push({ stream, at: now + this.deadlineMs });
  }

  #forget() {
    let excess = this.unconfirmed - KEPT_FRAMES;
    for (const state of this.#utterances) {
      const dropped = state.packets.splice(0, Math.max(0, excess));
      state.from += dropped.length;
      excess -= dropped.length;
    }
  }
}

function said({ from, packets }) {
  return from + packets.length;
}
