// Requests that change something: sent one after the other, each until the server has answered it.
//
// A request that got no answer is sent again under its own key, which the server does once. Until it was answered it
// counts as not saved: it is shown so, kept over a reload of the page, and leaving warns.
//
// Events: "saved" {request, outcome} and "refused" {request, error}, each once a request; "change" after anything.

import { ApiError, call } from "../api.js";

/**
 * @typedef {object} Request
 * @property {string} key
 * @property {"POST" | "PATCH"} method
 * @property {string} path  below /api
 * @property {Record<string, unknown>} body  with the key
 * @property {string} image  where it was made
 * @property {string} words  what it does, for the reader
 * @property {object} [effect]  what the page shows meanwhile, see pending.js
 */

const TIMEOUT = 15_000;
const WAITS = [1000, 2000, 4000, 8000, 15_000];

/** Whether another try may succeed: no answer, a server in trouble, too many requests, signed out. */
export function worthRetrying(error) {
  return error.status === 0 || error.status >= 500 || [401, 408, 425, 429].includes(error.status);
}

export class Outbox extends EventTarget {
  /**
   * @param {string} name  of the store in this tab, where requests outlive a reload
   * @param {typeof call} [send]
   */
  constructor(name, send = call) {
    super();
    this.name = name;
    this.send = send;
    /** @type {Request[]} not acknowledged, oldest first */
    this.pending = [];
    /** @type {ApiError | null} why the first request is not saved yet; null while it is on its way */
    this.trouble = null;
    this.tries = 0;
    this.busy = false;
    this.timer = 0;
    window.addEventListener("beforeunload", (event) => this.pending.length && event.preventDefault());
    window.addEventListener("online", () => this.now());
  }

  /** Send again what was not acknowledged when the page was left. */
  resume() {
    try {
      this.pending.push(...JSON.parse(sessionStorage.getItem(this.name) ?? "[]"));
    } catch {
      return;  // not ours
    }
    this.changed();
    this.work();
  }

  /** Send a request after those before it. */
  add(/** @type {Request} */ request) {
    this.pending.push(request);
    this.changed();
    this.work();
  }

  /** Try again at once. */
  now() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.work();
  }

  async work() {
    if (this.busy || this.timer || !this.pending.length) return;
    this.busy = true;
    const request = this.pending[0];
    try {
      const signal = AbortSignal.timeout(TIMEOUT);
      this.done("saved", { request, outcome: await this.send(request.method, request.path, request.body, { signal }) });
    } catch (caught) {
      const error = caught instanceof ApiError ? caught : new ApiError(0, { message: "The server does not answer." });
      if (worthRetrying(error)) this.retryLater(error);
      else this.done("refused", { request, error });
    }
    this.busy = false;
    this.work();
  }

  /** Take the first request out; listeners hear of it before anything is drawn without it. */
  done(type, detail) {
    this.pending.shift();
    this.trouble = null;
    this.tries = 0;
    this.dispatchEvent(new CustomEvent(type, { detail }));
    this.changed();
  }

  retryLater(error) {
    this.trouble = error;
    const wait = WAITS[Math.min(this.tries, WAITS.length - 1)];
    this.tries += 1;
    this.timer = setTimeout(() => this.now(), wait);
    this.changed();
  }

  changed() {
    sessionStorage.setItem(this.name, JSON.stringify(this.pending));
    this.dispatchEvent(new Event("change"));
  }
}
