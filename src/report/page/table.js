// The table of events. Only the rows that are seen are elements, so it may have any number.

import { button, make } from "./elements.js";
import { sorted } from "./sort.js";
import { count, grouped, seconds, short } from "./text.js";

const ROW_HEIGHT = 26;
/** Browsers have a largest height: a longer table scrolls by more than a row a step. */
const TALLEST = 8_000_000;
/** Rows beyond the edges. */
const MORE = 6;
const CELL_TEXT = 60;
/** Longer than any name of Linux: the number behind it stays in sight. */
const CELL_NAME = 30;

/** @typedef {{ name: string, title: string, isNumber: boolean, text: (row: number) => string }} Shown */

/**
 * The columns of the table.
 * @param {import("./events.js").Events} events
 * @returns {Shown[]}
 */
function shown(events) {
  const { columns } = events;
  const text = (/** @type {string} */ name) => {
    const column = columns.texts(name);
    return (/** @type {number} */ row) => short(column.text(row), CELL_TEXT);
  };
  const number = (/** @type {string} */ name) => {
    const column = columns.numbers(name);
    return (/** @type {number} */ row) => (column.isNull(row) ? "" : grouped(column.exact(row)));
  };
  // The names that they had then; a process can change its own.
  const who = (/** @type {Int32Array} */ places, /** @type {string} */ name) => {
    const comm = columns.texts(name);
    return (/** @type {number} */ row) => {
      const process = events.processes[places[row]];
      if (!process) return "-";
      const name = comm.text(row) ? `${short(comm.text(row), CELL_NAME)}[${process.pid}]` : `pid ${process.pid}`;
      return process.host ? `${short(process.host, CELL_NAME)}:${name}` : name;
    };
  };
  const toctou = columns.numbers("toctou");
  const verdict = text("iov_verdict");
  const ways = /** @type {Record<string, string>} */ ({ in: "← in", out: "→ out" });
  const direction = columns.texts("direction");
  const lost = columns.numbers("lost_count");
  const lostEvent = text("lost_event");
  const error = text("errno");
  /** @type {Shown[]} */
  const all = [
    { name: "seq", title: "Row", isNumber: true, text: number("seq") },
    { name: "time", title: "Time, s", isNumber: true, text: (row) => seconds(events.times[row]) },
    { name: "caller", title: "Process", isNumber: false, text: who(events.callers, "comm") },
    { name: "event", title: "Event", isNumber: false, text: text("event") },
    { name: "direction", title: "Way", isNumber: false, text: (row) => ways[direction.text(row)] ?? "" },
    { name: "bytes", title: "Bytes", isNumber: true, text: number("bytes") },
    { name: "target", title: "Other process", isNumber: false, text: who(events.targets, "target_comm") },
    {
      name: "errno",
      title: "Error",
      isNumber: false,
      text: (row) => (lost.isNull(row) ? error(row) : `${grouped(lost.exact(row))} ${lostEvent(row)} LOST`),
    },
    {
      name: "iov_verdict",
      title: "Arguments",
      isNumber: false,
      text: (row) => `${verdict(row)}${toctou.number(row) === 1 ? " toctou" : ""}`,
    },
  ];
  if (events.facts.folded) all.splice(2, 0, { name: "events", title: "Events", isNumber: true, text: number("events") });
  return all;
}

/** The table. */
export class Table {
  /**
   * @param {HTMLElement} place
   * @param {import("./events.js").Events} events
   * @param {import("./state.js").Store} store
   */
  constructor(place, events, store) {
    this.events = events;
    this.store = store;
    this.columns = shown(events);
    this.failed = events.columns.texts("errno");
    /** @type {Uint32Array} */
    this.rows = new Uint32Array();
    this.active = -1;
    this.head = make("div", { role: "row", className: "row head", "aria-rowindex": 1 });
    this.space = make("div", { className: "space", role: "presentation" });
    this.layer = make("div", { className: "layer", role: "rowgroup" });
    this.space.append(this.layer);
    this.grid = make("div", {
      className: "grid",
      role: "grid",
      tabIndex: 0,
      "aria-label": "Events",
      "aria-colcount": this.columns.length,
      "aria-describedby": "table-keys",
    }, make("div", { role: "rowgroup", className: "heads" }, this.head), this.space);
    place.append(this.grid);
    this.grid.addEventListener("scroll", () => this.draw());
    this.grid.addEventListener("keydown", (event) => this.key(event));
    this.layer.addEventListener("click", (event) => this.click(event));
    new ResizeObserver(() => this.draw()).observe(this.grid);
  }

  /** @param {Uint32Array} selected */
  show(selected) {
    this.rows = this.store.state.sort ? sorted(this.events, selected, this.store.state.sort) : selected;
    this.grid.setAttribute("aria-rowcount", String(this.rows.length + 1));
    this.space.style.height = `${Math.min(this.rows.length * ROW_HEIGHT, TALLEST)}px`;
    this.drawHead();
    this.follow(true);
  }

