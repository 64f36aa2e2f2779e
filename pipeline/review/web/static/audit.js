// The audit page: move between findings, decide them, change how the audit is reviewed.

import { call } from "./api.js";
import { step, verdictKeys, wire } from "./decide.js";
import { bind } from "./keys.js";
import { announce, complain, pageData } from "./page.js";

const page = pageData();
const cards = [...document.querySelectorAll("[data-finding]")];
const links = new Map([...document.querySelectorAll(".index a")].map((link) => [link.hash.slice(1), link]));
let here = Math.max(0, cards.findIndex((card) => `#${card.id}` === location.hash));

cards.forEach((card, index) => {
  wire(card);
  card.addEventListener("focusin", () => mark(index));
});
links.forEach((link, id) => link.addEventListener("click", (event) => {
  event.preventDefault();
  go(cards.findIndex((card) => card.id === id));
}));
document.getElementById("undo").addEventListener("click", () => step("undo"));

/** One card at a time takes part in the tab order; the arrows move between them. */
function mark(index) {
  cards[here].tabIndex = -1;
  cards[here].classList.remove("here");
  links.get(cards[here].id)?.removeAttribute("aria-current");
  here = index;
  cards[here].tabIndex = 0;
  cards[here].classList.add("here");  // its buttons stay in sight
  const link = links.get(cards[here].id);
  link?.setAttribute("aria-current", "true");
  link?.scrollIntoView({ block: "nearest" });
}

function go(index) {
  const card = cards[Math.min(Math.max(index, 0), cards.length - 1)];
  card.focus({ preventScroll: true });
  card.scrollIntoView({ block: "start" });
  history.replaceState(null, "", `#${card.id}`);
}

function goToOpen() {
  const next = cards.findIndex((card, index) => index > here && card.querySelector("[data-review].open"));
  if (next < 0) announce("No finding further down is left to decide.");
  else go(next);
}

if (cards.length) {
  mark(here);
  bind({
    "ArrowDown N": { group: "Move", label: "Next finding", repeat: true, run: () => go(here + 1) },
    "ArrowUp P": { group: "Move", label: "Previous finding", repeat: true, run: () => go(here - 1) },
    O: { group: "Move", label: "Next finding to decide", run: goToOpen },
    G: { group: "Move", label: "Images of the finding", run: () => cards[here].querySelector('a[href*="/gallery"]')?.click() },
    ...verdictKeys(() => cards[here]),
  });
}

const settings = document.getElementById("settings");
document.getElementById("settings-open")?.addEventListener("click", () => settings.showModal());
settings?.addEventListener("close", async () => {
  if (settings.returnValue !== "save") return;
  const form = new FormData(settings.querySelector("form"));
  try {
    await call("PATCH", `/audits/${page.run}`, { readers: Number(form.get("readers")), blind: form.has("blind") });
    location.reload();
  } catch (error) {
    complain(error);
  }
});
