// Faces and times: how people, bots and moments look. Knows nothing of rooms.

import { make } from "./dom.js";

/** Initials on a colour that stays with the name. */
export function avatar(name, { bot = false, small = false } = {}) {
  let hash = 7;
  for (const letter of name.toLowerCase()) hash = (hash * 31 + letter.codePointAt(0)) >>> 0;
  const words = name.split(/[\s_.-]+/).filter(Boolean);
  const letters = [words[0] ?? "?", words.length > 1 ? words.at(-1) : ""];
  const initials = letters.map((word) => [...word][0] ?? "").join("").toUpperCase();
  const face = make("span", { class: `avatar${bot ? " bot" : ""}${small ? " small" : ""}`, "aria-hidden": "true" }, initials);
  face.style.setProperty("--hue", (hash % 24) * 15);
  return face;
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
const short = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });

export const dayOf = (at) => at.toDateString();
export const timeOf = (at) => clock.format(at);
export const fullTime = (at) => full.format(at);

export function dayName(at) {
  const today = new Date();
  const yesterday = new Date(today.getFullYear(), today.getMonth(), today.getDate() - 1);
  if (dayOf(at) === dayOf(today)) return "Today";
  if (dayOf(at) === dayOf(yesterday)) return "Yesterday";
  return weekday.format(at);
}

/** As short as a list needs it. */
export const shortTime = (at) => (dayOf(at) === dayOf(new Date()) ? timeOf(at) : short.format(at));

/** "Ada", "Ada and Ben", "Ada, Ben and Cy" */
export function namesOf(names) {
  return names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

export function sizeOf(bytes) {
  if (bytes < 1000) return `${bytes} bytes`;
  return bytes < 1e6 ? `${Math.round(bytes / 1000)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}
