// Draws the lanes of processes and the arrows of transfers between them.

import { NOBODY } from "./events.js";
import { axis, colours } from "./canvas.js";

/** Pixels of a lane, of the names in front, and of the axis below. */
export const LANE = 26;
export const NAMES = 190;
export const AXIS = 24;

/**
 * A process with its part of the selected events.
 * @typedef {object} Lane
 * @property {number} place
 * @property {number} events
 * @property {number} received
 * @property {number} sent
 * @property {number} first
 * @property {number} last
 */

/**
 * From which process to which the bytes of a row went; both `NOBODY` where none moved between two.
 * @param {import("./events.js").Events} events
 * @returns {(row: number) => { from: number, to: number, bytes: number }}
 */
export function movements(events) {
  const bytes = events.columns.numbers("bytes");
  const directions = events.columns.texts("direction");
  return (row) => {
    const caller = events.callers[row];
    const target = events.targets[row];
    const moved = bytes.number(row);
    const direction = directions.text(row);
    const isBetween = events.isBetween[events.kinds.places[row] - 1];
    if (moved <= 0 || target === NOBODY || (direction === "" && !isBetween)) return { from: NOBODY, to: NOBODY, bytes: 0 };
    return direction === "out" ? { from: caller, to: target, bytes: moved } : { from: target, to: caller, bytes: moved };
  };
}

/**
 * The processes of the selected events, the busiest first.
 * @param {import("./events.js").Events} events
 * @param {Uint32Array} selected
 * @returns {Lane[]}
 */
export function lanesOf(events, selected) {
  /** @type {Map<number, Lane>} */
  const lanes = new Map();
  const movement = movements(events);
  const lane = (/** @type {number} */ place, /** @type {number} */ row) => {
    let found = lanes.get(place);
    if (!found) {
      found = { place, events: 0, received: 0, sent: 0, first: events.times[row], last: events.ends[row] };
      lanes.set(place, found);
    }
    found.first = Math.min(found.first, events.times[row]);
    found.last = Math.max(found.last, events.ends[row]);
    return found;
  };
  for (const row of selected) {
    const caller = events.callers[row];
    const target = events.targets[row];
    if (caller !== NOBODY) lane(caller, row).events += events.weight(row);
    if (target !== NOBODY && target !== caller) lane(target, row).events += events.weight(row);
    const { from, to, bytes } = movement(row);
    if (from === NOBODY) continue;
    lane(from, row).sent += bytes;
    lane(to, row).received += bytes;
  }
  return [...lanes.values()].sort((a, b) => b.events - a.events || a.first - b.first);
}

/**
 * What is drawn.
 * @typedef {object} Scene
 * @property {import("./events.js").Events} events
 * @property {Uint32Array} selected
 * @property {Lane[]} lanes
 * @property {[number, number]} range
 * @property {number} active the lane that the keys are at
 * @property {number} chosen the row that is shown in full, or -1
 */

/**
 * @param {import("./canvas.js").Sheet} on
 * @param {Scene} scene
 */
export function draw(on, scene) {
  const { pen, width } = on;
  const { events, lanes, range } = scene;
  const x = (/** @type {number} */ time) => NAMES + ((time - range[0]) / (range[1] - range[0])) * (width - NAMES - 8);
  const y = (/** @type {number} */ lane) => lane * LANE + LANE / 2;
  const colour = colours();
  lanes.forEach((lane, at) => {
    if (at === scene.active) {
      pen.fillStyle = colour("faint");
      pen.fillRect(0, at * LANE, width, LANE);
    }
    pen.fillStyle = colour("text");
    pen.fillText(fitted(pen, events.nameOf(lane.place), NAMES - 12), 4, y(at));
    pen.strokeStyle = colour("line");
    pen.lineWidth = 1;
    line(pen, Math.max(NAMES, x(lane.first)), y(at), Math.max(NAMES, Math.min(width, x(lane.last))), y(at));
  });
  pen.save();
  pen.beginPath();
  pen.rect(NAMES, 0, width - NAMES, lanes.length * LANE);
  pen.clip();
  drawRows(pen, scene, x, y, colour);
  pen.restore();
  axis(on, range, x, lanes.length * LANE + AXIS - 8);
}

/**
 * Every mark once a pixel, however many events have it.
 * @param {CanvasRenderingContext2D} pen
 * @param {Scene} scene
 * @param {(time: number) => number} x
 * @param {(lane: number) => number} y
 * @param {(name: string) => string} colour
 */
function drawRows(pen, scene, x, y, colour) {
  const { events, selected, lanes, range } = scene;
  const failed = events.columns.texts("errno");
  const movement = movements(events);
  const laneOf = new Int32Array(events.processes.length).fill(NOBODY);
  for (const [at, lane] of lanes.entries()) laneOf[lane.place] = at;
  const drawn = new Set();
  pen.lineWidth = 1.5;
  for (const row of selected) {
    if (events.ends[row] < range[0] || events.times[row] > range[1]) continue;
    const caller = events.callers[row] === NOBODY ? NOBODY : laneOf[events.callers[row]];
    const target = events.targets[row] === NOBODY ? NOBODY : laneOf[events.targets[row]];
    if (caller === NOBODY) continue;
    const at = Math.round(x(events.times[row]));
    const { from } = movement(row);
    const isBack = from !== NOBODY && laneOf[from] !== caller;
    const isBad = !failed.isNull(row);
    const mark = ((at * 4 + (isBad ? 2 : 0) + (isBack ? 1 : 0)) * (lanes.length + 1) + caller) * (lanes.length + 1) + target + 1;
    if (drawn.has(mark) && row !== scene.chosen) continue;
    drawn.add(mark);
    pen.strokeStyle = colour(row === scene.chosen ? "text" : isBad ? "bad" : "accent");
    pen.fillStyle = pen.strokeStyle;
    line(pen, at, y(caller) - 5, at, y(caller) + 5);
    if (target === NOBODY || target === caller) continue;
    pen.setLineDash(from === NOBODY ? [2, 3] : []);
    line(pen, at, y(caller), at, y(target));
    pen.setLineDash([]);
    if (from !== NOBODY) head(pen, at, isBack ? y(target) : y(caller), isBack ? y(caller) : y(target));
  }
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {number} x0
 * @param {number} y0
 * @param {number} x1
 * @param {number} y1
 */
function line(pen, x0, y0, x1, y1) {
  pen.beginPath();
  pen.moveTo(x0, y0);
  pen.lineTo(x1, y1);
  pen.stroke();
}

/**
 * The head of an arrow.
 * @param {CanvasRenderingContext2D} pen
 * @param {number} x
 * @param {number} from
 * @param {number} to
 */
function head(pen, x, from, to) {
  const back = to > from ? -7 : 7;
  pen.beginPath();
  pen.moveTo(x, to);
  pen.lineTo(x - 4, to + back);
  pen.lineTo(x + 4, to + back);
  pen.fill();
}

/**
 * As much of a text as fits.
 * @param {CanvasRenderingContext2D} pen
 * @param {string} text
 * @param {number} width
 */
function fitted(pen, text, width) {
  if (pen.measureText(text).width <= width) return text;
  let end = text.length;
  while (end > 0 && pen.measureText(`${text.slice(0, end)}…`).width > width) end -= 1;
  return `${text.slice(0, end)}…`;
}
