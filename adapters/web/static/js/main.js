// The page: where one is, and how what is said by whom gets there. Joins all the other parts.

import * as api from "./api.js";
import { hideBeginning, showBeginning, showNothing } from "./beginning.js";
import { Composer } from "./composer.js";
import { askName, askRoom } from "./dialogs.js";
import { announce, find, make, toast } from "./dom.js";
import { Live } from "./live.js";
import { Outgoing } from "./outgoing.js";
import { avatar, namesOf } from "./people.js";
import { closePicture } from "./pictures.js";
import { Presence } from "./presence.js";
import * as seen from "./seen.js";
import { drawMe, drawRooms, linkTo, prepareMenu, setMenu, titleOf } from "./sidebar.js";
import { Timeline } from "./timeline.js";

/** Messages fetched at a time. */
const PAGE = 50;
/** Where this browser keeps who and where one was. */
const NAME = "botdaemon.name";
const PLACE = "botdaemon.place";

let me = localStorage.getItem(NAME);
let about = new Map(); // bot -> what it is
let rooms = [];
let threads = []; // of the room one is in
let here = { room: "", thread: null }; // thread: an id, "new", or null for nowhere
let visit = 0; // counts places gone to: what arrives late for an earlier one is let go
let loading = false;
let unread = 0; // while the page is in the background
let expectNew = false; // a /new was sent: the next thread that appears is where to go

const timeline = new Timeline({
  press,
  reply: (message) => {
    composer.reply = message;
  },
  prompt: async (id) => (await api.prompt(here.room, here.thread, id)).prompt,
}, loadOlder);
const outgoing = new Outgoing(timeline, (words) => composer.restore(words));
const presence = new Presence(drawPresence);
const composer = new Composer(send, () => {
  if (typeof here.thread === "number") live.send({ type: "typing", thread: here.thread, name: me });
});
const live = new Live(take, async (state) => {
  find("#connection").dataset.state = state;
  find("#connection").textContent = state === "live" ? "" : "Reconnecting…";
  if (state === "live") {
    outgoing.again();
    return;
  }
  presence.reset([]);
  // A socket does not say why it was refused.
  const refused = await api.rooms().then(() => null, (error) => error);
  if (refused?.status === 401) nowhere("A token is needed", refused.message);
});

const roomHere = () => rooms.find((room) => room.name === here.room);
const threadHere = () => threads.find((thread) => thread.id === here.thread);

// --- going somewhere -------------------------------------------------------------------------

/** Go where the address says: #/room/thread */
async function go() {
  const mine = ++visit;
  const [, roomPart = "", threadPart = ""] = location.hash.split("/");
  try {
    const wanted = decodeURIComponent(roomPart).toLowerCase();
    if (!rooms.some((room) => room.name.toLowerCase() === wanted)) rooms = await api.rooms();
    if (mine !== visit) return;
    if (!wanted) {
      // Where one was last, else where there is most company.
      const home = rooms.find((room) => room.name === localStorage.getItem(PLACE))
        ?? [...rooms].sort((one, other) => other.bots.length - one.bots.length)[0];
      if (home) location.replace(linkTo(home.name));
      else nowhere("There are no rooms yet", "Create one with the + beside “Rooms”.");
      return;
    }
    const room = rooms.find((one) => one.name.toLowerCase() === wanted)?.name;
    if (!room) {
      nowhere("There is no such room", `Nobody has made “${wanted}” yet. Create it with the + beside “Rooms”.`);
      return;
    }
    const list = await api.threads(room);
    if (mine !== visit) return;
    const main = list.find((thread) => thread.main).id;
    const thread = threadPart === "new" ? "new" : threadPart ? Number(threadPart) : main;
    if (thread !== "new" && !list.some((one) => one.id === thread)) {
      nowhere("There is no such thread", `“${room}” has no thread ${threadPart}. Choose another one from the list.`);
      return;
    }
    threads = list;
    here = { room, thread };
    localStorage.setItem(PLACE, room);
    await enter(mine);
  } catch (error) {
    if (mine !== visit) return;
    nowhere(error.status ? "That did not work" : "The daemon cannot be reached", error.status ? error.message : "Trying again…");
    if (!error.status) setTimeout(() => mine === visit && go(), 3000);
  }
}

