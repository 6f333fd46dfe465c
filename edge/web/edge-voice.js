/**
 * A call to an edge from a browser.
 *
 *     import { call } from "./edge-voice.js";
 *     button.onclick = async () => {
 *       const talk = await call({ on: { transcript: ({ who, text }) => console.log(who, text) } });
 *       hangUp.onclick = () => talk.hangUp();
 *     };
 *
 * docs/how-to/browser.md has the whole.
 */

import { Microphone } from "./capture.js";
import { Playout } from "./playout.js";
import { CallError, placeAt, raceCarriers, requestSession } from "./race.js";
import { SAMPLE_RATE } from "./ring.js";
import { Session, TICK_MS } from "./session.js";
import { Transcripts } from "./transcripts.js";
import { Turns } from "./turns.js";
import { Code } from "./wire.js";

export { CallError };

const DEFAULTS = {
  edge: new URL("/", import.meta.url).href,
  token: null,
  mode: "open",
  carriers: ["webtransport", "websocket"],
  session: {},
  on: {},
};
const REDIAL_DELAYS_MS = [0, 250, 500, 1000, 2000, 4000];
/** After so many attempts at the node that has the call, any node will do. */
const ATTEMPTS_AT_NODE = 3;
/** Without any network, nothing is tried for at most so long: a node keeps the call for 30 s, and its token for longer. */
const OFFLINE_PATIENCE_MS = 120_000;
/** Between attempts to move; the call goes on meanwhile. */
const MOVE_AGAIN_MS = 2000;
/** The least that a node gets to let a call go. */
const LEAVE_MS = 2000;
/** Codes behind which another attempt would end the same way. */
const FINAL = new Set([Code.OK, Code.SESSION_CLOSED, Code.UNAUTHORIZED, Code.LIMIT, Code.TOO_FAR_BEHIND, Code.PROTOCOL_ERROR]);

/** Events of the edge that are told under a name of their own. */
const PASSED_ON = { "edge.turn": "timing", "edge.barge_in": "bargein", "edge.deadline": "deadline" };

/** What this browser lacks for a call: names of features; empty if it has all. */
export function missingFeatures() {
  const needed = {
    "a secure context (HTTPS or localhost)": globalThis.isSecureContext,
    AudioWorklet: "AudioWorkletNode" in globalThis,
    "WebCodecs audio": "AudioEncoder" in globalThis && "AudioDecoder" in globalThis,
    "a microphone": Boolean(navigator.mediaDevices?.getUserMedia),
  };
  return Object.keys(needed).filter((name) => !needed[name]);
}

/**
 * Makes a call; resolves when it is up. Must follow a click, or the browser keeps the loudspeaker silent.
 *
 * Options: `edge` (URL of the node or service name), `token`, `mode` ("open" or "hold"), `carriers`, `session`, the
 * settings of `session.update` (`deadline`, `lead_ms`, `backend`, anything of the backend's), and `on`, a function for
 * each event of `Call` that is wanted, from the first moment on; it gets the event's detail.
 * Throws CallError, or what getUserMedia throws.
 */
export async function call(options = {}) {
  const talk = new Call({ ...DEFAULTS, ...options });
  for (const [type, act] of Object.entries(options.on ?? {})) talk.addEventListener(type, ({ detail }) => act(detail, talk));
  try {
    await talk._start();
  } catch (error) {
    talk.hangUp();
    throw error;
  }
  return talk;
}

/**
 * Events, each with its `detail`:
 *
 *     state       {state, carrier, node, ...}     "connecting", "live", "reconnecting" or "over"
 *     transcript  {who, id, text, done}           "caller" or "edge"; text is all of it so far
 *     turn        {phase}                         what the caller's voice does; see `Turns`
 *     timing      edge.turn, as it came
 *     bargein     edge.barge_in, as it came
 *     deadline    edge.deadline, as it came
 *     left        {said, heard, edge}             a node let the call go: what was counted here, and there
 *     stats       {rtt_ms, heard, said, late, lost}
 *     playout     {playing, item, played_ms, buffered_ms, underruns, underrun_ms}
 *     error       {code, message}                 the edge could not do something; the call goes on
 *     event       {event, sent}                   every control event
 */
export class Call extends EventTarget {
  state = "connecting";
  #options;
  #context = null;
  #microphone = null;
  #playout = null;
  #session = null;
  #turns = null;
  #ticking = null;
  #known = null; // what `requestSession` answered
  #home = null; // where the node that has the call takes it
  #dialing = false;
  #wake = null; // ends the pause between two attempts
  #goAway = null; // where the edge wants the call to go on: {url, reason, leave}, and {next, half, end}: when
  #node = {};
  #transcripts = new Transcripts();

