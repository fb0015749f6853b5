// Voice notes and other recordings in a message: played in place. Knows no server.

import { make } from "./dom.js";

const KINDS = new Set(["aac", "flac", "mp4", "mpeg", "ogg", "wav", "webm", "x-wav"].map((kind) => `audio/${kind}`));

export const isSound = (file) => KINDS.has(file.type);

/** A recording with its controls, and below it what is said in it, once somebody has listened. */
export function sound(file) {
  const player = make("audio", { src: file.url, controls: true, preload: "metadata", "aria-label": file.name });
  const box = make("div", { class: "sound" }, player);
  if (file.transcript) box.append(make("p", {}, file.transcript));
  return box;
}
