// Mouse, pen and fingers on the panes. What a drag does depends on the button and the tool; two fingers pinch.

import { boxAt, boxBetween, handleAt, moved, panned, resized, whole, zoomedAt } from "./geometry.js";
import { PANES } from "./stage.js";
import { dragged } from "./windows.js";

const CLICK = 4;
const REACH = { mouse: 8, pen: 10, touch: 22 };

/**
 * @typedef {object} Hand
 * @property {() => "window" | "pan" | "edit"} tool
 * @property {() => boolean} space  whether Space is held: then a drag pans
 * @property {() => void} panned  a drag with Space happened
 * @property {(id: string | null) => void} select
 * @property {(box: object, id: string | null) => void} boxed  a box was drawn (id null), moved or resized
 * @property {(pane: string) => void} enlarge
 * @property {(words: string) => void} probe
 */

/**
 * @param {import("./stage.js").Stage} stage
 * @param {Hand} hand
 */
export function listen(stage, hand) {
  for (const name of PANES) new PaneHand(stage, hand, name).listen();
}

class PaneHand {
  constructor(stage, hand, name) {
    Object.assign(this, { stage, hand, name, canvas: stage.canvases[name] });
    /** @type {Map<number, {x: number, y: number}>} */
    this.fingers = new Map();
    /** @type {{move: (point: object, event: PointerEvent) => void, end?: () => void} | null} */
    this.drag = null;
  }

  listen() {
    const on = (type, handler, options) => this.canvas.addEventListener(type, handler.bind(this), options);
    on("pointerdown", this.down);
    on("pointermove", this.move);
    on("pointerup", this.up);
    on("pointercancel", this.cancel);
    on("wheel", this.wheel, { passive: false });
    on("contextmenu", (event) => event.preventDefault());
    on("dblclick", () => this.hand.tool() !== "edit" && this.hand.enlarge(this.name));
    on("pointerleave", () => this.hand.probe(""));
  }

  point(event) {
    const { left, top } = this.canvas.getBoundingClientRect();
    return { x: event.clientX - left, y: event.clientY - top };
  }

  down(event) {
    if (!this.stage.transform) return;
    const point = this.point(event);
    this.canvas.setPointerCapture(event.pointerId);
    this.fingers.set(event.pointerId, point);
    if (event.button === 1) event.preventDefault();
    if (this.fingers.size === 2) {
      this.stage.draft = null;
      this.drag = this.pinch();
    } else if (this.fingers.size === 1) {
      this.drag = this.begin(event, point);
    }
  }

  begin(event, point) {
    if (event.button === 1 || this.hand.space() || (event.button === 0 && this.hand.tool() === "pan")) return this.pan(point);
    if (event.button === 2) return this.windowing(point);
    return this.hand.tool() === "edit" ? this.edit(event, point) : this.windowing(point, () => this.pick(point));
  }

  move(event) {
    const point = this.point(event);
    if (this.stage.transform && this.fingers.size < 2) this.hand.probe(this.probed(point));
    if (!this.fingers.has(event.pointerId)) return;
    this.fingers.set(event.pointerId, point);
    this.drag?.move(point, event);
  }

  up(event) {
    if (!this.fingers.delete(event.pointerId)) return;
    this.drag?.end?.();
    this.drag = null;
  }

  cancel(event) {
    this.fingers.delete(event.pointerId);
    this.drag = null;
    this.stage.draft = null;
    this.stage.draw();
  }

  wheel(event) {
    if (!this.stage.transform) return;
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1;
    this.zoom(Math.exp(-event.deltaY * lines * (event.ctrlKey ? 0.01 : 0.0015)), this.point(event));
  }

  zoom(factor, point) {
    const { stage } = this;
    stage.view = zoomedAt(stage.view, factor, point, stage.size(this.name), stage.area);
    stage.draw();
  }

  pan(from) {
    let last = from;
    return {
      move: (point) => {
        this.shift(point.x - last.x, point.y - last.y);
        last = point;
        this.hand.panned();
      },
    };
  }

  shift(dx, dy) {
    const { stage } = this;
    stage.view = panned(stage.view, dx, dy, stage.size(this.name), stage.area);
    stage.draw();
  }

  pinch() {
    const shape = () => {
      const [a, b] = [...this.fingers.values()];
      return { x: (a.x + b.x) / 2, y: (a.y + b.y) / 2, apart: Math.hypot(a.x - b.x, a.y - b.y) || 1 };
    };
    let last = shape();
    return {
      move: () => {
        if (this.fingers.size < 2) return;
        const now = shape();
        this.shift(now.x - last.x, now.y - last.y);
        this.zoom(now.apart / last.apart, now);
        last = now;
      },
    };
  }

  /** Width and level; a press that hardly moves is a click. */
  windowing(from, click = () => {}) {
    const { stage } = this;
    const start = stage.window;
    const range = stage.presets[0].high - stage.presets[0].low;
    let far = false;
    return {
      move: (point) => {
        const [dx, dy] = [point.x - from.x, point.y - from.y];
        far ||= Math.hypot(dx, dy) > CLICK;
        if (!far) return;
        stage.window = dragged(start, dx, dy, range, stage.films.original.top);
        stage.draw();
      },
      end: () => far || click(),
    };
  }

  /** Select what lies under a point. */
  pick(point) {
    const marks = this.stage.marks(this.name);
    const at = boxAt(point, marks.map(({ box }) => box), 5);
    this.hand.select(at < 0 ? null : marks[at].region.region_id);
  }

  edit(event, point) {
    const { stage } = this;
    const mark = stage.marks(this.name).find(({ region }) => region.region_id === stage.selected && !region.unsaved);
    const handle = mark && handleAt(point, mark.box, REACH[event.pointerType] ?? 8);
    if (handle) return this.change(mark.region, point, (dx, dy) => resized(mark.region.box, handle, dx, dy, stage.transform));
    if (mark && boxAt(point, [mark.box]) === 0) {
      return this.change(mark.region, point, (dx, dy) => moved(mark.region.box, dx, dy, stage.transform));
    }
    return this.drawing(point);
  }

  /** Drag the selected box or one of its handles. */
  change(region, from, shape) {
    const { stage } = this;
    return {
      move: (point) => {
        const scale = stage.originalScale(this.name);
        stage.draft = { id: region.region_id, box: shape((point.x - from.x) / scale, (point.y - from.y) / scale) };
        stage.draw();
      },
      end: () => this.finish(region.region_id),
    };
  }

  /** Drag out a new box; a click selects. */
  drawing(from) {
    const { stage } = this;
    const start = this.inPicture(from);
    return {
      move: (point) => {
        const far = Math.hypot(point.x - from.x, point.y - from.y) > CLICK;
        stage.draft = far || stage.draft ? { id: null, box: boxBetween(start, this.inPicture(point)) } : null;
        stage.draw();
      },
      end: () => (stage.draft ? this.finish(null) : this.pick(from)),
    };
  }

  finish(id) {
    const { draft } = this.stage;
    this.stage.draft = null;
    if (draft) this.hand.boxed(whole(draft.box), id);
    this.stage.draw();
  }

  inPicture(point) {
    const { x, y } = this.stage.toOriginal(this.name, point);
    const { width, height } = this.stage.transform;
    return { x: Math.min(Math.max(x, 0), width), y: Math.min(Math.max(y, 0), height) };
  }

  probed(point) {
    const value = this.stage.valueAt(this.name, point);
    const { x, y } = this.stage.toOriginal(this.name, point);
    return value === null ? "" : `${Math.floor(x)}, ${Math.floor(y)}: ${value}`;
  }
}
