// Stored pixels as they are: 8 or 16 bit, never a copy with fewer levels. No DOM here.

/** @typedef {Uint8Array | Uint16Array} Pixels */
/** @typedef {{x0: number, y0: number, x1: number, y1: number}} Box */

/** Largest value that a store of this data type holds. */
export const TOP = { uint8: 255, uint16: 65535 };

/**
 * Raw little-endian bytes -> values.
 * @param {ArrayBuffer} buffer
 * @param {"uint8" | "uint16"} dtype
 * @returns {Pixels}
 */
export function decode(buffer, dtype) {
  if (dtype === "uint8") return new Uint8Array(buffer);
  if (new Uint8Array(new Uint16Array([1]).buffer)[0] === 1) return new Uint16Array(buffer);
  const view = new DataView(buffer);
  return Uint16Array.from({ length: buffer.byteLength / 2 }, (_, i) => view.getUint16(2 * i, true));
}

/**
 * How often each value occurs inside a box of the square picture, and, with a mask, where that is set.
 * @param {Pixels} pixels  size x size
 * @param {number} size
 * @param {Box} box  stored pixels; rounded to whole ones
 * @param {{values: Uint8Array, size: number} | null} [mask]  of the same square, at its own size
 * @returns {Uint32Array} one count a value
 */
export function histogram(pixels, size, box, mask = null) {
  const counts = new Uint32Array(pixels instanceof Uint8Array ? 256 : 65536);
  const [x0, y0] = [Math.max(0, Math.round(box.x0)), Math.max(0, Math.round(box.y0))];
  const [x1, y1] = [Math.min(size, Math.round(box.x1)), Math.min(size, Math.round(box.y1))];
  const step = mask ? mask.size / size : 0;
  for (let y = y0; y < y1; y++) {
    const row = mask ? Math.floor((y + 0.5) * step) * mask.size : 0;
    for (let x = x0; x < x1; x++) {
      if (mask && !mask.values[row + Math.floor((x + 0.5) * step)]) continue;
      counts[pixels[y * size + x]]++;
    }
  }
  return counts;
}

/**
 * The smallest value that at least `share` of the pixels do not exceed; 0 is the darkest pixel.
 * @param {Uint32Array} counts
 * @param {number} share  in [0, 1]
 * @returns {number | null} null where nothing was counted
 */
export function percentile(counts, share) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (!total) return null;
  const wanted = Math.max(1, share * total);
  let seen = 0;
  for (let value = 0; value < counts.length; value++) {
    seen += counts[value];
    if (seen >= wanted) return value;
  }
  return counts.length - 1;
}
