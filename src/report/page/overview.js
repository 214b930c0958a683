// Events over time, and the brush that selects a part of it: by pointer, by keys, and in the text beside it.

import { make, table } from "./elements.js";
import { axis, colours, moved, sheet } from "./canvas.js";
import { count, seconds, span } from "./text.js";

const HEIGHT = 96;
const CHART = HEIGHT - 22;
/** Rows of the table that says the same. */
const TWIN = 20;

/**
 * Events by part of the time: all, those that are selected, those of them that failed, and lost ones.
 * @param {import("./events.js").Events} events
 * @param {Uint32Array} selected
 * @param {[number, number]} range
 * @param {number} parts
 */
export function histogram(events, selected, range, parts) {
  const [from, to] = range;
  const failed = events.columns.texts("errno");
  const bars = { all: new Float64Array(parts), selected: new Float64Array(parts), failed: new Float64Array(parts), lost: new Float64Array(parts) };
  const partOf = (/** @type {number} */ row) =>
    Math.min(parts - 1, Math.max(0, Math.floor(((events.times[row] - from) / (to - from)) * parts)));
  for (let row = 0; row < events.rows; row += 1) {
    const part = partOf(row);
    if (events.isLost(row)) bars.lost[part] += 1;
    else bars.all[part] += events.weight(row);
  }
  for (const row of selected) {
    if (events.isLost(row)) continue;
    const part = partOf(row);
    bars.selected[part] += events.weight(row);
    if (!failed.isNull(row)) bars.failed[part] += events.weight(row);
  }
  return bars;
}

/** The chart. */
export class Overview {
  /**
   * @param {HTMLElement} place
   * @param {import("./events.js").Events} events
   * @param {import("./state.js").Store} store
   */
  constructor(place, events, store) {
    this.events = events;
    this.store = store;
    this.whole = events.span;
    /** @type {Uint32Array} */
    this.selected = new Uint32Array();
    /** @type {[number, number]|null} */
    this.dragged = null;
    this.canvas = make("canvas", { role: "img", "aria-label": "Chart of events over time" });
    this.box = make("div", { className: "chart", tabIndex: 0, role: "group", "aria-describedby": "overview-keys" }, this.canvas);
    this.twin = make("div");
    const details = make("details", {}, make("summary", {}, "Events over time as a table"), this.twin);
    details.addEventListener("toggle", () => this.drawTwin());
    this.details = details;
    place.append(this.box, details);
    this.watch();
  }

  watch() {
    const at = (/** @type {PointerEvent} */ event) => {
      const box = this.canvas.getBoundingClientRect();
      const part = Math.min(1, Math.max(0, (event.clientX - box.left) / box.width));
      return this.whole[0] + part * (this.whole[1] - this.whole[0]);
    };
    let start = 0;
    this.canvas.addEventListener("pointerdown", (event) => {
      start = at(event);
      this.dragged = [start, start];
      this.canvas.setPointerCapture(event.pointerId);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (!this.dragged) return;
      const now = at(event);
      this.dragged = [Math.min(start, now), Math.max(start, now)];
      this.draw();
    });
    this.canvas.addEventListener("pointerup", () => {
      const range = this.dragged;
      this.dragged = null;
      // A click takes the brush away.
      const isClick = !range || range[1] - range[0] < (this.whole[1] - this.whole[0]) / 400;
      this.store.set({ time: isClick ? null : [Math.floor(range[0]), Math.ceil(range[1])] });
      this.draw();
    });
    this.box.addEventListener("keydown", (event) => this.key(event));
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const now = this.store.state.time ?? this.whole;
    const length = now[1] - now[0];
    const edge = (/** @type {number} */ by) => {
      const end = Math.min(this.whole[1], Math.max(now[0] + length / 20, now[1] + by * length));
      return /** @type {[number, number]} */ ([now[0], end]);
    };
    /** @type {Record<string, () => [number, number]|null>} */
    const keys = {
      ArrowLeft: () => (event.shiftKey ? edge(-0.1) : moved(now, this.whole, -0.1, 1)),
      ArrowRight: () => (event.shiftKey ? edge(0.1) : moved(now, this.whole, 0.1, 1)),
      "+": () => moved(now, this.whole, 0, 0.5),
      "-": () => moved(now, this.whole, 0, 2),
      Escape: () => null,
    };
    const act = keys[event.key];
    if (!act || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const time = act();
    const isWhole = time !== null && time[0] <= this.whole[0] && time[1] >= this.whole[1];
    this.store.set({ time: time && !isWhole ? [Math.floor(time[0]), Math.ceil(time[1])] : null });
  }

  /** @param {Uint32Array} selected */
  show(selected) {
    this.selected = selected;
    this.draw();
    this.drawTwin();
    const time = this.store.state.time;
    const of = time ? `from ${seconds(time[0])} to ${seconds(time[1])} seconds` : "of all of the time";
    this.box.setAttribute("aria-label", `Events over time. Selected: ${count(selected.length, "row")} ${of}.`);
  }

  draw() {
    const on = sheet(this.canvas, HEIGHT);
    if (!on) return;
    const { pen, width } = on;
    const colour = colours();
    const parts = Math.max(1, Math.floor(width / 3));
    const bars = histogram(this.events, this.selected, this.whole, parts);
    const most = bars.all.reduce((largest, bar) => Math.max(largest, bar), 1);
    const x = (/** @type {number} */ time) => ((time - this.whole[0]) / (this.whole[1] - this.whole[0])) * width;
    const layer = (/** @type {Float64Array} */ of, /** @type {string} */ name) => {
      pen.fillStyle = colour(name);
      of.forEach((bar, part) => {
        // What is there at all is seen.
        const height = bar > 0 ? Math.max(2, (bar / most) * (CHART - 4)) : 0;
        pen.fillRect((part * width) / parts, CHART - height, Math.max(1, width / parts - 0.5), height);
      });
    };
    layer(bars.all, "faint");
    layer(bars.selected, "accent");
    layer(bars.failed, "bad");
    pen.fillStyle = colour("bad");
    for (const [part, bar] of bars.lost.entries()) {
      if (bar > 0) pen.fillRect((part * width) / parts, 0, Math.max(2, width / parts), CHART);
    }
    const time = this.dragged ?? this.store.state.time;
    if (time) {
      pen.fillStyle = colour("brush");
      pen.fillRect(x(time[0]), 0, Math.max(2, x(time[1]) - x(time[0])), CHART);
      pen.strokeStyle = colour("text");
      pen.strokeRect(x(time[0]) + 0.5, 0.5, Math.max(1, x(time[1]) - x(time[0]) - 1), CHART - 1);
    }
    axis(on, this.whole, x, HEIGHT - 7);
  }

  drawTwin() {
    if (!this.details.open) return;
    const bars = histogram(this.events, this.selected, this.whole, TWIN);
    const step = (this.whole[1] - this.whole[0]) / TWIN;
    const rows = Array.from({ length: TWIN }, (_, part) => [
      `${seconds(Math.floor(this.whole[0] + part * step))} s`,
      String(bars.all[part]),
      String(bars.selected[part]),
      String(bars.failed[part]),
      bars.lost[part] > 0 ? "yes" : "no",
    ]);
    const caption = `Events in each ${span(step)}`;
    this.twin.replaceChildren(
      table(caption, ["From", "Events", "Selected", "Failed", "Gap"], rows, [true, true, true, true, false]),
    );
  }
}
