/**
 * Finding the way to an edge: ask it for a session, then race the carriers; the first that is ready wins.
 *
 * WebTransport gets a head start that is longer than its handshake needs, and short enough that nobody who has no UDP
 * waits noticeably for the WebSocket. The loser is closed, also when it becomes ready afterwards.
 */

import { Code } from "./wire.js";
import { SUPPORTED as HAS_WEBTRANSPORT, WebTransportCarrier } from "./webtransport.js";
import { WebSocketCarrier } from "./websocket.js";

export const HEAD_START_MS = 200;
const TIMEOUT_MS = 8000;
const SESSION_PATH = "/v1/session";

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

/** The first carrier that is ready, of those in `allowed`. Throws CallError with every one's reason. */
export async function raceCarriers({ url, ws_url, cert_hash }, allowed = ["webtransport", "websocket"]) {
  const runners = [];
  const quic = allowed.includes("webtransport") && HAS_WEBTRANSPORT && url;
  if (quic) runners.push(run(() => new WebTransportCarrier(url, cert_hash), Promise.resolve()));
  if (allowed.includes("websocket") && ws_url) {
    const behind = quic ? Promise.race([delay(HEAD_START_MS), runners[0].failed]) : Promise.resolve();
    runners.push(run(() => new WebSocketCarrier(ws_url), behind));
  }
  if (!runners.length) throw new CallError("unreachable", `no way to the edge by ${allowed.join(" or ")} from this browser`);
  try {
    const winner = await Promise.any(runners.map((runner) => runner.ready));
    for (const runner of runners) runner.lose(winner);
    return winner;
  } catch (all) {
    for (const runner of runners) runner.lose(null);
    throw new CallError("unreachable", all.errors.map((error) => error.message).join("; "));
  }
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
