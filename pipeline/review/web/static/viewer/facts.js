// The image beside its regions: what is known of it, images like it, what was decided so far.

import { element } from "../page.js";
import { addressOf } from "./address.js";
import { moment, percent, VERDICTS } from "./words.js";

const byId = (id) => document.getElementById(id);
const CHIPS = { open: "to decide", second: "second reader needed", conflict: "readers disagree", decided: "decided" };
const HIDDEN = "hidden until decided";

/** @param {any} view */
export function showFacts(view) {
  const name = view.name.charAt(0).toUpperCase() + view.name.slice(1);
  for (const id of ["name", "heading", "crumb"]) byId(id).textContent = name;
  const chip = byId("status-chip");
  chip.className = `chip ${view.status}`;
  chip.textContent = view.regions.length ? CHIPS[view.status] : "no region";
  const pairs = factsOf(view).filter(([, words]) => words);
  byId("facts").replaceChildren(...pairs.flatMap(([term, words]) => [
    element("dt", { textContent: term }), element("dd", { textContent: words, className: words === HIDDEN ? "muted" : "" }),
  ]));
}

function factsOf(view) {
  const { width, height } = view.transform;
  return [
    ["Label", view.label ?? (view.hidden ? HIDDEN : null)],
    ["Predicted", view.hidden && !view.predicted ? HIDDEN : predicted(view)],
    ["Source", view.source ? [view.source, view.view, view.split].filter(Boolean).join(", ") : null],
    ["Stored", `${view.size} px of ${width} × ${height}, ${view.bits ?? (view.dtype === "uint16" ? 16 : 8)} bit`],
    ["File", view.path],
    ["Patient", view.patient_id],
  ];
}

function predicted({ predicted: name, probabilities }) {
  if (!name) return null;
  const probability = probabilities?.[name];
  return probability === undefined ? name : `${name}, ${percent(probability)}`;
}

/** Images with regions that look like those of this one. */
export function showSimilar(review) {
  const { similar } = review.view;
  byId("similar").hidden = !similar.length;
  byId("similar-count").textContent = similar.length;
  if (!byId("similar").open) return;
  byId("similar-images").replaceChildren(...similar.slice(0, 12).map((image, index) => {
    const picture = element("img", { src: review.source.thumbnail(image), alt: `Similar image ${index + 1}`, loading: "lazy" });
    const href = addressOf({ ...review.place, image, region: null, filters: new URLSearchParams() });
    return element("li", {}, [element("a", { href }, [picture])]);
  }));
}

/** Who decided what, when, why and with which version. */
export async function showHistory(review) {
  if (!byId("history").open) return;
  const { image } = review.place;
  const [records] = await review.arrived(image, review.source.history(image));
  if (!records) return;
  const numbers = new Map(review.regions.map(({ region_id }, index) => [region_id, index + 1]));
  const items = records.map((record) => element("li", { textContent: recordWords(record, numbers) }));
  byId("records").replaceChildren(...(items.length ? items : [element("li", { className: "muted", textContent: "Nothing was decided yet." })]));
}

function recordWords(record, numbers) {
  const what = record.subject === "finding" ? `finding ${record.subject_id}` : `region ${numbers.get(record.subject_id) ?? "deleted"}`;
  const verdict = record.verdict ? VERDICTS[record.verdict].done : "taken back";
  const notes = [record.action === "decide" ? "" : record.action, record.adjudicates ? "settles a conflict" : ""].filter(Boolean);
  const comment = record.comment ? ` “${record.comment}”` : "";
  const by = `${record.reviewer}, ${moment(record.at)}, version ${record.software}`;
  return `${what}: ${verdict}${notes.length ? ` (${notes.join(", ")})` : ""}.${comment} ${by}`;
}