/** Show the thread that `here` names. */
async function enter(mine) {
  const { room, thread } = here;
  const before = seen.lastSeen(`t:${thread}`);
  if (live.room !== room) presence.clear();
  setMenu(false);
  timeline.clear();
  hideBeginning();
  drawPlace();
  outgoing.enter(`${room}/${thread}`);
  composer.moveTo(`${room}/${thread}`, thread === "new" ? "Begin a new thread…" : `Write to ${room}…`);
  composer.focus();
  if (thread === "new") {
    if (live.room !== room) live.open(room, null);
    drawBeginning();
    return;
  }
  drawPresence();
  const { seq, messages } = await api.recent(room, thread, PAGE);
  if (mine !== visit) return;
  timeline.apply(messages);
  timeline.more = messages.length === PAGE;
  timeline.markNew(messages.find((message) => message.at > before && message.author !== me)?.id ?? 0);
  timeline.toEnd();
  timeline.fillUp();
  drawBeginning();
  markSeen();
  if (live.room !== room) live.open(room, seq);
}

function nowhere(title, text) {
  here = { room: "", thread: null };
  timeline.clear();
  outgoing.enter("");
  composer.close();
  find("#members").replaceChildren();
  find("#title").textContent = "botdaemon";
  find("#subtitle").textContent = "";
  showNothing(title, text);
  drawPresence();
  drawSide();
}

async function loadOlder(before) {
  if (loading) return;
  loading = true;
  find("#older").hidden = false;
  const mine = visit;
  try {
    const { messages } = await api.recent(here.room, here.thread, PAGE, before);
    find("#older").hidden = true;
    if (mine !== visit) return;
    timeline.more = messages.length === PAGE;
    timeline.prepend(messages);
  } catch (error) {
    toast(error.message);
  } finally {
    find("#older").hidden = true;
    loading = false;
  }
  if (mine === visit) timeline.fillUp();
}

// --- saying something ------------------------------------------------------------------------

function send({ text, files = [], reply = null }) {
  const { room } = here;
  let { thread } = here;
  expectNew = text === "/new";
  hideBeginning();
  timeline.markNew(0);
  outgoing.send(me, { text, files, reply }, async (key) => {
    if (thread === "new") thread = await begin(room, text || files[0].name);
    const message = { author: me, text, thread, key, ...(reply && { reply_to: reply.id }) };
    const { id } = await api.post(room, message, files);
    // The message itself comes over the live connection; without one it is fetched.
    if (!live.connected && here.thread === thread) heard((await api.recent(room, thread, PAGE)).messages);
    return id;
  });
}

/** Open the thread that is begun with `text`. */
async function begin(room, text) {
  const { id } = await api.openThread(room, titleFrom(text));
  threads = await api.threads(room);
  if (here.room === room && here.thread === "new") {
    here = { room, thread: id };
    history.replaceState(null, "", linkTo(room, id));
    outgoing.moved(`${room}/new`, `${room}/${id}`);
    composer.moveTo(`${room}/${id}`, `Write to ${room}…`);
    drawPlace();
  }
  return id;
}

