// What lies over and beside the original: saliency, the cleansed picture. Fetched when they can be seen.

import { isSuggested } from "./pending.js";
import { settings } from "./settings.js";

const PAUSE = 150;
/** Regions that one request may name. */
const MOST = 200;

export class Layers {
  /**
   * @param {import("./review.js").Review} review
   * @param {import("./stage.js").Stage} stage
   * @param {(words: string) => void} tell  about the cleansed picture
   */
  constructor(review, stage, tell) {
    Object.assign(this, { review, stage, tell });
    this.timer = 0;
    /** What the cleansed pane shows or waits for. */
    this.wanted = "";
    this.controller = new AbortController();
  }

  /** Another image: nothing of the last one may be shown. */
  clear() {
    this.wanted = "";
    this.controller.abort();
    clearTimeout(this.timer);
  }

  /** The method chosen, where this image has it, else the sharpest there is. */
  get method() {
    const { methods } = this.review.view;
    if (settings.method === "none" || methods.includes(settings.method)) return settings.method;
    return methods.find((name) => name.startsWith("igos")) ?? methods[0] ?? "none";
  }

  async saliency() {
    const { method, review } = this;
    const { image } = review.place;
    if (method === "none") return this.stage.setSaliency(null);
    const [map] = await review.arrived(image, review.source.saliency(image, method).catch(() => null));
    if (method === this.method) this.stage.setSaliency(map ?? null);
  }

  async lungs() {
    if (!this.review.view.lungs) return;
    const { image } = this.review.place;
    const [lungs] = await this.review.arrived(image, this.review.source.lungs(image).catch(() => null));
    if (lungs) this.stage.refine(lungs);
  }

  /** Have the cleansed picture follow what is decided; waits until the reader pauses. */
  cleansed() {
    if (!this.stage.size("cleansed").width || !this.review.view) return;
    const wanted = this.query();
    if (wanted === this.wanted) return;
    this.wanted = wanted;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.fetch(wanted), PAUSE);
  }

  /** Which regions are filled. A version in it, so that a decision or another box asks anew. */
  query() {
    const { place, view, regions, selected } = this.review;
    if (settings.cleansed === "in-force") return `rule=in-force&version=${view.version}`;
    const saved = regions.filter(({ region_id, deleting }) => !deleting && !region_id.startsWith("new-"));
    const suggested = (region) => region.verdict === "accepted" || isSuggested(region);
    const chosen = saved.filter((region) => (settings.cleansed === "selected" ? region.region_id === selected : suggested(region)));
    chosen.length = Math.min(chosen.length, MOST);
    const boxes = chosen.map(({ box }) => [box.x0, box.y0, box.x1, box.y1].join(" ")).join();
    return chosen.length ? `regions=${chosen.map(({ region_id }) => region_id).join()}#${boxes}${place.image}` : "";
  }

  async fetch(wanted) {
    const { image } = this.review.place;
    this.controller.abort();
    this.controller = new AbortController();
    if (!wanted) {
      this.stage.setCleansed(this.review.stored);
      return this.tell("nothing to remove");
    }
    this.tell("…");
    try {
      const query = wanted.replace(/#.*/, "").replace(/&version.*/, "");
      const stored = await this.review.source.cleansed(image, query, this.controller.signal);
      if (this.wanted !== wanted || this.review.place.image !== image) return;
      this.stage.setCleansed(stored);
      this.tell("");
    } catch (error) {
      if (error.name !== "AbortError") this.tell(`not made: ${error.message}`);
    }
  }
}
