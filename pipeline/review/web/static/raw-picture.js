// Stored pixels on a canvas, for pages that compare two states of one image.

import { raw } from "./api.js";

/** Pixels of a route that answers raw little-endian values with X-Size and X-Dtype. */
export async function fetchPixels(path) {
  const response = await raw(path);
  const buffer = await response.arrayBuffer();
  const values = response.headers.get("X-Dtype") === "uint16" ? new Uint16Array(buffer) : new Uint8Array(buffer);
  return { values, size: Number(response.headers.get("X-Size")) };
}

/** The values between which an image is drawn from black to white: all but its darkest and brightest 1%. */
export function windowOf(values) {
  const sample = Array.from({ length: 4096 }, (_, index) => values[Math.floor((index * values.length) / 4096)]);
  sample.sort((first, second) => first - second);
  const low = sample[40];
  return { low, high: Math.max(sample[4055], low + 1) };
}

/** Draw pixels on a canvas of their own size. */
export function paint(canvas, { values, size }, { low, high }) {
  canvas.width = size;
  canvas.height = size;
  const context = canvas.getContext("2d");
  const image = context.createImageData(size, size);
  const scale = 255 / (high - low);
  for (let index = 0; index < values.length; index += 1) {
    const grey = (values[index] - low) * scale;
    image.data.set([grey, grey, grey, 255], index * 4);
  }
  context.putImageData(image, 0, 0);
}
