// All keys of the image view. The list that "?" shows is made of this.

import { bind } from "../keys.js";
import { stepFrom } from "./pending.js";

/**
 * @param {object} parts
 * @param {import("./review.js").Review} parts.review
 * @param {import("./actions.js").Actions} parts.actions
 * @param {import("./stage.js").Stage} parts.stage
 * @param {import("./toolbar.js").Toolbar} parts.toolbar
 * @param {import("./editing.js").Editing} parts.editing
 * @param {{held: boolean, panned: boolean}} parts.space
 */
export function bindKeys(parts) {
  bind({ ...deciding(parts), ...going(parts), ...showing(parts), ...drawing(parts) });
}

function deciding({ review, actions }) {
  const group = "Decide";
  const verdict = (name) => () => actions.decide(name);
  return {
    A: { group, label: "Accept: a shortcut", run: verdict("accepted") },
    R: { group, label: "Reject: a false alarm", run: verdict("rejected") },
    K: { group, label: "Keep: clinically needed", run: verdict("keep") },
    U: { group, label: "Unsure", run: verdict("unsure") },
    "Shift+A": { group, label: "Accept all suggested on this image", run: () => actions.acceptAll() },
    "0": { group, label: "Take my decision back", run: verdict(null) },
    S: { group, label: "For which regions: scope", run: () => document.getElementById("scope")?.focus() },
    C: { group, label: "Comment (Esc leaves it)", run: () => document.getElementById("comment")?.focus() },
    T: { group, label: "Mark for a second reader", run: () => actions.tag() },
    "Ctrl+Z": { group, label: "Undo", run: () => actions.step("undo") },
    "Ctrl+Y Ctrl+Shift+Z": { group, label: "Redo", run: () => actions.step("redo") },
    Escape: { group, run: () => review.select(null) },
  };
}

function going({ review, editing }) {
  const group = "Go";
  const region = (step) => review.select(stepFrom(review.regions, review.selected, step));
  const arrow = (direction) => (event) => (editing.nudge(event) === false ? review.step(direction) : undefined);
  return {
    N: { group, label: "Next image", repeat: true, run: () => review.step("next") },
    P: { group, label: "Previous image", repeat: true, run: () => review.step("previous") },
    ArrowRight: { group, label: "Next image; Draw: move the box", repeat: true, run: arrow("next") },
    ArrowLeft: { group, label: "Previous image; Draw: move the box", repeat: true, run: arrow("previous") },
    J: { group, label: "Next region", repeat: true, run: () => region(1) },
    L: { group, label: "Previous region", repeat: true, run: () => region(-1) },
    Tab: { group, label: "Next region, on the panes", fixed: "Tab", repeat: true, run: (event) => through(review, event, 1) },
    "Shift+Tab": { group, label: "Previous region, on the panes", fixed: "Shift+Tab", repeat: true, run: (event) => through(review, event, -1) },
    G: { group, label: "Gallery with these filters", run: () => document.querySelector("[data-gallery]")?.click() },
  };
}

/** Tab goes through the regions while the panes have the focus, and on past the last one. */
function through(review, event, step) {
  if (event.target !== document.getElementById("stage")) return false;
  const id = stepFrom(review.regions, review.selected, step, false);
  if (!id) return false;
  review.select(id);
}

function showing({ stage, toolbar, space, editing, review }) {
  const group = "Show";
  const presets = Object.fromEntries([0, 1, 2, 3, 4].map((index) => [
    String(index + 1), { group, label: `Grey window: ${["full range", "1–99 %", "5–95 %", "mediastinum", "lungs"][index]}`, run: () => toolbar.preset(index) },
  ]));
  const method = (step) => (event) => (editing.nudge(event) === false ? toolbar.stepMethod(step) : undefined);
  return {
    Shift: { group, label: "Hide marks (hold)", hold: true, run: () => (stage.editing ? false : lift(stage, true)), release: () => lift(stage, false) },
    H: { group, label: "Marks on and off", run: () => toolbar.hide(!stage.hidden) },
    "-": { group, label: "Without cleansing", run: () => toolbar.enlarge("original") },
    "+ =": { group, label: "With cleansing", run: () => toolbar.enlarge("cleansed") },
    O: { group, label: "Overlay large", run: () => toolbar.enlarge("overlay") },
    ArrowDown: { group, label: "Next saliency method", repeat: true, run: method(1) },
    ArrowUp: { group, label: "Previous saliency method", repeat: true, run: method(-1) },
    "[": { group, label: "Saliency weaker", repeat: true, run: () => toolbar.opacity(stage.opacity - 0.1) },
    "]": { group, label: "Saliency stronger", repeat: true, run: () => toolbar.opacity(stage.opacity + 0.1) },
    I: { group, label: "Invert", run: () => toolbar.invert() },
    ...presets,
    W: { group, label: "Drag: grey window", run: () => toolbar.use("window") },
    M: { group, label: "Drag: move the picture", run: () => toolbar.use("pan") },
    Z: { group, label: "Zoom to the region", run: () => zoomTo(stage, review) },
    Space: {
      group, label: "Fit the picture; hold and drag: pan", hold: true,
      run: () => { space.held = true; space.panned = false; },
      release: () => { space.held = false; if (!space.panned) stage.reset(); },
    },
  };
}

function lift(stage, lifted) {
  stage.lifted = lifted;
  stage.draw();
}

/** Zoom until the selected region fills a third of the pane. */
function zoomTo(stage, { region }) {
  if (!region) return;
  const { scale, pad_x, pad_y } = stage.transform;
  const { x0, y0, x1, y1 } = region.box;
  const part = Math.max((x1 - x0) * scale / (stage.area.x1 - stage.area.x0), (y1 - y0) * scale / (stage.area.y1 - stage.area.y0));
  stage.view = { zoom: Math.min(Math.max(1 / (3 * part), 1), 8), x: ((x0 + x1) / 2) * scale + pad_x, y: ((y0 + y1) / 2) * scale + pad_y };
  stage.draw();
}

function drawing({ actions, editing, toolbar, review }) {
  const group = "Draw";
  if (review.page.role === "viewer") return {};
  const arrows = (label, held) => ({
    [["Left", "Right", "Up", "Down"].map((side) => `${held}Arrow${side}`).join(" ")]: {
      group, label, fixed: `${held}arrows`, repeat: true, run: (event) => editing.nudge(event),
    },
  });
  return {
    D: { group, label: "Draw and move boxes, on and off", run: () => toolbar.use(toolbar.tool === "edit" ? "window" : "edit") },
    Enter: { group, label: "New box in the middle", run: () => editing.make() },
    ...arrows("Move the box by 10 pixels", "Shift+"),
    ...arrows("Size the box", "Ctrl+"),
    ...arrows("Size the box by 10 pixels", "Ctrl+Shift+"),
    "Delete Backspace": { group, label: "Delete the box", run: () => actions.remove() },
  };
}
