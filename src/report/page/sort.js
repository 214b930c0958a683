// The order of the rows of the table.

import { NOBODY } from "./events.js";
import { Texts } from "./columns.js";
import { Numbers } from "./numbers.js";

/**
 * For each text its place in the order of all; 0 for null.
 * @param {Texts} column
 */
function ranks(column) {
  const order = column.words.map((_, at) => at);
  order.sort((a, b) => (column.words[a] < column.words[b] ? -1 : 1));
  const rank = new Float64Array(column.words.length + 1);
  for (const [place, at] of order.entries()) rank[at + 1] = place + 1;
  return (/** @type {number} */ row) => rank[column.places[row]];
}

/**
 * @param {import("./events.js").Events} events
 * @param {Int32Array} places
 */
function nameRanks(events, places) {
  const names = events.processes.map((_, place) => events.nameOf(place));
  const order = names.map((_, at) => at).sort((a, b) => (names[a] < names[b] ? -1 : 1));
  const rank = new Float64Array(names.length);
  for (const [place, at] of order.entries()) rank[at] = place + 1;
  return (/** @type {number} */ row) => (places[row] === NOBODY ? 0 : rank[places[row]]);
}

/**
 * What rows are compared by.
 * @param {import("./events.js").Events} events
 * @param {string} name a column, or `caller`, `target`, `time`
 * @returns {((row: number) => number)|null}
 */
function keyOf(events, name) {
  if (name === "time") return (row) => events.times[row];
  if (name === "caller") return nameRanks(events, events.callers);
  if (name === "target") return nameRanks(events, events.targets);
  if (!events.columns.has(name)) return null;
  const column = events.columns.column(name);
  if (column instanceof Texts) return ranks(column);
  if (column instanceof Numbers) return (row) => (column.isNull(row) ? -Infinity : column.number(row));
  return null;
}

/**
 * The rows in the order of a column, of which `-` in front turns the order around; rows that are equal stay in theirs.
 * @param {import("./events.js").Events} events
 * @param {Uint32Array} rows
 * @param {string} sort
 */
export function sorted(events, rows, sort) {
  const isDown = sort.startsWith("-");
  const key = keyOf(events, isDown ? sort.slice(1) : sort);
  if (!key) return rows;
  const keys = new Float64Array(events.rows);
  for (const row of rows) keys[row] = key(row);
  const way = isDown ? -1 : 1;
  return Uint32Array.from(rows).sort((a, b) => (keys[a] === keys[b] ? a - b : keys[a] < keys[b] ? -way : way));
}
