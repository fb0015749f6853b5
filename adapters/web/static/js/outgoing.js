// Messages on their way: shown at once, sent until they arrive, never twice. Knows no server.

/** What a try again may cure: the daemon could not be reached, or could not record it. */
const PASSING = new Set([0, 503]);

export class Outgoing {
  #waiting = new Set(); // {place, author, words, deliver, shown, id, error}; words: {text, files, reply}
  #place = "";

  /** `edit(words)` takes back what could not be sent. */
  constructor(timeline, edit) {
    this.timeline = timeline;
    this.edit = edit;
  }

  /** The timeline shows another place; what waits there is shown again. */
  enter(place) {
    this.#place = place;
    for (const one of this.#waiting) {
      one.shown = null;
      this.#show(one);
    }
  }

  /** A thread that was about to begin has begun. */
  moved(from, to) {
    for (const one of this.#waiting) if (one.place === from) one.place = to;
    if (this.#place === from) this.#place = to;
  }

  /** Say something here; `deliver(key)` sends it and gives its id. */
  async send(author, words, deliver) {
    // The same key on every attempt: one that arrived unnoticed is not said again.
    const key = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    const one = { place: this.#place, author, words, deliver: () => deliver(key), shown: null, id: 0, error: null };
    this.#waiting.add(one);
    this.timeline.toEnd();
    await this.#attempt(one);
  }

  /** The connection is back: try what could not be sent. */
  again() {
    for (const one of this.#waiting) if (PASSING.has(one.error?.status)) this.#attempt(one);
  }

  /** Let go of those whose message is in the conversation. `added` is what has just come in: a
   * message may be heard of before the answer to its sending. */
  settle(added) {
    for (const one of this.#waiting) {
      const here = one.place === this.#place;
      const heard = here && added.some((message) => message.author === one.author && message.text === one.words.text && message.files.length === one.words.files.length);
      if (heard || (one.id && (!here || this.timeline.has(one.id)))) this.#drop(one);
    }
  }

  async #attempt(one) {
    one.error = null;
    this.#show(one);
    try {
      one.id = await one.deliver();
      this.settle([]);
    } catch (error) {
      one.error = error;
      this.#show(one);
    }
  }

  #show(one) {
    if (one.place !== this.#place) return;
    one.shown ??= this.timeline.pending(one.author, one.words.text, one.words.files);
    if (!one.error) {
      one.shown.sending();
      return;
    }
    one.shown.failed(one.error.message, () => this.#attempt(one), () => {
      this.#drop(one);
      this.edit(one.words);
    });
  }

  #drop(one) {
    one.shown?.remove();
    this.#waiting.delete(one);
  }
}
