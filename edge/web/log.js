/** The control events of a call, newest first. */

const SHOWN = 200;
/** Once a second and of no interest to a reader. */
const UNINTERESTING = new Set(["edge.stats"]);
const SECRET = new Set(["token", "resume_token"]);

export class Log {
  #list;
  #count;
  #seen = 0;
  #began = performance.now();

  constructor(list, count) {
    this.#list = list;
    this.#count = count;
  }

  clear() {
    this.#list.replaceChildren();
    this.#seen = 0;
    this.#began = performance.now();
    this.#count.textContent = "0";
  }

  add({ event, sent }) {
    const { type, ...fields } = event;
    if (UNINTERESTING.has(type)) return;
    const line = document.createElement("li");
    const time = document.createElement("time");
    time.textContent = ((performance.now() - this.#began) / 1000).toFixed(2).padStart(6);
    const arrow = document.createElement("span");
    arrow.className = sent ? "up" : "down";
    arrow.textContent = sent ? "↑" : "↓";
    arrow.title = sent ? "said by this page" : "said by the edge";
    const name = document.createElement("span");
    name.textContent = type;
    const rest = document.createElement("code");
    rest.textContent = JSON.stringify(fields, (key, value) => (SECRET.has(key) && value ? "…" : value));
    line.append(time, arrow, name, rest);
    this.#list.prepend(line);
    if (this.#list.children.length > SHOWN) this.#list.lastChild.remove();
    this.#seen += 1;
    this.#count.textContent = String(this.#seen);
  }
}
