// What is shown while the server has not answered yet: the image as it was told, with what the reader just did. No DOM.

/** @typedef {{type: "decide", region: string | string[], scope: string, verdict: string | null}} Decide */
/** @typedef {{type: "draw", kind: string, box: object} | {type: "change", region: string, box?: object, kind?: string}} Edit */
/** @typedef {{type: "delete", region: string}} Delete */

/**
 * Which regions of the same image a decision on `region` reaches.
 * @param {object} region  a RegionView
 * @param {string} scope  a Scope, or "finding"
 * @param {object[]} regions
 */
export function reachedHere(region, scope, regions) {
  const alike = {
    region: (other) => other.region_id === region.region_id,
    image: () => true,
    "same-text-and-place": (other) => ["kind", "text", "place"].every((name) => other[name] === region[name]),
    "same-cluster": (other) => other.region_id === region.region_id || (region.cluster !== null && other.cluster === region.cluster),
    finding: (other) => region.finding !== null && other.finding === region.finding,
  };
  return regions.filter(alike[scope]);
}

/**
 * The regions of a view with the unacknowledged requests of this image laid over them; these carry `unsaved: true`.
 * @param {{image_id: string, regions: object[]}} view
 * @param {{key: string, image: string, effect?: Decide | Edit | Delete}[]} requests  oldest first
 */
export function withPending(view, requests) {
  const here = requests.filter(({ image, effect }) => effect && image === view.image_id);
  return here.reduce((regions, request) => applied(regions, request), view.regions.map((region) => ({ ...region })));
}

function applied(regions, { key, effect }) {
  if (effect.type === "draw") return [...regions, drawn(key, effect)];
  const named = regions.filter(({ region_id }) => [effect.region].flat().includes(region_id));
  const reached = new Set(named.flatMap((region) => (effect.type === "decide" ? reachedHere(region, effect.scope, regions) : region)));
  return regions.map((each) => (reached.has(each) ? { ...each, ...changes(effect), unsaved: true } : each));
}

function changes(effect) {
  if (effect.type === "decide") {
    const status = effect.verdict === null ? "open" : "decided";
    return { verdict: effect.verdict, own: effect.verdict, by_rule: effect.scope === "finding", status };
  }
  if (effect.type === "delete") return { deleting: true };
  return Object.fromEntries(["box", "kind"].filter((name) => effect[name]).map((name) => [name, effect[name]]));
}

function drawn(key, { kind, box }) {
  return {
    region_id: `new-${key}`, kind, text: null, box, detector: "reviewer", confidence: 1, origin: "drawn", finding: null,
    cluster: null, look_alikes: 0, place: "", status: "open", verdict: null, by_rule: false, own: null, others: 0,
    share: null, enrichment: null, effect: null, held_back: null, unsaved: true,
  };
}

/** Whether this reader still has something to decide on it. */
export function isOpen(region) {
  return !region.deleting && region.own === null && region.status !== "decided";
}

/** Whether it may be accepted with others: what may be needed clinically is decided one by one. */
export function isSuggested(region) {
  return isOpen(region) && !region.held_back && region.kind !== "device" && !region.region_id.startsWith("new-");
}

/**
 * The region to look at after `id`: the next open one, from the start again after the end; null where none is open.
 * @param {object[]} regions
 * @param {string | null} id
 */
export function nextOpen(regions, id) {
  const at = regions.findIndex(({ region_id }) => region_id === id);
  const order = [...regions.slice(at + 1), ...regions.slice(0, at + 1)];
  return order.find(isOpen)?.region_id ?? null;
}

/** The region `step` further in the list; null past its ends, where `wrap` is off. */
export function stepFrom(regions, id, step, wrap = true) {
  if (!regions.length) return null;
  const at = regions.findIndex(({ region_id }) => region_id === id);
  const to = at < 0 ? (step > 0 ? 0 : regions.length - 1) : at + step;
  if (!wrap && (to < 0 || to >= regions.length)) return null;
  return regions[(to + regions.length) % regions.length].region_id;
}
