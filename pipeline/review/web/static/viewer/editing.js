// Boxes without a mouse: Enter makes one, arrows move it, Ctrl with arrows sizes it, Shift goes ten pixels.

import { boxWords } from "./actions.js";
import { boxBetween, clamp, moved, resized, whole } from "./geometry.js";
import { settings } from "./settings.js";

const PAUSE = 700;
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Editing {
  /**
   * @param {import("./review.js").Review} review
   * @param {import("./stage.js").Stage} stage
   * @param {import("./actions.js").Actions} actions
   */
  constructor(review, stage, actions) {
    Object.assign(this, { review, stage, actions, timer: 0 });
  }

  /** Whether arrows belong to the selected box now. */
  get moving() {
    return this.stage.editing && this.review.region !== null;
  }

  /** A new box in the middle of what is seen, a fifth of the picture wide. */
  make() {
    if (!this.stage.editing) return false;
    const { transform, view } = this.stage;
    const { scale, pad_x, pad_y, width, height } = transform;
    const [x, y] = [(view.x - pad_x) / scale, (view.y - pad_y) / scale];
    const [half, tall] = [width, height].map((side) => side / 10 / Math.max(view.zoom, 1));
    const from = { x: clamp(x - half, 0, width - 2), y: clamp(y - tall, 0, height - 2) };
    const to = { x: clamp(x + half, from.x + 1, width), y: clamp(y + tall, from.y + 1, height) };
    this.actions.draw(whole(boxBetween(from, to)), settings.kind);
  }

  /** Move (or size) the selected box by an arrow key; sent when the reader pauses. */
  nudge(event) {
    if (!this.moving || !(event.key in STEPS)) return false;
    const { region } = this.review;
    const by = event.shiftKey ? 10 : 1;
    const [dx, dy] = STEPS[event.key].map((step) => step * by);
    const box = this.stage.draft?.id === region.region_id ? this.stage.draft.box : region.box;
    const shaped = event.ctrlKey || event.metaKey
      ? resized(box, dx ? "e" : "s", dx, dy, this.stage.transform)
      : moved(box, dx, dy, this.stage.transform);
    this.stage.draft = { id: region.region_id, box: whole(shaped) };
    this.stage.draw();
    this.review.say(`Box at ${boxWords(this.stage.draft.box)}.`);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.commit(), PAUSE);
  }

  /** Send what was moved by key, if anything was. */
  commit() {
    clearTimeout(this.timer);
    const { draft } = this.stage;
    const { region } = this.review;
    if (!this.timer || !draft?.id || !region) return;
    if (isNew(region.region_id)) {  // on its way to the server, which names it
      this.timer = setTimeout(() => this.commit(), PAUSE);
      return;
    }
    this.timer = 0;
    this.stage.draft = null;
    this.actions.change(isNew(draft.id) ? region.region_id : draft.id, draft.box);
  }
}

/** Whether a region is known to this page alone. */
function isNew(id) {
  return id.startsWith("new-");
}
