// One message as an element: said, commanded, noticed, being sent or being written.

import { thumb } from "./attachments.js";
import { button, icon, make } from "./dom.js";
import { canCopy, copyText, show } from "./markdown.js";
import { avatar, fullTime, sizeOf, timeOf } from "./people.js";
import { isSound, sound } from "./sound.js";
import { isDrawn, isPicture, picture, sketch, tools } from "./pictures.js";

/** Characters of a message that is answered. */
const QUOTED = 120;

/** A message on the page. `acts` are what its buttons do: `press(control, id, text)`, `reply(message)`,
 * `prompt(id)`, and `known(id)` and `go(id)` for the message that it answers. */
export function messageElement(message, acts) {
  const item = make("li", { class: `message ${message.kind} ${message.bot ? "bot" : "person"}`, "data-id": message.id });
  fill(item, message, acts);
  return item;
}

export function fill(item, message, acts) {
  const at = new Date(message.at);
  const text = make("div", { class: "text", dir: "auto" });
  if (message.kind === "command") text.textContent = message.text;
  else show(text, message.text);
  const [first, ...more] = message.bubbles ?? [];
  if (first) {
    show(text, first.text);
    text.classList.add("bubble");
  }
  const body = make("div", { class: "body" }, text);
  if (message.files.length) body.append(files(message, promptIn(text)));
  if (message.kind === "notice") {
    item.replaceChildren(body);
    return;
  }
  if (isDrawn(message)) body.append(tools(message.id, acts));
  const time = () => make("time", { dateTime: message.at, title: fullTime(at) }, timeOf(at));
  const side = time();
  side.className = "side-time";
  if (message.reply_to) body.prepend(quote(message.reply_to, acts));
  const name = first?.name || message.author;
  body.prepend(header(name, message.bot, time(), message.edited ? make("span", { class: "edited" }, "edited") : null));
  const rows = [avatar(name, { bot: message.bot }), side, body, ...more.flatMap((one) => bubble(one, message))];
  rows.at(-1).append(actions(message, acts));
  item.replaceChildren(...rows);
}

/** One more message of an answer; one of a crowd has a face and a name. */
function bubble({ name, text }, message) {
  const words = make("div", { class: "text bubble", dir: "auto" });
  show(words, text);
  const body = make("div", { class: "body" }, words);
  if (!name) return [body];
  body.prepend(header(name, message.bot));
  return [avatar(name, { bot: message.bot }), body];
}

function header(author, bot, ...more) {
  const tag = bot ? make("span", { class: "tag" }, "bot") : null;
  return make("header", {}, make("span", { class: "who" }, author), tag, ...more.filter(Boolean));
}

/** The message that is answered, in a line that leads to it. */
function quote(id, acts) {
  const answered = acts.known(id);
  const words = answered ? summary(answered) : "an earlier message";
  return make("button", { class: "quote", type: "button", onclick: () => acts.go(id) }, icon("reply"),
    make("span", {}, make("span", { class: "unseen" }, "In reply to "), words));
}

/** "Ada: what is the time" */
export function summary(message) {
  const words = message.text.replace(/[*_`#>\\]/g, "").trim().split("\n")[0] || message.files.map((file) => file.name).join(", ");
  return `${message.author}: ${words.length > QUOTED ? `${words.slice(0, QUOTED)}…` : words}`;
}

function actions(message, acts) {
  const drawn = isDrawn(message);
  const rate = (control, name, label) => {
    const thumb = button(name, label, () => {
      if (!acts.press(control, message.id)) return;
      for (const one of row.querySelectorAll("[aria-pressed]")) one.setAttribute("aria-pressed", String(one === thumb));
    }, { "aria-pressed": "false" });
    return thumb;
  };
  const copier = canCopy && message.text ? button("copy", "Copy", () => copyText(message.text, copier)) : "";
  const row = make("div", { class: "actions" });
  if (message.bot && !drawn) {
    row.append(
      button("retry", "Answer again", () => acts.press("retry", message.id), { class: "icon again" }),
      rate("good", "up", "Good answer"),
      rate("bad", "down", "Bad answer"),
    );
  }
  row.append(button("reply", "Reply", () => acts.reply(message)), copier);
  return row;
}

/** What a bot was asked to draw, which its words begin with in bold. */
function promptIn(text) {
  const first = text.querySelector("p")?.firstChild;
  return first?.nodeName === "STRONG" ? first.textContent : "";
}

function files(message, prompt) {
  return make("div", { class: "files" }, ...message.files.map((file) => {
    if (isPicture(file)) return picture(file, (message.bot && prompt) || file.name, message.id);
    if (isSound(file)) return sound(file);
    const about = make("span", {}, make("b", {}, file.name), make("small", {}, sizeOf(file.size)));
    return make("a", { class: "file", href: file.url, download: file.name }, icon("file"), about);
  }));
}

/** A message on its way to the daemon, with the files that go along. */
export function pendingElement(author, text, files) {
  const words = make("div", { class: "text", dir: "auto" });
  show(words, text);
  const along = files.map((file) => make("span", { class: "file" }, thumb(file), make("b", {}, file.name)));
  const fate = make("p", { class: "fate", hidden: true });
  const body = make("div", { class: "body" }, header(author, false), words, fate);
  if (along.length) words.after(make("div", { class: "files" }, ...along));
  return make("li", { class: "message person sending" }, avatar(author), body);
}

/** An answer being written or drawn; `write(text, preview)` shows how far it is. */
export function draftElement(bot) {
  const words = make("div", { class: "text", dir: "auto" });
  const { image, show: draw } = sketch();
  const item = make("li", { class: "message bot writing", "aria-busy": "true" }, avatar(bot, { bot: true }), make("div", { class: "body" }, header(bot, true), words, image));
  const write = (text, preview) => {
    if (text) show(words, text, { copy: false });
    else words.replaceChildren(make("span", { class: "dots", role: "img", "aria-label": `${bot} is at work` }, make("i"), make("i"), make("i")));
    draw(preview);
  };
  write("", "");
  return { item, write };
}
