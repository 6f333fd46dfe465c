/** Level meters: how loud a node of the audio graph is, drawn once for each frame of the screen. */

const QUIET_DB = -60;
const LOUD_DB = -12;
/** Of what is shown, kept from one frame to the next: a meter rises at once and falls so that an eye can follow. */
const FALL = 0.86;

export class Meters {
  #meters;
  #running = true;

  /** `meters`: `[{context, node, show(level)}]`, level from 0 to 1. */
  constructor(meters) {
    this.#meters = meters.map(({ context, node, show }) => {
      const analyser = new AnalyserNode(context, { fftSize: 1024 });
      node.connect(analyser);
      return { analyser, show, samples: new Float32Array(1024), level: 0 };
    });
    this.#draw();
  }

  stop() {
    this.#running = false;
    for (const { show } of this.#meters) show(0);
  }

  #draw() {
    if (!this.#running) return;
    for (const meter of this.#meters) {
      meter.analyser.getFloatTimeDomainData(meter.samples);
      meter.level = Math.max(loudness(meter.samples), meter.level * FALL);
      meter.show(meter.level);
    }
    requestAnimationFrame(() => this.#draw());
  }
}

function loudness(samples) {
  const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
  return Math.min(1, Math.max(0, (10 * Math.log10(power || Number.MIN_VALUE) - QUIET_DB) / (LOUD_DB - QUIET_DB)));
}
