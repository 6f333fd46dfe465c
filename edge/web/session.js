/**
 * The caller's end of a call: says, hears, reports what has been heard, and outlives its carriers.
 *
 * Knows no browser: a carrier brings bytes (`receive*`), a player takes frames (`frame`, `end`, `pause`, `resume`,
 * `flush`) and tells what became of them (`playoutChanged`), the clock comes in as `now()` and `tick`. What happens is
 * told to `tell(kind, detail)`:
 *
 *     ready        {node, unicast_url, migrated, ...}    the edge has said who it is
 *     resumed      {utterance, frames}                   another carrier goes on with the call
 *     restarted    {}                                    another carrier, and the edge knows nothing of the call
 *     lost         {code, reason}                        the carrier is gone; `attach` another
 *     event        {event, sent}                         any control event, as it is
 *     stats        {rtt_ms, heard, said, late}           once a second
 */

import { Items } from "./items.js";
import { FrameLedger } from "./ledger.js";
import { encodeRecord, RecordStream } from "./records.js";
import { Uplink } from "./uplink.js";
import { Code, encodeReport } from "./wire.js";

export const TICK_MS = 20;
const HEARTBEAT_MS = 1000;
/** Pings are answered at once; an edge that leaves three of them is gone, whatever the carrier still hopes. */
const DEAD_AFTER_MS = 3000;
const RTT_SAMPLES = 5;

const number = (identifier) => Number(identifier.split("_")[1]);

