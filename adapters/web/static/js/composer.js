// The box one writes in: it grows, takes files, sends, keeps drafts, and suggests commands and names.

import { Attachments } from "./attachments.js";
import { button, find, icon, make } from "./dom.js";
import { summary } from "./message.js";

const COMMANDS = [
  ["/help", "what you can do here"],
  ["/new", "begin a new thread"],
  ["/stop", "stop the answer being written"],
  ["/retry", "have the last message answered again"],
  ["/undo", "take back the last exchange"],
  ["/draw", "a picture of what you say"],
  ["/reroll", "draw the same again, another way"],
  ["/vary", "draw something like the picture"],
  ["/upscale", "draw the picture larger"],
  ["/edit", "draw the picture from another prompt"],
  ["/settings", "what the picture was drawn with"],
  ["/delete", "take the picture away"],
  ["/defaults", "options for all pictures here"],
  ["/queue", "who waits for what"],
  ["/remind", "be reminded: in 20 minutes tea"],
  ["/every", "have a bot write: monday 9:00 …"],
  ["/schedules", "when bots write first here"],
  ["/quiet", "no bot writes first: 3 (hours), off"],
  ["/timezone", "your time zone, as Europe/Berlin"],
  ["/status", "how the daemon is"],
  ["/bots", "who lives here"],
  ["/whoami", "who you are to the bots"],
];
const TYPING_PAUSE = 3000;
const NOTHING = { text: "", files: [], reply: null };

export class Composer {
  #kept = new Map(); // place -> what was being written there: {text, files, reply}
  #reply = null; // the message that is answered
  #place = "";
  #typed = 0;
  #hints = [];
  #chosen = 0;

  /** `send({text, files, reply})`, `typing()`; `bots` are the names that @ suggests, with what they are. */
  constructor(send, typing) {
    this.bots = [];
    this.send = send;
    this.typing = typing;
    this.box = find("#composer-text");
    this.list = find("#hints");
    this.attachments = new Attachments(() => this.#changed(false));
    this.box.addEventListener("input", () => this.#changed(true));
    this.box.addEventListener("keydown", (event) => this.#key(event));
    this.box.addEventListener("blur", () => this.#suggest([]));
    find("#composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#changed(false);
  }

  /** There is nowhere to write to. */
  close() {
    this.moveTo("", "");
    this.box.disabled = true;
    find("#attach").disabled = true;
  }

  /** Write somewhere else; what was begun here waits. */
  moveTo(place, placeholder) {
    this.box.disabled = false;
    find("#attach").disabled = false;
    this.#kept.set(this.#place, this.#words);
    this.#place = place;
    this.#put(this.#kept.get(place) ?? NOTHING);
    this.box.placeholder = placeholder;
  }

  /** Put back what could not be sent, before what has been begun since. */
  restore({ text, files, reply }) {
    const now = this.#words;
    this.#put({
      text: [text, now.text].filter(Boolean).join("\n"),
      files: [...files, ...now.files],
      reply: reply ?? now.reply,
    });
    this.box.focus();
  }

  /** Answer a message; null: none in particular. */
  set reply(message) {
    this.#reply = message;
    const bar = find("#reply");
    bar.hidden = !message;
    if (!message) return;
    bar.replaceChildren(icon("reply"), make("span", {}, summary(message)), button("close", "Do not reply", () => {
      this.reply = null;
      this.box.focus();
    }));
    this.box.focus();
  }

  /** A message is gone: it is not answered any more. */
  forget(id) {
    if (this.#reply?.id === id) this.reply = null;
  }

  get #words() {
    return { text: this.box.value, files: this.attachments.files, reply: this.#reply };
  }

  #put({ text, files, reply }) {
    this.box.value = text;
    this.reply = reply;
    this.attachments.files = files;
  }

  focus() {
    // A phone would cover half of what one came to read with its keyboard.
    if (matchMedia("(hover: hover)").matches) this.box.focus();
  }

  #submit() {
    const words = { ...this.#words, text: this.box.value.trim() };
    if (!words.text && !words.files.length) return;
    this.#typed = 0;
    this.#put(NOTHING);
    this.send(words);
  }

  #changed(byHand) {
    this.box.style.height = "auto";
    this.box.style.height = `${this.box.scrollHeight}px`;
    find("#send").disabled = !this.box.value.trim() && !this.attachments.files.length;
    this.#suggest(byHand ? this.#matches() : []);
    if (byHand && this.box.value.trim() && Date.now() - this.#typed > TYPING_PAUSE) {
      this.#typed = Date.now();
      this.typing();
    }
  }

  #key(event) {
    if (event.isComposing) return;
    if (this.#hints.length) {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step) {
        event.preventDefault();
        this.#choose((this.#chosen + step + this.#hints.length) % this.#hints.length);
        return;
      }
      const whole = this.box.value === this.#hints[this.#chosen].insert.trim();
      if (event.key === "Tab" || (event.key === "Enter" && !event.shiftKey && !whole)) {
        event.preventDefault();
        this.#take(this.#hints[this.#chosen]);
        return;
      }
      if (event.key === "Escape") {
        event.stopPropagation();
        this.#suggest([]);
        return;
      }
    }
    if (event.key === "Escape" && this.#reply) {
      event.stopPropagation();
      this.reply = null;
    }
    if (event.key === "Enter" && !event.shiftKey) {
      event.preventDefault();
      this.#submit();
    }
  }

  // --- suggestions ---------------------------------------------------------------------------

  #matches() {
    const before = this.box.value.slice(0, this.box.selectionStart);
    const command = before.match(/^\/\w*$/)?.[0];
    if (command !== undefined) {
      return COMMANDS.filter(([name]) => name.startsWith(command.toLowerCase()))
        .map(([name, about]) => ({ label: name, about, from: 0, insert: name }));
    }
    const name = before.match(/(?:^|\s)@([\w-]*)$/)?.[1];
    if (name === undefined) return [];
    return this.bots.filter((bot) => bot.name.toLowerCase().startsWith(name.toLowerCase()))
      .map((bot) => ({ label: `@${bot.name}`, about: bot.about, from: before.length - name.length - 1, insert: `@${bot.name} ` }));
  }

  #suggest(hints) {
    this.#hints = hints;
    this.list.hidden = !hints.length;
    this.list.replaceChildren(...hints.map((hint, index) => make("li", {
      role: "option", id: `hint-${index}`,
      onmousedown: (event) => {
        event.preventDefault(); // the box keeps the focus
        this.#take(hint);
      },
    }, make("b", {}, hint.label), make("span", {}, hint.about))));
    this.#choose(0);
  }

  #choose(index) {
    this.#chosen = index;
    [...this.list.children].forEach((option, at) => option.setAttribute("aria-selected", String(at === index)));
    this.list.children[index]?.scrollIntoView({ block: "nearest" });
    if (this.#hints.length) this.box.setAttribute("aria-activedescendant", `hint-${index}`);
    else this.box.removeAttribute("aria-activedescendant");
  }

  #take(hint) {
    this.box.setRangeText(hint.insert, hint.from, this.box.selectionStart, "end");
    this.box.focus();
    this.#changed(false);
  }
}
