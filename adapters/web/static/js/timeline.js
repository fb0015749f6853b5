// The conversation on the page: in order, by day, at the right place. Knows no server.

import { find, make } from "./dom.js";
import { draftElement, fill, messageElement, pendingElement } from "./message.js";
import { dayName, dayOf } from "./people.js";

/** Messages of one author this close together share one head. */
const TOGETHER = 5 * 60_000;
/** From this far above the end the page no longer follows what is new. */
const NEAR = 80;
/** More than this many are let go of at the top while the reader is at the end. */
const MOST = 600;

/** Whether it has heads of its own: what each of a crowd says. */
const named = (message) => Boolean(message.bubbles?.[0]?.name);

export class Timeline {
  #messages = []; // {message, item}, by growing id
  #gone = new Map(); // id -> seq of what was deleted, for answers that were read before that
  #drafts = new Map(); // bot -> {item, write, text, preview}
  #following = true;
  #missed = 0;
  #firstNew = 0;
  #top = 0;

  /** `acts`: what the buttons of messages do; `older(id)`: wants what is before that id */
  constructor(acts, older) {
    this.acts = { ...acts, known: (id) => this.get(id), go: (id) => this.#go(id) };
    this.older = older;
    this.view = find("#timeline");
    this.list = find("#messages");
    this.pill = find("#pill");
    this.more = false;
    this.view.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    this.pill.addEventListener("click", () => this.toEnd());
    // Pictures arrive and windows turn; whoever was at the end stays there.
    const settle = new ResizeObserver(() => this.#following && this.#jump());
    settle.observe(this.view);
    settle.observe(this.view.firstElementChild);
  }

  /** Begin another thread. */
  clear() {
    this.#messages = [];
    this.#gone.clear();
    this.#drafts.clear();
    this.#firstNew = 0;
    this.more = false;
    this.list.replaceChildren();
    find("#pending").replaceChildren();
    find("#drafts").replaceChildren();
    this.toEnd();
  }

  get first() {
    return this.#messages[0]?.message.id;
  }

  has(id) {
    return this.get(id) !== undefined;
  }

  get(id) {
    return this.#messages.find(({ message }) => message.id === id)?.message;
  }

  /** Show a message that is further up. */
  #go(id) {
    const item = this.#messages.find(({ message }) => message.id === id)?.item;
    if (!item) return;
    item.scrollIntoView({ block: "center" });
    item.classList.remove("found");
    void item.offsetWidth; // the mark shows again
    item.classList.add("found");
  }

  /** The bots that an answer is being written by. */
  get drafting() {
    return [...this.#drafts.keys()];
  }

  get empty() {
    return this.#messages.length === 0;
  }

  /** Earlier messages, put above without moving what is being read. */
  prepend(messages) {
    const height = this.view.scrollHeight;
    this.apply(messages);
    this.view.scrollTop += this.view.scrollHeight - height;
  }

  /** Messages as they are now, in whatever order and however often; gives those that are new. */
  apply(messages) {
    const added = messages.filter((message) => this.#applyOne(message));
    this.#decorate();
    if (this.#following) {
      this.#trim();
      this.#jump();
    }
    return added;
  }

  /** Mark where what has not been read begins; 0 for nowhere. */
  markNew(id) {
    this.#firstNew = id;
    this.#decorate();
  }

  #applyOne(message) {
    let index = this.#messages.length;
    while (index && this.#messages[index - 1].message.id >= message.id) index -= 1;
    const known = this.#messages[index]?.message.id === message.id ? this.#messages[index] : null;
    if (message.deleted) {
      this.#gone.set(message.id, message.seq);
      if (known) {
        known.item.remove();
        this.#messages.splice(index, 1);
      }
      return false;
    }
    if ((this.#gone.get(message.id) ?? 0) >= message.seq) return false;
    if (known) {
      if (message.seq > known.message.seq) {
        known.message = message;
        fill(known.item, message, this.acts);
      }
      return false;
    }
    if (message.bot) this.endDraft(message.author);
    const item = messageElement(message, this.acts);
    this.list.insertBefore(item, this.#messages[index]?.item ?? null);
    this.#messages.splice(index, 0, { message, item });
    return true;
  }

  /** Days, shared heads and the last answer depend on the neighbours. */
  #decorate() {
    let before = null;
    let lastAnswer = null;
    for (const { message, item } of this.#messages) {
      const at = new Date(message.at);
      const newDay = !before || dayOf(new Date(before.at)) !== dayOf(at);
      const isNew = before && message.id === this.#firstNew;
      const grouped = !newDay && !isNew && before.author === message.author && before.bot === message.bot
        && !named(before) && !named(message) && before.kind === message.kind && at - new Date(before.at) < TOGETHER;
      item.classList.toggle("grouped", grouped && message.kind !== "notice");
      this.#separator(item, "fresh", isNew ? "New" : "");
      this.#separator(item, "day", newDay ? dayName(at) : "");
      item.classList.remove("last");
      if (message.kind === "said") lastAnswer = message.bot ? item : null;
      before = message;
    }
    lastAnswer?.classList.add("last");
  }

  #separator(item, name, label) {
    const old = item.querySelector(`:scope > .${name}`);
    if (old?.textContent === label) return;
    old?.remove();
    if (label) item.prepend(make("div", { class: name }, label));
  }

  /** Ask for earlier messages where there is room for them. */
  fillUp() {
    if (this.more && this.view.scrollTop < 300) this.older(this.first);
  }

  // --- what is not yet said ------------------------------------------------------------------

  /** Show a message on its way. */
  pending(author, text, files) {
    const item = pendingElement(author, text, files);
    const fate = item.querySelector(".fate");
    find("#pending").append(item);
    if (this.#following) this.#jump();
    const link = (label, onclick) => make("button", { type: "button", onclick }, label);
    return {
      sending: () => {
        item.classList.replace("failed", "sending");
        fate.hidden = true;
      },
      failed: (why, again, edit) => {
        item.classList.replace("sending", "failed");
        fate.replaceChildren(why, link("Try again", again), link("Edit", edit));
        fate.hidden = false;
      },
      remove: () => item.remove(),
    };
  }

  /** A bot is at work, and has come to `text` and `preview`. */
  draft(bot, text, preview) {
    let draft = this.#drafts.get(bot);
    if (!draft) {
      draft = { ...draftElement(bot), text: "", preview: "" };
      this.#drafts.set(bot, draft);
      find("#drafts").append(draft.item);
    }
    if (text && (text !== draft.text || preview !== draft.preview)) {
      Object.assign(draft, { text, preview });
      draft.write(text, preview);
    }
    if (this.#following) this.#jump();
  }

  endDraft(bot) {
    this.#drafts.get(bot)?.item.remove();
    this.#drafts.delete(bot);
  }

  // --- where the reader is -------------------------------------------------------------------

  /** Tell a reader who is further up that there is more below. */
  missed(count) {
    if (this.#following || !count) return;
    this.#missed += count;
    this.pill.lastElementChild.textContent = this.#missed === 1 ? "1 new message" : `${this.#missed} new messages`;
    this.pill.hidden = false;
  }

  get following() {
    return this.#following;
  }

  toEnd() {
    this.#following = true;
    this.#jump();
  }

  #jump() {
    this.view.scrollTop = this.view.scrollHeight;
    this.#missed = 0;
    this.pill.hidden = true;
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.view;
    // Only a reader goes up. That the end is far away may be a picture that has just arrived.
    if (scrollHeight - clientHeight - scrollTop < NEAR) this.#following = true;
    else if (scrollTop < this.#top) this.#following = false;
    this.#top = scrollTop;
    if (this.#following) {
      this.#missed = 0;
      this.pill.hidden = true;
    }
    this.fillUp();
  }

  #trim() {
    if (this.#messages.length <= MOST) return;
    for (const { item } of this.#messages.splice(0, this.#messages.length - MOST / 2)) item.remove();
    this.more = true;
    this.#decorate();
  }
}