  constructor(options) {
    super();
    this.#options = options;
  }

  // --- what a page may do ------------------------------------------------------------------------------

  /** Silence the edge. */
  interrupt() {
    this.#turns.interrupt();
  }

  /** In mode "hold": the caller has the word until `release`. */
  press() {
    this.#turns.press();
  }

  release() {
    this.#turns.release();
  }

  /** Whether the caller is speaking, as far as the page can tell. */
  get speaking() {
    return this.#turns.speaking;
  }

  set mode(mode) {
    this.#turns.mode = mode;
  }

  set muted(muted) {
    this.#microphone.muted = muted;
  }

  get muted() {
    return this.#microphone.muted;
  }

  /** "live", "chat", "accurate", or `{uplink_ms, downlink_ms}`, from the next words on. */
  setDeadline(deadline) {
    this.#session.setDeadline(deadline);
  }

  /** Milliseconds that the edge may be ahead of the ear, or "auto". */
  setLead(lead_ms) {
    this.#session.update({ lead_ms });
  }

  /** Sends an event to the edge or its backend: `{type: "response.create"}`. */
  send(event) {
    this.#session.send(event);
  }

  /** What both ends have counted: `{said, heard}`, each `{frames, bytes, digest, lost}`. */
  counts() {
    return { said: this.#session.said.count(), heard: this.#session.heard.count() };
  }

  /** The cable is pulled: the carrier goes silent without a word. The call notices, and goes on. */
  unplug() {
    this.carrier?.unplug();
  }

  /** What the call is on; see `carrier.js`. Null while it is on nothing. */
  get carrier() {
    return this.#session?.carrier ?? null;
  }

  /** Audio nodes to look at: `{context, microphone, loudspeaker}`. */
  get audio() {
    return { context: this.#context, microphone: this.#microphone.node, loudspeaker: this.#playout.node };
  }

  hangUp(reason = "hung up") {
    if (this.state === "over") return;
    clearInterval(this.#ticking);
    removeEventListener("online", this.#networkIsBack);
    this.#session?.close();
    this.#microphone?.close();
    this.#playout?.close();
    this.#context?.close();
    this.#setState("over", { reason });
  }

  // --- inside ------------------------------------------------------------------------------------------

  async _start() {
    const missing = missingFeatures();
    if (missing.length) throw new CallError("unsupported", `this browser has no ${missing.join(", no ")}`);
    this.#context = new AudioContext({ sampleRate: SAMPLE_RATE, latencyHint: "interactive" });
    const dialing = this.#dial(true);
    dialing.catch(() => {}); // awaited below, unless the microphone fails first
    this.#playout = await Playout.open(this.#context, (status) => this.#played(status));
    this.#session = new Session({
      settings: { ...this.#options.session },
      player: this.#playout,
      tell: (kind, detail) => this.#told(kind, detail),
    });
    this.#turns = new Turns(this.#session, this.#options.mode, (phase) => this.#emit("turn", { phase }));
    this.#microphone = await Microphone.open(this.#context, (packet, level) => this.#turns.hear(packet, level));
    await this.#context.resume();
    this.#adopt(await dialing);
    this.#ticking = setInterval(() => this.#tick(), TICK_MS);
    addEventListener("online", this.#networkIsBack);
  }

  async #dial(anyNode) {
    if (anyNode || !this.#known) {
      this.#known = await requestSession(this.#options.edge, this.#options.token);
      const token = this.#known.token ?? this.#options.token;
      if (token) this.#options.session.token = token;
      this.#home = this.#known;
    }
    return this.#reach([this.#home, this.#service]);
  }

  get #service() {
    return placeAt(this.#options.edge);
  }

  #placeOf(origin) {
    const place = placeAt(origin);
    return place.url === this.#known.url ? this.#known : place;
  }

  #reach(places, allowed = this.#options.carriers) {
    return raceCarriers(places, { allowed, certHash: this.#known.cert_hash });
  }

  #adopt(carrier) {
    if (this.state === "over") carrier.close();
    else if (this.carrier) this.#session.move(carrier);
    else this.#session.attach(carrier);
  }

  #tick() {
    this.#session.tick();
    this.#microphone.expectLoss(this.#session.expectsLoss);
    const now = performance.now();
    if (now >= this.#goAway?.next && (now >= this.#goAway.half || this.#session.pauses)) this.#goElsewhere();
  }

  /** As the edge has asked, make before break: what goes wrong leaves the call where it is. */
  async #goElsewhere() {
    if (this.#dialing || !this.carrier) return;
    this.#dialing = true;
    const asked = this.#goAway;
    asked.next = Infinity;
    try {
      // Whoever is asked to leave the service's address has nothing to gain from it.
      const places = [asked.url && this.#placeOf(asked.url), asked.reason !== "anycast" && this.#service].filter(Boolean);
      const carrier = await this.#reach(places, [this.carrier.name]);
      if (asked.leave && this.carrier) this.#session.move(carrier, Math.max(LEAVE_MS, asked.end - performance.now()));
      else this.#adopt(carrier);
    } catch {
      this.#tryAgain();
    } finally {
      this.#dialing = false;
    }
    if (!this.carrier) this.#redial("the connection was lost");
  }

  #tryAgain() {
    if (this.#goAway) this.#goAway.next = performance.now() + MOVE_AGAIN_MS;
    if (this.#goAway?.next >= this.#goAway?.end) this.#goAway = null;
  }

  /** Another carrier for the same call. The old one, if it still works, is used until then. */
  async #redial(reason) {
    if (this.#dialing || this.state === "over") return;
    this.#dialing = true;
    this.#setState("reconnecting", { reason });
    try {
      await this.#dialUntilReady();
    } catch (error) {
      if (this.carrier) this.#setState("live");
      else this.hangUp(error.message);
    } finally {
      this.#dialing = false;
    }
  }

  async #dialUntilReady() {
    let failure = null;
    for (const [attempt, delay] of REDIAL_DELAYS_MS.entries()) {
      // Give or take a half: the callers of a node that died must not come back in step.
      await this.#pause(delay * (0.5 + Math.random()));
      if (this.state === "over") return;
      try {
        this.#adopt(await this.#dial(attempt >= ATTEMPTS_AT_NODE));
        return;
      } catch (error) {
        failure = error;
      }
    }
    throw failure;
  }

  #networkIsBack = () => {
    this.#wake?.();
    this.#redial("the network changed");
  };

  /** Waits so long; and as long as there is no network at all, until there is. */
  async #pause(delay_ms) {
    await new Promise((resolve) => {
      this.#wake = resolve;
      setTimeout(resolve, navigator.onLine ? delay_ms : OFFLINE_PATIENCE_MS);
    });
    this.#wake = null;
  }

  #played(status) {
    this.#session?.playoutChanged(status);
    this.#emit("playout", status);
  }

