// The controls over the panes, and the same by key.

import { element } from "../page.js";
import { change, settings } from "./settings.js";
import { PANES } from "./stage.js";
import { PRESETS, windowWords } from "./windows.js";

const byId = (id) => document.getElementById(id);
const WIDE = 760;
const MIDDLE = 560;
/** The method that takes seconds, where others take minutes. */
const QUICK = "grad-cam";
const COMPUTE = "compute";

export class Toolbar {
  /**
   * @param {import("./review.js").Review} review
   * @param {import("./stage.js").Stage} stage
   * @param {import("./layers.js").Layers} layers
   */
  constructor(review, stage, layers) {
    Object.assign(this, { review, stage, layers, main: "overlay", tool: "window" });
    stage.opacity = settings.opacity;
    byId("opacity").value = String(settings.opacity);
    byId("panes").value = String(settings.panes);
    byId("cleansed").value = settings.cleansed;
    byId("preset").replaceChildren(...PRESETS.map((name, index) => element("option", { value: String(index), textContent: `${index + 1} ${name}` })));
    byId("preset").value = String(stage.preset);
    if (byId("kind")) byId("kind").value = settings.kind;
    this.listen();
    new ResizeObserver(() => this.arrange()).observe(stage.root);
  }

  listen() {
    const on = (id, type, handler) => byId(id)?.addEventListener(type, handler);
    for (const button of document.querySelectorAll("[data-main]:is(button)")) button.addEventListener("click", () => this.enlarge(button.dataset.main));
    for (const button of document.querySelectorAll("[data-tool]:is(button)")) button.addEventListener("click", () => this.use(button.dataset.tool));
    on("preset", "change", () => this.preset(Number(byId("preset").value)));
    on("invert", "click", () => this.invert());
    on("reset", "click", () => this.stage.reset());
    on("overlays", "click", () => this.hide(!this.stage.hidden));
    on("opacity", "input", () => this.opacity(Number(byId("opacity").value)));
    on("method", "change", () => this.choose(byId("method").value));
    on("panes", "change", () => { change({ panes: Number(byId("panes").value) }); this.arrange(); });
    on("cleansed", "change", () => { change({ cleansed: byId("cleansed").value }); this.layers.cleansed(); });
    on("kind", "change", () => change({ kind: byId("kind").value }));
    this.stage.root.addEventListener("drawn", () => {
      byId("window").textContent = `${windowWords(this.stage.window)} · ${Math.round(100 * this.stage.view.zoom)} %`;
    });
  }

  /** How many panes there is room for, unless the reader said so. */
  get count() {
    if (settings.panes) return settings.panes;
    const { clientWidth: width, clientHeight: height } = this.stage.root;
    return width >= WIDE && width > 1.1 * height ? 3 : width >= MIDDLE && width > 1.6 * height ? 2 : 1;
  }

  arrange() {
    const { count } = this;
    const second = this.main === "overlay" ? "cleansed" : "overlay";
    const shown = count === 3 ? PANES : count === 2 ? [this.main, second] : [this.main];
    for (const name of PANES) {
      this.stage.figures[name].hidden = !shown.includes(name);
      this.stage.figures[name].classList.toggle("large", name === this.main);
    }
    this.stage.root.dataset.count = String(count);
    for (const button of document.querySelectorAll("button[data-main]")) press(button, button.dataset.main === this.main);
    this.stage.draw();
    this.layers.cleansed();
  }

  enlarge(name) {
    this.main = name;
    this.arrange();
    this.review.say(`${name[0].toUpperCase()}${name.slice(1)} is large.`);
  }

  use(tool) {
    this.tool = tool;
    this.stage.editing = tool === "edit";
    this.stage.root.dataset.tool = tool;
    for (const button of document.querySelectorAll("button[data-tool]")) press(button, button.dataset.tool === tool);
    if (byId("new-kind")) byId("new-kind").hidden = tool !== "edit";
    const words = {
      window: "Drag changes the grey window.", pan: "Drag moves the picture.",
      edit: "Draw: drag a new box, or drag the selected one. Keys: Enter makes one, arrows move it, Ctrl with arrows sizes it.",
    };
    this.review.say(words[tool]);
    this.stage.draw();
  }

  preset(index) {
    if (!this.stage.presets[index]) return;
    this.stage.usePreset(index);
    byId("preset").value = String(index);
    this.review.say(`Window: ${PRESETS[index]}.`);
  }

  invert() {
    this.stage.invert = !this.stage.invert;
    press(byId("invert"), this.stage.invert);
    this.stage.draw();
  }

  hide(hidden) {
    this.stage.hidden = hidden;
    press(byId("overlays"), !hidden);
    this.stage.draw();
  }

  opacity(value) {
    this.stage.opacity = Math.min(Math.max(value, 0), 1);
    byId("opacity").value = String(this.stage.opacity);
    change({ opacity: this.stage.opacity });
    this.stage.draw();
  }

  /** The methods of this image, and none. */
  showMethods() {
    const { methods } = this.review.view;
    const option = (value, textContent) => element("option", { value, textContent });
    const offered = methods.includes(QUICK) || this.review.page.role === "viewer" ? [] : [option(COMPUTE, `compute ${QUICK}`)];
    byId("method").replaceChildren(...methods.map((name) => option(name, name)), option("none", "no saliency"), ...offered);
    byId("method").value = this.layers.method;
    byId("opacity").disabled = this.layers.method === "none";
    this.showExplained();
  }

  /** The class that the map is about; hidden in a blind audit until the image is decided. */
  showExplained() {
    const { explained_class: name } = this.review.view;
    byId("explained").textContent = this.layers.method !== "none" && name ? `what speaks for ${name}` : "";
  }

  choose(method) {
    if (method === COMPUTE) return this.compute();
    change({ method });
    this.showMethods();
    this.layers.saliency();
    this.review.say(method === "none" ? "No saliency." : `Saliency by ${method}.`);
  }

  /** Have a map made that the audit did not make. */
  async compute() {
    const { review } = this;
    const { image } = review.place;
    review.say(`Computing ${QUICK} …`);
    const [map] = await review.arrived(image, review.source.saliency(image, QUICK, true));
    if (!map) return;
    review.view.methods = [...review.view.methods, QUICK];
    this.choose(QUICK);
  }

  /** The next or previous method, none among them. */
  stepMethod(step) {
    const options = [...this.review.view.methods, "none"];
    const at = options.indexOf(this.layers.method);
    this.choose(options[(at + step + options.length) % options.length]);
  }
}

function press(button, on) {
  button?.setAttribute("aria-pressed", String(on));
}
