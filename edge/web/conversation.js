/** The conversation as it is spoken: one bubble for each turn, filled as its words are known. */

export class Conversation {
  #list;
  #announce;
  #unheard = []; // bubbles of the caller that wait for what the backend understood
  #spoken = new Map(); // bubbles of the edge, by item_id
  #open = null; // the caller's, while it speaks
  #since = 0;

  /** `announce(text)` is for those who do not see the page: whole sentences only. */
  constructor(list, announce) {
    this.#list = list;
    this.#announce = announce;
  }

  clear() {
    this.#list.replaceChildren();
    this.#unheard = [];
    this.#spoken.clear();
    this.#open = null;
  }

  /** The caller begins to speak, has ended, or it was nothing. */
  turn(phase) {
    if (phase === "began") {
      this.#since = performance.now();
      this.#open = this.#bubble("you", "You");
      this.#unheard.push(this.#open);
    } else if (phase === "ended" && this.#open) {
      this.#close(this.#open, performance.now() - this.#since);
      this.#open = null;
    } else if (phase === "nothing" && this.#open) {
      this.#open.remove();
      this.#unheard = this.#unheard.filter((bubble) => bubble !== this.#open);
      this.#open = null;
      this.notice("That was nothing. It goes on.");
    }
  }

  /** What the backend understood of the caller, so far or in the end. */
  heard(text, done) {
    if (!this.#unheard.length) this.#unheard.push(this.#bubble("you", "You"));
    const [bubble] = this.#unheard;
    this.#fill(bubble, text, done);
    if (!done) return;
    this.#unheard.shift();
    if (bubble === this.#open) this.#open = null;
    this.#announce(`You: ${text}`);
  }

  /** The edge begins to speak. */
  begun(itemId) {
    this.#spoken.set(itemId, this.#bubble("edge", "Edge"));
  }

  said(itemId, text, done) {
    if (!this.#spoken.has(itemId)) this.begun(itemId);
    this.#fill(this.#spoken.get(itemId), text, done);
    if (done) this.#announce(`Edge: ${text}`);
  }

  /** All of an item was written: without a transcript, at least how long it was. */
  written(itemId, ms) {
    const bubble = this.#spoken.get(itemId);
    if (bubble) this.#close(bubble, ms);
  }

  /** The caller did not want the rest. */
  cut(itemId, text) {
    const bubble = this.#spoken.get(itemId);
    if (!bubble) return;
    bubble.classList.remove("open");
    const cut = document.createElement("span");
    cut.className = "cut";
    cut.textContent = `✂ ${text}`;
    bubble.append(cut);
    this.#follow();
    this.#announce(text);
  }

  /** Something happened to the call itself. */
  notice(text, bad = false) {
    const notice = document.createElement("li");
    notice.className = bad ? "notice bad" : "notice";
    notice.textContent = text;
    this.#append(notice);
    this.#announce(text);
  }

  #bubble(who, name) {
    const bubble = document.createElement("li");
    bubble.className = `said open ${who}`;
    const label = document.createElement("b");
    label.textContent = name;
    bubble.append(label, document.createElement("p"));
    this.#append(bubble);
    return bubble;
  }

  #fill(bubble, text, done) {
    const [words] = bubble.getElementsByTagName("p");
    words.textContent = text;
    words.classList.remove("aside");
    bubble.classList.toggle("open", !done);
    this.#follow();
  }

  #close(bubble, ms) {
    bubble.classList.remove("open");
    const [words] = bubble.getElementsByTagName("p");
    if (words.textContent) return;
    words.classList.add("aside");
    words.textContent = `spoke for ${(ms / 1000).toFixed(1)} s`;
  }

  #append(element) {
    this.#list.append(element);
    this.#follow();
  }

  /** The newest stays in sight, unless somebody has scrolled back to read. */
  #follow() {
    const { scrollHeight, scrollTop, clientHeight } = this.#list;
    if (scrollHeight - scrollTop - clientHeight < 160) this.#list.scrollTop = scrollHeight;
  }
}
