/**
 * Finding the way to an edge: ask it for a session, then race all ways there; the first that is ready wins.
 *
 * WebTransport comes before the WebSocket, and the node that is meant before whichever the service's address leads to.
 * Each way gets a head start that is longer than its handshake needs, and short enough that nobody who has no UDP waits
 * noticeably for the WebSocket. The losers are closed, also when they become ready afterwards.
 */

import { Code } from "./wire.js";
import { SUPPORTED as HAS_WEBTRANSPORT, WebTransportCarrier } from "./webtransport.js";
import { WebSocketCarrier } from "./websocket.js";

export const HEAD_START_MS = 200;
const TIMEOUT_MS = 8000;
const SESSION_PATH = "/v1/session";
const VOICE_PATH = "/v1/voice";

/** Why there is no call. `code` is for a program: "unauthorized", "refused", "unreachable". */
export class CallError extends Error {
  constructor(code, message) {
    super(message);
    this.name = "CallError";
    this.code = code;
  }
}

/** Asks for a session: `{url, ws_url, token, cert_hash?, lead_ms, deadline_ms, expires_at}`. Throws CallError. */
export async function requestSession(edge, token = null) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  let response;
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    response = await fetch(new URL(SESSION_PATH, edge), { method: "POST", headers, signal, cache: "no-store" });
  } catch (error) {
    throw new CallError("unreachable", `${new URL(edge).host} does not answer: ${error.message}`);
  }
  if (response.ok) return response.json();
  const { error } = await response.json().catch(() => ({ error: `${response.status} ${response.statusText}` }));
  throw new CallError(response.status === 401 ? "unauthorized" : "refused", error);
}

/** Where calls are taken at `origin`, "https://host:port"; without TLS that is by WebSocket only. */
export function placeAt(origin) {
  const { href, protocol } = new URL(VOICE_PATH, origin);
  return { url: protocol === "https:" ? href : null, ws_url: href.replace(/^http/, "ws") };
}

/**
 * The first carrier that is ready at one of `places`, each `{url, ws_url}`, in the order in which they are wanted.
 * `certHash` is that of the fleet's certificate, if browsers take it by that. Throws CallError with every way's reason.
 */
export async function raceCarriers(places, { allowed = ["webtransport", "websocket"], certHash = null } = {}) {
  const makers = {
    ...(allowed.includes("webtransport") && HAS_WEBTRANSPORT && all(places, "url", (url) => new WebTransportCarrier(url, certHash))),
    ...(allowed.includes("websocket") && all(places, "ws_url", (url) => new WebSocketCarrier(url))),
  };
  let start = Promise.resolve();
  const runners = Object.values(makers).map((make) => {
    const runner = run(make, start);
    start = start.then(() => Promise.race([delay(HEAD_START_MS), runner.failed]));
    return runner;
  });
  if (!runners.length) throw new CallError("unreachable", `no way to the edge by ${allowed.join(" or ")} from this browser`);
  try {
    const winner = await Promise.any(runners.map((runner) => runner.ready));
    for (const runner of runners) runner.lose(winner);
    return winner;
  } catch (failed) {
    for (const runner of runners) runner.lose(null);
    throw new CallError("unreachable", failed.errors.map((error) => error.message).join("; "));
  }
}

/** By URL, once each, how to make a carrier to it. */
function all(places, member, make) {
  return Object.fromEntries(places.map(({ [member]: url }) => [url, () => make(url)]).filter(([url]) => url));
}

/** One carrier in the race, begun when `start` is settled, unless the race is over by then. */
function run(make, start) {
  let carrier = null;
  let over = false;
  const attempt = async () => {
    await start;
    if (over) throw new Error("not needed");
    carrier = make();
    await Promise.race([carrier.ready, delay(TIMEOUT_MS).then(() => Promise.reject(new Error(`${carrier.name}: no answer`)))]);
    return carrier;
  };
  const ready = attempt();
  const failed = ready.then(() => new Promise(() => {}), () => {});
  const lose = (winner) => {
    over = true;
    if (carrier && carrier !== winner) carrier.close(Code.OK, "another carrier was faster");
  };
  return { ready, failed, lose };
}

function delay(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
