// Messages on their way: shown at once, sent until they arrive, never twice. Knows no server.

/** What a try again may cure: the daemon could not be reached, or could not record it. */
const PASSING = new Set([0, 503]);

export class Outgoing {
  #waiting = new Set(); // {shown, author, text, id, attempt, passing}

  constructor(timeline) {
    this.timeline = timeline;
  }

  /** Show `text` as on its way; `deliver(key)` sends it and gives its id. */
  async send(author, text, deliver) {
    // The same key on every attempt: one that arrived unnoticed is not said again.
    const key = [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    const one = { shown: this.timeline.pending(author, text), author, text, id: 0, passing: false };
    one.attempt = async () => {
      one.passing = false;
      one.shown.sending();
      try {
        one.id = await deliver(key);
        this.settle([]);
      } catch (error) {
        one.passing = PASSING.has(error.status);
        one.shown.failed(error.message, one.attempt);
      }
    };
    this.#waiting.add(one);
    await one.attempt();
  }

  /** The connection is back: try what could not be sent. */
  again() {
    for (const one of this.#waiting) if (one.passing) one.attempt();
  }

  /** Let go of those whose message is in the conversation. `added` is what has just come in: a
   * message may be heard of before the answer to its sending. */
  settle(added) {
    for (const one of this.#waiting) {
      const heard = added.some((message) => message.author === one.author && message.text === one.text);
      if (one.shown.gone || heard || (one.id && this.timeline.has(one.id))) {
        one.shown.done();
        this.#waiting.delete(one);
      }
    }
  }
}
