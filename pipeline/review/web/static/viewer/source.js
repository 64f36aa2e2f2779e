// Images from the server: facts, pixels, saliency, lungs. The next ones are fetched before they are asked for.

import { call, raw } from "../api.js";
import { decode } from "./pixels.js";

const KEPT = 8;

/** A map that forgets what was used longest ago. */
class Recent {
  constructor(limit) {
    this.limit = limit;
    this.entries = new Map();
  }

  /** The value of `key`, made by `make` where it is not there; a failed promise is not kept. */
  get(key, make) {
    const value = this.entries.get(key) ?? make();
    this.entries.delete(key);
    this.entries.set(key, value);
    if (this.entries.size > this.limit) this.entries.delete(this.entries.keys().next().value);
    value.catch(() => this.entries.delete(key));
    return value;
  }

  has(key) {
    return this.entries.has(key);
  }

  delete(key) {
    this.entries.delete(key);
  }
}

export class Source {
  /** @param {string} run */
  constructor(run) {
    this.base = `/audits/${encodeURIComponent(run)}`;
    this.views = new Recent(KEPT);
    this.pictures = new Recent(KEPT);
    this.maps = new Recent(KEPT);
  }

  path(image, rest = "") {
    return `${this.base}/images/${encodeURIComponent(image)}${rest}`;
  }

  /** Facts of an image, perhaps some seconds old. */
  view(image) {
    return this.views.get(image, () => call("GET", this.path(image)));
  }

  /** Facts of an image as they are now. */
  fresh(image) {
    this.views.delete(image);
    return this.view(image);
  }

  /** Facts were changed in more than one image: ask again for all. */
  forgetViews() {
    this.views = new Recent(KEPT);
  }

  /** Stored pixels: {pixels, size, dtype}. */
  pixels(image) {
    return this.pictures.get(image, async () => picture(await raw(this.path(image, "/pixels"))));
  }

  /** Pixels with regions filled, as the plan would: {pixels, size, dtype}. */
  async cleansed(image, query, signal) {
    return picture(await raw(this.path(image, `/cleansed?${query}`), { signal }));
  }

  /** A saliency map: {values, width, height}. */
  saliency(image, method, compute = false) {
    const query = compute ? "?compute=true" : "";
    return this.maps.get(`${image}/${method}`, async () => {
      const response = await raw(this.path(image, `/saliency/${encodeURIComponent(method)}${query}`));
      const [width, height] = ["X-Width", "X-Height"].map((name) => Number(response.headers.get(name)));
      return { values: new Float32Array(await response.arrayBuffer()), width, height };
    });
  }

  /** The lung mask {values, size} of an image, or null. */
  lungs(image) {
    return this.maps.get(`${image} lungs`, async () => {
      const values = new Uint8Array(await (await raw(this.path(image, "/lungs"))).arrayBuffer());
      return { values, size: Math.round(Math.sqrt(values.length)) };
    });
  }

  history(image) {
    return call("GET", this.path(image, "/history"));
  }

  /**
   * The image after or before another one.
   * @param {string} image
   * @param {"next" | "previous"} direction
   * @param {URLSearchParams} filters
   * @param {boolean} skipDecided
   */
  neighbour(image, direction, filters, skipDecided) {
    const query = new URLSearchParams(filters);
    query.set("image", image);
    query.set("direction", direction);
    query.set("skip_decided", String(skipDecided));
    return call("GET", `${this.base}/next?${query}`);
  }

  /** Cells of the gallery from `offset` on. */
  cells(filters, offset, limit) {
    const query = new URLSearchParams(filters);
    query.set("offset", String(offset));
    query.set("limit", String(limit));
    return call("GET", `${this.base}/images?${query}`);
  }

  thumbnail(image) {
    return `/api${this.path(image, "/thumbnail?size=128")}`;
  }

  /** Fetch ahead; failures show when the image is asked for. */
  async prefetch(image) {
    const quiet = () => null;
    await Promise.all([this.view(image).catch(quiet), this.pixels(image).catch(quiet)]);
  }
}

async function picture(response) {
  const size = Number(response.headers.get("X-Size"));
  const dtype = /** @type {"uint8" | "uint16"} */ (response.headers.get("X-Dtype"));
  return { pixels: decode(await response.arrayBuffer(), dtype), size, dtype };
}
