// Keys as text: "A", "Shift+A", "Ctrl+Z", "Space", "ArrowLeft", "[". No DOM here.

const MODIFIERS = ["Ctrl", "Alt", "Shift"];
const LONE = new Set(["Control", "Alt", "Meta", "AltGraph", "CapsLock", "Dead", "Unidentified", "Process"]);

/**
 * The chord of a keyboard event, or null where it is none of its own (a lone Ctrl, a dead key).
 *
 * Letters are upper case; Shift counts with letters and named keys only, since "?" or "+" need it on some keyboards
 * and not on others. Command counts as Ctrl. Shift alone is the chord "Shift".
 * @param {{key: string, ctrlKey?: boolean, metaKey?: boolean, altKey?: boolean, shiftKey?: boolean}} event
 * @returns {string | null}
 */
export function chordOf(event) {
  const { key } = event;
  if (!key || LONE.has(key)) return null;
  if (key === "Shift") return "Shift";
  const letter = key.length === 1 && key.toLowerCase() !== key.toUpperCase();
  const name = key === " " ? "Space" : letter ? key.toUpperCase() : key;
  const parts = [];
  if (event.ctrlKey || event.metaKey) parts.push("Ctrl");
  if (event.altKey) parts.push("Alt");
  if (event.shiftKey && (letter || name.length > 1)) parts.push("Shift");
  return [...parts, name].join("+");
}

/**
 * The same chord however it was written: "shift + a" is "Shift+A".
 * @param {string} text
 * @returns {string}
 */
export function normalChord(text) {
  const plus = text.trim() === "+" || /\+\s*\+$/.test(text);
  const parts = text.split("+").map((part) => part.trim()).filter(Boolean);
  const key = plus ? "+" : parts.pop() ?? "";
  const held = MODIFIERS.filter((name) => parts.some((part) => part.toLowerCase() === name.toLowerCase()));
  return [...held, key.length === 1 ? key.toUpperCase() : key].join("+");
}

/**
 * The chords of a binding, as "N ArrowRight".
 * @param {string} text
 * @returns {string[]}
 */
export function chordsOf(text) {
  return text.split(/\s+/).filter(Boolean).map(normalChord);
}

const WORDS = {
  ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓", Delete: "Del", Escape: "Esc", "-": "−",
};

/**
 * A chord as a reader sees it: "Ctrl+ArrowLeft" is "Ctrl + ←".
 * @param {string} chord
 * @returns {string}
 */
export function chordWords(chord) {
  if (chord === "+") return "+";
  return chord.replace(/\+\+$/, "+Plus").split("+").map((part) => WORDS[part] ?? part).join(" + ");
}
