// A plan in words and tables.

import { element, number } from "./page.js";

/** The elements that show a plan. */
export function planBody(plan) {
  const parts = [list("words", plan.words)];
  if (plan.warnings.length) parts.push(element("div", { className: "callout" }, [list("words", plan.warnings)]));
  if (Object.keys(plan.impact).length) parts.push(impact(plan.impact));
  if (plan.lines.length) parts.push(lines(plan.lines));
  if (Object.keys(plan.exceptions).length) parts.push(exceptions(plan.exceptions));
  return parts;
}

function list(className, sentences) {
  return element("ul", { className }, sentences.map((words) => element("li", { textContent: words })));
}

function impact(classes) {
  const lungs = Object.values(classes).some((change) => change.in_lungs !== null);
  const head = ["Class", "Images changed", "of", "Regions", "Pixels", "Share of their pixels", ...(lungs ? ["In the lungs"] : []), "Left for a person"];
  const rows = Object.entries(classes).map(([name, change]) => [
    name, number(change.images), number(change.of), number(change.regions), number(change.pixels),
    `${(100 * change.share).toFixed(2)}%`, ...(lungs ? [change.in_lungs === null ? "unknown" : number(change.in_lungs)] : []),
    number(change.held_back),
  ]);
  return table("What changes, by class", head, rows);
}

/** Lines of the plan as it is written: the columns are what they say about themselves. */
function lines(entries) {
  const names = [...new Set(entries.flatMap((entry) => Object.keys(entry)))];
  const rows = entries.map((entry) => names.map((name) => words(entry[name])));
  return table("Lines of the plan", names.map((name) => name.replaceAll("_", " ")), rows);
}

function words(value) {
  if (value === null || value === undefined) return "";
  if (Array.isArray(value)) return value.map(words).join(", ");
  if (typeof value === "object") return Object.entries(value).map(([name, each]) => `${name}: ${words(each)}`).join(", ");
  return typeof value === "number" ? number(value) : String(value);
}

function exceptions(byKind) {
  const classes = [...new Set(Object.values(byKind).flatMap(Object.keys))];
  const rows = Object.entries(byKind).map(([what, counts]) => [what, ...classes.map((name) => number(counts[name] ?? 0))]);
  return table("Regions that are treated otherwise than the rule of their finding says, by class", ["What", ...classes], rows);
}

function table(caption, head, rows) {
  const top = element("tr", {}, head.map((words) => element("th", { scope: "col", textContent: words })));
  const body = rows.map(([first, ...rest]) => element("tr", {}, [
    element("th", { scope: "row", textContent: first }),
    ...rest.map((words) => element("td", { textContent: words })),
  ]));
  const made = element("table", {}, [
    element("caption", { textContent: caption }), element("thead", {}, [top]), element("tbody", {}, body),
  ]);
  const scroll = element("div", { className: "scroll table", tabIndex: 0, role: "region" }, [made]);
  scroll.setAttribute("aria-label", caption);
  return scroll;
}
