// One picture ready to be drawn: its stored pixels behind a grey window, on a canvas of the stored size.

import { coloured, brightest } from "./colours.js";
import { TOP } from "./pixels.js";
import { apply, lookup } from "./windows.js";

export class Film {
  /** @param {{pixels: import("./pixels.js").Pixels, size: number, dtype: "uint8" | "uint16"}} picture */
  constructor({ pixels, size, dtype }) {
    this.pixels = pixels;
    this.size = size;
    this.top = TOP[dtype];
    this.canvas = canvas(size, size);
    this.context = this.canvas.getContext("2d");
    this.image = this.context.createImageData(size, size);
    this.packed = new Uint32Array(this.image.data.buffer);
    this.shown = "";
  }

  /** Show through a window; costs nothing where it is shown so already. */
  develop(window, invert) {
    const wanted = `${window.low} ${window.high} ${invert}`;
    if (wanted === this.shown) return;
    this.shown = wanted;
    apply(this.pixels, lookup(window, invert, this.top), this.packed);
    this.context.putImageData(this.image, 0, 0);
  }

  /** The stored value at a point, null outside. */
  at({ x, y }) {
    const [column, row] = [Math.floor(x), Math.floor(y)];
    const inside = column >= 0 && row >= 0 && column < this.size && row < this.size;
    return inside ? this.pixels[row * this.size + column] : null;
  }
}

/** A saliency map as a canvas of its own size. */
export function glow({ values, width, height }) {
  const made = canvas(width, height);
  made.getContext("2d").putImageData(new ImageData(coloured(values, brightest(values)), width, height), 0, 0);
  return made;
}

function canvas(width, height) {
  return Object.assign(document.createElement("canvas"), { width, height });
}
