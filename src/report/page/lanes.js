// Lanes of processes with arrows of transfers: zoom, pan, and the same by keys and as a table.

import { NOBODY } from "./events.js";
import { button, byId, make, table } from "./elements.js";
import { moved, sheet } from "./canvas.js";
import { AXIS, LANE, NAMES, draw, lanesOf } from "./draw.js";
import { count, grouped, size } from "./text.js";

/** Lanes that are drawn. */
const LANES = 40;
/** Rows of the table beside them. */
const LISTED_PROCESSES = 200;

/** The chart. */
export class Lanes {
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
    /** @type {import("./draw.js").Lane[]} the busiest first */
    this.all = [];
    /** @type {import("./draw.js").Lane[]} those that are drawn */
    this.lanes = [];
    this.active = 0;
    this.canvas = make("canvas", { role: "img", "aria-label": "Processes over time, with an arrow for each transfer" });
    this.box = make("div", { className: "chart lanes", tabIndex: 0, role: "group", "aria-describedby": "lanes-keys" }, this.canvas);
    this.note = make("p", { className: "muted" });
    this.twin = make("div");
    this.details = make("details", {}, make("summary", {}, "Processes as a table"), this.twin);
    this.details.addEventListener("toggle", () => this.drawTwin());
    place.append(this.tools(), this.box, this.note, this.details);
    this.watch();
  }

  tools() {
    const by = (/** @type {number} */ move, /** @type {number} */ factor) => () => this.zoom(move, factor);
    return make(
      "p",
      { className: "tools" },
      button("Zoom in", by(0, 0.5)),
      button("Zoom out", by(0, 2)),
      button("Earlier", by(-0.25, 1)),
      button("Later", by(0.25, 1)),
      button("All of the time", () => this.store.set({ zoom: null })),
    );
  }

  /** @returns {[number, number]} */
  get range() {
    const { zoom, time } = this.store.state;
    const [from, to] = zoom ?? time ?? this.whole;
    return [from, Math.max(to, from + 1)];
  }

  /**
   * @param {number} by
   * @param {number} factor
   * @param {[number, number]} [range]
   */
  zoom(by, factor, range = this.range) {
    const zoom = moved(range, this.whole, by, factor);
    const isWhole = zoom[0] <= this.whole[0] && zoom[1] >= this.whole[1];
    this.store.set({ zoom: isWhole ? null : [Math.floor(zoom[0]), Math.ceil(zoom[1])] });
  }

  watch() {
    this.canvas.addEventListener(
      "wheel",
      (event) => {
        // The plain wheel moves the page.
        if (!event.ctrlKey) return;
        event.preventDefault();
        const at = this.timeAt(event) - (this.range[0] + this.range[1]) / 2;
        const factor = event.deltaY < 0 ? 0.8 : 1.25;
        this.zoom((at * (1 - factor)) / (this.range[1] - this.range[0]), factor);
      },
      { passive: false },
    );
    /** @type {{ x: number, range: [number, number] }|null} */
    let drag = null;
    let isMoved = false;
    this.canvas.addEventListener("pointerdown", (event) => {
      drag = { x: event.clientX, range: this.range };
      isMoved = false;
      this.canvas.setPointerCapture(event.pointerId);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (!drag || Math.abs(event.clientX - drag.x) < 4) return;
      isMoved = true;
      this.zoom((drag.x - event.clientX) / Math.max(1, this.canvas.clientWidth - NAMES), 1, drag.range);
    });
    this.canvas.addEventListener("pointerup", (event) => {
      if (drag && !isMoved) this.click(event);
      drag = null;
    });
    this.box.addEventListener("keydown", (event) => this.key(event));
  }

  /** @param {MouseEvent} event */
  timeAt(event) {
    const box = this.canvas.getBoundingClientRect();
    const part = (event.clientX - box.left - NAMES) / Math.max(1, box.width - NAMES - 8);
    return this.range[0] + part * (this.range[1] - this.range[0]);
  }

  /**
   * A name selects its process, a mark shows its event.
   * @param {MouseEvent} event
   */
  click(event) {
    const box = this.canvas.getBoundingClientRect();
    const at = Math.floor((event.clientY - box.top) / LANE);
    const lane = this.lanes[at];
    if (!lane) return;
    this.active = at;
    if (event.clientX - box.left < NAMES) return this.choose(lane.place);
    const row = this.nearest(this.timeAt(event), lane.place);
    if (row >= 0) this.store.set({ seq: String(this.events.columns.numbers("seq").exact(row)) });
    return undefined;
  }

  /**
   * The row of a process that is nearest to a time; -1 where none is near.
   * @param {number} time
   * @param {number} place
   */
  nearest(time, place) {
    const near = (this.range[1] - this.range[0]) / 60;
    let best = -1;
    let distance = near;
    for (const row of this.selected) {
      if (this.events.callers[row] !== place && this.events.targets[row] !== place) continue;
      const away = Math.abs(this.events.times[row] - time);
      if (away > distance) continue;
      distance = away;
      best = row;
    }
    return best;
  }

  /** @param {number} place */
  choose(place) {
    const { id } = this.events.processes[place];
    this.store.set({ process: this.store.state.process === id ? "" : id });
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const step = (/** @type {number} */ by) => () => {
      this.active = Math.min(this.lanes.length - 1, Math.max(0, this.active + by));
      this.draw();
      byId("status").textContent = this.describe(this.active);
    };
    /** @type {Record<string, () => void>} */
    const keys = {
      ArrowLeft: () => this.zoom(-0.25, 1),
      ArrowRight: () => this.zoom(0.25, 1),
      ArrowUp: step(-1),
      ArrowDown: step(1),
      "+": () => this.zoom(0, 0.5),
      "-": () => this.zoom(0, 2),
      0: () => this.store.set({ zoom: null }),
      Enter: () => this.lanes[this.active] && this.choose(this.lanes[this.active].place),
    };
    const act = keys[event.key];
    if (!act || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    act();
  }

  /** @param {number} at */
  describe(at) {
    const lane = this.lanes[at];
    if (!lane) return "No process.";
    const name = this.events.nameOf(lane.place);
    return `${name}: ${count(lane.events, "event")}, sent ${size(lane.sent)}, received ${size(lane.received)}.`;
  }

  /** @param {Uint32Array} selected */
  show(selected) {
    const at = this.lanes[this.active]?.place;
    this.selected = selected;
    this.all = lanesOf(this.events, selected);
    // In the order of their first event, since arrows mostly go on in time.
    this.lanes = this.all.slice(0, LANES).sort((a, b) => a.first - b.first);
    // The keys stay at their process.
    this.active = Math.max(0, this.lanes.findIndex((lane) => lane.place === at));
    const more = this.all.length - this.lanes.length;
    this.note.textContent = more > 0 ? `${count(more, "more process", "more processes")} with fewer events: see the table.` : "";
    this.box.setAttribute("aria-label", `Processes over time: ${count(this.all.length, "process", "processes")}.`);
    this.draw();
    this.drawTwin();
  }

  draw() {
    const on = sheet(this.canvas, Math.max(1, this.lanes.length) * LANE + AXIS);
    if (!on) return;
    const seq = this.store.state.seq;
    const chosen = seq ? this.events.rowOf(Number(seq)) : NOBODY;
    draw(on, { events: this.events, selected: this.selected, lanes: this.lanes, range: this.range, active: this.active, chosen });
  }

  drawTwin() {
    if (!this.details.open) return;
    const { all } = this;
    const rows = all.slice(0, LISTED_PROCESSES).map((lane) => [
      button(this.events.nameOf(lane.place), () => this.choose(lane.place), { className: "link" }),
      grouped(lane.events),
      size(lane.sent),
      size(lane.received),
    ]);
    const caption = all.length > LISTED_PROCESSES ? `The busiest ${LISTED_PROCESSES} of ${grouped(all.length)} processes` : "Processes";
    this.twin.replaceChildren(table(caption, ["Process", "Events", "Sent", "Received"], rows, [false, true, true, true]));
  }
}
