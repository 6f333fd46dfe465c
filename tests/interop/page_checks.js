/** What `test_chromium_modules.py` runs in a browser: each function returns a value that Python judges. */

import { Carrier } from "/carrier.js";
import { Decoder } from "/decode.js";
import { Feed } from "/feed.js";
import { Items } from "/items.js";
import { FrameLedger } from "/ledger.js";
import { encodeRecord, RecordStream } from "/records.js";
import { raceCarriers } from "/race.js";
import { Question } from "/question.js";
import { PlayoutRing } from "/ring.js";
import { Session } from "/session.js";
import { Turns } from "/turns.js";
import { Uplink, wantsDatagrams } from "/uplink.js";
import { decodeVarint, encodeVarints } from "/varint.js";
import { decodeFrame, encodeFrame } from "/websocket.js";
import { AudioStream, decodeDatagram, encodeAudioDatagram, encodeHeader, encodePacket, encodeReport } from "/wire.js";

const hex = (bytes) => Array.from(bytes, (octet) => octet.toString(16).padStart(2, "0")).join("");
const bytes = (text) => Uint8Array.from(text.match(/../g) ?? [], (octet) => parseInt(octet, 16));
const thrown = (act) => {
  try {
    return { value: act() };
  } catch (error) {
    return { error: error.name, message: error.message };
  }
};

// --- bytes ---------------------------------------------------------------------------------------------

export const varints = (values) => values.map((value) => hex(encodeVarints(value)));

export const varintsRead = (texts) => texts.map((text) => decodeVarint(bytes(text)));

export const encoded = ({ group, item, datagrams, reports, records, frames }) => ({
  group: hex(encodeHeader(1, group)),
  item: hex(encodeHeader(2, item)),
  datagrams: datagrams.map((datagram) => hex(encodeAudioDatagram({ ...datagram, packets: datagram.packets.map(bytes) }))),
  reports: reports.map((report) => hex(encodeReport(report))),
  records: records.map((record) => hex(encodeRecord(record))),
  frames: frames.map(([type, numbers, data]) => hex(encodeFrame(type, numbers, bytes(data)))),
});

/** A stream's packets, its bytes handed over in pieces of `size`. */
export const stream = (text, size) =>
  thrown(() => {
    const whole = bytes(text);
    const parser = new AudioStream("stream 3");
    const packets = [];
    for (let offset = 0; offset < whole.length; offset += size) {
      packets.push(...parser.receive(whole.slice(offset, offset + size), offset + size >= whole.length));
    }
    return { header: parser.header, packets: packets.map(hex) };
  });

export const datagram = (text) =>
  thrown(() => {
    const read = decodeDatagram(bytes(text));
    return { ...read, packets: read.packets.map(hex) };
  });

export const records = (text, size) =>
  thrown(() => {
    const whole = bytes(text);
    const parser = new RecordStream();
    const events = [];
    for (let offset = 0; offset < whole.length; offset += size) events.push(...parser.receive(whole.slice(offset, offset + size)));
    return events;
  });

export const frame = (text) =>
  thrown(() => {
    const { type, numbers, data } = decodeFrame(bytes(text));
    return [type, numbers, hex(data)];
  });

/** Whatever these parsers are given, only errors that they announce come out. */
export const survives = (texts) =>
  texts.flatMap((text) => [stream(text, 7), datagram(text), records(text, 5), frame(text)])
    .map(({ error }) => error)
    .filter((error) => error !== undefined && error !== "WireError");

export const ledger = (frames) => {
  const counted = new FrameLedger();
  for (const [unit, seq, payload] of frames) counted.record(unit, seq, bytes(payload));
  return counted.count();
};

// --- the ring ------------------------------------------------------------------------------------------

const MS = 48;
const tone = (ms) => new Float32Array(ms * MS).fill(0.5);

/** Runs a script of [verb, ...arguments] on a ring; "play" renders that many milliseconds. */
export const ring = (script) => {
  const playout = new PlayoutRing();
  const seen = [];
  let last = 0;
  let jump = 0;
  for (const [verb, ...args] of script) {
    if (verb === "play") {
      let sound = 0;
      for (let block = 0; block < (args[0] * MS) / 128; block++) {
        const output = new Float32Array(128);
        playout.render(output);
        for (const sample of output) {
          jump = Math.max(jump, Math.abs(sample - last));
          last = sample;
          sound += sample !== 0;
        }
      }
      seen.push({ ...playout.status(), sound_ms: Math.round(sound / MS) });
    } else if (verb === "push") {
      playout.push(args[0], tone(args[1]));
    } else if (verb === "lose") {
      playout.lose(args[0], args[1] * MS);
    } else {
      playout[verb](...args);
    }
  }
  return { seen, jump, dropped: playout.dropped };
};