  #told(kind, detail) {
    switch (kind) {
      case "ready":
        this.#meet(detail);
        break;
      case "resumed":
      case "restarted":
        // It is done, or asked by an edge that has the call no more.
        if (this.#goAway?.next === Infinity || detail.elsewhere || kind === "restarted") this.#goAway = null;
        this.#setState("live", { [kind]: true, elsewhere: detail.elsewhere ?? false });
        break;
      case "stayed":
        this.#tryAgain();
        this.#setState("live");
        break;
      case "lost":
        this.#tryAgain();
        if (FINAL.has(detail.code)) this.hangUp(detail.reason);
        else this.#redial(detail.reason);
        break;
      case "event":
        this.#emit("event", detail);
        if (!detail.sent) this.#understand(detail.event);
        break;
      default:
        this.#emit(kind, detail);
    }
  }

  /** The edge says who it is, and again whenever there is a newer resume token. */
  #meet({ node, unicast_url, migrated }) {
    const news = node !== this.#node.node || unicast_url !== this.#node.unicast_url || migrated !== this.#node.migrated;
    this.#node = { node, unicast_url, migrated };
    this.#home = this.#placeOf(unicast_url);
    if (news || this.state !== "live") this.#setState("live");
  }

  #understand(event) {
    const transcript = this.#transcripts.take(event);
    if (transcript) this.#emit("transcript", transcript);
    else if (event.type in PASSED_ON) this.#emit(PASSED_ON[event.type], event);
    else if (event.type === "error") this.#emit("error", event.error);
    else if (event.type === "edge.goaway") this.#leadAway(event);
  }

  #leadAway({ url, reason, leave, within_ms }) {
    const next = performance.now();
    this.#goAway = { url, reason, leave, next, half: next + within_ms / 2, end: next + within_ms };
  }

  #setState(state, detail = {}) {
    this.state = state;
    this.#emit("state", { state, carrier: this.carrier?.name ?? null, ...this.#node, ...detail });
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
