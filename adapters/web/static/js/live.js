// The live connection: kept up, resumed from where it broke. Knows frames, not their meaning.

const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 15_000;
/** After this long in the background a socket may be dead without having noticed. */
const STALE = 60_000;

export class Live {
  #socket = null;
  #room = null;
  #position = null;
  #pause = FIRST_PAUSE;
  #timer = 0;
  #hidden = 0;

  /** `onframe(frame)`; `onstate("live" | "lost")` */
  constructor(onframe, onstate) {
    this.onframe = onframe;
    this.onstate = onstate;
    addEventListener("online", () => this.#retry());
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.#hidden = Date.now();
      else if (Date.now() - this.#hidden > STALE) this.#retry();
    });
  }

  /** Watch a room; everything up to position `after` has been seen. */
  open(room, after) {
    this.#room = room;
    this.#position = after;
    if (this.#socket?.readyState === WebSocket.OPEN) this.#ask();
    else this.#connect();
  }

  get room() {
    return this.#room;
  }

  get connected() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  send(frame) {
    if (this.connected) this.#socket.send(JSON.stringify(frame));
    return this.connected;
  }

  #ask() {
    this.send({ type: "open", room: this.#room, after: this.#position });
  }

  #retry() {
    if (this.#room === null) return;
    this.#pause = FIRST_PAUSE;
    const old = this.#socket;
    this.#socket = null;
    old?.close();
    this.#connect();
  }

  #connect() {
    clearTimeout(this.#timer);
    if (this.#socket) return;
    const socket = new WebSocket("/api/live");
    this.#socket = socket;
    socket.onopen = () => this.#ask();
    socket.onmessage = ({ data }) => {
      if (socket === this.#socket) this.#take(JSON.parse(data));
    };
    socket.onclose = () => {
      if (socket !== this.#socket) return;
      this.#socket = null;
      this.onstate("lost");
      // Not all pages at once when a daemon has been restarted.
      this.#timer = setTimeout(() => this.#connect(), this.#pause * (0.75 + Math.random() / 2));
      this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE);
    };
  }

  #take(frame) {
    // What was on its way when another room was opened is no longer of interest.
    const here = frame.room === this.#room;
    if ((frame.type === "ready" || frame.type === "changes") && here) {
      this.#position = Math.max(this.#position ?? 0, frame.seq);
    }
    if (frame.type === "ready" && here) {
      this.#pause = FIRST_PAUSE;
      this.onstate("live");
    }
    if (here || !frame.room || frame.type === "activity") this.onframe(frame);
  }
}
