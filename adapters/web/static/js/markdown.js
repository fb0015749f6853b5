// Text as it is shown: CommonMark, made safe twice. Knows nothing of messages.

import { Marked } from "../vendor/marked.js";
import DOMPurify from "../vendor/purify.js";
import { button } from "./dom.js";

const escaped = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
const escape = (text) => text.replace(/[&<>"]/g, (character) => escaped[character]);

const marked = new Marked({
  gfm: true,
  breaks: true,
  renderer: {
    // Tags in a chat are something somebody typed, not something to be obeyed.
    html: ({ text }) => escape(text),
    // A picture elsewhere would tell its server who reads this; it becomes a link.
    image: ({ href, text }) => `<a href="${escape(href)}">${escape(text || href)}</a>`,
  },
});

DOMPurify.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName === "A") {
    node.setAttribute("target", "_blank");
    node.setAttribute("rel", "noopener noreferrer nofollow");
  }
});
const allowed = {
  ALLOWED_TAGS: "a b blockquote br code del em h1 h2 h3 h4 h5 h6 hr i li ol p pre s strong table tbody td th thead tr ul".split(" "),
  ALLOWED_ATTR: ["href", "start", "align"],
  ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
  RETURN_DOM_FRAGMENT: true,
};

/** Show `text` in `element`. */
export function show(element, text, { copy = true } = {}) {
  element.replaceChildren(DOMPurify.sanitize(marked.parse(text), allowed));
  if (!copy || !canCopy) return;
  for (const block of element.querySelectorAll("pre")) {
    const code = block.textContent;
    const copier = button("copy", "Copy code", () => copyText(code, copier));
    block.append(copier);
  }
}

/** Browsers offer the clipboard to this machine's own pages and over TLS. */
export const canCopy = Boolean(navigator.clipboard);

export async function copyText(text, from) {
  await navigator.clipboard.writeText(text);
  const use = from.querySelector("use");
  use.setAttribute("href", "#i-check");
  setTimeout(() => use.setAttribute("href", "#i-copy"), 1500);
}