/** An item of so many frames all at once: how far the decoder is ahead of a ring that plays it, at most, and what it got. */
export const feed = (frames) => {
  const playout = new PlayoutRing();
  const got = [];
  let most = 0;
  const decoder = { waiting: 0, frame: (_item, packet) => (decoder.waiting = got.push(packet) - decoded), end: () => got.push("end") };
  const fed = new Feed(decoder);
  let decoded = 0;
  for (let index = 0; index < frames; index++) fed.frame(1, index);
  fed.end(1);
  for (let ms = 0; ms < frames * 20 + 1000; ms += 20) {
    while (decoder.waiting) {
      decoder.waiting -= 1;
      decoded += 1;
      fed.sent(20 * MS);
      playout.push(1, tone(20));
    }
    for (let block = 0; block < (20 * MS) / 128; block++) playout.render(new Float32Array(128));
    most = Math.max(most, playout.status().held_ms);
    fed.report(playout.status());
  }
  return { got, most, dropped: playout.dropped, played_ms: playout.status().played_ms };
};

// --- frames in one order ---------------------------------------------------------------------------------

const packet = (seq) => new Uint8Array([seq]);
const group = (unit, number, count = 5) =>
  [...encodeHeader(1, { unit, group: number, pts_ms: number * 100, codec: 1 }), ...Array.from({ length: count }, (_, index) => [...encodePacket(packet(number * 5 + index))]).flat()];
const item = (unit, first, count) =>
  [...encodeHeader(2, { response: unit, unit, content_index: 0, pts0_ms: first * 20, codec: 1 }), ...Array.from({ length: count }, (_, index) => [...encodePacket(packet(first + index))]).flat()];

/** Runs a script on `Items`; what was given out, as "item:seq", with a "-" for a lost frame and "item." for an end. */
export const items = (script, deadlineMs = null) =>
  thrown(() => {
    const out = [];
    const told = [];
    const reader = new Items({
      frame: (unit, seq, payload) => out.push(`${unit}:${seq}${payload ? "" : "-"}`),
      ended: (unit, frames) => out.push(`${unit}.${frames}`),
    });
    reader.deadlineMs = deadlineMs;
    const verbs = {
      item: (id, unit, first, count, fin = true, now = 0) => reader.receive(id, Uint8Array.from(item(unit, first, count)), fin, now, 0),
      group: (id, unit, number, count = 5, fin = true, now = 0) => reader.receive(id, Uint8Array.from(group(unit, number, count)), fin, now, 0),
      datagram: (unit, seq, now = 0) =>
        reader.receiveDatagram(encodeAudioDatagram({ unit, seq, pts_ms: seq * 20, packets: seq ? [packet(seq), packet(seq - 1)] : [packet(seq)] }), now, 0),
      reset: (id, code = 2) => reader.reset(id, code, 0, 0),
      complete: (unit, frames, now = 0) => reader.complete(unit, frames, now, 0),
      expire: (now) => reader.expire(now, 0),
      silence: () => told.push(reader.silence()),
      resume: () => told.push([...reader.resume()]),
      abandon: () => reader.abandon(),
      cancel: (unit) => reader.cancel(unit),
      reconnect: () => reader.reconnect(),
      position: () => told.push(reader.position),
    };
    for (const [verb, ...args] of script) verbs[verb](...args);
    return { out: out.join(" "), late: reader.late, told };
  });

// --- what the caller says --------------------------------------------------------------------------------

class PaperCarrier extends Carrier {
  log = [];
  sendControl(data) {
    this.log.push(["control", new RecordStream().receive(data)[0]]);
  }
  sendStream(number, data, fin) {
    this.log.push(["stream", number, hex(data), fin]);
  }
  sendDatagram(data) {
    this.log.push(["datagram", hex(data)]);
  }
  expireStream(number) {
    this.log.push(["expire", number]);
  }
  stopStream(number, code) {
    this.log.push(["stop", number, code]);
  }
  resetStream(number, code) {
    this.log.push(["reset", number, code]);
  }
  close(code) {
    this.log.push(["close", code]);
  }
  /** The edge at its other end does something: the verb is one of a listener. */
  bring(verb, ...args) {
    this._receive(() => this.listener[verb](...args));
  }
}

/** Runs a script on an `Uplink`; the log of its carrier, and of each one that follows. */
export const uplink = (script, deadlineMs = null, rttMs = 0) => {
  const up = new Uplink();
  Object.assign(up, { deadlineMs, rttMs });
  const carriers = [];
  let spoken = 0;
  const verbs = {
    attach: (utterance = 1, frames = 0) => {
      const carrier = new PaperCarrier();
      carriers.push(carrier.log);
      up.attach(carrier, utterance, frames, (event) => carrier.log.push(["control", event]), 0);
    },
    speak: (count, now = 0) => {
      for (let index = 0; index < count; index++) up.speak(packet(spoken++), now);
    },
    commit: () => carriers.at(-1).push(["control", up.commit(0)]),
    clear: () => carriers.at(-1).push(["control", up.clear(0)]),
    confirm: (utterance) => up.confirm(utterance),
    detach: () => up.detach(),
    expire: (now) => up.expire(now),
  };
  for (const [verb, ...args] of script) verbs[verb](...args);
  return carriers;
};

