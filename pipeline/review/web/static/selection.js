// Images that are selected in the gallery, and deciding about all of them at once.

import { call, newKey } from "./api.js";
import { complain, count, notice, number } from "./page.js";

/** As many as one request may name. */
export const MOST = 10_000;

/** The ids that are selected; `changed` is called after every change. */
export class Selection {
  #ids = new Set();

  constructor(changed) {
    this.changed = changed;
  }

  get size() {
    return this.#ids.size;
  }

  has(id) {
    return this.#ids.has(id);
  }

  toggle(id) {
    if (!this.#ids.delete(id)) this.add([id]);
    else this.changed();
  }

  add(ids) {
    for (const id of ids) {
      if (this.#ids.size >= MOST) {
        notice(`No more than ${number(MOST)} images can be decided at once; the rest is not selected.`, "error");
        break;
      }
      this.#ids.add(id);
    }
    this.changed();
  }

  clear() {
    this.#ids.clear();
    this.changed();
  }

  list() {
    return [...this.#ids];
  }
}

/** The dialog that shows what a decision on the selected images reaches, and makes it. */
export class DecideDialog {
  /**
   * @param {string} run
   * @param {Selection} selection
   * @param {() => void} done
   */
  constructor(run, selection, done) {
    this.path = `/audits/${encodeURIComponent(run)}/decisions`;
    this.selection = selection;
    this.done = done;
    this.dialog = document.getElementById("decide");
    this.kind = document.getElementById("decide-kind");
    this.comment = document.getElementById("decide-comment");
    this.now = document.getElementById("decide-now");
    this.kind.addEventListener("change", () => this.#reach());
    this.dialog.addEventListener("close", () => this.dialog.returnValue === "decide" && this.#decide());
  }

  async open() {
    if (!this.selection.size) return;
    this.kind.replaceChildren(new Option("all regions", ""));
    this.dialog.returnValue = "";
    this.dialog.showModal();
    const reach = await this.#reach();
    for (const [kind, regions] of Object.entries(reach?.by_kind ?? {})) {
      this.kind.append(new Option(`${kind} (${number(regions)})`, kind));
    }
  }

  get #target() {
    return { images: this.selection.list(), kind: this.kind.value || null, scope: "selected" };
  }

  async #reach() {
    const said = document.getElementById("reach");
    said.textContent = "Counting …";
    this.now.disabled = true;
    try {
      this.reach = await call("POST", `${this.path}/reach`, this.#target);
    } catch (error) {
      this.dialog.close();
      complain(error);
      return null;
    }
    const { regions, images, decided, by_others: others } = this.reach;
    const already = decided && `${number(decided)} of them you have decided already: they are decided anew.`;
    const foreign = others && `${number(others)} were decided by others.`;
    said.textContent = [`Reaches ${count(regions, "region")} on ${count(images, "image")}.`, already, foreign]
      .filter(Boolean).join(" ");
    this.now.disabled = regions === 0;
    return this.reach;
  }

  async #decide() {
    const verdict = this.dialog.querySelector("[name=verdict]:checked").value;
    const request = {
      key: newKey(), target: this.#target, verdict, comment: this.comment.value.trim(), revision: this.reach.revision,
    };
    try {
      const outcome = await call("POST", this.path, request);
      notice(`Decided: ${count(outcome.regions, "region")} on ${count(outcome.images, "image")}. Ctrl+Z takes it back.`);
      this.comment.value = "";
      this.selection.clear();
      this.done();
    } catch (error) {
      complain(error);
    }
  }
}
