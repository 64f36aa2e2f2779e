// The gallery: a wall over all images that fit the filters, by mouse, finger and key.

import { call, newKey, query } from "./api.js";
import { fillCell, makeCell } from "./cells.js";
import { FilterForm } from "./filters.js";
import { ImagePages } from "./image-pages.js";
import { bind } from "./keys.js";
import { complain, count, notice, number, pageData } from "./page.js";
import { DecideDialog, MOST, Selection } from "./selection.js";
import { Wall } from "./wall.js";

const page = pageData();
const run = encodeURIComponent(page.run);
const total = document.getElementById("total");
const size = document.getElementById("size");
const form = new FilterForm(document.getElementById("filters"), document.getElementById("sort"), page, () => load(0));
const selection = new Selection(showSelection);
const decideDialog = new DecideDialog(page.run, selection, refresh);
const wall = new Wall(document.getElementById("wall"), { make: makeCell, fill }, seen);
/** @type {ImagePages} */
let images;
let here = 0;
let anchor = 0;
let waiting = 0;

load(Number(new URLSearchParams(location.hash.slice(1)).get("at")) || 0);
form.count();

function load(start) {
  images?.close();
  here = start;
  anchor = start;
  images = new ImagePages(page.run, form.chosen, arrived, complain);
  images.want(start, start);
}

/** The same images again, since something about them changed. */
function refresh() {
  images.forget();
  form.count();
  wall.draw(true);
}

function arrived() {
  if (images.total !== wall.total || images !== wall.shown) {
    wall.shown = images;
    here = Math.min(here, Math.max(0, images.total - 1));
    wall.layout({ total: images.total });
    if (here) wall.show(here);
    total.textContent = images.total ? count(images.total, "image") : "No image fits these filters.";
  } else {
    wall.draw(true);
  }
}

function seen(first, last) {
  clearTimeout(waiting);
  const want = () => last >= first && images.want(first, last);
  if (images.at(first) && images.at(last)) want();
  else waiting = setTimeout(want, 60);  // not for what only flies past
  wall.element.tabIndex = here >= first && here <= last ? -1 : 0;
}

function fill(cell, index) {
  const item = images.at(index);
  const how = { index, selected: Boolean(item) && selection.has(item.image_id), current: index === here };
  if (item) {
    how.address = `/audits/${run}/images/${item.image_id}?${query(form.chosen)}`;
    how.thumbnail = `/api/audits/${run}/images/${item.image_id}/thumbnail?size=${wall.cellWidth > 160 ? 256 : 128}`;
  }
  fillCell(cell, item, how);
}

/** Move the focus to an image. */
function go(index) {
  here = Math.min(Math.max(index, 0), wall.total - 1);
  wall.show(here);
  wall.draw(true);
  focusHere();
  remember();
}

function focusHere() {
  wall.show(here)?.firstElementChild.focus({ preventScroll: true });
}

/** So that the way back from an image leads here. */
function remember() {
  history.replaceState(null, "", `${location.pathname}${location.search}#at=${here}`);
}

function toggle(index) {
  const item = images.at(index);
  if (!item) return;
  anchor = index;
  selection.toggle(item.image_id);
}

async function selectRange(first, last) {
  try {
    selection.add(await images.ids(Math.min(first, last), Math.max(first, last)));
  } catch (error) {
    complain(error);
  }
}

function showSelection() {
  document.getElementById("selection").hidden = selection.size === 0;
  wall.element.classList.toggle("picking", selection.size > 0);
  document.getElementById("selected").textContent = `${number(selection.size)} selected`;
  wall.draw(true);
}

async function step(action) {
  try {
    await call("POST", `/audits/${run}/${action}`, { key: newKey() });
    notice(action === "undo" ? "Your last action was undone." : "Done again.");
    refresh();
  } catch (error) {
    complain(error);
  }
}

wall.element.addEventListener("click", (event) => {
  const cell = event.target.closest(".cell");
  if (!cell) return;
  const index = Number(cell.dataset.index);
  const picked = event.target.classList.contains("cell-pick");
  if (!picked && !event.shiftKey) {
    here = index;
    remember();
    return;
  }
  event.preventDefault();
  if (event.shiftKey) selectRange(anchor, index);
  else setTimeout(() => toggle(index));  // after the browser is done with the box
  here = index;
});
wall.element.addEventListener("focusin", (event) => {
  const cell = event.target.closest(".cell");
  if (event.target === wall.element) focusHere();
  else if (cell && Number(cell.dataset.index) !== here) here = Number(cell.dataset.index);
});
size.value = localStorage.getItem("gallery-size") ?? size.value;
wall.side = Number(size.value);
size.addEventListener("input", () => {
  localStorage.setItem("gallery-size", size.value);
  wall.layout({ side: Number(size.value) });
});
document.getElementById("select-none").addEventListener("click", () => selection.clear());
document.getElementById("select-all").addEventListener("click", () => selectRange(0, Math.min(images.total, MOST) - 1));
document.getElementById("decide-selected")?.addEventListener("click", () => decideDialog.open());
window.addEventListener("pageshow", (event) => event.persisted && refresh());

const move = (label, step) => ({ group: "Move", label, repeat: true, run: () => go(here + step()) });
bind({
  ArrowLeft: move("Left", () => -1),
  ArrowRight: move("Right", () => 1),
  ArrowUp: move("Up", () => -wall.columns),
  ArrowDown: move("Down", () => wall.columns),
  PageUp: move("A screen up", () => -wall.columns * wall.visibleRows),
  PageDown: move("A screen down", () => wall.columns * wall.visibleRows),
  Home: { group: "Move", label: "First image", run: () => go(0) },
  End: { group: "Move", label: "Last image", run: () => go(wall.total - 1) },
  Enter: { group: "Move", label: "Open the image", run: () => wall.show(here)?.firstElementChild.click() },
  X: { group: "Select", label: "Select or not", run: () => toggle(here) },
  "Shift+X": { group: "Select", label: "Select from the last selected to here", run: () => selectRange(anchor, here) },
  "Ctrl+A": { group: "Select", label: "Select all that fit", run: () => selectRange(0, Math.min(images.total, MOST) - 1) },
  Escape: { group: "Select", label: "Select none", run: () => selection.clear() },
  D: { group: "Decide", label: "Decide all selected", run: () => decideDialog.open() },
  "Ctrl+Z": { group: "Decide", label: "Undo", run: () => step("undo") },
  "Ctrl+Y": { group: "Decide", label: "Redo", run: () => step("redo") },
});
