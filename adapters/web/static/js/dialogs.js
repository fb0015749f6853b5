// What is asked in a dialog: a name, and what a new room is to be.

import * as api from "./api.js";
import { find, make } from "./dom.js";
import { avatar } from "./people.js";

/** Ask for a name; null when the one there is should stay. */
export function askName(current) {
  const dialog = find("#name-dialog");
  const input = find("#name-input");
  find("#name-title").textContent = current ? "Your name" : "Welcome";
  find("#name-dialog [data-close]").hidden = !current;
  input.value = current ?? "";
  return asked(dialog, Boolean(current), async () => {
    const name = input.value.split(/\s+/).filter(Boolean).join(" ");
    if (!name) throw new Error("A name has at least one letter.");
    const bots = await api.bots().catch(() => []);
    if (bots.some((bot) => bot.name.toLowerCase() === name.toLowerCase())) {
      throw new Error(`${name} is the name of a bot here; choose another one.`);
    }
    return name;
  });
}

/** Ask for a room and create it; the room, or null. */
export async function askRoom() {
  const bots = await api.bots();
  const dialog = find("#room-dialog");
  const host = find("#room-host");
  const chosen = () => [...dialog.querySelectorAll("#room-bots :checked")].map((box) => box.value);
  const offerHosts = () => {
    const names = chosen();
    const before = host.value;
    host.replaceChildren(make("option", { value: "" }, "Nobody: bots answer when they are named"), ...names.map((name) => make("option", { value: name }, name)));
    host.value = names.includes(before) ? before : names[0] ?? "";
    find("#room-host-row").hidden = names.length < 2;
  };
  find("#room-input").value = "";
  find("#room-bots").replaceChildren(...bots.map((bot, index) => make("label", { class: "choice" },
    make("input", { type: "checkbox", value: bot.name, checked: index === 0, onchange: offerHosts }),
    avatar(bot.name, { bot: true, small: true }),
    make("span", {}, make("b", {}, bot.name), make("small", {}, bot.about)))));
  offerHosts();
  return asked(dialog, true, () => {
    const names = chosen();
    if (!names.length) throw new Error("A room needs at least one bot.");
    return api.createRoom({ name: find("#room-input").value.trim(), bots: names, host: names.length > 1 ? host.value : null });
  });
}

/** Show a dialog until `answer()` succeeds; what it throws is said in the dialog. */
function asked(dialog, mayClose, answer) {
  const form = dialog.querySelector("form");
  const problem = dialog.querySelector(".problem");
  problem.textContent = "";
  return new Promise((resolve) => {
    let result = null;
    const stop = new AbortController();
    const listen = (target, event, does) => target.addEventListener(event, does, { signal: stop.signal });
    listen(form, "submit", async (event) => {
      event.preventDefault();
      try {
        result = await answer();
        dialog.close();
      } catch (error) {
        problem.textContent = error.message;
      }
    });
    listen(form.querySelector("[data-close]"), "click", () => dialog.close());
    listen(dialog, "cancel", (event) => mayClose || event.preventDefault());
    listen(dialog, "close", () => {
      // A browser closes on a second Escape whatever the page says; without a name it asks again.
      if (result === null && !mayClose) return dialog.showModal();
      stop.abort();
      resolve(result);
    });
    dialog.showModal();
  });
}
