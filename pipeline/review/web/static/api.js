// Requests to the JSON API. Every request that changes something carries the page's CSRF token.

const TRIES = 10;

/** What the server refused, and why. */
export class ApiError extends Error {
  /**
   * @param {number} status HTTP status, 0 where no answer came
   * @param {{code?: string, message?: string, changes?: object[]}} error
   */
  constructor(status, { code = "error", message = `The server answered ${status}.`, changes = [] } = {}) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.changes = changes;
  }
}

/** The headers that a request of `method` needs. */
export function headers(method) {
  const token = document.querySelector('meta[name="csrf-token"]')?.content ?? "";
  return method === "GET" ? {} : { "X-CSRF-Token": token };
}

/** A new name for a request: sent twice under it, it is done once. */
export function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * Send one request; what it answers, parsed.
 * @param {"GET" | "POST" | "PATCH"} method
 * @param {string} path below /api, e.g. "/audits/r1/decisions"
 * @param {object} [body] sent as JSON
 * @param {{signal?: AbortSignal}} [options]
 * @throws {ApiError} for every refusal; an aborted request throws the browser's AbortError
 */
export async function call(method, path, body, { signal } = {}) {
  const send = () => reach(`/api${path}`, {
    method,
    signal,
    credentials: "same-origin",
    headers: { Accept: "application/json", ...headers(method), ...(body && { "Content-Type": "application/json" }) },
    body: body && JSON.stringify(body),
  });
  let response = await (method === "GET" ? patiently(send, signal) : send());
  if (response.status === 403 && method !== "GET" && await signedInAgain(signal)) response = await send();
  const answer = await response.json().catch(() => null);
  if (!response.ok) throw new ApiError(response.status, answer?.error);
  return answer;
}

/**
 * Raw values: the answer itself, of which the caller reads headers and `arrayBuffer()`.
 * @param {string} path below /api
 * @param {{signal?: AbortSignal}} [options]
 */
export async function raw(path, { signal } = {}) {
  const response = await patiently(() => reach(`/api${path}`, { signal, credentials: "same-origin" }), signal);
  if (!response.ok) throw new ApiError(response.status, (await response.json().catch(() => null))?.error);
  return response;
}

/** The query of `values` without those that are null, undefined or "". */
export function query(values) {
  const given = Object.entries(values).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
}

/** Asks again where too many ask for slow work at once: at most `TRIES` times, as late as the server says. */
async function patiently(send, signal) {
  let response = await send();
  for (let tries = 1; response.status === 429 && tries < TRIES && !signal?.aborted; tries += 1) {
    const seconds = Number(response.headers.get("Retry-After")) || 1;
    await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
    response = await send();
  }
  return response;
}

/**
 * Whether the reader signed in again since the page was loaded; then the page has the new session's token.
 * @throws {ApiError} 401 where it is somebody else who signed in: what the one did must not be saved for the other
 */
async function signedInAgain(signal) {
  const ours = document.querySelector('meta[name="csrf-token"]');
  const response = await reach("/api/me", { signal, credentials: "same-origin" });
  const token = response.headers.get("X-CSRF-Token");
  if (!ours || !response.ok || !token || token === ours.content) return false;
  const { name } = await response.json();
  if (name !== ours.dataset.actor) {
    throw new ApiError(401, { code: "signed-out", message: `${name} is signed in now. Sign in as ${ours.dataset.actor} again.` });
  }
  ours.content = token;
  return true;
}

async function reach(address, request) {
  try {
    return await fetch(address, request);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, { code: "unreachable", message: "The server does not answer. Nothing was changed; try again." });
  }
}
