/**
 * The caller's microphone: echo cancelled by the browser, cut into frames of 20 ms, encoded as Opus.
 *
 * Frames are encoded whether or not they are sent, because the encoder's state is part of the sound of the next one.
 */

import { SAMPLE_RATE } from "./ring.js";
import { FRAME_MS } from "./wire.js";

const BITRATE = 24_000;
/** What the encoder is told of the network where frames may be lost: then it repeats a little of each in the next. */
const EXPECTED_LOSS_PERCENT = 15;

function encoderConfig(expectLoss) {
  const opus = {
    frameDuration: FRAME_MS * 1000,
    application: "voip",
    signal: "voice",
    useinbandfec: expectLoss,
    packetlossperc: expectLoss ? EXPECTED_LOSS_PERCENT : 0,
  };
  return { codec: "opus", sampleRate: SAMPLE_RATE, numberOfChannels: 1, bitrate: BITRATE, opus };
}

export class Microphone {
  /** A silenced microphone goes on giving frames, of silence. */
  #track;
  #source;
  #encoder;
  #expectLoss = false;
  #levels = [];
  #count = 0;
  #hear;

  /** Asks the user for the microphone; `hear(packet, level_db)` gets each frame. Throws what getUserMedia throws. */
  static async open(context, hear) {
    const audio = { echoCancellation: true, noiseSuppression: true, autoGainControl: true, channelCount: 1 };
    const stream = await navigator.mediaDevices.getUserMedia({ audio });
    await context.audioWorklet.addModule(new URL("capture-worklet.js", import.meta.url));
    return new Microphone(context, stream, hear);
  }

  constructor(context, stream, hear) {
    [this.#track] = stream.getAudioTracks();
    this.#hear = hear;
    this.#encoder = new AudioEncoder({
      output: (chunk) => this.#encoded(chunk),
      error: (error) => console.error("the microphone's encoder stopped:", error),
    });
    this.#encoder.configure(encoderConfig(false));
    this.#source = context.createMediaStreamSource(stream);
    const cutter = new AudioWorkletNode(context, "edge-capture", { numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit" });
    cutter.port.onmessage = ({ data }) => this.#encode(data);
    this.#source.connect(cutter);
  }

  /** The node that brings the microphone's sound, for a meter. */
  get node() {
    return this.#source;
  }

  /** What the browser has agreed to do about echo and noise. */
  get settings() {
    return this.#track.getSettings();
  }

  set muted(muted) {
    this.#track.enabled = !muted;
  }

  get muted() {
    return !this.#track.enabled;
  }

  /** Whether frames may be lost on their way; then each carries a little of the one before (RFC 6716 section 2.1.7). */
  expectLoss(expected) {
    if (expected === this.#expectLoss || this.#encoder.state !== "configured") return;
    this.#expectLoss = expected;
    this.#encoder.configure(encoderConfig(expected));
  }

  close() {
    this.#track.stop();
    this.#source.disconnect();
    if (this.#encoder.state !== "closed") this.#encoder.close();
  }

  #encode({ samples, level_db }) {
    if (this.#encoder.state !== "configured") return;
    this.#levels.push(level_db);
    const timestamp = this.#count++ * FRAME_MS * 1000;
    const data = new AudioData({
      format: "f32-planar",
      sampleRate: SAMPLE_RATE,
      numberOfFrames: samples.length,
      numberOfChannels: 1,
      timestamp,
      data: samples,
    });
    this.#encoder.encode(data);
    data.close();
  }

  #encoded(chunk) {
    const packet = new Uint8Array(chunk.byteLength);
    chunk.copyTo(packet);
    this.#hear(packet, this.#levels.shift() ?? -100);
  }
}
