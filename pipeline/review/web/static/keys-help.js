// The list of keys of a page, where each can be changed.

import { chordOf, chordWords } from "./chords.js";
import { bindings, keysOn, remap, remapped, resetKeys, switchKeys } from "./keys.js";
import { element } from "./page.js";

const sheet = document.createElement("link");
sheet.rel = "stylesheet";
sheet.href = new URL("./keys.css", import.meta.url).href;
document.head.append(sheet);

/** Heading of what has none of its own; the last one. */
const PAGE = "Page";

/** @type {HTMLDialogElement | null} */
let dialog = null;

/** Show the keys of the page. */
export function openHelp() {
  dialog ??= document.body.appendChild(makeDialog());
  fill(dialog);
  dialog.showModal();
}

function makeDialog() {
  const made = element("dialog", { className: "keys-help" });
  made.setAttribute("aria-labelledby", "keys-help-title");
  made.addEventListener("click", (event) => event.target === made && made.close());
  return made;
}

function fill(into) {
  const title = element("h2", { id: "keys-help-title", textContent: "Keys" });
  const close = element("button", { type: "button", textContent: "Close" });
  close.addEventListener("click", () => into.close());
  const said = element("p", { className: "keys-said" });
  said.setAttribute("role", "status");
  const groups = element("div", { className: "keys-groups" });
  for (const [name, actions] of grouped()) {
    const rows = actions.map((action) => row(action, said));
    groups.append(element("section", {}, [element("h3", { textContent: name }), element("dl", {}, rows)]));
  }
  into.replaceChildren(element("header", {}, [title, close]), groups, said, foot(into));
}

function grouped() {
  const groups = new Map();
  for (const action of bindings().filter((each) => each.label)) {
    const name = action.group ?? PAGE;
    groups.set(name, [...(groups.get(name) ?? []), action]);
  }
  return [...groups].sort(([a], [b]) => Number(a === PAGE) - Number(b === PAGE));
}

function row(action, said) {
  return element("div", {}, [element("dt", { textContent: action.label }), element("dd", {}, [keysOf(action, said)])]);
}

function keysOf(action, said) {
  if (action.fixed) return element("kbd", { textContent: chordWords(action.fixed) });
  const change = element("button", { type: "button", className: "keys-change" });
  show(change, action);
  change.addEventListener("click", () => listenFor(change, action, said));
  return change;
}

function show(button, action) {
  const kbds = action.chords.map((chord) => element("kbd", { textContent: chordWords(chord) }));
  button.replaceChildren(...kbds.flatMap((kbd, i) => (i ? [" ", kbd] : [kbd])));
  button.setAttribute("aria-label", `${action.label}: ${action.chords.map(chordWords).join(" or ")}. Change`);
  button.classList.toggle("keys-own", action.id in remapped());
}

/** Take the next key press as the action's chord; Escape leaves it as it was. */
function listenFor(button, action, said) {
  const done = (words) => {
    button.removeEventListener("keydown", onKey);
    button.removeEventListener("blur", onBlur);
    button.classList.remove("keys-waiting");
    show(button, action);
    said.textContent = words;
  };
  const onBlur = () => done("");
  const onKey = (event) => {
    const chord = chordOf(event);
    if (!chord || chord === "Shift" || chord === "Tab") return;
    event.preventDefault();
    event.stopPropagation();
    if (chord === "Escape") return done("Not changed.");
    const other = remap(action.id, chord);
    const words = chordWords(chord);
    done(other ? `${words} is taken by “${other.label ?? other.id}”.` : `“${action.label}” is ${words} now.`);
  };
  said.textContent = `Press the new key for “${action.label}”; Esc leaves it as it is.`;
  button.classList.add("keys-waiting");
  button.replaceChildren("press a key");
  button.addEventListener("keydown", onKey);
  button.addEventListener("blur", onBlur);
}

function foot(into) {
  const reset = element("button", { type: "button", textContent: "Original keys" });
  reset.addEventListener("click", () => {
    resetKeys();
    fill(into);
  });
  const box = element("input", { type: "checkbox", checked: keysOn() });
  box.addEventListener("change", () => switchKeys(box.checked));
  const label = element("label", { className: "inline" }, [box, "Single keys work (off: only those with Ctrl)"]);
  return element("footer", {}, [label, reset]);
}
