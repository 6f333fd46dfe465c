/**
 * A call on a WebSocket, for networks that let no UDP pass: streams and datagrams as frames, one in each message.
 *
 * A frame is its type, its numbers (all varints) and, to the end of the message, its data:
 *
 *     0x08  STREAM        stream, data        0x05  STOP_SENDING  stream, code
 *     0x09  STREAM_FIN    stream, data        0x30  DATAGRAM      data
 *     0x04  RESET         stream, code        0x1d  CLOSE         code, reason
 *
 * Streams have the numbers of QUIC (RFC 9000 section 2.1): 0 is the control stream, ours are 2, 6, 10, the edge's
 * 3, 7, 11. See `carrier.js` for what a carrier is.
 */

import { Carrier } from "./carrier.js";
import { concat, decodeVarint, encodeVarints } from "./varint.js";
import { Code, WireError } from "./wire.js";

export const SUBPROTOCOL = "edge-voice-1";
const Frame = { STREAM: 0x08, STREAM_FIN: 0x09, RESET: 0x04, STOP_SENDING: 0x05, DATAGRAM: 0x30, CLOSE: 0x1d };
const NUMBERS = {
  [Frame.STREAM]: 1,
  [Frame.STREAM_FIN]: 1,
  [Frame.RESET]: 2,
  [Frame.STOP_SENDING]: 2,
  [Frame.DATAGRAM]: 0,
  [Frame.CLOSE]: 1,
};
const CONTROL = 0;
const FIRST_OF_OURS = 2;
const BETWEEN_STREAMS = 4;
/** What may wait in the browser before a heartbeat or a late frame is not worth adding to it. */
const BACKLOG_BYTES = 64 * 1024;

export function encodeFrame(type, numbers, data = new Uint8Array(0)) {
  return concat(encodeVarints(type, ...numbers), data);
}

/** `{type, numbers, data}`. Throws WireError. */
export function decodeFrame(message) {
  const values = [];
  let offset = 0;
  do {
    const read = decodeVarint(message, offset);
    if (!read) throw new WireError("WebSocket message", "ends before it is complete");
    values.push(read[0]);
    offset = read[1];
    if (!(values[0] in NUMBERS)) throw new WireError("WebSocket message", `frame of type ${values[0]}`);
  } while (values.length <= NUMBERS[values[0]]);
  return { type: values[0], numbers: values.slice(1), data: message.slice(offset) };
}

export class WebSocketCarrier extends Carrier {
  name = "websocket";
  #socket;
  #streams = new Map(); // the session's number -> {unsent: bytes that were waiting when its end was written}

  constructor(url) {
    super();
    this.#socket = new WebSocket(url, SUBPROTOCOL);
    this.#socket.binaryType = "arraybuffer";
    this.ready = new Promise((resolve, reject) => {
      this.#socket.addEventListener("open", resolve);
      this.#socket.addEventListener("close", (event) => {
        reject(new Error(`the WebSocket to ${new URL(url).host} was refused (${event.code})`));
        this._closed(event.code, event.reason || "the connection broke");
      });
    });
    this.#socket.addEventListener("message", (event) => this._receive(() => this.#receive(event.data)));
  }

  sendControl(data) {
    this.#send(Frame.STREAM, [CONTROL], data);
  }

  sendStream(stream, data, fin) {
    this.#send(fin ? Frame.STREAM_FIN : Frame.STREAM, [ours(stream)], data);
    if (fin) this.#streams.set(stream, this.#socket.bufferedAmount);
  }

  resetStream(stream, code) {
    this.#send(Frame.RESET, [ours(stream), code]);
  }

  /** TCP shows no acknowledgements: what the browser has handed over counts as delivered, and TCP will deliver it. */
  expireStream(stream) {
    const unsent = this.#socket.bufferedAmount > 0 && this.#streams.get(stream) > 0;
    this.#streams.delete(stream);
    if (unsent) this.resetStream(stream, Code.DEADLINE);
  }

  stopStream(stream, code) {
    this.#send(Frame.STOP_SENDING, [stream, code]);
  }

  sendDatagram(data) {
    if (this.#socket.bufferedAmount < BACKLOG_BYTES) this.#send(Frame.DATAGRAM, [], data);
  }

  close(code = Code.OK, reason = "") {
    if (this.unplugged) return;
    this.#send(Frame.CLOSE, [code], new TextEncoder().encode(reason));
    this._abandon();
  }

  _abandon() {
    this.#socket.close();
  }

  #send(type, numbers, data) {
    if (!this.unplugged && this.#socket.readyState === WebSocket.OPEN) this.#socket.send(encodeFrame(type, numbers, data));
  }

  #receive(message) {
    if (typeof message === "string") throw new WireError("WebSocket message", "text");
    const { type, numbers, data } = decodeFrame(new Uint8Array(message));
    const [first, code] = numbers;
    switch (type) {
      case Frame.STREAM:
      case Frame.STREAM_FIN:
        if (first === CONTROL) this.listener.receiveControl(data, type === Frame.STREAM_FIN);
        else this.listener.receiveStream(first, data, type === Frame.STREAM_FIN);
        break;
      case Frame.RESET:
        this.listener.receiveReset(first, code);
        break;
      case Frame.STOP_SENDING:
        this.listener.receiveStop((first - FIRST_OF_OURS) / BETWEEN_STREAMS, code);
        break;
      case Frame.DATAGRAM:
        this.listener.receiveDatagram(data);
        break;
      case Frame.CLOSE:
        this._closed(first, new TextDecoder().decode(data));
    }
  }
}

function ours(stream) {
  return FIRST_OF_OURS + BETWEEN_STREAMS * stream;
}
