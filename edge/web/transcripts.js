/** What is said on both sides, put together from the events that bring it in pieces. */

const INPUT = "conversation.item.input_audio_transcription";
const OUTPUT = "response.output_audio_transcript";

export class Transcripts {
  #texts = new Map();
  #utterance = 0;

  /** `{who, id, text, done}` with all of the text so far, if `event` brings any; null otherwise. */
  take(event) {
    switch (event.type) {
      case `${INPUT}.delta`:
        return this.#piece("caller", `utterance_${this.#utterance}`, event.delta);
      case `${INPUT}.completed`:
        return this.#whole("caller", `utterance_${this.#utterance++}`, event.transcript);
      case `${OUTPUT}.delta`:
        return this.#piece("edge", event.item_id, event.delta);
      case `${OUTPUT}.done`:
        return this.#whole("edge", event.item_id, event.transcript);
      default:
        return null;
    }
  }

  #piece(who, id, delta) {
    const text = (this.#texts.get(id) ?? "") + delta;
    this.#texts.set(id, text);
    return { who, id, text, done: false };
  }

  #whole(who, id, text) {
    this.#texts.delete(id);
    return { who, id, text, done: true };
  }
}
