// Where a decision is made: verdicts, what else it is for, its comment, and the question before a wide one.

import { element } from "../page.js";
import { count, reachWords, regionName, SCOPES, VERDICTS } from "./words.js";

const byId = (id) => document.getElementById(id);

/** The form below the regions; absent for viewers. */
export class Desk {
  constructor() {
    this.comment = byId("comment") ?? { value: "" };
    this.scope = byId("scope") ?? { value: "region" };
    this.asked = "";
    window.addEventListener("beforeunload", (event) => this.comment.value.trim() && event.preventDefault());
  }

  /**
   * @param {import("./review.js").Review} review
   * @param {import("./actions.js").Actions} actions
   */
  listen(review, actions) {
    if (!byId("decide")) return;
    for (const button of byId("decide").querySelectorAll("[data-verdict]")) {
      button.addEventListener("click", () => actions.decide(button.dataset.verdict));
    }
    byId("take-back").addEventListener("click", () => actions.decide(null));
    byId("decide").addEventListener("submit", (event) => event.preventDefault());
    this.scope.addEventListener("change", () => this.preview(review, actions));
    this.comment.addEventListener("keydown", (event) => event.key === "Escape" && byId("stage").focus());
  }

  /** Show what is selected. */
  show(review) {
    if (!byId("decide")) return;
    const { region } = review;
    const number = review.regions.findIndex(({ region_id }) => region_id === review.selected) + 1;
    byId("what").textContent = region ? `Region ${number}: ${regionName(region)}` : "No region selected";
    byId("take-back").hidden = !region || region.own === null;
    for (const button of byId("decide").querySelectorAll("[data-verdict]")) {
      button.disabled = !region;
      button.setAttribute("aria-pressed", String(region?.own === button.dataset.verdict));
    }
    this.offer(region);
  }

  /** The scopes that fit the region; another region starts from itself again. */
  offer(region) {
    const id = region?.region_id ?? "";
    if (this.asked === id) return;
    this.asked = id;
    const fits = { "same-cluster": region?.cluster && region.look_alikes > 1, finding: region?.finding };
    const scopes = SCOPES.filter(([name]) => !(name in fits) || fits[name]);
    this.scope.replaceChildren(...scopes.map(([value, textContent]) => element("option", { value, textContent })));
    this.scope.disabled = !region;
    this.forRegion();
  }

  /** What is decided next is for the selected region alone. */
  forRegion() {
    this.scope.value = "region";
    byId("reach").textContent = "";
  }

  /** Say how far the chosen scope reaches. */
  async preview(review, actions) {
    const { value } = this.scope;
    const { region } = review;
    byId("reach").textContent = value === "region" ? "" : "Counting …";
    if (value === "region" || !region) return;
    try {
      const words = reachWords(await actions.reach(region, value));
      if (this.scope.value === value && review.selected === region.region_id) byId("reach").textContent = words;
    } catch (error) {
      byId("reach").textContent = error.message;
    }
  }

  /** Ask before a decision on many regions. */
  confirm({ region, scope, verdict, reach }) {
    const dialog = byId("wide");
    const name = verdict ? VERDICTS[verdict].name : "Take back";
    const what = SCOPES.find(([value]) => value === scope)[1];
    byId("wide-title").textContent = `${name}: ${what}`;
    byId("wide-words").textContent = `${regionName(region)}. ${reachWords(reach)}`;
    byId("wide-kinds").replaceChildren(...Object.entries(reach.by_kind).map(([kind, number]) => (
      element("li", { textContent: `${kind}: ${number.toLocaleString("en")}` }))));
    byId("wide-go").textContent = `${name} ${count(reach.regions, "region")}`;
    dialog.returnValue = "";
    dialog.showModal();
    return new Promise((resolve) => {
      dialog.addEventListener("close", () => resolve(dialog.returnValue === "go"), { once: true });
    });
  }
}
