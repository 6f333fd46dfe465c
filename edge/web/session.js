/**
 * The caller's end of a call: says, hears, reports what has been heard, and outlives its carriers.
 *
 * Knows no browser: a carrier brings bytes (`receive*`), a player takes frames (see `hearing.js`) and tells what became
 * of them (`playoutChanged`), the clock comes in as `now()` and `tick`. What happens is told to `tell(kind, detail)`:
 *
 *     ready        {node, unicast_url, migrated, ...}    the edge has said who it is
 *     resumed      {utterance, frames, elsewhere}        another carrier goes on with the call
 *     restarted    {}                                    another carrier, and the edge knows nothing of the call
 *     left         {said, heard, edge}                   what was counted here and there, of a node that lets the call go
 *     stayed       {reason}                              the call could not move, and is where it was
 *     lost         {code, reason}                        the carrier is gone; `attach` another
 *     event        {event, sent}                         any control event, as it is
 *     stats        {rtt_ms, heard, said, late}           once a second
 */

import { Hearing } from "./hearing.js";
import { FrameLedger } from "./ledger.js";
import { Pulse } from "./pulse.js";
import { Question } from "./question.js";
import { encodeRecord, RecordStream } from "./records.js";
import { Uplink } from "./uplink.js";
import { Code, encodeReport, FRAME_MS } from "./wire.js";

export const TICK_MS = 20;
const HEARTBEAT_MS = 1000;
const REPORT_MS = 100;
/** For what is still under way when a node has let the call go. */
const LAST_FRAMES_MS = 1000;
/** Of the ten seconds that are kept, so many may be used before a move; the rest is for its duration. */
const PAUSE_FRAMES = 8000 / FRAME_MS;
/** For so long after an utterance an answer may come to it: not a moment to go elsewhere. */
const ANSWER_MS = 2000;

const number = (identifier) => Number(identifier.split("_")[1]);

