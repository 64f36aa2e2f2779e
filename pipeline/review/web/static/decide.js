// Deciding whole findings: requests, and what the page shows afterwards. Used by the audit and the finding page.

import { call, newKey } from "./api.js";
import { announce, complain, notice, number, pageData } from "./page.js";

const page = pageData();
const base = `/audits/${encodeURIComponent(page.run)}`;
const VERDICTS = { accepted: "shortcut: remove", rejected: "false alarm", keep: "keep: clinically needed", unsure: "unsure" };
const REVIEW = { open: "to decide", second: "second reader needed", conflict: "readers disagree", decided: "decided" };
/** Card -> revision of the audit that it shows: what others did to one finding is news even after deciding another. */
const shown = new WeakMap();

/**
 * Decide a finding, or take the own decision back.
 * @param {HTMLElement} card the element with data-finding
 * @param {string} verdict "" takes it back
 */
export async function decide(card, verdict) {
  const button = card.querySelector(`[data-verdict="${verdict}"]`);
  if (button.getAttribute("aria-disabled") === "true") {
    announce(document.getElementById(button.getAttribute("aria-describedby")).textContent);
    return;
  }
  const comment = card.querySelector("[name=comment]");
  const request = {
    key: newKey(),
    target: { finding: card.dataset.finding },
    verdict: verdict || null,
    comment: comment.value.trim(),
    revision: shown.get(card) ?? page.revision,
  };
  card.setAttribute("aria-busy", "true");
  try {
    const outcome = await call("POST", `${base}/decisions`, request);
    shown.set(card, outcome.revision);
    comment.value = "";
    await refresh(card);
    announce(`${card.dataset.finding}: ${verdict ? VERDICTS[verdict] : "taken back"}.`);
  } catch (error) {
    if (error.status === 409) await catchUp(card);
    complain(error);
  } finally {
    card.removeAttribute("aria-busy");
  }
}

/** Undo or redo the reader's own last action, and show all cards as they are then. */
export async function step(action) {
  try {
    const outcome = await call("POST", `${base}/${action}`, { key: newKey() });
    const cards = [...document.querySelectorAll("[data-finding]")];
    for (const card of cards) shown.set(card, outcome.revision);
    await Promise.all(cards.map(refresh));
    notice(action === "undo" ? "Your last action was undone." : "Done again.");
  } catch (error) {
    complain(error);
  }
}

/** Somebody else decided meanwhile: take in what they did, so that the reader decides on what is seen. */
async function catchUp(card) {
  try {
    shown.set(card, (await call("GET", base)).revision);
    await refresh(card);
  } catch (error) {
    complain(error);
  }
}

async function refresh(card) {
  const view = await call("GET", `${base}/findings/${encodeURIComponent(card.dataset.finding)}`);
  for (const button of card.querySelectorAll("[data-verdict]")) {
    button.setAttribute("aria-pressed", String(view.own === button.dataset.verdict));
    if (button.dataset.verdict === "") button.hidden = view.own === null;
  }
  const chip = card.querySelector("[data-review]");
  chip.className = `chip ${view.review}`;
  chip.textContent = REVIEW[view.review] + (view.verdict ? ` · ${VERDICTS[view.verdict]}` : "");
  const open = card.querySelector("[data-open]");
  if (open) open.textContent = view.open ? `, ${number(view.open)} to decide` : "";
  const entry = document.querySelector(`[data-index="${CSS.escape(view.id)}"]`);
  if (entry) {
    entry.className = `index-state ${view.review}`;
    entry.textContent = REVIEW[view.review];
  }
}

/** Let the buttons and the comment of a card work. */
export function wire(card) {
  card.addEventListener("click", (event) => {
    const button = event.target.closest("[data-verdict]");
    if (button) decide(card, button.dataset.verdict);
  });
  card.querySelector("[name=comment]").addEventListener("keydown", (event) => {
    if (event.key === "Escape") card.focus();
  });
}

/** The keys that decide, for whichever card `current` answers. */
export function verdictKeys(current) {
  const deciding = (verdict, label) => ({ group: "Decide", label, run: () => decide(current(), verdict) });
  return {
    A: deciding("accepted", "Accept as shortcut"),
    R: deciding("rejected", "Reject: false alarm"),
    K: deciding("keep", "Keep: clinically needed"),
    U: deciding("unsure", "Unsure"),
    C: { group: "Decide", label: "Comment", run: () => current().querySelector("[name=comment]").focus() },
    "Ctrl+Z": { group: "Decide", label: "Undo", run: () => step("undo") },
    "Ctrl+Y": { group: "Decide", label: "Redo", run: () => step("redo") },
  };
}
