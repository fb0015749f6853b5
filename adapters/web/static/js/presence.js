// Who is at work and who is typing, in each thread of the room. Knows no connection.

/** Somebody who has not typed for this long is not typing. */
const TYPING = 5000;
/** A draft outlives its bot's work this long, for its message to take its place. */
const GRACE = 600;
/** After an answer, a bot that goes on working is shown to after this long. */
const BREATH = 300;
const NOTHING = { text: "", preview: "" };

const keyOf = (thread, bot) => `${thread} ${bot}`;

export class Presence {
  #works = new Map(); // key -> {thread, bot, text, preview, over, resting}
  #typists = new Map(); // name -> {thread, timer}

  /** `changed()` is called whenever something is different. */
  constructor(changed) {
    this.changed = changed;
  }

  /** As the server says it is, when a room is opened. */
  reset(working) {
    this.#works.clear();
    for (const { thread, bot, drafts } of working) this.#put(thread, bot, Object.values(drafts).at(-1));
    this.changed();
  }

  clear() {
    this.#typists.clear();
    this.reset([]);
  }

  draft(thread, bot, draft) {
    this.#put(thread, bot, draft);
    this.changed();
  }

  working(thread, bot, on) {
    const key = keyOf(thread, bot);
    const work = this.#works.get(key);
    if (on && !work) this.#put(thread, bot);
    if (!on && work) {
      // Its message is on its way and takes the draft's place; without one it just goes.
      if (work.resting) this.#works.delete(key);
      else work.over = true;
      setTimeout(() => {
        if (this.#works.get(key) === work) this.#works.delete(key);
        this.changed();
      }, GRACE);
    }
    this.changed();
  }

  typing(thread, name) {
    clearTimeout(this.#typists.get(name)?.timer);
    const timer = setTimeout(() => {
      this.#typists.delete(name);
      this.changed();
    }, TYPING);
    this.#typists.set(name, { thread, timer });
    this.changed();
  }

  /** Somebody has said something: a typist is done, and a draft goes. Dots come back only if the
   * bot really goes on. */
  said({ thread, author, bot }) {
    if (!bot) {
      this.#typists.delete(author);
      return;
    }
    const work = this.#works.get(keyOf(thread, author));
    if (!work) return;
    if (work.over) {
      this.#works.delete(keyOf(thread, author));
      return;
    }
    Object.assign(work, { ...NOTHING, resting: true });
    setTimeout(() => {
      work.resting = false;
      this.changed();
    }, BREATH);
  }

  /** [{bot, text, preview}] of the drafts to show in a thread. */
  drafts(thread) {
    return [...this.#works.values()].filter((work) => work.thread === thread && !work.resting);
  }

  /** Names of the bots that are at work in a thread. */
  workers(thread) {
    return this.drafts(thread).filter((work) => !work.over).map((work) => work.bot);
  }

  /** Names of the people who are typing in a thread. */
  typists(thread) {
    return [...this.#typists].filter(([, typist]) => typist.thread === thread).map(([name]) => name);
  }

  #put(thread, bot, { text, preview } = NOTHING) {
    this.#works.set(keyOf(thread, bot), { thread, bot, text, preview, over: false, resting: false });
  }
}
