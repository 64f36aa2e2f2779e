// What is being reviewed: the image, its regions as the reader sees them, what is selected, and the way on.
//
// Events: "image" when another one is shown, "change" after anything about it, "say" {words} for the status line.

import { addressOf, placeOf } from "./address.js";
import { Outbox } from "./outbox.js";
import { isOpen, withPending } from "./pending.js";
import { settings } from "./settings.js";
import { Source } from "./source.js";
import { regionName } from "./words.js";

export class Review extends EventTarget {
  /** @param {{run: string, actor: string, role: string}} page */
  constructor(page) {
    super();
    this.page = page;
    this.place = placeOf(location);
    this.source = new Source(this.place.run);
    this.outbox = new Outbox(`outbox ${page.run} ${page.actor}`);
    /** @type {any} the image as the server told, or null before the first */
    this.view = null;
    /** @type {any} its stored pixels */
    this.stored = null;
    /** @type {string | null} */
    this.selected = null;
    /** @type {{next: Promise<any>, previous: Promise<any>} | null} */
    this.neighbours = null;
    this.outbox.addEventListener("change", () => this.changed());
    window.addEventListener("popstate", () => {
      const { image, region } = placeOf(location);
      if (image === this.place.image) this.select(region, { quiet: true });
      else this.open(image, { region, push: false });
    });
  }

  /** The regions with what is not saved yet laid over them. */
  get regions() {
    return this.view ? withPending(this.view, this.outbox.pending) : [];
  }

  get region() {
    return this.regions.find(({ region_id }) => region_id === this.selected) ?? null;
  }

  say(words) {
    this.dispatchEvent(new CustomEvent("say", { detail: words }));
  }

  changed() {
    if (this.view) this.dispatchEvent(new Event("change"));
  }

  /**
   * Show an image.
   * @param {string} image
   * @param {{region?: string | null, push?: boolean}} [how]
   */
  async open(image, { region = null, push = true } = {}) {
    this.place = { ...this.place, image, region };
    if (push) history.pushState(null, "", addressOf(this.place));
    this.dispatchEvent(new Event("leave"));
    const [view, stored] = await this.arrived(image, this.source.view(image), this.source.pixels(image));
    if (!view) return;
    Object.assign(this, { view, stored });
    this.selected = this.firstSelected(region);
    this.dispatchEvent(new Event("image"));
    this.changed();
    this.lookAround();
    this.refresh();
  }

  /** Both, or nothing where they failed or the reader has moved on. */
  async arrived(image, ...promises) {
    try {
      const values = await Promise.all(promises);
      return this.place.image === image ? values : [];
    } catch (error) {
      if (this.place.image === image) this.failed(error);
      return [];
    }
  }

  /** Where an image is shown already, what could not be had besides is only said. */
  failed(error) {
    if (this.view?.image_id === this.place.image) this.say(error.message);
    else this.dispatchEvent(new CustomEvent("failed", { detail: error }));
  }

  firstSelected(wanted) {
    const ids = this.regions.map(({ region_id }) => region_id);
    if (wanted && ids.includes(wanted)) return wanted;
    return this.regions.find(isOpen)?.region_id ?? ids[0] ?? null;
  }

  /** Ask for the image as it is now; what arrives late is left aside. */
  async refresh() {
    const { image } = this.place;
    const [view] = await this.arrived(image, this.source.fresh(image));
    if (!view || view.version < this.view.version) return;
    const drawn = this.selected?.startsWith("new-") && !view.regions.some(({ region_id }) => region_id === this.selected);
    const known = new Set(this.view.regions.map(({ region_id }) => region_id));
    this.view = view;
    if (drawn && !this.region) this.selected = view.regions.find(({ region_id }) => !known.has(region_id))?.region_id ?? null;
    if (this.selected && !this.region) this.selected = this.firstSelected(null);
    this.changed();
  }

  /** Find the next and previous image and fetch the next two ahead. */
  async lookAround() {
    const { image, filters } = this.place;
    const ask = (from, direction) => this.source.neighbour(from, direction, filters, settings.skipDecided);
    this.neighbours = { next: ask(image, "next"), previous: ask(image, "previous") };
    Object.values(this.neighbours).forEach((promise) => promise.catch(() => null));
    const [next] = await this.arrived(image, this.neighbours.next);
    if (!next) return;
    this.dispatchEvent(new CustomEvent("progress", { detail: next }));
    if (!next.image_id) return;
    await this.source.prefetch(next.image_id);
    const [second] = await this.arrived(image, ask(next.image_id, "next"));
    if (second?.image_id) await this.source.prefetch(second.image_id);
  }

  /** Go to the next or previous image without deciding anything. */
  async step(direction) {
    const { image } = this.place;
    const [found] = await this.arrived(image, this.neighbours?.[direction] ?? Promise.resolve(null));
    if (!found) return;
    if (found.image_id) this.open(found.image_id);
    else this.say(this.endWords(direction, found.left));
  }

  endWords(direction, left) {
    if (direction === "previous") return "This is the first image.";
    return left ? `No further image that fits; ${left} to decide before it.` : "Nothing is left to decide here.";
  }

  /**
   * Select a region; the address names it from then on.
   * @param {string | null} id
   */
  select(id, { quiet = false } = {}) {
    this.selected = id;
    this.place = { ...this.place, region: id };
    if (!id?.startsWith("new-")) history.replaceState(null, "", addressOf(this.place));
    this.changed();
    if (quiet || !this.region) return;
    const number = this.regions.findIndex(({ region_id }) => region_id === id) + 1;
    this.say(`Region ${number} of ${this.regions.length}: ${regionName(this.region)}, ${this.region.verdict ?? "open"}.`);
  }
}
