/** Latency of each turn as a stack of bars: whom the caller waited for. */

const SHOWN = 12;
const PARTS = [
  ["backend", "backend"],
  ["added", "edge"],
  ["network", "network and playout"],
];

export class Chart {
  #figure;
  #turns = [];

  constructor(figure) {
    this.#figure = figure;
    this.#draw();
  }

  /** One `edge.turn`. */
  add({ backend_ms, wire_ms, played_ms, edge_added_ms }) {
    if (backend_ms === null) return; // nobody knows
    const written = wire_ms ?? backend_ms;
    const parts = { backend: backend_ms, added: edge_added_ms ?? 0, network: Math.max(0, (played_ms ?? written) - written) };
    this.#turns = [...this.#turns, { ...parts, total: parts.backend + parts.added + parts.network }].slice(-SHOWN);
    this.#draw();
  }

  clear() {
    this.#turns = [];
    this.#draw();
  }

  #draw() {
    const most = Math.max(1, ...this.#turns.map(({ total }) => total));
    const bars = element("div", "bars");
    for (const turn of this.#turns) {
      const bar = element("div", "bar");
      bar.title = PARTS.map(([part, name]) => `${name} ${Math.round(turn[part])} ms`).join(", ");
      for (const [part] of PARTS) {
        const piece = element("div", part);
        piece.style.height = `${(72 * turn[part]) / most}px`;
        bar.append(piece);
      }
      bars.append(bar);
    }
    const latest = this.#turns.at(-1);
    if (!latest) bars.append(element("span", "empty", "Say something, and see who kept you waiting."));
    this.#figure.replaceChildren(...(latest ? [headline(latest, this.#turns)] : []), bars, legend());
    this.#figure.ariaLabel = latest
      ? `The last answer came ${Math.round(latest.total)} milliseconds after you had spoken; ${Math.round(latest.backend)} of them took the backend.`
      : "No turn yet";
  }
}

function headline(latest, turns) {
  const sorted = turns.map(({ total }) => total).sort((one, other) => one - other);
  const median = sorted[Math.floor(sorted.length / 2)];
  const line = element("div", "latest", `${Math.round(latest.total)} ms `);
  line.append(element("small", "", turns.length > 1 ? `median ${Math.round(median)} ms` : "first answer"));
  return line;
}

function legend() {
  const line = element("div", "legend");
  for (const [part, name] of PARTS) {
    const entry = element("span", "", name);
    entry.prepend(element("i", part));
    line.append(entry);
  }
  return line;
}

function element(tag, className, text = "") {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}
