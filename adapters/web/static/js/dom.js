// Making elements, and the few sentences shown in passing. Knows nothing of the conversation.

const SVG = "http://www.w3.org/2000/svg";

export const find = (selector) => document.querySelector(selector);

/** An element with properties (`class`, `data-*` and `aria-*` as attributes, `on…` as listeners). */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && !name.includes("-")) element[name] = value;
    else element.setAttribute(name === "class" ? "class" : name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  svg.setAttribute("aria-hidden", "true");
  return svg;
}

export function button(name, label, onclick, more = {}) {
  return make("button", { class: "icon", type: "button", "aria-label": label, title: label, onclick, ...more }, icon(name));
}

/** A sentence at the top of the page, gone after a while. */
export function toast(sentence) {
  const box = find("#toasts");
  const note = make("p", {}, sentence);
  box.append(note);
  while (box.children.length > 3) box.firstChild.remove();
  setTimeout(() => note.remove(), 4000 + sentence.length * 50);
}

/** For those who listen: what a screen reader says without being asked. */
export function announce(sentence) {
  find("#announcer").textContent = sentence;
}
