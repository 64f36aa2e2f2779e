// What a reader chose, kept in the browser.

const STORED = "viewer";
const DEFAULTS = {
  autoAdvance: true, skipDecided: true, opacity: 0.55, panes: 0, cleansed: "suggested", kind: "mark", method: "", tool: "window",
};

const values = { ...DEFAULTS, ...read() };

function read() {
  try {
    return JSON.parse(localStorage.getItem(STORED) ?? "{}");
  } catch {
    return {};
  }
}

/** The settings; `change` them, so that they are kept. */
export const settings = /** @type {Readonly<typeof DEFAULTS>} */ (values);

/** @param {Partial<typeof DEFAULTS>} changes */
export function change(changes) {
  Object.assign(values, changes);
  localStorage.setItem(STORED, JSON.stringify(values));
}