export const rule = (cases) => cases.map(([deadlineMs, rttMs]) => wantsDatagrams(deadlineMs, rttMs));

// --- taking turns ------------------------------------------------------------------------------------------

/** Levels of frames in, the order of verbs that `Turns` asks of the session out; "speak" is counted. */
export const turns = (levels, { playing = false, mode = "open", held = [] } = {}) => {
  const asked = [];
  const note = (verb) => () => {
    if (verb === "speak" && asked.at(-1)?.startsWith("speak")) asked.push(`speak ${Number(asked.pop().split(" ")[1]) + 1}`);
    else asked.push(verb === "speak" ? "speak 1" : verb);
  };
  const session = { status: { playing } };
  for (const verb of ["speak", "commit", "clear", "interrupt", "confirmInterruption", "resumeSpeech"]) session[verb] = note(verb);
  const taking = new Turns(session, mode);
  levels.forEach((level, index) => {
    if (index === held[0]) taking.press();
    if (index === held[1]) taking.release();
    taking.hear(packet(index), level);
  });
  return asked;
};

// --- the session -------------------------------------------------------------------------------------------

/** A session on paper: runs a script, in which events and streams come from an edge, by default on the last carrier; all
 * that was done. */
export const session = (script) => {
  let now = 0;
  const log = [];
  const told = [];
  const player = Object.fromEntries(
    ["frame", "end", "pause", "resume", "flush"].map((verb) => [verb, (unit) => log.push(unit === undefined ? `player ${verb}` : `player ${verb} ${unit}`)]),
  );
  const tell = (kind, detail) => kind !== "event" && told.push([kind, detail]);
  const talk = new Session({ settings: { deadline: "chat" }, player, tell, now: () => now });
  const carriers = [];
  const fresh = () => carriers[carriers.push(new PaperCarrier()) - 1];
  const verbs = {
    attach: () => talk.attach(fresh()),
    move: (...args) => talk.move(fresh(), ...args),
    hear: (event, from = -1) => carriers.at(from).bring("receiveControl", encodeRecord(event), false),
    item: (id, unit, first, count, fin = true, from = -1) =>
      carriers.at(from).bring("receiveStream", id, Uint8Array.from(item(unit, first, count)), fin),
    playing: (status) => talk.playoutChanged({ ...talk.status, ...status }),
    speak: (count) => {
      for (let index = 0; index < count; index++) talk.speak(packet(index));
    },
    pass: (ms) => {
      for (const end = now + ms; now < end; now += 20) talk.tick();
    },
    lose: (from = -1) => carriers.at(from)._closed(4, "gone"),
    pauses: () => log.push(talk.pauses),
  };
  for (const [verb, ...args] of script) (verbs[verb] ?? ((...rest) => talk[verb](...rest)))(...args);
  return { log, told, carriers: carriers.map((carrier) => carrier.log), counts: { said: talk.said.count(), heard: talk.heard.count() } };
};

/** What is told of a question whose answer comes in this record, if whoever is told breaks off at once. */
export const answersTold = (record) => {
  const told = [];
  const question = new Question((refusal) => {
    told.push(refusal);
    question.carrierClosed(null, 0, "broke off");
  });
  question.receiveControl(encodeRecord(record), false);
  question.receiveControl(new Uint8Array(), true);
  return told;
};

// --- finding the way -----------------------------------------------------------------------------------------

/** Who wins the race to these URLs by UDP and to these paths of this server by TCP, and after how long. */
export const race = async (places, allowed) => {
  const began = performance.now();
  try {
    const here = places.map(([url, path]) => ({ url, ws_url: path && `ws://${location.host}${path}` }));
    const winner = await raceCarriers(here, { allowed });
    const took_ms = performance.now() - began;
    winner.close();
    return { winner: winner.name, took_ms };
  } catch (error) {
    return { error: error.code, message: error.message };
  }
};

// --- sound -------------------------------------------------------------------------------------------------

/** Packets through the browser's own decoder, null for a lost one; what came out, in order. */
export const decoded = async (packets) => {
  const out = [];
  let done;
  const ended = new Promise((resolve) => (done = resolve));
  const decoder = new Decoder({
    push: (unit, samples) => out.push(["push", unit, samples.length, Math.max(...samples.map(Math.abs)) > 0.01]),
    lose: (unit, samples) => out.push(["lose", unit, samples]),
    end: (unit) => {
      out.push(["end", unit]);
      done();
    },
  });
  for (const text of packets) decoder.frame(1, text === null ? null : bytes(text));
  decoder.end(1);
  await ended;
  return out;
};
