// The JSON API as functions. Knows no page.

/** The server refused, and says why; `status` 0: it could not be reached. */
export class Failure extends Error {
  constructor(sentence, status) {
    super(sentence);
    this.status = status;
  }
}

/** Ask, or with a body say: JSON, or a form. */
async function call(path, body) {
  let response;
  let answer;
  const sent = body instanceof FormData ? { body } : { headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  try {
    response = await fetch(path, body === undefined ? {} : { method: "POST", ...sent });
    answer = await response.json();
  } catch {
    throw new Failure("The daemon cannot be reached.", 0);
  }
  if (!response.ok) throw new Failure(answer.error, response.status);
  return answer;
}

const at = (room) => `/api/rooms/${encodeURIComponent(room)}`;

export const limits = () => call("/api/limits");
export const bots = () => call("/api/bots");
export const rooms = () => call("/api/rooms");
export const createRoom = (room) => call("/api/rooms", room);
export const threads = (room) => call(`${at(room)}/threads`);
export const openThread = (room, title) => call(`${at(room)}/threads`, { title });
export const prompt = (room, thread, message) => call(`${at(room)}/threads/${thread}/messages/${message}/prompt`);

/** Say something, with files. */
export function post(room, message, files) {
  if (!files.length) return call(`${at(room)}/messages`, message);
  const form = new FormData();
  form.append("message", JSON.stringify(message));
  for (const file of files) form.append("file", file, file.name);
  return call(`${at(room)}/messages`, form);
}

/** The last messages of a thread (before `before`), and the position to watch the room from. */
export function recent(room, thread, limit, before) {
  const query = before === undefined ? `limit=${limit}` : `limit=${limit}&before=${before}`;
  return call(`${at(room)}/threads/${thread}/recent?${query}`);
}
