// Images of a plan, as they are and as they would be, one pair after the other.

import { element } from "./page.js";
import { fetchPixels, paint, windowOf } from "./raw-picture.js";

/**
 * Show samples; those that cannot be made say why in their place.
 * @param {string} base path of the audit below /api
 * @param {string[]} images ids
 */
export async function showSamples(base, images) {
  document.getElementById("samples-panel").hidden = images.length === 0;
  const figures = images.map((id) => [id, frame(base, id)]);
  document.getElementById("samples").replaceChildren(...figures.map(([, figure]) => figure));
  for (const [id, figure] of figures) await fill(`${base}/images/${id}`, figure);
}

function frame(base, id) {
  const pair = element("div", { className: "pair" }, ["as it is", "as it would be"].map((words) => {
    const canvas = element("canvas", { width: 256, height: 256 });
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", words);
    return canvas;
  }));
  const link = element("a", { href: `${base}/images/${id}`, textContent: "Open the image" });
  return element("figure", {}, [pair, element("figcaption", {}, [link])]);
}

async function fill(path, figure) {
  const [before, after] = figure.querySelectorAll("canvas");
  const link = figure.querySelector("a");
  try {
    const [pixels, cleansed] = await Promise.all([
      fetchPixels(`${path}/pixels`), fetchPixels(`${path}/cleansed?rule=in-force`),
    ]);
    const range = windowOf(pixels.values);
    paint(before, pixels, range);
    paint(after, cleansed, range);
    before.parentElement.dataset.drawn = "";
  } catch (error) {
    link.after(` · no preview: ${error.message}`);
  }
}
