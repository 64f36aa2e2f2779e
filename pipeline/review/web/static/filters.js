// The gallery's filters: a form whose state is the page's address, with the number of images of each value.

import { call, query } from "./api.js";
import { complain, number } from "./page.js";

export class FilterForm {
  /**
   * @param {HTMLFormElement} form
   * @param {HTMLSelectElement} sort
   * @param {{run: string, words: Record<string, Record<string, string>>}} page words for values, by filter
   * @param {() => void} changed
   */
  constructor(form, sort, page, changed) {
    Object.assign(this, { form, sort, page });
    const tell = () => {
      history.replaceState(null, "", [location.pathname, query(this.chosen)].filter(Boolean).join("?"));
      this.mark();
      this.count();
      changed();
    };
    form.addEventListener("change", tell);
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("reset", (event) => {
      event.preventDefault();
      for (const field of form.elements) if (field.name) field.value = "";
      tell();
    });
    sort.addEventListener("change", tell);
    this.mark();
  }

  /** What is chosen, with the order: the query of requests and of the page itself. */
  get chosen() {
    const given = [...new FormData(this.form)].filter(([, value]) => value !== "");
    return { ...Object.fromEntries(given), ...(this.sort.value === "row" && { sort: "row" }) };
  }

  /** Fill in how many images each value has, given the other filters. */
  async count() {
    this.asked?.abort();
    this.asked = new AbortController();
    const { sort, ...filters } = this.chosen;
    const path = `/audits/${encodeURIComponent(this.page.run)}/facets?${query(filters)}`;
    try {
      const facets = await call("GET", path, undefined, { signal: this.asked.signal });
      for (const select of this.form.querySelectorAll("select")) this.#fill(select, facets[select.name] ?? []);
    } catch (error) {
      complain(error);
    }
  }

  /** Show which filters are in use. */
  mark() {
    for (const field of this.form.elements) field.classList.toggle("active", Boolean(field.name && field.value));
  }

  #fill(select, facets) {
    const chosen = select.value;
    const values = facets.map(({ value, images }) => [value, `${this.#words(select.name, value)} (${number(images)})`]);
    if (chosen && !facets.some(({ value }) => value === chosen)) {
      values.unshift([chosen, `${this.#words(select.name, chosen)} (0)`]);
    }
    select.replaceChildren(...[["", "all"], ...values].map(([value, words]) => new Option(words, value)));
    select.value = chosen;
    select.closest(".field").hidden = values.length === 0;
  }

  #words(name, value) {
    return this.page.words[name]?.[value] ?? value;
  }
}
