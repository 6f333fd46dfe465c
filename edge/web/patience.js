/** The deadline dial: one slider over a wide range, three names on it, and what a setting means. */

const LEAST_MS = 50;
const MOST_MS = 5000;
const STEPS = 100;
const PRESETS = { 50: "live", 500: "chat", 5000: "accurate" };
/** Below this, what the edge says is not waited for either. */
const ALSO_DOWN_MS = 200;
const MEANINGS = [
  [100, "As on a telephone: what is lost stays lost, and nothing waits for it."],
  [300, "One repair is tried; what still misses is left out."],
  [1500, "Lost words are repaired before anybody notices. Right for talking."],
  [Infinity, "Every word arrives, even over a network that is hardly there. Right for dictating."],
];

/** Milliseconds at a position of the slider, 0 to 100, rounded to what a person would say. */
export function patienceAt(position) {
  const ms = LEAST_MS * (MOST_MS / LEAST_MS) ** (position / STEPS);
  const grain = 10 ** Math.floor(Math.log10(ms)) / 2;
  return Math.round(ms / grain) * grain;
}

export function positionFor(ms) {
  return Math.round((STEPS * Math.log(ms / LEAST_MS)) / Math.log(MOST_MS / LEAST_MS));
}

/** What the session is told: a preset's name, or numbers. */
export function deadlineFor(ms) {
  return PRESETS[ms] ?? { uplink_ms: ms, downlink_ms: ms < ALSO_DOWN_MS ? ms : null };
}

export function patienceOf(preset) {
  return Number(Object.keys(PRESETS).find((ms) => PRESETS[ms] === preset));
}

export function meaningOf(ms) {
  return MEANINGS.find(([below]) => ms < below)[1];
}
