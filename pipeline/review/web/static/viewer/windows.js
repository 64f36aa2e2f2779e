// Grey windows: which stored values are black, which white, and what lies between. No DOM here.

import { histogram, percentile } from "./pixels.js";

/** @typedef {{low: number, high: number}} Window  stored values that are shown black and white */

/** The presets, in the order of keys 1 to 5. */
export const PRESETS = ["Full range", "1–99 %", "5–95 %", "Mediastinum", "Lungs"];

const LUNG_PIXELS = 200;

/**
 * Windows of one picture, computed from its stored values and named as in `PRESETS`.
 *
 * Mediastinum spreads the dense half of the picture, so that what lies behind the heart is seen; Lungs spreads the
 * values inside the lung fields, or in the middle of the picture where no lungs were found. Padding counts nowhere.
 * @param {import("./pixels.js").Pixels} pixels
 * @param {number} size
 * @param {import("./pixels.js").Box} picture  where the picture lies in the square, without padding
 * @param {{values: Uint8Array, size: number} | null} lungs
 * @returns {Window[]}
 */
export function presets(pixels, size, picture, lungs) {
  const all = histogram(pixels, size, picture);
  const between = (counts, low, high) => ordered(percentile(counts, low) ?? 0, percentile(counts, high) ?? 0);
  const air = lungField(pixels, size, picture, lungs);
  return [
    between(all, 0, 1),
    between(all, 0.01, 0.99),
    between(all, 0.05, 0.95),
    between(all, 0.4, 0.995),
    between(air, 0.005, 0.98),
  ];
}

function lungField(pixels, size, picture, lungs) {
  const inside = lungs && histogram(pixels, size, picture, lungs);
  if (inside && inside.reduce((sum, count) => sum + count, 0) >= LUNG_PIXELS) return inside;
  const [width, height] = [picture.x1 - picture.x0, picture.y1 - picture.y0];
  const middle = {
    x0: picture.x0 + 0.2 * width, x1: picture.x1 - 0.2 * width,
    y0: picture.y0 + 0.2 * height, y1: picture.y1 - 0.3 * height,
  };
  return histogram(pixels, size, middle);
}

function ordered(low, high) {
  return { low, high: Math.max(high, low + 1) };
}

/**
 * A window after a drag: right widens it, down darkens the picture (raises the level), as in other viewers.
 * @param {Window} window
 * @param {number} dx  screen pixels
 * @param {number} dy
 * @param {number} range  of stored values in the picture: 400 screen pixels go through it once
 * @param {number} top  largest value the store can hold
 * @returns {Window}
 */
export function dragged(window, dx, dy, range, top) {
  const step = Math.max(range, 1) / 400;
  const width = Math.min(Math.max(window.high - window.low + dx * step, 1), 2 * top);
  const level = Math.min(Math.max((window.high + window.low) / 2 + dy * step, 0), top);
  return { low: level - width / 2, high: level + width / 2 };
}

/** Width and level in words a radiologist knows: "W 210 L 96". */
export function windowWords({ low, high }) {
  return `W ${Math.round(high - low)} L ${Math.round((high + low) / 2)}`;
}

/**
 * Stored value -> packed RGBA grey, one entry for each value the store can hold (256 or 65,536).
 * @param {Window} window
 * @param {boolean} invert
 * @param {number} top
 * @returns {Uint32Array}
 */
export function lookup({ low, high }, invert, top) {
  const table = new Uint32Array(top + 1);
  const span = Math.max(high - low, 1e-9);
  for (let value = 0; value <= top; value++) {
    const grey = Math.round(255 * Math.min(Math.max((value - low) / span, 0), 1));
    const shown = invert ? 255 - grey : grey;
    table[value] = (0xff000000 | (shown * 0x010101)) >>> 0;  // opaque; red, green and blue alike: either byte order
  }
  return table;
}

/**
 * Show `pixels` through a table: writes packed RGBA into `into`, one entry a pixel.
 * @param {import("./pixels.js").Pixels} pixels
 * @param {Uint32Array} table
 * @param {Uint32Array} into
 */
export function apply(pixels, table, into) {
  for (let i = 0; i < pixels.length; i++) into[i] = table[pixels[i]];
}
