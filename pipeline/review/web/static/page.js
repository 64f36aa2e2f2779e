// What every page needs: its data, a voice for screen readers, notices, numbers.

/** The page's data, as the server wrote it into `#data`. */
export function pageData() {
  const element = document.getElementById("data");
  return element ? JSON.parse(element.textContent) : {};
}

/** Say something to screen readers without moving the focus. */
export function announce(text) {
  const region = document.getElementById("announce");
  region.textContent = "";
  requestAnimationFrame(() => { region.textContent = text; });
}

/**
 * Show a notice for a while; an error stays until it is closed.
 * @param {string} text
 * @param {"done" | "error"} [kind]
 */
export function notice(text, kind = "done") {
  const close = element("button", { type: "button", className: "quiet", textContent: "Close" });
  const box = element("div", { className: `notice ${kind}` }, [element("p", { textContent: text }), close]);
  close.addEventListener("click", () => box.remove());
  document.getElementById("notices").append(box);
  if (kind === "done") setTimeout(() => box.remove(), 6000);
}

/** Show what went wrong; a request that the page itself gave up is nothing. */
export function complain(error) {
  if (error.name === "AbortError") return;
  const changes = (error.changes ?? []).map((change) => change.words);
  notice([error.message, ...changes].join(" "), "error");
}

/** An element with properties and children; text goes in as text. */
export function element(name, properties = {}, children = []) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

/** 12345 -> "12,345". */
export function number(value) {
  return value.toLocaleString("en-GB");
}

/** (1, "image") -> "1 image"; (2000, "image") -> "2,000 images". */
export function count(value, noun) {
  return `${number(value)} ${noun}${value === 1 ? "" : "s"}`;
}