  drawHead() {
    const { sort } = this.store.state;
    const heads = this.columns.map(({ name, title, isNumber }) => {
      const order = sort === name ? "ascending" : sort === `-${name}` ? "descending" : "none";
      const next = order === "none" ? name : order === "ascending" ? `-${name}` : "";
      const mark = { ascending: " ▲", descending: " ▼", none: "" }[order];
      const act = () => this.store.set({ sort: next });
      return make(
        "div",
        { role: "columnheader", className: `cell ${name}${isNumber ? " number" : ""}`, "aria-sort": order },
        button(`${title}${mark}`, act, { className: "link", "aria-label": title }),
      );
    });
    this.head.replaceChildren(...heads);
  }

  get visible() {
    return Math.max(1, Math.floor((this.grid.clientHeight - ROW_HEIGHT) / ROW_HEIGHT));
  }

  get isScaled() {
    return this.rows.length * ROW_HEIGHT > TALLEST;
  }

  /** The first row that is seen. */
  get first() {
    const { scrollTop, scrollHeight, clientHeight } = this.grid;
    if (!this.isScaled) return Math.floor(scrollTop / ROW_HEIGHT);
    const part = scrollTop / Math.max(1, scrollHeight - clientHeight);
    return Math.round(part * Math.max(0, this.rows.length - this.visible));
  }

  draw() {
    const from = Math.max(0, this.first - (this.isScaled ? 0 : MORE));
    const to = Math.min(this.rows.length, this.first + this.visible + MORE + 1);
    const top = this.isScaled ? this.grid.scrollTop : from * ROW_HEIGHT;
    this.layer.style.transform = `translateY(${Math.min(top, Math.max(0, TALLEST - (to - from) * ROW_HEIGHT))}px)`;
    this.layer.replaceChildren(...Array.from({ length: Math.max(0, to - from) }, (_, at) => this.row(from + at)));
    const isSeen = this.active >= from && this.active < to;
    if (isSeen) this.grid.setAttribute("aria-activedescendant", `row-${this.active}`);
    else this.grid.removeAttribute("aria-activedescendant");
  }

  /** @param {number} at */
  row(at) {
    const row = this.rows[at];
    const isActive = at === this.active;
    const mark = this.events.isLost(row) ? " lost" : this.failed.isNull(row) ? "" : " failed";
    const cells = this.columns.map(({ name, isNumber, text }) =>
      make("div", { role: "gridcell", className: `cell ${name}${isNumber ? " number" : ""}` }, text(row)),
    );
    const properties = { role: "row", id: `row-${at}`, className: `row${mark}${isActive ? " active" : ""}` };
    return make("div", { ...properties, "aria-rowindex": at + 2, "aria-selected": isActive, "data-at": at }, ...cells);
  }

  /** @param {Event} event */
  click(event) {
    const found = event.target instanceof Element ? event.target.closest("[data-at]") : null;
    if (found) this.go(Number(found.getAttribute("data-at")));
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.target !== this.grid || event.ctrlKey || event.altKey || event.metaKey) return;
    /** @type {Record<string, number>} */
    const to = {
      ArrowUp: this.active - 1,
      ArrowDown: this.active + 1,
      PageUp: this.active - this.visible,
      PageDown: this.active + this.visible,
      Home: 0,
      End: this.rows.length - 1,
    };
    if (event.key in to) {
      event.preventDefault();
      this.go(Math.min(this.rows.length - 1, Math.max(0, to[event.key])));
    } else if (event.key === "Enter") {
      document.getElementById("detail-title")?.focus();
    }
  }

  /**
   * Shows an event in full.
   * @param {number} at
   */
  go(at) {
    if (at < 0 || at >= this.rows.length) return;
    this.store.set({ seq: String(this.events.columns.numbers("seq").exact(this.rows[at])) });
  }

  /**
   * The row of the event that is shown in full becomes the active one, and is scrolled to.
   * @param {boolean} isNew whether the rows have changed
   */
  follow(isNew) {
    const { seq } = this.store.state;
    const row = seq ? this.events.rowOf(Number(seq)) : -1;
    const before = this.active;
    this.active = row < 0 ? -1 : this.rows.indexOf(row);
    if (this.active >= 0 && (isNew || this.active !== before)) this.reveal(this.active);
    this.draw();
  }

  /** @param {number} at */
  reveal(at) {
    const { first, visible } = this;
    if (at >= first && at < first + visible) return;
    const wanted = at < first ? at : at - visible + 1;
    const { scrollHeight, clientHeight } = this.grid;
    const scaled = (wanted / Math.max(1, this.rows.length - visible)) * (scrollHeight - clientHeight);
    this.grid.scrollTop = this.isScaled ? scaled : wanted * ROW_HEIGHT;
  }

  /** What the table has, in words. */
  describe() {
    return count(this.rows.length, "row");
  }
}
