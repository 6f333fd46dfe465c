/** The page: a call and what can be seen of it. All that concerns the call itself is in `edge-voice.js`. */

import { Chart } from "./chart.js";
import { Conversation } from "./conversation.js";
import { call, missingFeatures } from "./edge-voice.js";
import { Log } from "./log.js";
import { Meters } from "./meters.js";
import { deadlineFor, meaningOf, patienceAt, patienceOf, positionFor } from "./patience.js";
import { explain } from "./problems.js";
import { FRAME_MS } from "./wire.js";

const $ = (id) => document.getElementById(id);
const choices = new URLSearchParams(location.hash.slice(1));
const chart = new Chart($("chart"));
const log = new Log($("log"), $("log-count"));
const conversation = new Conversation($("conversation"), (text) => ($("announcer").textContent = text));
const CARRIER_NAMES = { webtransport: "WebTransport", websocket: "WebSocket" };
const WAYS = { connecting: "calling…", reconnecting: "finding another way…", over: "not connected" };
const KEY_TO_TALK = "Space";

let talk = null; // the call
let meters = null;
let totals = null; // of this call
let patience = patienceOf(choices.get("deadline") ?? "chat") || patienceOf("chat");

// --- the call --------------------------------------------------------------------------------------------

async function begin() {
  reset();
  show("connecting");
  try {
    const carrier = choices.get("carrier");
    talk = await call({
      token: choices.get("token"),
      mode: mode(),
      ...(carrier && { carriers: [carrier] }),
      session: { deadline: deadlineFor(patience), lead_ms: lead(), ...(choices.get("backend") && { backend: choices.get("backend") }) },
      on: reactions,
    });
  } catch (error) {
    show("idle");
    complain(error);
    return;
  }
  const { context, microphone, loudspeaker } = talk.audio;
  const you = (level) => {
    $("meter-you").lastElementChild.style.setProperty("--level", level);
    if (!document.body.hasAttribute("data-playing")) $("talk").style.setProperty("--level", level);
  };
  const edge = (level) => {
    $("meter-edge").lastElementChild.style.setProperty("--level", level);
    if (document.body.hasAttribute("data-playing")) $("talk").style.setProperty("--level", level);
  };
  meters = new Meters([
    { context, node: microphone, show: you },
    { context, node: loudspeaker, show: edge },
  ]);
}

const reactions = {
  state: ({ state, carrier, node, unicast_url, migrated, reason, resumed, elsewhere, restarted }) => {
    show(state);
    if (node) $("node").textContent = node;
    if (unicast_url) $("address").textContent = `${new URL(unicast_url.replace(/^[a-z-]+:/, "https:")).host}${migrated ? ", moved there" : ""}`;
    $("carrier").textContent = state === "live" ? CARRIER_NAMES[carrier] : WAYS[state];
    if (state === "reconnecting") conversation.notice(`Connection lost: ${reason}.`, true);
    if (resumed || restarted) {
      count("resumed", 1);
      const there = elsewhere ? "The call goes on at another node." : "The call goes on where it was.";
      conversation.notice(resumed ? there : "Connected again, to a node that did not know the call.");
    }
    if (state === "over") end(reason);
  },
  turn: ({ phase }) => {
    conversation.turn(phase);
    $("talk").classList.toggle("speaking", talk?.speaking ?? false);
    label();
  },
  transcript: ({ who, id, text, done }) => {
    if (who === "caller") conversation.heard(text, done);
    else conversation.said(id, text, done);
  },
  timing: (turn) => chart.add(turn),
  bargein: ({ item_id, played_ms, saved_bytes, wasted_bytes }) => {
    count("saved", saved_bytes);
    count("wasted", wasted_bytes);
    conversation.cut(item_id, `interrupted after ${(played_ms / 1000).toFixed(1)} s; ${size(saved_bytes)} were never sent`);
  },
  deadline: ({ uplink_datagrams }) => {
    $("transport-mode").textContent = uplink_datagrams ? "datagrams" : "streams";
    $("transport-mode").hidden = false;
  },
  stats: ({ rtt_ms, heard, late, lost }) => {
    $("rtt").textContent = `${rtt_ms < 10 ? rtt_ms.toFixed(1) : Math.round(rtt_ms)} ms`;
    $("rtt").hidden = false;
    $("lost-up").textContent = heard.lost ?? 0;
    $("lost-down").textContent = lost;
    $("late").textContent = late;
  },
  playout: ({ playing, underruns }) => {
    document.body.toggleAttribute("data-playing", playing);
    $("underruns").textContent = underruns;
    label();
  },
  error: ({ message }) => conversation.notice(message, true),
  event: ({ event, sent }) => {
    log.add({ event, sent });
    if (sent) return;
    if (event.type === "response.output_item.added") conversation.begun(event.item.id);
    if (event.type === "response.output_audio.done") conversation.written(event.item_id, event.frames * FRAME_MS);
  },
};

function end(reason) {
  meters?.stop();
  meters = null;
  document.body.removeAttribute("data-playing");
  if (talk && reason !== "hung up") conversation.notice(`The call is over: ${reason}.`, true);
  else if (talk) conversation.notice("You hung up.");
  talk = null;
  show("idle");
}

function reset() {
  totals = { saved: 0, wasted: 0, resumed: 0 };
  for (const name of Object.keys(totals)) count(name, 0);
  for (const id of ["lost-up", "lost-down", "late", "underruns"]) $(id).textContent = "0";
  $("problem").hidden = true;
  conversation.clear();
  chart.clear();
  log.clear();
}

