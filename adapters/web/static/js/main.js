// The page: where one is, and how what is said by whom gets there. Joins all the other parts.

import * as api from "./api.js";
import { Composer } from "./composer.js";
import { askName, askRoom } from "./dialogs.js";
import { announce, find, make, toast } from "./dom.js";
import { Live } from "./live.js";
import { Outgoing } from "./outgoing.js";
import { avatar, namesOf } from "./people.js";
import * as seen from "./seen.js";
import { drawMe, drawRooms, linkTo, prepareMenu, setMenu, titleOf } from "./sidebar.js";
import { Timeline } from "./timeline.js";

const PAGE = 50;
const NAME = "botdaemon.name";
const PLACE = "botdaemon.place";
/** Somebody who has not typed for this long is not typing. */
const TYPING = 5000;
/** A draft outlives its bot's work this long, for its message to take its place. */
const GRACE = 600;
/** After an answer, a bot that goes on working is shown to after this long. */
const BREATH = 300;

let me = localStorage.getItem(NAME);
let about = new Map(); // bot -> what it is
let rooms = [];
let threads = [];
let here = { room: "", thread: null }; // thread: an id, "new", or null while it is looked up
let visit = 0; // counts places gone to, so that what arrives late for an earlier one is let go
let loading = false;
let unread = 0;
let expectNew = false; // a /new was sent: the next thread that appears is where to go
const working = new Map(); // "thread bot" -> {thread, bot, text}
const typists = new Map(); // name -> {thread, timer}

const timeline = new Timeline(press, loadOlder);
const outgoing = new Outgoing(timeline);
const composer = new Composer(send, () => {
  if (typeof here.thread === "number") live.send({ type: "typing", thread: here.thread, name: me });
});
const live = new Live(take, (state) => {
  find("#connection").textContent = state === "live" ? "" : "Reconnecting…";
  if (state === "lost") {
    working.clear();
    drawWorking();
  } else outgoing.again();
});

// --- going somewhere -------------------------------------------------------------------------

async function go() {
  const mine = ++visit;
  const [, roomPart = "", threadPart = ""] = location.hash.split("/");
  let name = decodeURIComponent(roomPart);
  try {
    if (!rooms.length) rooms = await api.rooms();
    if (!name) {
      const last = rooms.find((room) => room.name === localStorage.getItem(PLACE)) ?? rooms[0];
      if (last) location.replace(linkTo(last.name));
      else lost("There are no rooms yet", "Create one with the + beside “Rooms”.");
      return;
    }
    const list = await api.threads(name);
    if (mine !== visit) return;
    const room = await roomNamed(name);
    name = room.name;
    const thread = threadPart === "new" ? "new" : threadPart ? Number(threadPart) : list.find((one) => one.main).id;
    if (thread !== "new" && !list.some((one) => one.id === thread)) {
      lost("There is no such thread", `“${name}” has no thread ${threadPart}. Choose another one from the list.`);
      return;
    }
    const moved = name !== here.room;
    threads = list;
    here = { room: name, thread };
    localStorage.setItem(PLACE, name);
    await enter(mine, moved);
  } catch (error) {
    if (mine !== visit) return;
    if (error.status === 404) lost("There is no such room", `Nobody has made “${name}” yet. Create it with the + beside “Rooms”.`);
    else if (error.status === 0) setTimeout(() => mine === visit && go(), 3000, lost("The daemon cannot be reached", "Trying again…"));
    else lost("That did not work", error.message);
  }
}

async function roomNamed(name) {
  const known = () => rooms.find((room) => room.name.toLowerCase() === name.toLowerCase());
  if (!known()) rooms = await api.rooms();
  return known();
}

/** Show the thread `here` names. */
async function enter(mine, moved) {
  setMenu(false);
  const { room, thread } = here;
  if (moved) {
    working.clear();
    typists.clear();
  }
  const before = seen.lastSeen(`t:${thread}`);
  timeline.clear();
  find("#beginning").hidden = true;
  drawPlace();
  composer.moveTo(`${room}/${thread}`, thread === "new" ? "Begin a new thread…" : `Write to ${room}…`);
  composer.focus();
  if (thread === "new") {
    if (moved) live.open(room, null);
    drawBeginning();
    return;
  }
  drawWorking();
  const { seq, messages } = await api.recent(room, thread, PAGE);
  if (mine !== visit) return;
  timeline.apply(messages);
  timeline.more = messages.length === PAGE;
  timeline.markNew(messages.find((message) => message.at > before && message.author !== me)?.id ?? 0);
  timeline.toEnd();
  drawBeginning();
  markSeen();
  if (moved) live.open(room, seq);
}

function lost(title, text) {
  here = { room: "", thread: null };
  timeline.clear();
  composer.close();
  find("#members").replaceChildren();
  find("#title").textContent = "botdaemon";
  find("#subtitle").textContent = "";
  const box = find("#beginning");
  box.replaceChildren(make("h2", {}, title), make("p", {}, text));
  box.hidden = false;
  drawRooms(rooms, [], here);
}

