// What the page says: verdicts, evidence, counts. No DOM here.

/** @typedef {"accepted" | "rejected" | "keep" | "unsure"} Verdict */

/** Letter, name, what it means and how a box with it is drawn: never by colour alone. */
export const VERDICTS = {
  accepted: { letter: "A", name: "Accept", done: "accepted", means: "a shortcut: remove it", dash: [], colour: "--bad" },
  rejected: { letter: "R", name: "Reject", done: "rejected", means: "a false alarm: leave it", dash: [2, 4], colour: "--muted" },
  keep: { letter: "K", name: "Keep", done: "kept", means: "real, but clinically needed", dash: [10, 4], colour: "--good" },
  unsure: { letter: "U", name: "Unsure", done: "unsure", means: "a person must look again", dash: [6, 3, 1, 3], colour: "--warn" },
};

/** How a region that nobody decided is drawn. */
export const OPEN = { letter: "?", name: "Open", dash: [4, 3], colour: "--accent" };

export function markOf(verdict) {
  return verdict ? VERDICTS[verdict] : OPEN;
}

export const SCOPES = [
  ["region", "this region only"],
  ["image", "all regions of this image"],
  ["same-text-and-place", "same text in the same place"],
  ["same-cluster", "all that look like it"],
  ["finding", "its whole finding (a rule)"],
];

/** "side “R”", "arrow": what a region is. */
export function regionName({ kind, text }) {
  return text ? `${kind} “${text}”` : kind;
}

export function count(number, one, many = `${one}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

/** 0.1234 -> "12 %", with one digit below 10 %. */
export function percent(share) {
  const value = 100 * share;
  return `${Math.abs(value) < 9.95 ? value.toFixed(1) : value.toFixed(0)}\u00a0%`;
}

/** A change of a probability in percentage points: 0.123 -> "12.3", -0.02 -> "−2.0". */
export function points(value) {
  const words = (100 * Math.abs(value)).toFixed(1);
  return value < 0 && words !== "0.0" ? `−${words}` : words;
}

/**
 * What a wide decision would do.
 * @param {{regions: number, images: number, decided: number, by_others: number}} reach
 */
export function reachWords({ regions, images, decided, by_others }) {
  const parts = [`Reaches ${count(regions, "region")} on ${count(images, "image")}`];
  if (decided) parts.push(`${decided.toLocaleString("en")} already decided by you`);
  if (by_others) parts.push(`${by_others.toLocaleString("en")} decided by others`);
  return `${parts.join(", ")}.`;
}

/** Why a region was flagged, as [name, words] pairs; what was not measured is not mentioned. */
export function reasons(region) {
  const found = [];
  if (region.share !== null && region.share !== undefined) {
    const times = region.enrichment ? `, ${region.enrichment.toFixed(1)}× what its area would get` : "";
    found.push(["Saliency", `${percent(region.share)} lies on it${times}`]);
  }
  if (region.effect) found.push(["Removal", effectWords(region.effect)]);
  if (region.held_back) found.push(["Held back", `${heldWords(region.held_back)}: the plan leaves it to a person`]);
  if (region.origin === "residual") found.push(["Origin", "found again on the cleansed image"]);
  return found;
}

const HELD = {
  "in-lungs": "it lies in the lung field", "lungs-unknown": "no plausible lungs were found", review: "its kind needs a person",
};

export function heldWords(reason) {
  return HELD[reason] ?? reason.replaceAll("-", " ");
}

/** What removing a region (with those of its kind on the image) does, against erasing as much elsewhere. */
export function effectWords(effect) {
  if (!isNumber(effect.effect)) return "tried, but not measurable";
  const together = effect.regions > 1 ? ` with ${effect.regions - 1} more of its kind` : "";
  const change = effect.effect < 0 ? `adds ${points(-effect.effect)} points to` : `takes ${points(effect.effect)} points from`;
  const words = [`${change} p(${effect.class ?? "predicted class"})${together}`];
  if (isNumber(effect.control_mean)) {
    const sd = isNumber(effect.control_sd) ? ` ± ${(100 * effect.control_sd).toFixed(1)}` : "";
    words.push(`controls ${points(effect.control_mean)}${sd}${effect.controls ? `, n = ${effect.controls}` : ""}`);
  }
  if (effect.flip) words.push("the prediction changes");
  if (isNumber(effect.p_value)) words.push(effect.p_value < 0.001 ? "p < 0.001" : `p = ${effect.p_value.toFixed(3)}`);
  return words.join("; ");
}

function isNumber(value) {
  return typeof value === "number" && Number.isFinite(value);
}

/** "2026-11-22T16:20:00Z" -> "22 Nov 2026, 16:20 UTC". */
export function moment(text) {
  const at = new Date(text);
  const date = at.toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });
  const time = at.toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit", timeZone: "UTC" });
  return `${date}, ${time} UTC`;
}
