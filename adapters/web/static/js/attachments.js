// Files to be sent: chosen, pasted or dropped, and shown until they are. Knows no server.

import { button, find, icon, make, toast } from "./dom.js";
import { sizeOf } from "./people.js";

/** Height of the small pictures, in pixels of the screen. */
const THUMB = 96;

export class Attachments {
  #files = [];

  /** `changed()` is called when there are others. `limits` is {files, file_bytes} once known. */
  constructor(changed) {
    this.changed = changed;
    this.limits = { files: Infinity, file_bytes: Infinity };
    this.list = find("#attached");
    const input = find("#attach-input");
    find("#attach").addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      this.add(input.files);
      input.value = ""; // the same file can be chosen again
    });
    find("#composer-text").addEventListener("paste", (event) => {
      if (!event.clipboardData.files.length) return;
      event.preventDefault();
      this.add(event.clipboardData.files);
    });
    this.#drops(find("#main"));
  }

  get files() {
    return this.#files;
  }

  set files(files) {
    this.#files = [...files];
    this.#draw();
  }

  /** More files, as far as they can be sent; the others are named. */
  add(files) {
    if (find("#composer-text").disabled) return;
    for (const file of files) {
      const { files: most, file_bytes: largest } = this.limits;
      if (file.size > largest) toast(`${file.name} has ${sizeOf(file.size)}, and a file may have at most ${sizeOf(largest)}.`);
      else if (this.#files.length >= most) toast(`A message has at most ${most} files; ${file.name} is left out.`);
      else this.#files.push(file);
    }
    this.#draw();
    find("#composer-text").focus();
  }

  #drops(area) {
    let depth = 0; // every element that is entered and left on the way tells of it
    const over = (change) => (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      depth = Math.max(0, depth + change);
      area.classList.toggle("dropping", depth > 0);
    };
    area.addEventListener("dragenter", over(1));
    area.addEventListener("dragleave", over(-1));
    area.addEventListener("dragover", over(0));
    area.addEventListener("drop", (event) => {
      over(-Infinity)(event);
      depth = 0;
      this.add(event.dataTransfer.files);
    });
  }

  #draw() {
    this.list.hidden = !this.#files.length;
    this.list.replaceChildren(...this.#files.map((file, index) => {
      const remove = button("close", `Remove ${file.name}`, () => {
        this.#files.splice(index, 1);
        this.#draw();
        find("#composer-text").focus();
      });
      return make("li", {}, thumb(file), make("span", {}, make("b", {}, file.name), make("small", {}, sizeOf(file.size))), remove);
    }));
    this.changed();
  }
}

/** A small picture of a picture, drawn here: what was chosen needs no address for that. */
export function thumb(file) {
  const box = make("span", { class: "thumb", "aria-hidden": "true" }, icon("file"));
  if (file.type.startsWith("image/")) {
    createImageBitmap(file, { resizeHeight: THUMB }).then((bitmap) => {
      const canvas = make("canvas", { width: bitmap.width, height: bitmap.height });
      canvas.getContext("2d").drawImage(bitmap, 0, 0);
      box.replaceChildren(canvas);
    }, () => {}); // it only says that it is a picture
  }
  return box;
}