async function loadOlder(before) {
  if (loading) return;
  loading = true;
  find("#older").hidden = false;
  const mine = visit;
  try {
    const { messages } = await api.recent(here.room, here.thread, PAGE, before);
    if (mine !== visit) return;
    find("#older").hidden = true;
    timeline.prepend(messages);
    timeline.more = messages.length === PAGE;
    drawBeginning();
  } catch (error) {
    toast(error.message);
  } finally {
    find("#older").hidden = true;
    loading = false;
  }
}

// --- saying something ------------------------------------------------------------------------

function send(text) {
  const { room } = here;
  let { thread } = here;
  expectNew = text === "/new";
  find("#beginning").hidden = true;
  timeline.markNew(0);
  outgoing.send(me, text, async (key) => {
    if (thread === "new") thread = await begin(room, text);
    const { id } = await api.post(room, { author: me, text, thread, key });
    // The message itself comes over the live connection; without one it is fetched.
    if (!live.connected && here.thread === thread) heard((await api.recent(room, thread, PAGE)).messages);
    return id;
  });
}

/** Open the thread that has been begun with `text`. */
async function begin(room, text) {
  const { id } = await api.openThread(room, titleFrom(text));
  threads = await api.threads(room);
  if (here.room === room && here.thread === "new") {
    here = { room, thread: id };
    history.replaceState(null, "", linkTo(room, id));
    composer.moveTo(`${room}/${id}`, `Write to ${room}…`);
    drawPlace();
  }
  return id;
}

