// Where things lie: original pixels, the stored square, a pane on the screen. No DOM here.

/** @typedef {{x0: number, y0: number, x1: number, y1: number}} Box */
/** @typedef {{scale: number, pad_x: number, pad_y: number, width: number, height: number}} Transform */
/** @typedef {{zoom: number, x: number, y: number}} View  zoom 1 fits; x, y: stored point in the middle of a pane */
/** @typedef {{width: number, height: number}} Pane  in screen pixels */

export const MAX_ZOOM = 32;
/** The eight handles of a box: which edges each moves. */
export const HANDLES = ["nw", "n", "ne", "e", "se", "s", "sw", "w"];

/** A box of original pixels in the stored square. */
export function toStored(box, { scale, pad_x, pad_y }) {
  return {
    x0: box.x0 * scale + pad_x, y0: box.y0 * scale + pad_y, x1: box.x1 * scale + pad_x, y1: box.y1 * scale + pad_y,
  };
}

/** The opposite of `toStored`. */
export function toOriginal(box, { scale, pad_x, pad_y }) {
  return {
    x0: (box.x0 - pad_x) / scale, y0: (box.y0 - pad_y) / scale, x1: (box.x1 - pad_x) / scale, y1: (box.y1 - pad_y) / scale,
  };
}

/** Where the picture lies in the stored square, without padding. */
export function picture(transform) {
  return toStored({ x0: 0, y0: 0, x1: transform.width, y1: transform.height }, transform);
}

/** The view that shows the whole picture. */
export function fitted(area) {
  return { zoom: 1, x: (area.x0 + area.x1) / 2, y: (area.y0 + area.y1) / 2 };
}

/** Screen pixels per stored pixel: at zoom 1 the picture just fits. */
export function pixelScale(view, pane, area) {
  return view.zoom * Math.min(pane.width / (area.x1 - area.x0), pane.height / (area.y1 - area.y0));
}

/** A stored point on the screen. */
export function toScreen(point, view, pane, area) {
  const scale = pixelScale(view, pane, area);
  return { x: (point.x - view.x) * scale + pane.width / 2, y: (point.y - view.y) * scale + pane.height / 2 };
}

/** A point on the screen in the stored square. */
export function fromScreen(point, view, pane, area) {
  const scale = pixelScale(view, pane, area);
  return { x: (point.x - pane.width / 2) / scale + view.x, y: (point.y - pane.height / 2) / scale + view.y };
}

/** Zoom by `factor` so that what is under `point` stays there. */
export function zoomedAt(view, factor, point, pane, area) {
  const zoom = Math.min(Math.max(view.zoom * factor, 0.5), MAX_ZOOM);
  const held = fromScreen(point, view, pane, area);
  const moved = fromScreen(point, { ...view, zoom }, pane, area);
  return inside({ zoom, x: view.x + held.x - moved.x, y: view.y + held.y - moved.y }, area);
}

/** Pan by screen pixels. */
export function panned(view, dx, dy, pane, area) {
  const scale = pixelScale(view, pane, area);
  return inside({ ...view, x: view.x - dx / scale, y: view.y - dy / scale }, area);
}

function inside(view, area) {
  return { ...view, x: clamp(view.x, area.x0, area.x1), y: clamp(view.y, area.y0, area.y1) };
}

export function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high);
}

/** A box between two points, whichever way it was drawn. */
export function boxBetween(a, b) {
  return { x0: Math.min(a.x, b.x), y0: Math.min(a.y, b.y), x1: Math.max(a.x, b.x), y1: Math.max(a.y, b.y) };
}

/** A box moved, without leaving the picture and without changing its size. */
export function moved(box, dx, dy, { width, height }) {
  const x = clamp(dx, Math.min(-box.x0, 0), Math.max(width - box.x1, 0));
  const y = clamp(dy, Math.min(-box.y0, 0), Math.max(height - box.y1, 0));
  return { x0: box.x0 + x, y0: box.y0 + y, x1: box.x1 + x, y1: box.y1 + y };
}

/** A box with the edges of `handle` moved; it stays in the picture and at least one pixel wide and high. */
export function resized(box, handle, dx, dy, { width, height }) {
  const made = { ...box };
  if (handle.includes("w")) made.x0 = clamp(box.x0 + dx, 0, box.x1 - 1);
  if (handle.includes("e")) made.x1 = clamp(box.x1 + dx, box.x0 + 1, width);
  if (handle.includes("n")) made.y0 = clamp(box.y0 + dy, 0, box.y1 - 1);
  if (handle.includes("s")) made.y1 = clamp(box.y1 + dy, box.y0 + 1, height);
  return made;
}

/** Whole pixels: outwards no, nearest yes, and never empty. */
export function whole(box) {
  const [x0, y0] = [Math.round(box.x0), Math.round(box.y0)];
  return { x0, y0, x1: Math.max(Math.round(box.x1), x0 + 1), y1: Math.max(Math.round(box.y1), y0 + 1) };
}

/** Where the handles of a box lie. */
export function handlePoints({ x0, y0, x1, y1 }) {
  const [x, y] = [(x0 + x1) / 2, (y0 + y1) / 2];
  return {
    nw: { x: x0, y: y0 }, n: { x, y: y0 }, ne: { x: x1, y: y0 }, e: { x: x1, y },
    se: { x: x1, y: y1 }, s: { x, y: y1 }, sw: { x: x0, y: y1 }, w: { x: x0, y },
  };
}

/** The handle of `box` within `reach` of a point, the nearest one; null where there is none. */
export function handleAt(point, box, reach) {
  const points = handlePoints(box);
  const distance = (name) => Math.hypot(points[name].x - point.x, points[name].y - point.y);
  const nearest = HANDLES.reduce((best, name) => (distance(name) < distance(best) ? name : best));
  return distance(nearest) <= reach ? nearest : null;
}

/** The smallest box that holds a point, with `margin` around it; its index, or -1. */
export function boxAt(point, boxes, margin = 0) {
  const area = ({ x0, y0, x1, y1 }) => (x1 - x0) * (y1 - y0);
  const holds = (box) => point.x >= box.x0 - margin && point.x <= box.x1 + margin
    && point.y >= box.y0 - margin && point.y <= box.y1 + margin;
  const hits = boxes.map((box, index) => ({ box, index })).filter(({ box }) => holds(box));
  return hits.length ? hits.reduce((best, hit) => (area(hit.box) < area(best.box) ? hit : best)).index : -1;
}
