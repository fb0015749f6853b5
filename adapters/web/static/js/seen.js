// What has been read, kept in this browser. Knows keys and moments, not rooms.

const KEY = "botdaemon.seen";

let seen = {};
try {
  seen = JSON.parse(localStorage.getItem(KEY)) ?? {};
} catch {
  // Kept by an older page, or not allowed to keep anything: start anew.
}
// What was said before the first visit is history, not news.
seen.since ??= new Date().toISOString();

/** ISO moments in UTC compare as text. */
export const isNew = (key, at) => at > (seen[key] ?? seen.since);
export const lastSeen = (key) => seen[key] ?? seen.since;

export function mark(key, at) {
  if (!isNew(key, at)) return;
  seen[key] = at;
  try {
    localStorage.setItem(KEY, JSON.stringify(seen));
  } catch {
    // Private windows may refuse; then it is remembered until the window is closed.
  }
}
