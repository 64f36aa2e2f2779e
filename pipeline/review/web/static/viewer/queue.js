// Where the reader is in the queue: how much is left, which filters hold, the images around this one.

import { element } from "../page.js";
import { addressOf, filterWords, galleryOf } from "./address.js";

const AROUND = 3;
const LIMIT = 12;

const byId = (id) => document.getElementById(id);
const STATES = { open: "open", second: "second reader", conflict: "conflict", decided: "decided" };

/** Links and filters that stay while images pass. */
export function showFilters({ place }) {
  const words = filterWords(place.filters);
  byId("filters").textContent = words ? `Only ${words}` : "";
  for (const link of document.querySelectorAll("[data-gallery]")) link.href = galleryOf(place);
}

/** @param {{position: number, total: number, left: number}} progress */
export function showProgress({ position, total, left }) {
  byId("left").textContent = left.toLocaleString("en");
  byId("position").textContent = position ? `${position.toLocaleString("en")} of ${total.toLocaleString("en")}` : "outside the filters";
  Object.assign(byId("progress"), { max: Math.max(total, 1), value: total - left });
}

/**
 * The images around this one, as the filters order them.
 * @param {import("./review.js").Review} review
 * @param {number} position  1-based; 0 outside the filters
 */
export async function showNeighbours(review, position) {
  if (!byId("neighbours").offsetParent) return;
  const { image, filters } = review.place;
  const [page] = await review.arrived(image, review.source.cells(filters, Math.max(position - 1 - AROUND, 0), LIMIT));
  if (!page) return;
  byId("neighbours").replaceChildren(...page.items.map((item) => cell(review, item)));
  byId("neighbours").querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
}

function cell(review, item) {
  const here = item.image_id === review.place.image;
  const name = `image ${item.row}`;
  const picture = element("img", { src: review.source.thumbnail(item.image_id), alt: "", width: 44, height: 44, loading: "lazy" });
  const state = element("span", { className: "muted", textContent: item.regions ? STATES[item.status] : "no region" });
  const link = element("a", { href: addressOf({ ...review.place, image: item.image_id, region: null }) }, [
    picture, element("span", {}, [name, element("br"), state]),
  ]);
  if (here) link.setAttribute("aria-current", "page");
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    review.open(item.image_id);
  });
  return element("li", {}, [link]);
}
