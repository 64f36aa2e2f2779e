// Colours of saliency: inferno, whose lightness grows evenly, so that "more" looks like more and prints in grey.

/** Seventeen colours of matplotlib's inferno (van der Walt and Smith, CC0), evenly apart; between them, straight lines. */
const INFERNO = [
  [0, 0, 4], [11, 7, 36], [33, 12, 74], [61, 9, 101], [87, 16, 110], [113, 25, 110],
  [138, 34, 106], [163, 44, 97], [188, 55, 84], [210, 70, 68], [228, 90, 49], [241, 115, 29],
  [249, 142, 9], [252, 172, 17], [249, 203, 53], [242, 234, 105], [252, 255, 164],
];

/**
 * Colour of a value in [0, 1].
 * @param {number} value
 * @returns {number[]} red, green, blue in [0, 255]
 */
export function inferno(value) {
  const at = Math.min(Math.max(value, 0), 1) * (INFERNO.length - 1);
  const below = Math.min(Math.floor(at), INFERNO.length - 2);
  return INFERNO[below].map((start, c) => Math.round(start + (at - below) * (INFERNO[below + 1][c] - start)));
}

/** The value that full colour stands for: the 99.8th percentile, so that one hot pixel does not hide the rest. */
export function brightest(map) {
  const sorted = Float32Array.from(map).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(0.998 * sorted.length))] || sorted.at(-1) || 1;
}

/**
 * A saliency map as RGBA: weak places let the picture through, strong ones glow.
 * @param {Float32Array} map
 * @param {number} top  the value of full colour, see `brightest`
 * @returns {Uint8ClampedArray}
 */
export function coloured(map, top) {
  const table = Array.from({ length: 256 }, (_, i) => inferno(0.15 + (0.85 * i) / 255));
  const out = new Uint8ClampedArray(4 * map.length);
  for (let i = 0; i < map.length; i++) {
    const level = Math.min(Math.max(map[i] / top, 0), 1);
    out.set(table[Math.round(255 * level)], 4 * i);
    out[4 * i + 3] = Math.round(255 * level);
  }
  return out;
}
