// Regions on a pane: outline by verdict in colour and dash, its letter beside it, handles while it is edited.

import { handlePoints } from "./geometry.js";
import { markOf } from "./words.js";

const colours = new Map();

/** The page's colour of that name, e.g. "--good". */
export function colour(name) {
  if (!colours.has(name)) colours.set(name, getComputedStyle(document.documentElement).getPropertyValue(name).trim() || "#fff");
  return colours.get(name);
}

/**
 * Draw the regions of an image.
 * @param {CanvasRenderingContext2D} context  in screen pixels
 * @param {{region: object, box: object, number: number}[]} marks  boxes on the screen
 * @param {{selected: string | null, editing: boolean}} how
 */
export function drawBoxes(context, marks, { selected, editing }) {
  const last = marks.filter(({ region }) => region.region_id === selected);
  for (const mark of [...marks.filter((each) => !last.includes(each)), ...last]) {
    drawBox(context, mark, mark.region.region_id === selected, editing);
  }
}

function drawBox(context, { region, box, number }, isSelected, editing) {
  const mark = markOf(region.verdict);
  const [width, height] = [box.x1 - box.x0, box.y1 - box.y0];
  context.globalAlpha = region.deleting ? 0.35 : 1;
  outline(context, box, [], "rgb(0 0 0 / 75%)", isSelected ? 5 : 3.5);
  outline(context, box, mark.dash, colour(mark.colour), isSelected ? 2.5 : 1.5);
  if (isSelected) outline(context, { x0: box.x0 - 4, y0: box.y0 - 4, x1: box.x1 + 4, y1: box.y1 + 4 }, [], "#fff", 1);
  label(context, `${number} ${mark.letter}${region.unsaved ? "…" : ""}`, box, colour(mark.colour));
  if (isSelected && editing && width > 4 && height > 4) drawHandles(context, box);
  context.globalAlpha = 1;
}

function outline(context, { x0, y0, x1, y1 }, dash, style, width) {
  context.setLineDash(dash);
  context.strokeStyle = style;
  context.lineWidth = width;
  context.strokeRect(x0, y0, x1 - x0, y1 - y0);
  context.setLineDash([]);
}

function label(context, text, { x0, x1, y0, y1 }, style) {
  context.font = "600 11px system-ui, sans-serif";
  context.textBaseline = "middle";
  const [width, height] = [context.measureText(text).width + 8, 15];
  const { width: right } = context.canvas.getBoundingClientRect();
  const x = Math.max(1, Math.min(x0 - 1, right - width - 1));
  const y = y0 - height - 3 >= 0 ? y0 - height - 3 : Math.min(y1 + 3, context.canvas.getBoundingClientRect().height - height);
  context.fillStyle = "rgb(0 0 0 / 80%)";
  context.fillRect(x, y, width, height);
  context.fillStyle = style;
  context.fillText(text, x + 4, y + height / 2 + 0.5);
}

function drawHandles(context, box) {
  for (const { x, y } of Object.values(handlePoints(box))) {
    context.fillStyle = "#fff";
    context.strokeStyle = "#000";
    context.lineWidth = 1;
    context.fillRect(x - 4, y - 4, 8, 8);
    context.strokeRect(x - 4, y - 4, 8, 8);
  }
}
