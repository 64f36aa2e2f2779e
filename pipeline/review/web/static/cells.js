// One cell of the gallery: a thumbnail that opens the image, a box that selects it, its label and its state.

import { element } from "./page.js";

const STATES = { open: "to decide", second: "second reader needed", conflict: "readers disagree", decided: "decided" };

/** An empty cell. */
export function makeCell() {
  const picture = element("img", { alt: "", decoding: "async", loading: "lazy" });
  const score = element("span", { className: "cell-score" });
  const state = element("span", { className: "cell-state" });
  const foot = element("span", { className: "cell-foot" }, [state, element("span", { className: "cell-label" })]);
  const tag = element("span", { className: "cell-tag", textContent: "⚑", title: "marked for a second reader" });
  const link = element("a", { tabIndex: -1 }, [picture, score, foot, tag]);
  const pick = element("input", { type: "checkbox", className: "cell-pick", tabIndex: -1 });
  const cell = element("div", { className: "cell" }, [link, pick]);
  cell.setAttribute("role", "gridcell");
  return cell;
}

/**
 * Show an item in a cell.
 * @param {HTMLElement} cell
 * @param {object | undefined} item undefined while it has not arrived
 * @param {{index: number, address: string, thumbnail: string, selected: boolean, current: boolean}} how
 */
export function fillCell(cell, item, how) {
  const [link, pick] = cell.children;
  cell.dataset.index = String(how.index);
  cell.setAttribute("aria-selected", String(how.selected));
  link.tabIndex = how.current ? 0 : -1;
  if (document.activeElement === link && !how.current) link.blur();
  pick.checked = how.selected;
  const [picture, score, foot, tag] = link.children;
  const [state, label] = foot.children;
  const words = item ? wordsOf(item) : "loading";
  link.setAttribute("aria-label", words);
  pick.setAttribute("aria-label", `Select image ${item?.row ?? ""}`);
  show(picture, item && how.thumbnail);
  score.style.transform = `scaleX(${item?.score ?? 0})`;
  tag.hidden = !item?.tagged;
  if (!item) {
    link.removeAttribute("href");
    state.className = "cell-state none";
    label.textContent = "";
    return;
  }
  link.href = how.address;
  link.title = words;
  state.className = `cell-state ${item.regions ? item.status : "none"}`;
  label.textContent = item.label ? `${item.row} · ${item.label}` : `image ${item.row}`;
}

/** A picture that is already right is left alone: setting it again would blink. */
function show(picture, source) {
  if (picture.dataset.source === (source ?? "")) return;
  picture.dataset.source = source ?? "";
  if (source) picture.src = source;
  else picture.removeAttribute("src");
}

function wordsOf(item) {
  const said = [
    `Image ${item.row}`,
    item.label && `labelled ${item.label}`,
    item.predicted && `predicted ${item.predicted}`,
    item.source && `from ${item.source}`,
    `score ${item.score.toFixed(2)}`,
    item.regions ? `${item.regions} regions, ${item.open} to decide, ${STATES[item.status]}` : "no regions",
    item.tagged && "marked for a second reader",
  ];
  return said.filter(Boolean).join(", ");
}
