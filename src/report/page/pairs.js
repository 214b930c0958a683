// Who moved what from whom: a table of pairs, and a matrix of the busiest processes.

import { NOBODY } from "./events.js";
import { button, make, table } from "./elements.js";
import { count, grouped } from "./text.js";

/** Rows of the table, and processes in the matrix. */
const LISTED_PAIRS = 200;
const MATRIX = 16;

/**
 * The numbers of a caller and its target, as the view `edges` has them.
 * @typedef {object} Pair
 * @property {number} caller
 * @property {number} target `NOBODY` for calls without one
 * @property {number} calls
 * @property {number} failures
 * @property {number} transfers
 * @property {number} bytesIn
 * @property {number} bytesOut
 */

/**
 * The pairs of the selected rows, those of most bytes first.
 * @param {import("./events.js").Events} events
 * @param {Uint32Array} selected
 * @returns {Pair[]}
 */
export function pairsOf(events, selected) {
  const bytes = events.columns.numbers("bytes");
  const directions = events.columns.texts("direction");
  const failed = events.columns.texts("errno");
  const transfers = events.facts.folded ? events.columns.numbers("transfers") : null;
  /** @type {Map<number, Pair>} */
  const pairs = new Map();
  for (const row of selected) {
    const kind = events.kinds.places[row] - 1;
    const [caller, target] = [events.callers[row], events.targets[row]];
    if (events.isLost(row) || (!events.isCall[kind] && target === NOBODY)) continue;
    const key = caller * (events.processes.length + 1) + target + 1;
    let pair = pairs.get(key);
    if (!pair) {
      pair = { caller, target, calls: 0, failures: 0, transfers: 0, bytesIn: 0, bytesOut: 0 };
      pairs.set(key, pair);
    }
    const weight = events.weight(row);
    const moved = Math.max(0, bytes.number(row));
    const direction = directions.text(row);
    const isTransfer = moved > 0 && (direction !== "" || events.isBetween[kind]);
    pair.calls += weight;
    if (!failed.isNull(row)) pair.failures += weight;
    if (transfers) pair.transfers += transfers.number(row);
    else if (isTransfer) pair.transfers += 1;
    if (direction === "in" || (events.isBetween[kind] && target !== NOBODY)) pair.bytesIn += moved;
    if (direction === "out") pair.bytesOut += moved;
  }
  return [...pairs.values()].sort((a, b) => b.bytesIn + b.bytesOut - a.bytesIn - a.bytesOut || b.calls - a.calls);
}

/**
 * The pairs of the summary, which counts every event of the capture, also those that are in no row.
 * @param {import("./events.js").Events} events
 * @returns {Pair[]}
 */
function pairsOfSummary(events) {
  const { pairs, without_target: alone } = events.facts.summary;
  return [...pairs, ...alone].map((pair) => ({
    caller: events.placeOfWho(pair.caller),
    target: events.placeOfWho(pair.target),
    calls: pair.calls,
    failures: pair.failures,
    transfers: pair.transfers,
    bytesIn: pair.bytes_in,
    bytesOut: pair.bytes_out,
  }));
}

/** Both tables. */
export class Pairs {
  /**
   * @param {HTMLElement} place
   * @param {import("./events.js").Events} events
   * @param {import("./state.js").Store} store
   */
  constructor(place, events, store) {
    this.events = events;
    this.store = store;
    this.list = make("div", { className: "scroll" });
    this.matrix = make("div", { className: "scroll" });
    this.note = make("p", { className: "muted" });
    this.details = make("details", {}, make("summary", {}, "As a matrix of the busiest processes"), this.matrix);
    this.details.addEventListener("toggle", () => this.drawMatrix());
    place.append(this.list, this.note, this.details);
    /** @type {Pair[]} */
    this.pairs = [];
  }

  /**
   * @param {Uint32Array} selected
   * @param {boolean} isAll whether nothing is left out by a selection
   */
  show(selected, isAll) {
    // What the summary does not list stands in the rows; what is in no row stands in the summary.
    this.pairs = isAll && this.events.facts.folded ? pairsOfSummary(this.events) : pairsOf(this.events, selected);
    const rows = this.pairs.slice(0, LISTED_PAIRS).map((pair) => [
      this.chooser(this.events.nameOf(pair.caller), pair),
      pair.target === NOBODY ? "-" : this.events.nameOf(pair.target),
      grouped(pair.calls),
      grouped(pair.failures),
      grouped(pair.transfers),
      grouped(pair.bytesIn),
      grouped(pair.bytesOut),
    ]);
    const headings = ["Caller", "Target", "Calls", "Failed", "Transfers", "Bytes in", "Bytes out"];
    const numbers = [false, false, true, true, true, true, true];
    const made = table("Calls and bytes of each pair of processes", headings, rows, numbers);
    made.id = "pairs-table";
    this.list.replaceChildren(made);
    const more = this.pairs.length - rows.length;
    this.note.textContent = more > 0 ? `${count(more, "more pair")} with fewer bytes. Select some events to see others.` : "";
    this.drawMatrix();
  }

  /**
   * @param {string} text
   * @param {Pair} pair
   */
  chooser(text, pair) {
    const { processes } = this.events;
    if (pair.caller === NOBODY) return text;
    const id = `${processes[pair.caller].id}>${pair.target === NOBODY ? "" : processes[pair.target].id}`;
    const isChosen = this.store.state.pair === id;
    const act = () => this.store.set({ pair: isChosen ? "" : id });
    const other = pair.target === NOBODY ? "no target" : this.events.nameOf(pair.target);
    const label = `${this.events.nameOf(pair.caller)} and ${other}: select their events`;
    return button(text, act, { className: "link", "aria-pressed": isChosen, "aria-label": label });
  }

  drawMatrix() {
    if (!this.details.open) return;
    /** @type {Map<number, number>} */
    const sums = new Map();
    const between = this.pairs.filter((pair) => pair.target !== NOBODY && pair.caller !== NOBODY);
    for (const pair of between) {
      for (const place of new Set([pair.caller, pair.target])) sums.set(place, (sums.get(place) ?? 0) + pair.calls);
    }
    const busiest = [...sums].sort((a, b) => b[1] - a[1]).slice(0, MATRIX).map(([place]) => place);
    const most = between.reduce((largest, pair) => Math.max(largest, pair.calls), 1);
    const rows = busiest.map((caller) => [
      this.events.nameOf(caller),
      ...busiest.map((target) => this.cell(between.find((pair) => pair.caller === caller && pair.target === target), most)),
    ]);
    const caption =
      sums.size > MATRIX ? `Calls of the busiest ${MATRIX} of ${grouped(sums.size)} processes` : "Calls by caller (down) and target (across)";
    this.matrix.replaceChildren(table(caption, ["Caller", ...busiest.map((place) => this.events.nameOf(place))], rows));
  }

  /**
   * @param {Pair|undefined} pair
   * @param {number} most
   */
  cell(pair, most) {
    if (!pair) return "";
    const cell = this.chooser(grouped(pair.calls), pair);
    if (cell instanceof HTMLElement) cell.style.setProperty("--heat", String(0.15 + 0.45 * (pair.calls / most)));
    if (cell instanceof HTMLElement) cell.classList.add("heat");
    return cell;
  }
}
