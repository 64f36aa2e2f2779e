// Where the reviewer is: /audits/{run}/images/{image}?filters&sort&region=ID. No DOM here.

/** @typedef {{run: string, image: string, region: string | null, filters: URLSearchParams}} Place */

const FILTERS = [
  "kind", "finding", "label", "source", "split", "status", "cluster", "saliency_cluster", "origin", "explained", "tagged",
  "held_back", "score_min", "score_max", "sort",
];

/**
 * Parameters of the address that the API does not know are dropped.
 * @param {{pathname: string, search: string}} location
 * @returns {Place}
 */
export function placeOf({ pathname, search }) {
  const [, run, image] = pathname.match(/\/audits\/([^/]+)\/images\/([^/]+)/) ?? ["", "", ""];
  const query = new URLSearchParams(search);
  const filters = new URLSearchParams([...query].filter(([name, value]) => FILTERS.includes(name) && value));
  return { run: decodeURIComponent(run), image: decodeURIComponent(image), region: query.get("region"), filters };
}

/** @param {Place} place */
export function addressOf({ run, image, region, filters }) {
  const query = new URLSearchParams(filters);
  if (region) query.set("region", region);
  const text = query.toString();
  return `/audits/${encodeURIComponent(run)}/images/${encodeURIComponent(image)}${text ? `?${text}` : ""}`;
}

/** The gallery with the same filters, and more of them. */
export function galleryOf({ run, filters }, more = null) {
  const query = new URLSearchParams(more ?? filters).toString();
  return `/audits/${encodeURIComponent(run)}/gallery${query ? `?${query}` : ""}`;
}

/** Filters in words: "kind side, status open"; the sort order is none. */
export function filterWords(filters) {
  const words = { score_min: "score from", score_max: "score to", saliency_cluster: "read alike", held_back: "held back" };
  return [...filters].filter(([name]) => name !== "sort").map(([name, value]) => `${words[name] ?? name} ${value}`).join(", ");
}
