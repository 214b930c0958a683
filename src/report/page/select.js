// Which rows the state selects.

import { NOBODY } from "./events.js";
import { compile, parse } from "./where.js";

/** @typedef {(row: number) => boolean} Wanted */

/**
 * The calls of a flow.
 * @param {import("./events.js").Flow|undefined} flow
 * @returns {Set<number>}
 */
export function callsOf(flow) {
  const ends = flow ? [flow.source, ...flow.pipes.map((pipe) => pipe.moved_by), flow.sink] : [];
  return new Set(ends.flatMap((end) => (end && end.seq !== null ? [end.seq] : [])));
}

/**
 * What each part of the state asks of a row.
 * @param {import("./state.js").State} state
 * @param {import("./events.js").Events} events
 * @returns {Wanted[]}
 */
function conditions(state, events) {
  const { callers, targets, times, ends } = events;
  /** @type {Wanted[]} */
  const all = [];
  const { time } = state;
  if (time) all.push((row) => ends[row] >= time[0] && times[row] <= time[1]);
  if (state.process) {
    const place = events.placeOf(state.process);
    all.push((row) => callers[row] === place || targets[row] === place);
  }
  if (state.pair) {
    const [caller, target] = state.pair.split(">");
    const from = events.placeOf(caller);
    const to = target ? events.placeOf(target) : NOBODY;
    all.push((row) => callers[row] === from && targets[row] === to);
  }
  if (state.flow) {
    const calls = callsOf(events.facts.flows[Number(state.flow) - 1]);
    const seqs = events.columns.numbers("seq");
    all.push((row) => calls.has(seqs.number(row)));
  }
  return all;
}

/**
 * The rows that are selected, in their order. Throws a sentence where the condition cannot be read.
 * @param {import("./state.js").State} state
 * @param {import("./events.js").Events} events
 * @returns {Uint32Array}
 */
export function select(state, events) {
  const all = conditions(state, events);
  if (state.where.trim()) {
    const holds = compile(parse(state.where, events.facts), events.columns);
    all.push((row) => holds(row) === true);
  }
  const rows = new Uint32Array(events.rows);
  let length = 0;
  for (let row = 0; row < events.rows; row += 1) {
    if (!all.every((wanted) => wanted(row))) continue;
    rows[length] = row;
    length += 1;
  }
  return rows.subarray(0, length);
}