export class Session {
  said = new FrameLedger();
  heard = new FrameLedger();
  status = { item: 0, played_ms: 0, buffered_ms: 0, underruns: 0, highest_group: 0, playing: false, held_ms: 0 };
  rttMs = null;
  #settings;
  #player;
  #tell;
  #now;
  #began;
  #carrier = null;
  #records;
  #uplink = new Uplink();
  #items;
  #resumeToken = null;
  #reportedAt = -Infinity;
  #standing = false; // the edge at the other end of the carrier knows the call
  #unsaid = []; // events, until then
  #pingedAt = null; // of the ping that is not answered
  #pingAt = 0;
  #heardAt = 0;
  #rtts = [];
  #newest = 0; // the last item of which anything went to the player
  #whole = { item: 0, frames: 0 }; // the last item of which all is here
  #interrupted = null; // the items that an interruption silenced, while it can be taken back
  #handlers = {
    "session.created": ({ session }) => this.#deadline(session.deadline),
    "session.updated": ({ session }) => this.#deadline(session.deadline),
    "edge.deadline": (event) => this.#deadline(event),
    "edge.session": (event) => this.#ready(event),
    "edge.reconnected": (event) => this.#reconnected(event),
    "edge.stats": (event) => this.#stats(event),
    "input_audio_buffer.committed": ({ utterance }) => this.#uplink.confirm(utterance),
    "input_audio_buffer.cleared": ({ utterance }) => this.#uplink.confirm(utterance),
    "response.output_item.added": ({ item }) => this.#items.expect(number(item.id)),
    "response.output_audio.done": (event) => this.#items.complete(number(event.item_id), event.frames, this.#now(), this.#aheadMs),
    "response.output_item.done": ({ item }) => item.status === "incomplete" && this.#items.cancel(number(item.id)),
    "output_audio_buffer.cleared": ({ response_id }) => this.#cleared(number(response_id)),
    error: ({ error }) => error.code === "unknown_session" && this.#restart(),
  };

  /** `settings` are those of `session.update`; see docs/reference/wire.md. */
  constructor({ settings, player, tell, now = () => performance.now() }) {
    this.#settings = settings;
    this.#player = player;
    this.#tell = tell;
    this.#now = now;
    this.#began = now();
    this.#items = new Items({
      frame: (item, seq, packet) => this.#hear(item, seq, packet),
      ended: (item, frames) => this.#end(item, frames),
    });
  }

  // --- carriers ----------------------------------------------------------------------------------------

  /** The call goes on `carrier`, which is ready: from the beginning, or where the one before it broke off. */
  attach(carrier) {
    const left = this.#carrier;
    this.detach();
    left?.close(Code.GOING_AWAY, "the call goes on on another connection");
    this.#carrier = carrier;
    this.#records = new RecordStream();
    this.#pingedAt = null;
    this.#pingAt = this.#heardAt = this.#now();
    if (this.#resumeToken) {
      this.#items.reconnect();
      this.#say({ type: "edge.reconnect", resume_token: this.#resumeToken, ...this.#items.position });
    }
    // Also behind that: it says who calls, and it is what counts if the edge does not know the call.
    this.#say({ type: "session.update", session: this.#settings });
    if (!this.#resumeToken) this.#stand(1, 0);
    carrier.listen(this);
  }

  /** Without a carrier: what is said is kept, and nothing more is heard from the one before. */
  detach() {
    this.#carrier?.listen(DEAF);
    this.#carrier = null;
    this.#standing = false;
    this.#uplink.detach();
  }

  carrierClosed(carrier, code, reason) {
    if (carrier === this.#carrier) this.#lose(code, reason);
  }

  /** Call it every `TICK_MS`: heartbeats, deadlines, and noticing that nobody is there. */
  tick() {
    const now = this.#now();
    if (!this.#carrier) return;
    this.#uplink.expire(now);
    this.#items.expire(now, this.#aheadMs);
    if (now - this.#reportedAt >= HEARTBEAT_MS) this.#report();
    if (this.#standing && this.#pingedAt === null && now >= this.#pingAt) {
      this.#pingedAt = now;
      this.send({ type: "edge.stats" });
    }
    if (now - this.#heardAt >= DEAD_AFTER_MS) this.#lose(Code.GOING_AWAY, `nothing heard for ${DEAD_AFTER_MS / 1000} s`);
  }

  // --- what the caller does ----------------------------------------------------------------------------

  /** Says 20 ms: one packet of Opus. */
  speak(packet) {
    const { utterance } = this.#uplink;
    const seq = this.#uplink.speak(packet, this.#now());
    this.said.record(utterance, seq, packet);
  }

  /** The utterance is over. */
  commit() {
    if (this.#uplink.frames) this.#sayEnd(this.#uplink.commit(this.#now()));
  }

  /** The utterance was nothing. */
  clear() {
    if (this.#uplink.frames) this.#sayEnd(this.#uplink.clear(this.#now()));
  }

  /** Silence, at once. Until `confirmInterruption` it can be taken back, for as long as the edge waits: 400 ms. */
  interrupt() {
    if (this.#interrupted) return;
    this.#player.pause();
    const { items, streams } = this.#items.silence();
    // What has been received whole and is not yet played is interrupted, too.
    const { item, held_ms } = this.status;
    this.#interrupted = [...new Set(held_ms && !items.includes(item) ? [item, ...items] : items)];
    for (const stream of streams) this.#carrier?.stopStream(stream, Code.CANCELLED);
    for (const one of this.#interrupted) this.send({ type: "response.cancel", response_id: `resp_${one}` });
  }

  /** It was meant: what was not played is forgotten. */
  confirmInterruption() {
    if (!this.#interrupted) return;
    this.#interrupted = null;
    this.#items.abandon();
    this.#player.flush();
  }

  /** It was not meant: go on where it was stopped. */
  resumeSpeech() {
    if (!this.#interrupted) return;
    const here = this.#items.resume();
    here.set(this.#whole.item, this.#whole.frames);
    for (const item of this.#interrupted) {
      if (here.has(item)) this.send({ type: "edge.resume", item_id: `item_${item}`, frames: here.get(item) });
    }
    this.#interrupted = null;
    this.#player.resume();
  }

  /** Changes settings during the call. */
  update(settings) {
    Object.assign(this.#settings, settings);
    this.send({ type: "session.update", session: settings });
  }

  /** "live", "chat", "accurate", or `{uplink_ms, downlink_ms}`. */
  setDeadline(deadline) {
    this.#settings.deadline = deadline;
    this.send({ type: "edge.deadline", ...(typeof deadline === "string" ? { preset: deadline } : deadline) });
  }

  /** Any event of the vocabulary; it waits while the call is between two carriers. */
  send(event) {
    if (this.#standing) this.#say(event);
    else this.#unsaid.push(event);
  }

  close() {
    this.#carrier?.close(Code.OK, "hung up");
    this.detach();
  }

  /** The player's status has changed. */
  playoutChanged(status) {
    this.status = status;
    this.#report();
  }

  get expectsLoss() {
    return this.#uplink.datagrams;
  }

  // --- what the edge says ------------------------------------------------------------------------------

  receiveControl(data, fin) {
    this.#heardAt = this.#now();
    for (const event of this.#records.receive(data)) {
      this.#handlers[event.type]?.(event);
      this.#tell("event", { event, sent: false });
    }
    if (fin) this.#lose(Code.SESSION_CLOSED, "the edge hung up");
  }

  receiveStream(stream, data, fin) {
    this.#heardAt = this.#now();
    this.#items.receive(stream, data, fin, this.#heardAt, this.#aheadMs);
  }

  receiveReset(stream, code) {
    this.#items.reset(stream, code, this.#now(), this.#aheadMs);
  }

  /** The edge wants no more of a group: it has declared it lost, or is done with the utterance. */
  receiveStop(stream, code) {
    this.#carrier.resetStream(stream, code);
  }

  receiveDatagram(data) {
    this.#heardAt = this.#now();
    this.#items.receiveDatagram(data, this.#heardAt, this.#aheadMs);
  }

  // --- inside ------------------------------------------------------------------------------------------

  get #aheadMs() {
    return this.status.buffered_ms;
  }

  /** The edge has `frames` of `utterance`, and can be told the rest. */
  #stand(utterance, frames) {
    this.#standing = true;
    this.#uplink.attach(this.#carrier, utterance, frames, (event) => this.#say(event), this.#now());
    for (const event of this.#unsaid.splice(0)) this.#say(event);
  }

  #say(event) {
    this.#carrier.sendControl(encodeRecord(event));
    this.#tell("event", { event, sent: true });
  }

  /** The end of an utterance does not wait here: the uplink keeps it with the speech, and says both again. */
  #sayEnd(event) {
    if (this.#standing) this.#say(event);
  }

  #ready(event) {
    this.#resumeToken = event.resume_token;
    this.#tell("ready", event);
  }

  #reconnected({ utterance, frames }) {
    this.#stand(utterance, frames);
    this.#tell("resumed", { utterance, frames });
  }

  #restart() {
    this.#resumeToken = null;
    this.#interrupted = null;
    this.#unsaid = [];
    this.#newest = 0;
    this.#items.restart();
    this.#player.flush();
    this.said = new FrameLedger();
    this.heard = new FrameLedger();
    this.#uplink.renumber((...frame) => this.said.record(...frame));
    this.#stand(1, 0);
    this.#tell("restarted", {});
  }

  #deadline({ uplink_ms, downlink_ms }) {
    this.#uplink.deadlineMs = uplink_ms;
    this.#items.deadlineMs = downlink_ms;
  }

  /** Nothing more of `item` shall be heard, by the edge's own will. A later one may be here already. */
  #cleared(item) {
    this.#items.cancel(item);
    if (this.#newest > item) return;
    this.#interrupted = null;
    this.#player.flush();
  }

  #hear(item, seq, packet) {
    this.#newest = item;
    if (packet) this.heard.record(item, seq, packet);
    else this.heard.lost += 1;
    this.#player.frame(item, packet);
  }

  #end(item, frames) {
    this.#whole = { item, frames };
    this.#player.end(item);
  }

  #stats({ heard, said }) {
    if (!heard || !said) {
      this.send({ type: "edge.stats", heard: this.heard.count(), said: this.said.count() });
      return;
    }
    const now = this.#now();
    if (this.#pingedAt !== null) this.#rtts = [...this.#rtts, now - this.#pingedAt].slice(-RTT_SAMPLES);
    this.#pingedAt = null;
    this.#pingAt = now + HEARTBEAT_MS;
    this.rttMs = this.#uplink.rttMs = Math.min(...this.#rtts);
    this.#tell("stats", { rtt_ms: this.rttMs, heard, said, late: this.#items.late, lost: this.heard.lost });
  }

  #report() {
    const { item, played_ms, buffered_ms, underruns, highest_group } = this.status;
    this.#reportedAt = this.#now();
    const client_ts_ms = Math.round(this.#reportedAt - this.#began);
    this.#carrier?.sendDatagram(encodeReport({ item, played_ms, buffered_ms, underruns, highest_group, client_ts_ms }));
  }

  #lose(code, reason) {
    const carrier = this.#carrier;
    this.detach();
    carrier?.close(Code.GOING_AWAY, reason);
    this.#tell("lost", { code, reason });
  }
}

/** For a carrier that the session has left: whatever it still brings is not wanted. */
const DEAF = {
  receiveControl() {},
  receiveStream() {},
  receiveReset() {},
  receiveStop() {},
  receiveDatagram() {},
  carrierClosed() {},
};
