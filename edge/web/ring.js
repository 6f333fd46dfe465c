/**
 * What the caller hears, sample by sample: one ring for all items, emptied by the audio clock.
 *
 * An item starts once `startMs` of it are here, or all of it if it is shorter. When the ring is empty before the item
 * has ended, there is silence until `startMs` are here again; that silence is an underrun if speech then goes on.
 * Every start fades in and every stop fades out, over one block of the audio clock, so that nothing clicks.
 *
 * Times inside are counted in samples. Nothing here knows of the browser; `playout-worklet.js` runs it.
 */

export const SAMPLE_RATE = 48_000;
export const START_MS = 120;
const SAMPLES_PER_MS = SAMPLE_RATE / 1000;
const GROUP_SAMPLES = 100 * SAMPLES_PER_MS;
const FADE = 240; // 5 ms on either side of a lost frame
const BLOCK = 128; // of the audio clock
/** More than what is decoded ahead, see `feed.js`. */
const CAPACITY = 12 * SAMPLE_RATE;

export class PlayoutRing {
  playing = false;
  /** Grows at each start, underrun, stop and flush. */
  transitions = 0;
  underruns = 0;
  /** Samples that did not fit. */
  dropped = 0;
  #paused = false;
  #samples = new Float32Array(CAPACITY);
  #read = 0;
  #write = 0;
  #queue = []; // {number, received, played, ended}
  #sounded = { number: 0, received: 0, played: 0 }; // the last item that has begun to sound
  #clock = 0;
  #drySince = null;
  #underrunSamples = 0;
  #startSamples;
  #loud = false; // the block before this one did not end in silence
  #afterLoss = false;
  #tail = null; // the last sound before an interruption, fading

  constructor(startMs = START_MS) {
    this.#startSamples = startMs * SAMPLES_PER_MS;
  }

  /** More of `item`; items come in order. `samples` is mono at `SAMPLE_RATE`. */
  push(item, samples) {
    const state = this.#item(item);
    const fits = Math.min(samples.length, CAPACITY - (this.#write - this.#read));
    const fade = this.#afterLoss ? Math.min(FADE, fits) : 0;
    for (let index = 0; index < fits; index++) {
      this.#samples[(this.#write + index) % CAPACITY] = samples[index] * (index < fade ? index / fade : 1);
    }
    this.#afterLoss = false;
    this.#write += fits;
    state.received += fits;
    this.dropped += samples.length - fits;
  }

  /** `count` samples of `item` are lost: silence, and what is around it fades. */
  lose(item, count) {
    const state = this.#item(item);
    const fade = Math.min(FADE, state.received - state.played);
    for (let index = 0; !this.#afterLoss && index < fade; index++) {
      this.#samples[(this.#write - 1 - index) % CAPACITY] *= index / fade;
    }
    this.push(item, new Float32Array(count));
    this.#afterLoss = true;
  }

  /** No more of `item` will come. */
  end(item) {
    const state = this.#queue.find(({ number }) => number === item);
    if (state) state.ended = true;
  }

  /** Throw away all that is here. */
  flush() {
    this.#silence();
    this.#queue = [];
    this.#read = this.#write;
    this.#afterLoss = false;
  }

  /** Silence, keeping all that is here. */
  pause() {
    this.#paused = true;
    this.#silence();
  }

  resume() {
    this.#paused = false;
  }

  /** The next block of the audio clock. */
  render(output) {
    let at = this.#fadeOut(output);
    while (at < output.length && (this.playing || this.#start(at))) {
      const [head] = this.#queue;
      const count = Math.min(output.length - at, head.received - head.played);
      for (let index = 0; index < count; index++) output[at + index] = this.#samples[(this.#read + index) % CAPACITY];
      this.#read += count;
      head.played += count;
      at += count;
      if (head.received === head.played) {
        this.#stop(this.#clock + at);
        this.#start(at);
      }
    }
    output.fill(0, at);
    if (this.#tail) this.#tail = null;
    else this.#smooth(output, at);
    this.#clock += output.length;
  }

  /** As a playout report has it; and how much is here, and was written in all, in samples. */
  status() {
    const { number, received, played } = this.#sounded;
    return {
      item: number,
      played_ms: ms(played),
      buffered_ms: ms(this.#ahead()),
      underruns: this.underruns,
      underrun_ms: ms(this.#underrunSamples),
      highest_group: Math.floor(Math.max(0, received - 1) / GROUP_SAMPLES),
      playing: this.playing,
      held_ms: ms(this.#write - this.#read),
      written: this.#write,
      transitions: this.transitions,
    };
  }

  #item(number) {
    let last = this.#queue.at(-1);
    if (last?.number !== number) {
      last = { number, received: 0, played: 0, ended: false };
      // What an item had before it was flushed counts, should more of it come.
      if (this.#sounded.number === number) Object.assign(last, { received: this.#sounded.played, played: this.#sounded.played });
      this.#queue.push(last);
    }
    return last;
  }

  #start(at) {
    while (!this.#paused && this.#queue.length) {
      const [head] = this.#queue;
      if (this.#canStart(head)) {
        this.#sound(head, this.#clock + at);
        return true;
      }
      if (!head.ended) return false;
      this.#queue.shift();
      this.#drySince = null;
    }
    return false;
  }

  #canStart({ received, played, ended }) {
    return received > played && (ended || received - played >= this.#startSamples);
  }

  /** Stop in the middle, but for one block that fades; what sounds in it does not count as played. */
  #silence() {
    this.#drySince = null;
    if (!this.playing) return;
    const [head] = this.#queue;
    const count = Math.min(BLOCK, head.received - head.played);
    this.#tail = Float32Array.from({ length: count }, (_, index) => this.#samples[(this.#read + index) % CAPACITY] * (1 - (index + 1) / count));
    this.#stop(null);
  }

  /** What an interruption has left of the sound before it; how much of `output` that takes. */
  #fadeOut(output) {
    if (!this.#tail) return 0;
    output.fill(0);
    output.set(this.#tail.subarray(0, output.length));
    this.#loud = false;
    return output.length;
  }

  #sound(head, at) {
    if (this.#drySince !== null && at > this.#drySince) {
      this.underruns += 1;
      this.#underrunSamples += at - this.#drySince;
    }
    this.#drySince = null;
    this.#sounded = head;
    this.playing = true;
    this.transitions += 1;
  }

  #stop(drySince) {
    this.#drySince = drySince;
    this.playing = false;
    this.transitions += 1;
  }

  /** What will be played next without a pause, of all items. */
  #ahead() {
    if (!this.playing) return 0;
    let samples = 0;
    for (const item of this.#queue) {
      if (item !== this.#sounded && !this.#canStart(item)) break;
      samples += item.received - item.played;
      if (!item.ended) break;
    }
    return samples;
  }

  /** Fade in behind silence, and out before it. */
  #smooth(output, end) {
    const stops = end > 0 && !this.playing;
    for (let index = 0; index < end; index++) {
      const rise = this.#loud ? 1 : (index + 1) / end;
      output[index] *= stops ? Math.min(rise, (end - 1 - index) / end) : rise;
    }
    this.#loud = end > 0 && !stops;
  }
}

function ms(samples) {
  return Math.floor(samples / SAMPLES_PER_MS);
}
