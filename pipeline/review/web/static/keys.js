// Keys of a page: bound once, shown by "?", remappable, and never fired while a person types.
//
//   bind({
//     "A": { label: "Accept as a shortcut", group: "Decide", run: () => decide("accepted") },
//     "N ArrowRight": { label: "Next", repeat: true, run: next },
//     "Shift": { label: "Hide overlays", hold: true, run: hide, release: show },
//     "/": focusFilter,                                  // a function alone: works, not listed in the help
//   });

import { chordOf, chordsOf } from "./chords.js";
import { openHelp } from "./keys-help.js";

/**
 * @typedef {object} Action
 * @property {(event: KeyboardEvent) => unknown} run  false: not handled, the browser does what it does
 * @property {string} [label]  shown in the help
 * @property {string} [group]  its heading there
 * @property {boolean} [repeat]  also while the key is held down; else once per press
 * @property {boolean} [hold]  `release` is called when the key goes up or the window loses the focus
 * @property {() => void} [release]
 * @property {string} [fixed]  what the help shows in place of chords that belong together, as "Shift+arrows"; not remappable
 */
/** @typedef {Action & {id: string, chords: string[]}} Bound */

const STORED = "keys";
const OFF = "keys-off";
const TYPING = "textarea, select, [contenteditable]:not([contenteditable=false]), input";
const NOT_TYPED = new Set(["button", "checkbox", "color", "file", "image", "radio", "range", "reset", "submit"]);
const STEPPED = "input[type=radio], input[type=range], [role=tab], [role=radio], [role=slider]";
const PRESSED = "button, a[href], summary, input, [role=button], [role=tab]";

/** @type {Map<string, Bound>} */
const bound = new Map();
/** @type {Map<string, Bound>} chord -> the action that is held down with it */
const held = new Map();
let listening = false;

/** The reader's own chords: id of an action (its default chords) -> chords. */
export function remapped() {
  try {
    const stored = JSON.parse(localStorage.getItem(STORED) ?? "{}");
    return stored && typeof stored === "object" ? stored : {};
  } catch {
    return {};
  }
}

/**
 * Bind actions to chords, e.g. {"N ArrowRight": next}. Returns a function that takes them off again.
 * @param {Record<string, Action | Action["run"]>} actions
 * @returns {() => void}
 */
export function bind(actions) {
  const own = remapped();
  const ids = Object.keys(actions);
  for (const id of ids) {
    const action = typeof actions[id] === "function" ? { run: actions[id] } : actions[id];
    bound.set(id, { ...action, id, chords: chordsOf(own[id] ?? id) });
  }
  listen();
  return () => ids.forEach((id) => bound.delete(id));
}

/** All actions of the page with their chords, in the order they were bound. */
export function bindings() {
  return [...bound.values()];
}

/**
 * Put an action on other chords; an empty text gives it its own back. Returns what already has one of them, if any:
 * then nothing is changed.
 * @param {string} id
 * @param {string} chords
 * @returns {Bound | null}
 */
export function remap(id, chords) {
  const wanted = chordsOf(chords || id);
  const other = bindings().find((action) => action.id !== id && action.chords.some((chord) => wanted.includes(chord)));
  const action = bound.get(id);
  if (other || !action) return other ?? null;
  action.chords = wanted;
  const own = remapped();
  delete own[id];
  localStorage.setItem(STORED, JSON.stringify(chords ? { ...own, [id]: chords } : own));
  return null;
}

/** Give all actions of all pages their own chords back. */
export function resetKeys() {
  localStorage.removeItem(STORED);
  for (const action of bound.values()) action.chords = chordsOf(action.id);
}

/** Whether keys without Ctrl or Alt work; people who speak to their computer may want them off. */
export function keysOn() {
  return localStorage.getItem(OFF) !== "yes";
}

/** @param {boolean} on */
export function switchKeys(on) {
  if (on) localStorage.removeItem(OFF);
  else localStorage.setItem(OFF, "yes");
}

/** The first chord of an action as bound now, for buttons that name their key; "" where it has none. */
export function chordFor(id) {
  return bound.get(id)?.chords[0] ?? "";
}

/** Whether a key belongs to the element that has the focus rather than to the page. */
function taken(chord, target) {
  if (!(target instanceof Element)) return false;
  const typed = target.closest(TYPING);
  if (typed && !(typed instanceof HTMLInputElement && NOT_TYPED.has(typed.type))) return true;
  if (/^(Arrow|Home|End|Page)/.test(chord) && target.closest(STEPPED)) return true;
  return /^(Shift\+)?(Space|Enter)$/.test(chord) && Boolean(target.closest(PRESSED));
}

function onKeyDown(event) {
  const chord = chordOf(event);
  if (!chord || event.defaultPrevented || event.isComposing || document.querySelector("dialog[open]")) return;
  if (taken(chord, event.target) || (!keysOn() && chord !== "?" && !/^(Ctrl|Alt)\+/.test(chord))) return;
  const action = bindings().find((each) => each.chords.includes(chord));
  if (!action) return;
  if (event.repeat && !action.repeat) {
    event.preventDefault();
    return;
  }
  if (action.run(event) === false) return;
  event.preventDefault();
  if (action.hold) held.set(event.key, action);
}

function release(key) {
  held.get(key)?.release?.();
  held.delete(key);
}

function listen() {
  if (listening) return;
  listening = true;
  bound.set("?", { id: "?", label: "All keys", group: "Page", chords: chordsOf(remapped()["?"] ?? "?"), run: openHelp });
  document.addEventListener("keydown", onKeyDown);
  document.addEventListener("keyup", (event) => release(event.key));
  window.addEventListener("blur", () => [...held.keys()].forEach(release));
  const button = document.getElementById("keys-help");
  button?.removeAttribute("hidden");
  button?.addEventListener("click", openHelp);
}
