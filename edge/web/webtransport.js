/**
 * A call on WebTransport: the streams and datagrams of QUIC itself. See `carrier.js` for what a carrier is.
 *
 * That the edge has all of a stream shows in `writer.close()`, whose promise is kept when the last byte is acknowledged.
 */

import { Carrier } from "./carrier.js";
import { Code } from "./wire.js";

export const SUPPORTED = "WebTransport" in globalThis;

export class WebTransportCarrier extends Carrier {
  name = "webtransport";
  #transport;
  #control = null;
  #datagrams = null;
  #streams = []; // by the session's number
  #readers = new Map(); // of the edge's streams, by our number of them
  #read = 0;

  /** `certHash`: SHA-256 of the edge's certificate, base64 or hexadecimal, if the browser could not know its issuer. */
  constructor(url, certHash = null) {
    super();
    const hashes = certHash ? [{ algorithm: "sha-256", value: hashBytes(certHash) }] : undefined;
    this.#transport = new WebTransport(url, { serverCertificateHashes: hashes, congestionControl: "low-latency" });
    this.ready = this.#open();
    this.#transport.closed.then(
      ({ closeCode, reason }) => this._closed(closeCode, reason || "closed by the edge"),
      (error) => this._closed(Code.GOING_AWAY, error.message),
    );
  }

  sendControl(data) {
    if (!this.unplugged) this.#control.write(data).catch(ignore);
  }

  sendStream(stream, data, fin) {
    if (this.unplugged) return;
    const state = (this.#streams[stream] ??= new OutgoingStream(this.#transport));
    state.write(data, fin);
  }

  resetStream(stream, code) {
    if (!this.unplugged) this.#streams[stream]?.reset(code);
    delete this.#streams[stream];
  }

  expireStream(stream) {
    if (!this.#streams[stream]?.arrived) this.resetStream(stream, Code.DEADLINE);
    delete this.#streams[stream];
  }

  stopStream(stream, code) {
    const reader = this.#readers.get(stream);
    this.#readers.delete(stream);
    if (reader && !this.unplugged) reader.cancel(streamError(code)).catch(ignore);
  }

  sendDatagram(data) {
    if (!this.unplugged) this.#datagrams.write(data).catch(ignore);
  }

  close(code = Code.OK, reason = "") {
    if (!this.unplugged) this._abandon(code, reason);
  }

  _abandon(code = Code.OK, reason = "") {
    this.ready.then(() => this.#transport.close({ closeCode: code, reason })).catch(ignore);
  }

  async #open() {
    await this.#transport.ready;
    const control = await this.#transport.createBidirectionalStream();
    const datagrams = this.#transport.datagrams;
    this.#control = control.writable.getWriter();
    this.#datagrams = (datagrams.createWritable?.() ?? datagrams.writable).getWriter();
    this.#pump(control.readable, (data, fin) => this.listener.receiveControl(data, fin));
    this.#pump(datagrams.readable, (data, fin) => fin || this.listener.receiveDatagram(data));
    this.#accept();
  }

  async #accept() {
    const streams = this.#transport.incomingUnidirectionalStreams.getReader();
    try {
      for (let next; !(next = await streams.read()).done; ) this.#listenTo(next.value, this.#read++);
    } catch {
      // The session is over; `closed` says why.
    }
  }

  #listenTo(readable, stream) {
    const tell = (data, fin) => {
      if (fin) this.#readers.delete(stream);
      this.listener.receiveStream(stream, data, fin);
    };
    const reset = (code) => {
      this.#readers.delete(stream);
      this.listener.receiveReset(stream, code);
    };
    this.#readers.set(stream, this.#pump(readable, tell, reset));
  }

  /** Hands on what `readable` brings: `tell(bytes, fin)`, and `reset(code)` if it is given up. */
  #pump(readable, tell, reset = ignore) {
    const reader = readable.getReader();
    const run = async () => {
      try {
        for (let next; !(next = await reader.read()).done; ) {
          const data = next.value;
          this._receive(() => tell(data, false));
        }
        this._receive(() => tell(new Uint8Array(0), true));
      } catch (error) {
        if (error.source === "stream") this._receive(() => reset(error.streamErrorCode ?? Code.OK));
      }
    };
    run();
    return reader;
  }
}

/** One of ours. It is opened by a promise; what is asked of it meanwhile is done in order behind that. */
class OutgoingStream {
  arrived = false;
  #writer;

  constructor(transport) {
    this.#writer = transport.createUnidirectionalStream().then((stream) => stream.getWriter());
  }

  write(data, fin) {
    this.#then(async (writer) => {
      if (data.length) writer.write(data).catch(ignore);
      if (!fin) return;
      await writer.close();
      this.arrived = true;
    });
  }

  reset(code) {
    this.#then((writer) => writer.abort(streamError(code)));
  }

  #then(step) {
    this.#writer.then(step).catch(ignore);
  }
}

/** A write fails when its stream or the session is over, and both are told elsewhere. */
function ignore() {}

/** The constructor's arguments have changed since the first browsers had it, and those throw for the present ones. */
function streamError(code) {
  try {
    return new WebTransportError("given up", { streamErrorCode: code });
  } catch {
    return new WebTransportError({ message: "given up", streamErrorCode: code });
  }
}

/** SHA-256 from base64 or hexadecimal, with or without colons. */
export function hashBytes(text) {
  const hex = text.replaceAll(":", "");
  if (/^[0-9a-fA-F]{64}$/.test(hex)) return Uint8Array.from(hex.match(/../g), (octet) => parseInt(octet, 16));
  return Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (character) => character.charCodeAt(0));
}
