// The panes: Original, Overlay, Cleansed, always at the same place, zoom and grey window.

import { drawBoxes } from "./boxes.js";
import { Film, glow } from "./film.js";
import { fitted, fromScreen, picture, pixelScale, toScreen, toStored } from "./geometry.js";
import { presets } from "./windows.js";

export const PANES = ["original", "overlay", "cleansed"];

/** What is shown, and how. Change it and call `draw`; drawing waits for the next frame. */
export class Stage {
  /** @param {HTMLElement} root  holds one figure[data-pane] with a canvas for each of `PANES` */
  constructor(root) {
    this.root = root;
    this.figures = Object.fromEntries(PANES.map((name) => [name, root.querySelector(`[data-pane=${name}]`)]));
    this.canvases = Object.fromEntries(PANES.map((name) => [name, this.figures[name].querySelector("canvas")]));
    /** @type {Record<string, Film | null>} */
    this.films = { original: null, cleansed: null };
    /** @type {HTMLCanvasElement | null} */
    this.glow = null;
    this.transform = null;
    this.area = { x0: 0, y0: 0, x1: 1, y1: 1 };
    this.view = fitted(this.area);
    this.window = { low: 0, high: 1 };
    /** @type {import("./windows.js").Window[]} */
    this.presets = [];
    this.preset = 1;
    this.invert = false;
    this.hidden = false;
    /** Marks are out of the way while a key is held. */
    this.lifted = false;
    this.opacity = 0.55;
    this.regions = [];
    this.selected = null;
    this.editing = false;
    /** @type {{id: string | null, box: object} | null} a box that is being drawn or moved, original pixels */
    this.draft = null;
    this.frame = 0;
    new ResizeObserver(() => this.draw()).observe(root);
  }

  /** Show another image: {pixels, size, dtype} with its place in the square; the view starts anew. */
  load(stored, transform) {
    this.films = { original: new Film(stored), cleansed: null };
    this.glow = null;
    this.draft = null;
    this.transform = transform;
    this.area = picture(transform);
    this.presets = presets(stored.pixels, stored.size, this.area, null);
    this.view = fitted(this.area);
    this.usePreset(this.preset);
  }

  /** Show through a preset of this picture, and of those after it. */
  usePreset(index) {
    this.preset = index;
    this.window = this.presets[index];
    this.draw();
  }

  /** The lung mask came later than the pixels. */
  refine(lungs) {
    const { pixels, size } = this.films.original;
    const untouched = this.window === this.presets[this.preset];
    this.presets = presets(pixels, size, this.area, lungs);
    if (untouched) this.usePreset(this.preset);
  }

  setCleansed(stored) {
    this.films.cleansed = stored && new Film(stored);
    this.draw();
  }

  setSaliency(map) {
    this.glow = map && glow(map);
    this.draw();
  }

  reset() {
    this.view = fitted(this.area);
    this.draw();
  }

  /** Size of a pane on the screen. */
  size(name) {
    const { clientWidth, clientHeight } = this.canvases[name];
    return { width: clientWidth, height: clientHeight };
  }

  /** A point of a pane, screen pixels, in original pixels. */
  toOriginal(name, point) {
    const { x, y } = fromScreen(point, this.view, this.size(name), this.area);
    const { scale, pad_x, pad_y } = this.transform;
    return { x: (x - pad_x) / scale, y: (y - pad_y) / scale };
  }

  /** Screen pixels of a pane per original pixel. */
  originalScale(name) {
    return pixelScale(this.view, this.size(name), this.area) * this.transform.scale;
  }

  /** The stored value under a point of a pane. */
  valueAt(name, point) {
    return this.films.original?.at(fromScreen(point, this.view, this.size(name), this.area)) ?? null;
  }

  /** Draw in the next frame. */
  draw() {
    this.frame ||= requestAnimationFrame(() => this.drawNow());
  }

  drawNow() {
    this.frame = 0;
    if (!this.films.original) return;
    for (const name of PANES) if (this.canvases[name].clientWidth) this.paint(name);
    this.root.dispatchEvent(new Event("drawn"));
  }

  paint(name) {
    const context = this.prepared(name);
    const film = name === "cleansed" ? this.films.cleansed : this.films.original;
    if (!film) return;
    film.develop(this.window, this.invert);
    this.place(context, name, film.canvas, film.size, film.size);
    if (name !== "overlay" || this.hidden || this.lifted) return;
    if (this.glow) {
      context.globalAlpha = this.opacity;
      this.place(context, name, this.glow, film.size, film.size);
      context.globalAlpha = 1;
    }
    drawBoxes(context, this.marks(name), this);
  }

  /** The context of a pane in screen pixels, empty. */
  prepared(name) {
    const canvas = this.canvases[name];
    const { width, height } = this.size(name);
    const ratio = window.devicePixelRatio || 1;
    const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
    const context = canvas.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = "#000";
    context.fillRect(0, 0, width, height);
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "medium";
    return context;
  }

  place(context, name, image, width, height) {
    const pane = this.size(name);
    const scale = pixelScale(this.view, pane, this.area);
    const at = toScreen({ x: 0, y: 0 }, this.view, pane, this.area);
    context.drawImage(image, at.x, at.y, width * scale, height * scale);
  }

  /** The regions of a pane on the screen, with the draft in place of what it changes. */
  marks(name) {
    const listed = this.regions.map((region, index) => ({ region, number: index + 1, box: region.box }));
    const draft = this.draft;
    const boxes = listed.map((mark) => (draft && draft.id === mark.region.region_id ? { ...mark, box: draft.box } : mark));
    if (draft && draft.id === null) boxes.push({ region: { region_id: null, verdict: null }, number: boxes.length + 1, box: draft.box });
    return boxes.map((mark) => ({ ...mark, box: this.onScreen(name, mark.box) }));
  }

  /** A box of original pixels on the screen. */
  onScreen(name, box) {
    const stored = toStored(box, this.transform);
    const pane = this.size(name);
    const [a, b] = [{ x: stored.x0, y: stored.y0 }, { x: stored.x1, y: stored.y1 }].map((corner) => toScreen(corner, this.view, pane, this.area));
    return { x0: a.x, y0: a.y, x1: b.x, y1: b.y };
  }
}
