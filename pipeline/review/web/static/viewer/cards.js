// The regions of the image as a list: all that the panes show, for readers with and without a mouse or eyes.

import { element } from "../page.js";
import { galleryOf } from "./address.js";
import { count, markOf, percent, reasons, regionName, VERDICTS } from "./words.js";

/**
 * @typedef {object} Hand
 * @property {(id: string) => void} select
 * @property {(verdict: string, id: string) => void} decide
 * @property {boolean} decides  whether this reader may
 */

/**
 * Show the regions; the focus stays on the control it was on.
 * @param {HTMLElement} list
 * @param {import("./review.js").Review} review
 * @param {Hand} hand
 */
export function showCards(list, review, hand) {
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset.focus : null;
  const cards = review.regions.map((region, index) => card(region, index + 1, review, hand));
  list.replaceChildren(...cards);
  if (focused) list.querySelector(`[data-focus="${focused}"]`)?.focus();
}

/** Bring the card of the selected region into sight. */
export function revealCard(list) {
  list.querySelector(".selected")?.scrollIntoView({ block: "nearest" });
}

function card(region, number, review, hand) {
  const selected = region.region_id === review.selected;
  const item = element("li", { className: selected ? "region selected" : "region" });
  item.append(line(region, number, selected, hand));
  if (selected) item.append(why(region, review));
  return item;
}

function line(region, number, selected, hand) {
  const mark = markOf(region.verdict);
  const sign = element("span", { className: `mark ${region.verdict ?? "open"}`, textContent: `${number} ${mark.letter}` });
  const words = [regionName(region)];
  if (!selected && region.share >= 0.01) words.push(percent(region.share));
  if (region.unsaved) words.push("not saved");
  const name = element("button", { type: "button", className: "region-name" }, [sign, element("span", { textContent: words.join(" · ") })]);
  name.dataset.focus = `name-${region.region_id}`;
  name.setAttribute("aria-label", `Region ${number}, ${regionName(region)}, ${region.place || "new"}, ${stateWords(region)}`);
  if (selected) name.setAttribute("aria-current", "true");
  name.addEventListener("click", () => hand.select(region.region_id));
  const letters = hand.decides ? Object.keys(VERDICTS).map((verdict) => letter(verdict, region, number, hand)) : [];
  return element("div", { className: "region-line" }, [name, ...letters]);
}

function letter(verdict, region, number, hand) {
  const { letter: text, name, means } = VERDICTS[verdict];
  const button = element("button", { type: "button", className: "letter", textContent: text, title: `${name}: ${means}` });
  button.dataset.focus = `${verdict}-${region.region_id}`;
  button.setAttribute("aria-label", `${name} region ${number}, ${regionName(region)}`);
  button.setAttribute("aria-pressed", String(region.own === verdict));
  button.addEventListener("click", () => hand.decide(verdict, region.region_id));
  return button;
}

/** "accepted by its finding's rule, not saved yet": where a region stands. */
export function stateWords(region) {
  const words = [region.verdict ? VERDICTS[region.verdict].done : "open"];
  if (region.by_rule && region.verdict) words.push("by the rule of its finding");
  if (region.status === "conflict") words.push("readers disagree");
  if (region.status === "second") words.push("waits for a second reader");
  if (region.others) words.push(`${count(region.others, "other reader")} decided`);
  if (region.deleting) words.push("being deleted");
  if (region.unsaved) words.push("not saved yet");
  return words.join(", ");
}

function why(region, review) {
  const { run } = review.place;
  const rows = [["State", stateWords(region)], ["Place", region.place], ["Found by", foundBy(region)], ...reasons(region)];
  const pairs = rows.filter(([, words]) => words).flatMap(([name, words]) => [
    element("dt", { textContent: name }),
    element("dd", { textContent: words, className: name === "State" && region.unsaved ? "unsaved" : "" }),
  ]);
  const links = [];
  if (region.finding) links.push(link(`/audits/${encodeURIComponent(run)}/findings/${encodeURIComponent(region.finding)}`, `Finding ${region.finding}`));
  if (region.cluster && region.look_alikes > 1) links.push(link(galleryOf({ run }, { cluster: region.cluster }), `${count(region.look_alikes, "look-alike")}`));
  return element("div", { className: "why" }, [element("dl", {}, pairs), element("div", { className: "row" }, links)]);
}

function foundBy({ detector, confidence, origin }) {
  return origin === "drawn" ? "a reviewer" : `${detector}, ${percent(confidence)} sure`;
}

function link(href, textContent) {
  return element("a", { href, textContent });
}