const titleFrom = (text) => {
  const line = text.split("\n")[0].replace(/[*_`#>[\]]/g, "").trim() || "New thread";
  return line.length <= 60 ? line : `${line.slice(0, 57).trimEnd()}…`;
};

function press(control, message) {
  const sent = live.send({ type: "press", thread: here.thread, name: me, control, message });
  if (!sent) toast("Not connected at the moment; try again when the connection is back.");
  return sent;
}

// --- hearing something -----------------------------------------------------------------------

const frames = {
  ready(frame) {
    working.clear();
    for (const { thread, bot, drafts } of frame.working) {
      working.set(`${thread} ${bot}`, { thread, bot, text: Object.values(drafts).at(-1) ?? "" });
    }
    // Away for too long to be told what was missed: look at it anew.
    if (!frame.complete && typeof here.thread === "number") enter(++visit, false);
    else heard(frame.changes);
    drawWorking();
    refreshThreads();
  },
  changes(frame) {
    heard(frame.changes);
  },
  draft({ thread, bot, text }) {
    working.set(`${thread} ${bot}`, { thread, bot, text });
    drawWorking();
  },
  working({ thread, bot, on }) {
    const key = `${thread} ${bot}`;
    if (on) {
      if (!working.has(key)) working.set(key, { thread, bot, text: "" });
    } else {
      const ended = working.get(key);
      // Its message is on its way and takes the draft's place; without one it just goes.
      if (ended?.resting) working.delete(key);
      else if (ended) ended.over = setTimeout(() => working.get(key) === ended && working.delete(key) && drawWorking(), GRACE);
    }
    drawWorking();
  },
  typing({ thread, name }) {
    clearTimeout(typists.get(name)?.timer);
    typists.set(name, { thread, timer: setTimeout(() => typists.delete(name) && drawStatus(), TYPING) });
    drawStatus();
  },
  activity({ room, last_at }) {
    const known = rooms.find((one) => one.name === room);
    if (known) known.last_at = last_at;
    drawSide();
    if (!known) refreshRooms();
  },
  rooms: refreshRooms,
  threads: refreshThreads,
  error: ({ error }) => toast(error),
};

function take(frame) {
  frames[frame.type]?.(frame);
}

/** Messages of this room that are new or have changed. */
function heard(changes) {
  for (const message of changes) {
    typists.delete(message.author);
    const work = message.bot && working.get(`${message.thread} ${message.author}`);
    if (work) rest(work);
    const thread = threads.find((one) => one.id === message.thread);
    if (thread && message.at > thread.last_at) thread.last_at = message.at;
  }
  if (expectNew || changes.some((one) => !threads.some((thread) => thread.id === one.thread))) refreshThreads();
  const added = timeline.apply(changes.filter((message) => message.thread === here.thread));
  const others = added.filter((message) => message.author !== me);
  timeline.missed(others.length);
  for (const message of others) announce(`${message.author || "Notice"}: ${message.text}`);
  if (document.hidden) unread += changes.filter((one) => !one.deleted && one.author !== me).length;
  if (added.length) find("#beginning").hidden = !(timeline.empty);
  outgoing.settle(added);
  markSeen();
  drawWorking();
}

/** An answer has come and its draft goes; dots come back only if the bot really goes on. */
function rest(work) {
  if (work.over) {
    working.delete(`${work.thread} ${work.bot}`);
    return;
  }
  Object.assign(work, { text: "", resting: true });
  setTimeout(() => {
    work.resting = false;
    drawWorking();
  }, BREATH);
}

async function refreshRooms() {
  rooms = await api.rooms().catch(() => rooms);
  drawSide();
}

async function refreshThreads() {
  const { room } = here;
  if (!room) return;
  const list = await api.threads(room).catch(() => null);
  if (!list || room !== here.room) return;
  const begun = list.find((thread) => !threads.some((known) => known.id === thread.id));
  threads = list;
  if (expectNew && begun) {
    expectNew = false;
    location.hash = linkTo(room, begun.id);
  }
  drawPlace();
}

// --- drawing ---------------------------------------------------------------------------------

function drawPlace() {
  const room = rooms.find((one) => one.name === here.room);
  const thread = threads.find((one) => one.id === here.thread);
  const title = here.thread === "new" ? "New thread" : thread ? titleOf(thread) : "";
  find("#title").textContent = here.room;
  find("#subtitle").textContent = title;
  find("#members").replaceChildren(...(room?.bots ?? []).map((bot) => {
    const face = avatar(bot, { bot: true, small: true });
    const line = `${bot}${bot === room.host ? ", answers when nobody else is named" : ""}`;
    return make("li", { title: line }, face, make("span", { class: "unseen" }, line));
  }));
  composer.bots = (room?.bots ?? []).map((name) => ({ name, about: about.get(name) ?? "" }));
  drawSide();
}

function drawSide() {
  drawRooms(rooms, threads, here);
  document.title = `${unread ? `(${unread}) ` : ""}${here.room ? `${here.room} · ` : ""}botdaemon`;
}

function drawBeginning() {
  const box = find("#beginning");
  const room = rooms.find((one) => one.name === here.room);
  box.hidden = !room || !timeline.empty;
  if (box.hidden) return;
  const host = room.host || room.bots[0];
  const how = room.host ? `Say something and ${room.host} answers. To ask somebody else, name them: @${room.bots.find((bot) => bot !== room.host) ?? room.host}.` : `Name the one you would like an answer from: @${host}.`;
  box.replaceChildren(
    make("div", { class: "faces" }, ...room.bots.map((bot) => avatar(bot, { bot: true }))),
    make("h2", {}, here.thread === "new" ? "A new thread" : `Welcome to ${room.name}`),
    make("p", {}, how),
    make("dl", {}, ...room.bots.map((bot) => make("div", {}, make("dt", {}, bot), " ", make("dd", {}, about.get(bot) ?? "")))),
    make("div", { class: "starters" }, ...["Hi, how are you?", "Tell me a joke", "What do you like?"].map((line) =>
      make("button", { type: "button", onclick: () => send(room.host ? line : `@${host} ${line}`) }, line))),
  );
}

/** Bots at work in this thread. */
function drawWorking() {
  const at = [...working.values()].filter((work) => work.thread === here.thread && !work.resting);
  for (const bot of timeline.drafting) if (!at.some((work) => work.bot === bot)) timeline.endDraft(bot);
  for (const { bot, text } of at) timeline.draft(bot, text);
  drawStatus();
}

function drawStatus() {
  const bots = [...working.values()].filter((work) => work.thread === here.thread && !work.over && !work.resting);
  const people = [...typists].filter(([, typist]) => typist.thread === here.thread).map(([name]) => name);
  const names = [...people, ...bots.map((work) => work.bot)];
  find("#typing").textContent = names.length ? `${namesOf(names)} ${names.length === 1 ? "is" : "are"} ${people.length ? "typing" : "writing"}…` : "";
  find("#stop").hidden = !bots.length;
}

function markSeen() {
  if (document.hidden || !here.room) return;
  unread = 0;
  const room = rooms.find((one) => one.name === here.room);
  const thread = threads.find((one) => one.id === here.thread);
  if (thread) {
    seen.mark(`t:${thread.id}`, thread.last_at);
    if (room && thread.last_at > room.last_at) room.last_at = thread.last_at;
  }
  if (room) seen.mark(`r:${room.name}`, room.last_at);
  drawSide();
}

// --- beginning -------------------------------------------------------------------------------

async function rename() {
  const name = await askName(me);
  if (!name) return;
  me = name;
  localStorage.setItem(NAME, me);
  drawMe(me);
}

find("#me").addEventListener("click", rename);
find("#stop").addEventListener("click", () => press("stop"));
find("#skip").addEventListener("click", () => find("#composer-text").focus());
find("#new-room").addEventListener("click", async () => {
  try {
    const room = await askRoom();
    if (!room) return;
    await refreshRooms();
    location.hash = linkTo(room.name);
  } catch (error) {
    toast(error.message);
  }
});
addEventListener("hashchange", go);
document.addEventListener("visibilitychange", markSeen);
prepareMenu();
if (!me) await rename();
drawMe(me);
api.bots().then((bots) => {
  about = new Map(bots.map((bot) => [bot.name, bot.about]));
  if (here.room) drawPlace(), drawBeginning();
}, () => {});
await go();