function titleFrom(text) {
  const line = text.split("\n")[0].replace(/[*_`#>[\]]/g, "").trim() || "New thread";
  return line.length <= 60 ? line : `${line.slice(0, 57).trimEnd()}…`;
}

function press(control, message, text = "") {
  const sent = live.send({ type: "press", thread: here.thread, name: me, control, message, text });
  if (!sent) toast("Not connected at the moment; try again when the connection is back.");
  return sent;
}

// --- hearing something -----------------------------------------------------------------------

const frames = {
  ready({ complete, changes, working }) {
    presence.reset(working);
    // Away for too long to be told what was missed: look at it anew.
    if (!complete && typeof here.thread === "number") enter(++visit);
    else heard(changes);
    refreshThreads();
  },
  changes: ({ changes }) => heard(changes),
  draft: ({ thread, bot, text, preview }) => presence.draft(thread, bot, { text, preview }),
  working: ({ thread, bot, on }) => presence.working(thread, bot, on),
  typing: ({ thread, name }) => presence.typing(thread, name),
  activity({ room, last_at }) {
    const known = rooms.find((one) => one.name === room);
    if (known) known.last_at = last_at;
    else refreshRooms();
    drawSide();
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
  for (const message of changes.filter((one) => !one.deleted)) {
    presence.said(message);
    const thread = threads.find((one) => one.id === message.thread);
    if (thread && message.at > thread.last_at) thread.last_at = message.at;
  }
  for (const { id } of changes.filter((one) => one.deleted)) {
    closePicture(id);
    composer.forget(id);
  }
  const unknown = changes.some((message) => !threads.some((thread) => thread.id === message.thread));
  if (expectNew || unknown) refreshThreads();
  const added = timeline.apply(changes.filter((message) => message.thread === here.thread));
  const others = added.filter((message) => message.author !== me);
  timeline.missed(others.length);
  for (const message of others) announce(`${message.author || "Notice"}: ${message.text}`);
  if (document.hidden) unread += others.length;
  if (added.length) hideBeginning();
  outgoing.settle(added);
  drawPresence();
  markSeen();
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
  const room = roomHere();
  const thread = threadHere();
  find("#title").textContent = here.room;
  find("#subtitle").textContent = here.thread === "new" ? "New thread" : thread ? titleOf(thread) : "";
  find("#members").replaceChildren(...(room?.bots ?? []).map((bot) => {
    const line = `${bot}${bot === room.host ? ", answers when nobody else is named" : ""}`;
    return make("li", { title: line }, avatar(bot, { bot: true, small: true }), make("span", { class: "unseen" }, line));
  }));
  composer.bots = (room?.bots ?? []).map((name) => ({ name, about: about.get(name) ?? "" }));
  drawSide();
}

function drawSide() {
  drawRooms(rooms, threads, here);
  document.title = `${unread ? `(${unread}) ` : ""}${here.room ? `${here.room} · ` : ""}botdaemon`;
}

function drawBeginning() {
  if (roomHere() && timeline.empty) showBeginning(roomHere(), here.thread === "new", about, (text) => send({ text }));
}

function drawPresence() {
  const drafts = presence.drafts(here.thread);
  for (const bot of timeline.drafting) if (!drafts.some((draft) => draft.bot === bot)) timeline.endDraft(bot);
  for (const { bot, text, preview } of drafts) timeline.draft(bot, text, preview);
  const people = presence.typists(here.thread);
  const bots = presence.workers(here.thread);
  const names = [...people, ...bots];
  const does = people.length ? "typing" : drafts.some((draft) => draft.preview) ? "drawing" : "writing";
  find("#typing").textContent = names.length ? `${namesOf(names)} ${names.length === 1 ? "is" : "are"} ${does}…` : "";
  find("#stop").hidden = !bots.length;
}

/** What is on the screen has been read. */
function markSeen() {
  if (!document.hidden) {
    unread = 0;
    const room = roomHere();
    const thread = threadHere();
    if (thread) seen.mark(`t:${thread.id}`, thread.last_at);
    if (thread && room && thread.last_at > room.last_at) room.last_at = thread.last_at;
    if (room) seen.mark(`r:${room.name}`, room.last_at);
  }
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
    if (room) location.hash = linkTo(room.name);
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
  if (here.room) drawPlace();
  if (here.room && !loading) drawBeginning();
}, () => {});
api.limits().then((limits) => {
  composer.attachments.limits = limits;
}, () => {}); // the daemon refuses what is too much
await go();