// --- what is seen ----------------------------------------------------------------------------------------

function show(state) {
  document.body.dataset.state = state;
  const up = state === "live" || state === "reconnecting";
  if (up) $("welcome").hidden = true;
  for (const id of ["interrupt", "hang-up"]) $(id).disabled = !up;
  $("unplug").disabled = state !== "live";
  if (!up) for (const id of ["rtt", "transport-mode"]) $(id).hidden = true;
  label();
}

function label() {
  const { state } = document.body.dataset;
  const playing = document.body.hasAttribute("data-playing");
  const words = {
    idle: ["Call", "The browser will ask for your microphone."],
    connecting: ["Calling", "One moment."],
    reconnecting: ["Waiting", "Go on talking: what you say is kept for ten seconds."],
    live: mode() === "hold" ? held(playing) : free(playing),
  }[state] ?? ["Call", ""];
  $("talk-label").textContent = words[0];
  $("talk-hint").textContent = words[1];
  $("talk").classList.toggle("muted", state === "live" && mode() === "open" && Boolean(talk?.muted));
}

function held(playing) {
  if (talk?.speaking) return ["Talking", "Let go when you are done."];
  return ["Hold", playing ? "Hold to interrupt and talk. The space bar does it, too." : "Hold to talk. The space bar does it, too."];
}

function free(playing) {
  if (talk?.muted) return ["Muted", "Press to be heard again."];
  if (talk?.speaking) return ["Talking", "It answers when you pause."];
  return playing ? ["Listening", "Speak to interrupt."] : ["Listening", "Just speak. Press to mute."];
}

function complain(error) {
  const [title, advice] = explain(error);
  $("problem-title").textContent = title;
  $("problem-advice").textContent = advice;
  $("problem").hidden = false;
}

function count(name, more) {
  totals[name] += more;
  $(name).textContent = name === "resumed" ? totals[name] : size(totals[name]);
}

function size(bytes) {
  return bytes < 1000 ? `${bytes} B` : `${(bytes / 1000).toFixed(bytes < 100_000 ? 1 : 0)} kB`;
}

// --- what is chosen --------------------------------------------------------------------------------------

function mode() {
  return document.querySelector("[name=mode]:checked").value;
}

function lead() {
  return $("lead-auto").checked ? "auto" : Number($("lead").value);
}

function setPatience(ms) {
  patience = ms;
  $("deadline").value = positionFor(ms);
  const text = ms < 1000 ? `${ms} ms` : `${ms / 1000} s`;
  $("deadline-value").textContent = text;
  $("deadline").ariaValueText = text;
  $("deadline-meaning").textContent = meaningOf(ms);
  for (const button of document.querySelectorAll("[data-preset]")) {
    button.setAttribute("aria-pressed", String(patienceOf(button.dataset.preset) === ms));
  }
}

function showLead() {
  $("lead").disabled = $("lead-auto").checked;
  $("lead-value").textContent = $("lead-auto").checked ? "auto" : `${(Number($("lead").value) / 1000).toFixed(1)} s`;
}

// --- hands -----------------------------------------------------------------------------------------------

function tap() {
  if (document.body.dataset.state === "idle") begin();
  else if (talk && mode() === "open") {
    talk.muted = !talk.muted;
    label();
  }
}

function press(event) {
  if (!talk || mode() !== "hold") return;
  event.preventDefault();
  talk.press();
}

function release() {
  if (mode() === "hold") talk?.release();
}

$("talk").addEventListener("click", tap);
$("talk").addEventListener("pointerdown", press);
for (const type of ["pointerup", "pointercancel", "blur"]) addEventListener(type, release);
addEventListener("keydown", (event) => {
  const typing = event.target.closest?.("input, button:not(#talk), summary, a");
  if (event.code === KEY_TO_TALK && !event.repeat && !typing) press(event);
});
addEventListener("keyup", (event) => event.code === KEY_TO_TALK && release());
$("interrupt").addEventListener("click", () => talk?.interrupt());
$("unplug").addEventListener("click", () => {
  talk?.unplug();
  conversation.notice("The cable is out. The call does not know yet.");
});
$("hang-up").addEventListener("click", () => talk?.hangUp());
for (const radio of document.querySelectorAll("[name=mode]")) {
  radio.addEventListener("change", () => {
    if (talk) talk.mode = mode();
    label();
  });
}
$("deadline").addEventListener("input", () => setPatience(patienceAt(Number($("deadline").value))));
$("deadline").addEventListener("change", () => talk?.setDeadline(deadlineFor(patience)));
for (const button of document.querySelectorAll("[data-preset]")) {
  button.addEventListener("click", () => {
    setPatience(patienceOf(button.dataset.preset));
    talk?.setDeadline(deadlineFor(patience));
  });
}
for (const id of ["lead", "lead-auto"]) {
  $(id).addEventListener("input", showLead);
  $(id).addEventListener("change", () => talk?.setLead(lead()));
}
addEventListener("pagehide", () => talk?.hangUp());

const chosenMode = document.querySelector(`[name=mode][value="${choices.get("mode") === "hold" ? "hold" : "open"}"]`);
chosenMode.checked = true;
setPatience(patience);
showLead();
label();
if (missingFeatures().length) complain({ code: "unsupported", message: `it has no ${missingFeatures().join(", no ")}` });
else if (!("WebTransport" in globalThis)) $("talk-hint").textContent = "This browser has no WebTransport. The call goes by WebSocket.";

/** For tests and the curious: the call in hand. */
Object.defineProperty(globalThis, "talk", { get: () => talk });