export class Session {
  said = new FrameLedger();
  #settings;
  #tell;
  #now;
  #began;
  #carrier = null;
  #records;
  #uplink = new Uplink();
  #hearing;
  #resumeToken = null;
  #reportedAt = -Infinity;
  #standing = false; // the edge at the other end of the carrier knows the call
  #unsaid = []; // events, until then
  #move = null; // {carrier, until, left, question}: on its way to that carrier
  #pulse = new Pulse();
  #answerUntil = -Infinity;
  #handlers = {
    "session.created": ({ session }) => this.#deadline(session.deadline),
    "session.updated": ({ session }) => this.#deadline(session.deadline),
    "edge.deadline": (event) => this.#deadline(event),
    "edge.session": (event) => this.#ready(event),
    "edge.reconnected": (event) => this.#reconnected(event),
    "edge.left": (event) => this.#left(event),
    "edge.stats": (event) => this.#stats(event),
    "input_audio_buffer.committed": ({ utterance }) => this.#committed(utterance),
    "input_audio_buffer.cleared": ({ utterance }) => this.#uplink.confirm(utterance),
    "response.output_item.added": ({ item }) => this.#hearing.expect(number(item.id)),
    "response.output_audio.done": ({ item_id, frames }) => this.#hearing.complete(number(item_id), frames, this.#now()),
    "response.output_item.done": ({ item }) => item.status === "incomplete" && this.#hearing.cancel(number(item.id)),
    "output_audio_buffer.cleared": ({ response_id }) => this.#hearing.clear(number(response_id)),
    error: ({ error }) => error.code === "unknown_session" && this.#restart(),
  };

  /** `settings` are those of `session.update`; see docs/reference/wire.md. */
  constructor({ settings, player, tell, now = () => performance.now() }) {
    this.#settings = settings;
    this.#tell = tell;
    this.#now = now;
    this.#began = now();
    const stop = (stream, code) => this.#carrier?.stopStream(stream, code);
    this.#hearing = new Hearing(player, stop, (event) => this.send(event));
  }

  get heard() {
    return this.#hearing.ledger;
  }

  /** Of the player; see `PlayoutRing.status`. */
  get status() {
    return this.#hearing.status;
  }

  // --- carriers ----------------------------------------------------------------------------------------

  /** The call goes on `carrier`, which is ready: from the beginning, or where the one before it was lost. */
  attach(carrier) {
    this.detach();
    this.#take(carrier);
    this.#pulse.begin(this.#now());
    if (this.#resumeToken) {
      this.#askToGoOn(carrier);
    } else {
      this.#introduce(carrier);
      this.#stand(1, 0);
    }
    carrier.listen(this);
  }

  /** The one that the call is on; null while it is on none. */
  get carrier() {
    return this.#carrier;
  }

  /**
   * Whether it is a good moment to `move`: nothing is being heard, nor to be heard at any moment, and what is said can
   * be said again whole.
   */
  get pauses() {
    return this.#hearing.idle && this.#now() >= this.#answerUntil && this.#uplink.unconfirmed < PAUSE_FRAMES;
  }

  /**
   * The call goes on on `carrier`, which is ready, as soon as the edge there says so; until then, or if it does not, it
   * stays where it is. With `leaveMs` the edge there does not know the call, and the one here is asked to let go of it,
   * which takes as long as that at most.
   */
  move(carrier, leaveMs = null) {
    if (this.#move) {
      carrier.close(Code.OK, "the call is on its way already");
      return;
    }
    this.#move = { carrier, until: this.#now() + leaveMs, left: null, said: null, question: null };
    if (leaveMs === null) {
      this.#ask();
      return;
    }
    this.#say({ type: "edge.leave" });
    this.#move.said = this.said.count();
    this.#standing = false;
    this.#uplink.detach();
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
    this.#hearing.expire(now);
    // An interruption's last word must not be a single datagram that can be lost.
    const pause_ms = this.#hearing.isInterrupted ? REPORT_MS : HEARTBEAT_MS;
    if (now - this.#reportedAt >= pause_ms) this.#report();
    if (this.#move && !this.#move.question && (now >= this.#move.until || this.#hasAll)) this.#ask();
    if (this.#listens && this.#pulse.ping(now)) this.#say({ type: "edge.stats" });
    const death = this.#pulse.death(now);
    if (!death) return;
    if (this.#move?.question) this.#answered(death);
    else this.#lose(Code.GOING_AWAY, death);
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
    if (!this.#uplink.frames) return;
    this.#sayEnd(this.#uplink.commit(this.#now()));
    this.#answerUntil = this.#now() + ANSWER_MS;
  }

  /** The utterance was nothing. */
  clear() {
    if (this.#uplink.frames) this.#sayEnd(this.#uplink.clear(this.#now()));
  }

  /** Silence, at once; `confirmInterruption` makes it final, `resumeSpeech` takes it back within 400 ms. */
  interrupt() {
    this.#hearing.interrupt();
  }

  confirmInterruption() {
    this.#hearing.confirm();
  }

  resumeSpeech() {
    this.#hearing.resume();
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
    if (this.#standing && !this.#move?.question) this.#say(event);
    else this.#unsaid.push(event);
  }

  close() {
    this.#move?.carrier.close(Code.OK, "hung up");
    this.#move = null;
    this.#carrier?.close(Code.OK, "hung up");
    this.detach();
  }

  /** The player's status has changed. */
  playoutChanged(status) {
    this.#hearing.status = status;
    this.#report();
  }

  get expectsLoss() {
    return this.#uplink.datagrams;
  }

  // --- what the edge says ------------------------------------------------------------------------------

  receiveControl(data, fin) {
    this.#pulse.heard(this.#now());
    for (const event of this.#records.receive(data)) {
      this.#handlers[event.type]?.(event);
      this.#tell("event", { event, sent: false });
    }
    if (fin) this.#lose(Code.SESSION_CLOSED, "the edge hung up");
  }

  receiveStream(stream, data, fin) {
    this.#pulse.heard(this.#now());
    this.#answerUntil = -Infinity; // what has begun is waited for to its end
    this.#hearing.receive(stream, data, fin, this.#now());
  }

  receiveReset(stream, code) {
    this.#hearing.reset(stream, code, this.#now());
  }

  /** The edge wants no more of a group: it has declared it lost, or is done with the utterance. */
  receiveStop(stream, code) {
    this.#carrier.resetStream(stream, code);
  }

  receiveDatagram(data) {
    this.#pulse.heard(this.#now());
    this.#answerUntil = -Infinity;
    this.#hearing.receiveDatagram(data, this.#now());
  }

  // --- inside ------------------------------------------------------------------------------------------

  #take(carrier) {
    this.#carrier = carrier;
    this.#records = new RecordStream();
    this.#hearing.reconnect();
  }

  #askToGoOn(carrier) {
    const resume_token = this.#resumeToken;
    this.#say({ type: "edge.reconnect", resume_token, ...this.#hearing.position, utterance: this.#uplink.first }, carrier);
    // Also behind that: it says who calls, and it is what counts if the edge does not know the call.
    this.#introduce(carrier);
  }

  #introduce(carrier) {
    this.#say({ type: "session.update", session: this.#settings }, carrier);
  }

  /** Move, now that there is nothing more to wait for here. What comes here from now on waits for the answer. */
  #ask() {
    const { carrier, left, said } = this.#move;
    if (left) this.#tell("left", { said, heard: this.heard.count(), edge: { said: left.said, heard: left.heard } });
    this.#carrier.listen(null);
    this.#pulse.begin(this.#now());
    this.#move.question = new Question((refusal) => this.#answered(refusal));
    this.#askToGoOn(carrier);
    carrier.listen(this.#move.question);
  }

  #answered(refusal) {
    const { carrier, question } = this.#move;
    this.#move = null;
    this.#pulse.begin(this.#now());
    if (refusal === null) {
      const former = this.#carrier;
      this.detach();
      this.#take(carrier);
      question.handOn(this);
      if (this.#carrier === carrier) carrier.listen(this);
      former.close(Code.OK, "the call goes on on another connection");
      return;
    }
    carrier.listen(DEAF);
    carrier.close(Code.OK, refusal);
    if (!this.#standing) {
      this.#lose(Code.GOING_AWAY, refusal); // it has been let go here; another connection takes it back
      return;
    }
    this.#carrier.listen(this);
    for (const event of this.#unsaid.splice(0)) this.send(event);
    this.#tell("stayed", { reason: refusal });
  }

  /** Whether the edge answers on this carrier. */
  get #listens() {
    return this.#move ? !this.#move.question && !this.#move.left : this.#standing;
  }

  /** Whether what a node had written when it let the call go is here. */
  get #hasAll() {
    const { left } = this.#move;
    return left !== null && this.heard.frames + this.heard.lost >= left.said.frames;
  }

  /** The edge has `frames` of `utterance`, and can be told the rest. */
  #stand(utterance, frames) {
    this.#standing = true;
    this.#uplink.attach(this.#carrier, utterance, frames, (event) => this.#say(event), this.#now());
    for (const event of this.#unsaid.splice(0)) this.#say(event);
  }

  #say(event, carrier = this.#carrier) {
    carrier.sendControl(encodeRecord(event));
    this.#tell("event", { event, sent: true });
  }

  /** The end of an utterance does not wait here: the uplink keeps it with the speech, and says both again. */
  #sayEnd(event) {
    if (this.#standing) this.#say(event);
  }

  #committed(utterance) {
    this.#uplink.confirm(utterance);
    this.#answerUntil = this.#now() + ANSWER_MS;
  }

  #ready(event) {
    this.#resumeToken = event.resume_token;
    this.#tell("ready", event);
  }

  #reconnected({ utterance, frames, elsewhere = false }) {
    if (elsewhere) {
      this.#hearing.countAnew();
      this.#sayAgainFrom(utterance);
    }
    this.#stand(utterance, frames);
    this.#tell("resumed", { utterance, frames, elsewhere });
  }

  #restart() {
    this.#resumeToken = null;
    this.#unsaid = [];
    this.#hearing.restart();
    this.#sayAgainFrom(1);
    this.#stand(1, 0);
    this.#tell("restarted", {});
  }

  /** To somebody who has heard nothing yet: what is kept is all that was ever said. */
  #sayAgainFrom(utterance) {
    this.said = new FrameLedger();
    this.#uplink.renumber(utterance, (...frame) => this.said.record(...frame));
  }

  #left(event) {
    this.#resumeToken = event.resume_token;
    if (this.#move) Object.assign(this.#move, { left: event, until: this.#now() + LAST_FRAMES_MS });
  }

  #deadline({ uplink_ms, downlink_ms }) {
    this.#uplink.deadlineMs = uplink_ms;
    this.#hearing.deadlineMs = downlink_ms;
  }

  #stats({ heard, said }) {
    if (!heard || !said) {
      if (this.#listens) this.#say({ type: "edge.stats", heard: this.heard.count(), said: this.said.count() });
      return;
    }
    this.#pulse.answered(this.#now());
    this.#uplink.rttMs = this.#pulse.rttMs;
    this.#tell("stats", { rtt_ms: this.#pulse.rttMs, heard, said, late: this.#hearing.late, lost: this.heard.lost });
  }

  #report() {
    const { item, played_ms, buffered_ms, underruns, highest_group } = this.status;
    this.#reportedAt = this.#now();
    const client_ts_ms = Math.round(this.#reportedAt - this.#began);
    this.#carrier?.sendDatagram(encodeReport({ item, played_ms, buffered_ms, underruns, highest_group, client_ts_ms }));
  }

  #lose(code, reason) {
    const [carrier, move] = [this.#carrier, this.#move];
    this.#move = null;
    this.detach();
    carrier?.close(Code.GOING_AWAY, reason);
    if (move) this.attach(move.carrier);
    else this.#tell("lost", { code, reason });
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
