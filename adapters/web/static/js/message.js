// One message as an element: said, commanded, noticed, being sent or being written.

import { button, icon, make } from "./dom.js";
import { canCopy, copyText, show } from "./markdown.js";
import { avatar, fullTime, sizeOf, timeOf } from "./people.js";

const PICTURES = new Set(["image/png", "image/jpeg", "image/webp", "image/gif"]);

/** A message on the page. `act(control, id)` is told of the buttons under a bot's answer. */
export function messageElement(message, act) {
  const item = make("li", { class: `message ${message.kind} ${message.bot ? "bot" : "person"}`, "data-id": message.id });
  fill(item, message, act);
  return item;
}

export function fill(item, message, act) {
  const at = new Date(message.at);
  const text = make("div", { class: "text", dir: "auto" });
  if (message.kind === "command") text.textContent = message.text;
  else show(text, message.text);
  const body = make("div", { class: "body" }, text);
  if (message.files.length) body.append(files(message.files));
  if (message.kind === "notice") {
    item.replaceChildren(body);
    return;
  }
  const time = () => make("time", { dateTime: message.at, title: fullTime(at) }, timeOf(at));
  const side = time();
  side.className = "side-time";
  body.prepend(header(message.author, message.bot, time(), message.edited ? make("span", { class: "edited" }, "edited") : null));
  if (message.bot) body.append(actions(message, act));
  item.replaceChildren(avatar(message.author, { bot: message.bot }), side, body);
}

function header(author, bot, ...more) {
  const tag = bot ? make("span", { class: "tag" }, "bot") : null;
  return make("header", {}, make("span", { class: "who" }, author), tag, ...more.filter(Boolean));
}

function actions(message, act) {
  const rate = (control, name, label) => {
    const thumb = button(name, label, () => {
      if (!act(control, message.id)) return;
      for (const one of row.querySelectorAll("[aria-pressed]")) one.setAttribute("aria-pressed", String(one === thumb));
    }, { "aria-pressed": "false" });
    return thumb;
  };
  const copier = canCopy ? button("copy", "Copy", () => copyText(message.text, copier)) : "";
  const row = make("div", { class: "actions" },
    button("retry", "Answer again", () => act("retry", message.id), { class: "icon again" }),
    rate("good", "up", "Good answer"),
    rate("bad", "down", "Bad answer"),
    copier,
  );
  return row;
}

function files(list) {
  return make("div", { class: "files" }, ...list.map((file) => {
    if (PICTURES.has(file.type)) {
      const picture = make("img", { src: file.url, alt: file.name, loading: "lazy" });
      return make("button", { class: "picture", type: "button", "aria-label": `Open picture ${file.name}`, onclick: () => enlarge(file) }, picture);
    }
    const about = make("span", {}, make("b", {}, file.name), make("small", {}, sizeOf(file.size)));
    return make("a", { class: "file", href: file.url, download: file.name }, icon("file"), about);
  }));
}

function enlarge(file) {
  const dialog = document.querySelector("#image-dialog");
  Object.assign(dialog.querySelector("img"), { src: file.url, alt: file.name });
  dialog.querySelector("a").href = file.url;
  dialog.showModal();
}

/** A message on its way to the daemon. */
export function pendingElement(author, text) {
  const words = make("div", { class: "text", dir: "auto" });
  show(words, text);
  const fate = make("p", { class: "fate", hidden: true });
  return make("li", { class: "message person sending" }, avatar(author), make("div", { class: "body" }, header(author, false), words, fate));
}

/** An answer being written; `write(text)` shows how far it is. */
export function draftElement(bot) {
  const words = make("div", { class: "text", dir: "auto" });
  const item = make("li", { class: "message bot writing", "aria-busy": "true" }, avatar(bot, { bot: true }), make("div", { class: "body" }, header(bot, true), words));
  const write = (text) => {
    if (text) show(words, text, { copy: false });
    else words.replaceChildren(make("span", { class: "dots", role: "img", "aria-label": `${bot} is at work` }, make("i"), make("i"), make("i")));
  };
  write("");
  return { item, write };
}
