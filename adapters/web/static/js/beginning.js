// What is shown where nothing has been said yet, or nothing can be.

import { find, make } from "./dom.js";
import { avatar } from "./people.js";

const STARTERS = ["Hi, how are you?", "Tell me a joke", "What do you like?"];

const box = find("#beginning");

export function hideBeginning() {
  box.hidden = true;
}

/** How to begin in a room; `about` says what each bot is, `say` says a line for the reader. */
export function showBeginning(room, fresh, about, say) {
  const asked = room.host || room.bots[0];
  const other = room.bots.find((bot) => bot !== asked);
  const how = room.host
    ? `Say something and ${room.host} answers.${other ? ` To ask somebody else, name them: @${other}.` : ""}`
    : `Name the one you would like an answer from: @${asked}.`;
  box.replaceChildren(
    make("div", { class: "faces" }, ...room.bots.map((bot) => avatar(bot, { bot: true }))),
    make("h2", {}, fresh ? "A new thread" : `Welcome to ${room.name}`),
    make("p", {}, how),
    make("dl", {}, ...room.bots.map((bot) => make("div", {}, make("dt", {}, bot), " ", make("dd", {}, about.get(bot) ?? "")))),
    make("div", { class: "starters" }, ...STARTERS.map((line) =>
      make("button", { type: "button", onclick: () => say(room.host ? line : `@${asked} ${line}`) }, line))),
  );
  box.hidden = false;
}

/** Why there is nothing, and what to do. */
export function showNothing(title, text) {
  box.replaceChildren(make("h2", {}, title), make("p", {}, text));
  box.hidden = false;
}
