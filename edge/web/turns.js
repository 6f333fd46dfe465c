/**
 * Whose turn it is: from the level of each frame of the microphone to utterances, interruptions and second thoughts.
 *
 * Two ways of taking turns. `hold`: an utterance lasts as long as a button is held. `open`: it begins when somebody
 * speaks and ends when nobody has for a while, by the level of the voice above that of the room. Speech while the edge
 * is speaking interrupts it at once; if it turns out to be a cough, the edge goes on where it was stopped.
 *
 * Counted in frames of 20 ms: there is no clock here but the microphone.
 */

/** Frames kept from before speech is noticed, so that its first sound is not cut off. */
const BEFORE = 12;
/** So many of the last so many frames must be loud for speech to begin. */
const ONSET_LOUD = 4;
const ONSET_OF = 6;
/** So many quiet frames end it. */
const HANG = 30;
/** An interruption is decided after this many frames, well before the 400 ms for which it can be taken back. */
const VERDICT = 14;
const VERDICT_LOUD = 7;
/** Fewer loud frames than this are no utterance. */
const LEAST_LOUD = 6;

const LEAST_DB = -55;
const ABOVE_ROOM_DB = 10;
/** What is left of the loudspeaker behind the echo canceller must not interrupt the loudspeaker. */
const ABOVE_ECHO_DB = 6;

/** How loud the room is when nobody speaks: falls at once, rises slowly. */
class Room {
  #floor = -70;

  isLoud(level, playing) {
    this.#floor = level < this.#floor ? level : Math.min(this.#floor + 0.05, -30);
    return level > Math.max(LEAST_DB, this.#floor + ABOVE_ROOM_DB) + (playing ? ABOVE_ECHO_DB : 0);
  }
}

export class Turns {
  /** "open" or "hold". */
  mode;
  speaking = false;
  #session;
  #changed;
  #room = new Room();
  #before = []; // packets
  #recent = []; // booleans
  #held = false;
  #quiet = 0;
  #loud = 0;
  #frames = 0; // of the utterance in hand
  #doubt = false; // it interrupted the edge, and may be nothing

  /** `changed(what)`: "began", "ended", "interrupted", "meant" or "nothing". */
  constructor(session, mode, changed = () => {}) {
    this.#session = session;
    this.mode = mode;
    this.#changed = changed;
  }

  /** The button is pressed: the caller has the word. */
  press() {
    this.#held = true;
    this.interrupt();
  }

  release() {
    this.#held = false;
  }

  /** Silence the edge for good. */
  interrupt() {
    this.#session.interrupt();
    this.#session.confirmInterruption();
    this.#doubt = false;
  }

  /** The next frame of the microphone. */
  hear(packet, level_db) {
    const playing = this.#session.status.playing;
    const loud = this.#room.isLoud(level_db, playing);
    this.#recent = [...this.#recent, loud].slice(-ONSET_OF);
    if (this.speaking) this.#go(packet, loud);
    else if (this.#mayBegin()) this.#begin(packet, playing);
    else this.#before = [...this.#before, packet].slice(-BEFORE);
  }

  #mayBegin() {
    if (this.mode === "hold") return this.#held;
    return this.#recent.filter(Boolean).length >= ONSET_LOUD;
  }

  #begin(packet, playing) {
    this.speaking = true;
    this.#quiet = 0;
    this.#frames = 0;
    this.#loud = this.#recent.filter(Boolean).length;
    for (const earlier of this.#before.splice(0)) this.#session.speak(earlier);
    this.#session.speak(packet);
    this.#changed("began");
    if (playing && this.mode === "open") {
      this.#doubt = true;
      this.#session.interrupt();
      this.#changed("interrupted");
    }
  }

  #go(packet, loud) {
    this.#session.speak(packet);
    this.#frames += 1;
    this.#loud += loud;
    this.#quiet = loud ? 0 : this.#quiet + 1;
    if (this.#doubt && this.#frames === VERDICT) this.#judge();
    else if (this.mode === "hold" ? !this.#held : this.#quiet >= HANG) this.#end();
  }

  #judge() {
    this.#doubt = false;
    if (this.#loud >= VERDICT_LOUD) {
      this.#session.confirmInterruption();
      this.#changed("meant");
    } else {
      this.#session.resumeSpeech();
      this.#drop();
    }
  }

  #end() {
    if (this.mode === "open" && this.#loud < LEAST_LOUD) {
      this.#drop();
      return;
    }
    this.speaking = false;
    this.#session.commit();
    this.#changed("ended");
  }

  #drop() {
    this.speaking = false;
    this.#session.clear();
    this.#changed("nothing");
  }
}
