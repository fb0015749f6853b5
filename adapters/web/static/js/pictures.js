// Pictures in a message: shown, covered, enlarged, with the buttons under them. Knows no server.

import { find, make, toast } from "./dom.js";

const KINDS = new Set(["image/png", "image/jpeg", "image/webp", "image/gif"]);
/** As on every platform. */
const BUTTONS = [
  ["reroll", "Re-roll", "Draw the same again, another way"],
  ["vary", "Vary", "Draw something like this picture"],
  ["upscale", "Upscale", "Draw this picture larger"],
  ["edit", "Edit prompt", "Draw from another prompt"],
  ["settings", "Settings", "What it was drawn with"],
  ["delete", "Delete", "Take the picture away"],
];

export const isPicture = (file) => KINDS.has(file.type);
/** Whether a message has a picture that a bot drew. */
export const isDrawn = (message) => message.bot && message.files.some(isPicture);

/** A picture of message `id`, described by `alt`; a covered one is uncovered by the first click. */
export function picture(file, alt, id) {
  const image = make("img", { src: file.url, alt: file.spoiler ? "" : alt, loading: "lazy" });
  const frame = make("button", { class: "picture", type: "button" }, image);
  const name = () => frame.setAttribute("aria-label", frame.classList.contains("covered")
    ? "Show the covered picture, which may not be safe to look at" : `Open picture ${alt}`);
  if (file.spoiler) {
    frame.classList.add("covered");
    frame.append(make("span", { class: "cover", "aria-hidden": "true" }, "Covered: show"));
  }
  name();
  frame.addEventListener("click", () => {
    if (!frame.classList.contains("covered")) return enlarge(file, alt, id);
    frame.classList.remove("covered");
    frame.querySelector(".cover").remove();
    image.alt = alt;
    name();
  });
  return frame;
}

function enlarge(file, alt, id) {
  const dialog = find("#image-dialog");
  dialog.dataset.message = id;
  Object.assign(dialog.querySelector("img"), { src: file.url, alt });
  dialog.querySelector("p").textContent = alt;
  dialog.querySelector("a").href = file.url;
  dialog.showModal();
}

/** A message is gone, and with it its pictures. */
export function closePicture(id) {
  const dialog = find("#image-dialog");
  if (dialog.open && dialog.dataset.message === String(id)) dialog.close();
}

/** The buttons under a drawn picture. `acts.press(control, id, text)` says whether it was sent,
 * `acts.prompt(id)` what the picture was drawn from. */
export function tools(id, acts) {
  const row = make("div", { class: "tools", role: "group", "aria-label": "Picture" });
  for (const [control, label, title] of BUTTONS) {
    const does = control === "edit" ? () => editForm(row, one, id, acts) : () => acts.press(control, id);
    const one = make("button", { type: "button", title, onclick: does }, label);
    row.append(one);
  }
  return row;
}

/** A form under the buttons, in which the prompt can be changed. */
function editForm(row, opener, id, acts) {
  const open = row.parentElement.querySelector(".edit");
  if (open) return open.querySelector("textarea").focus();
  const box = make("textarea", { rows: 2, "aria-label": "Prompt", placeholder: "What it should be" });
  const draw = make("button", { class: "primary" }, "Draw");
  const close = () => {
    form.remove();
    opener.focus();
  };
  const form = make("form", { class: "edit" }, box, make("div", { class: "buttons" },
    make("button", { type: "button", class: "quiet", onclick: close }, "Cancel"), draw));
  const changed = () => {
    draw.disabled = !box.value.trim();
  };
  box.addEventListener("input", changed);
  form.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "Escape") close();
    else if (event.key === "Enter" && !event.shiftKey && event.target === box) {
      event.preventDefault();
      form.requestSubmit();
    }
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (box.value.trim() && acts.press("edit", id, box.value.trim())) close();
  });
  row.after(form);
  changed();
  box.focus();
  acts.prompt(id).then((prompt) => {
    if (box.value) return; // somebody was faster
    box.value = prompt;
    box.select();
    changed();
  }, (error) => toast(error.message));
}

/** The picture that is being drawn, which `show(address)` replaces. */
export function sketch() {
  const image = make("img", { class: "sketch", alt: "The picture so far", hidden: true });
  const show = (address) => {
    image.hidden = !address;
    if (address) image.src = address;
  };
  return { image, show };
}

