// A wall of equal cells over a list of any length: only the rows in sight exist, and they are used again.
//
// Browsers stop at some 17 million pixels of height (Firefox) or 33 (Chromium). Up to TALLEST one pixel of scrolling is
// one pixel of wall, which 100,000 images are far from reaching; above it one pixel of scrolling moves the wall further,
// so that all images can be reached at any number, by scroll bar coarsely and by key exactly.

const TALLEST = 12_000_000;
const SPARE = 2;

/** @typedef {{make: () => HTMLElement, fill: (cell: HTMLElement, index: number) => void}} Cells */

export class Wall {
  /** @type {Map<number, HTMLElement>} */
  #rows = new Map();
  /** @type {HTMLElement[]} */
  #spare = [];

  /**
   * @param {HTMLElement} element that scrolls, with one child that is as high as all rows
   * @param {Cells} cells
   * @param {(first: number, last: number) => void} seen called with the indices in sight after every move
   */
  constructor(element, cells, seen) {
    this.element = element;
    this.space = element.firstElementChild;
    this.cells = cells;
    this.seen = seen;
    this.total = 0;
    this.side = 160;
    let waiting = false;
    element.addEventListener("scroll", () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => { waiting = false; this.draw(); });
    }, { passive: true });
    new ResizeObserver(() => this.layout()).observe(element);
  }

  /** Number of images and side of a cell's picture, pixels; the image at the top stays at the top. */
  layout({ total = this.total, side = this.side } = {}) {
    const top = this.columns ? this.#firstRow() * this.columns : 0;
    this.total = total;
    this.side = side;
    const width = this.element.clientWidth - 16;
    this.columns = Math.max(1, Math.floor((width + 6) / (side + 6)));
    this.cellWidth = Math.floor((width + 6) / this.columns) - 6;
    this.rowHeight = this.cellWidth + 28 + 6;
    this.rowCount = Math.ceil(total / this.columns);
    this.height = this.rowCount * this.rowHeight + 6;
    this.space.style.height = `${Math.min(this.height, TALLEST)}px`;
    this.element.setAttribute("aria-rowcount", String(this.rowCount));
    this.element.setAttribute("aria-colcount", String(this.columns));
    for (const row of this.#rows.values()) row.remove();
    this.#rows.clear();
    this.#spare = [];
    this.#scrollToRow(Math.floor(Math.min(top, Math.max(0, total - 1)) / this.columns));
    this.draw();
  }

  /** How many pixels of wall one pixel of scrolling moves. */
  get #ratio() {
    const view = this.element.clientHeight;
    return this.height <= TALLEST ? 1 : (this.height - view) / (TALLEST - view);
  }

  get #top() {
    return this.element.scrollTop * this.#ratio;
  }

  #firstRow() {
    return Math.floor(this.#top / this.rowHeight);
  }

  #scrollToRow(row) {
    this.element.scrollTop = (row * this.rowHeight) / this.#ratio;
  }

  /** Put rows where they are seen; fill those that are new, all of them with `again`. */
  draw(again = false) {
    if (!this.element.clientHeight || !this.columns) return;
    const first = Math.max(0, this.#firstRow() - SPARE);
    const rows = Math.ceil(this.element.clientHeight / this.rowHeight) + 2 * SPARE + 1;
    const last = Math.min(this.rowCount, first + rows) - 1;
    for (const [row, element] of this.#rows) {
      if (row < first || row > last) {
        this.#rows.delete(row);
        this.#spare.push(element);
      }
    }
    const shift = this.element.scrollTop - this.#top;
    for (let row = first; row <= last; row += 1) {
      const known = this.#rows.get(row);
      const element = known ?? this.#place(row);
      element.style.transform = `translateY(${row * this.rowHeight + shift}px)`;
      if (!known || again) this.#fill(element, row);
    }
    for (const element of this.#spare) element.hidden = true;
    this.seen(first * this.columns, Math.min(this.total, (last + 1) * this.columns) - 1);
  }

  #place(row) {
    const element = this.#spare.pop() ?? this.#makeRow();
    element.hidden = false;
    element.setAttribute("aria-rowindex", String(row + 1));
    this.#rows.set(row, element);
    return element;
  }

  #makeRow() {
    const row = document.createElement("div");
    row.className = "wall-row";
    row.setAttribute("role", "row");
    for (let column = 0; column < this.columns; column += 1) {
      const cell = this.cells.make();
      cell.style.width = `${this.cellWidth}px`;
      cell.style.height = `${this.cellWidth + 28}px`;
      cell.setAttribute("aria-colindex", String(column + 1));
      row.append(cell);
    }
    this.space.append(row);
    return row;
  }

  #fill(element, row) {
    [...element.children].forEach((cell, column) => {
      const index = row * this.columns + column;
      cell.hidden = index >= this.total;
      if (!cell.hidden) this.cells.fill(cell, index);
    });
  }

  /** The cell of an index, brought into sight. */
  show(index) {
    const row = Math.floor(index / this.columns);
    const top = row * this.rowHeight;
    const view = this.element.clientHeight;
    if (top < this.#top) this.#scrollToRow(row);
    else if (top + this.rowHeight > this.#top + view) {
      this.element.scrollTop = (top + this.rowHeight + 6 - view) / this.#ratio;
    }
    this.draw();
    return this.#rows.get(row)?.children[index % this.columns];
  }

  /** How many whole rows are in sight. */
  get visibleRows() {
    return Math.max(1, Math.floor(this.element.clientHeight / this.rowHeight));
  }
}
