// Rooms and their threads at the side, and the drawer they become on a phone.

import { find, icon, make } from "./dom.js";
import { avatar, fullTime, shortTime } from "./people.js";
import { isNew } from "./seen.js";

export const linkTo = (room, thread) => `#/${encodeURIComponent(room)}${thread ? `/${thread}` : ""}`;
export const titleOf = (thread) => thread.title || (thread.main ? "Main thread" : `Thread of ${fullTime(new Date(thread.at))}`);

/** Draw the list; `here` is {room, thread}. */
export function drawRooms(rooms, threads, here) {
  const list = find("#rooms");
  const focused = list.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  list.replaceChildren(...rooms.map((room) => {
    const inside = room.name === here.room;
    const unread = !inside && isNew(`r:${room.name}`, room.last_at);
    const link = make("a", { href: linkTo(room.name) }, make("span", { class: "label" }, room.name), unread ? dot() : null);
    return make("li", { class: `room${inside ? " here" : ""}${unread ? " unread" : ""}` }, link, inside ? threadList(room.name, threads, here) : null);
  }));
  if (focused) list.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
  const elsewhere = Boolean(list.querySelector(".dot"));
  find("#open-menu .dot").hidden = !elsewhere;
}

function threadList(room, threads, here) {
  const items = threads.map((thread) => {
    const current = thread.id === here.thread;
    const unread = !current && isNew(`t:${thread.id}`, thread.last_at);
    return make("li", { class: unread ? "unread" : "" },
      make("a", { href: linkTo(room, thread.id), "aria-current": current ? "page" : null, title: titleOf(thread) },
        make("span", { class: "label" }, titleOf(thread)),
        unread ? dot() : make("time", { dateTime: thread.last_at }, shortTime(new Date(thread.last_at)))));
  });
  const fresh = make("li", { class: "add" }, make("a", { href: linkTo(room, "new"), "aria-current": here.thread === "new" ? "page" : null }, icon("plus"), make("span", { class: "label" }, "New thread")));
  return make("ul", { class: "threads", "aria-label": `Threads of ${room}` }, fresh, ...items);
}

const dot = () => make("span", { class: "dot", role: "img", "aria-label": "unread" });

export function drawMe(name) {
  find("#me").replaceChildren(avatar(name), make("div", {}, make("b", {}, name), make("small", {}, "Change name")));
}

const narrow = matchMedia("(max-width: 760px)");

/** On a narrow page the list is a drawer, and what is behind the open one cannot be reached. */
export function setMenu(open) {
  document.body.classList.toggle("menu-open", open);
  find("#open-menu").setAttribute("aria-expanded", String(open));
  find("#sidebar").inert = narrow.matches && !open;
  find("#main").inert = narrow.matches && open;
  if (narrow.matches && open) find("#close-menu").focus();
}

export function prepareMenu() {
  const close = () => {
    if (!document.body.classList.contains("menu-open")) return;
    setMenu(false);
    find("#open-menu").focus();
  };
  find("#open-menu").addEventListener("click", () => setMenu(true));
  find("#close-menu").addEventListener("click", close);
  find("#scrim").addEventListener("click", close);
  find("#rooms").addEventListener("click", (event) => event.target.closest("a") && setMenu(false));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !document.querySelector("dialog[open]")) close();
  });
  narrow.addEventListener("change", () => setMenu(false));
  setMenu(false);
}
