// Windows on a long list of images: fetched in pages by offset, a few of them kept, requests nobody waits for aborted.

import { call, query } from "./api.js";

const LIMIT = 200;
const KEPT = 12;

/** The images of an audit that fit some filters, in some order. */
export class ImagePages {
  /** @type {Map<number, object[]>} by page number, the one used last at the end */
  #pages = new Map();
  /** @type {Map<number, AbortController>} */
  #asked = new Map();

  /**
   * @param {string} run
   * @param {Record<string, string>} filters with `sort`
   * @param {() => void} arrived called when something new can be shown
   * @param {(error: Error) => void} failed
   */
  constructor(run, filters, arrived, failed) {
    this.path = `/audits/${encodeURIComponent(run)}/images`;
    this.filters = filters;
    this.arrived = arrived;
    this.failed = failed;
    this.total = null;
    this.revision = null;
  }

  /** The item at `index`, or undefined where it has not arrived. */
  at(index) {
    return this.#pages.get(Math.floor(index / LIMIT))?.[index % LIMIT];
  }

  /** Have the items `first` to `last` fetched; requests for others are given up. */
  want(first, last) {
    const wanted = new Set();
    for (let page = Math.floor(first / LIMIT); page <= Math.floor(last / LIMIT); page += 1) wanted.add(page);
    for (const [page, controller] of this.#asked) {
      if (!wanted.has(page)) controller.abort();
    }
    for (const page of wanted) {
      if (this.#pages.has(page)) this.#keep(page, this.#pages.get(page));
      else if (!this.#asked.has(page)) this.#fetch(page);
    }
  }

  /** Ids of the images `first` to `last`, as far as there are that many. */
  async ids(first, last) {
    const ids = [];
    for (let offset = first; offset <= last; offset = first + ids.length) {
      const window = { ...this.filters, offset, limit: Math.min(500, last - offset + 1) };
      const { items } = await call("GET", `${this.path}?${query(window)}`);
      if (!items.length) break;
      ids.push(...items.map((item) => item.image_id));
    }
    return ids;
  }

  /** Forget what was fetched: it changed. */
  forget() {
    this.close();
    this.#pages.clear();
  }

  /** Give up all requests. */
  close() {
    for (const controller of this.#asked.values()) controller.abort();
    this.#asked.clear();
  }

  async #fetch(page) {
    const controller = new AbortController();
    this.#asked.set(page, controller);
    try {
      const window = query({ ...this.filters, offset: page * LIMIT, limit: LIMIT });
      const answer = await call("GET", `${this.path}?${window}`, undefined, { signal: controller.signal });
      if (this.revision !== null && answer.revision !== this.revision) this.#pages.clear();
      this.revision = answer.revision;
      this.total = answer.total;
      this.#keep(page, answer.items);
      this.arrived();
    } catch (error) {
      if (error.name !== "AbortError") this.failed(error);
    } finally {
      if (this.#asked.get(page) === controller) this.#asked.delete(page);
    }
  }

  #keep(page, items) {
    this.#pages.delete(page);
    this.#pages.set(page, items);
    for (const old of this.#pages.keys()) {
      if (this.#pages.size <= KEPT) break;
      this.#pages.delete(old);
    }
  }
}
